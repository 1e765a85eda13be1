"""A data set as it is trained on: read, split, balanced or subsampled, and prepared for the network.

Pixels from 0 to 1 are standardised by the mean and standard deviation of the registry, or of the training images, after
padding; smaller images than a network takes are padded with zeros. Classes are balanced by a fixed random subsample
unless asked otherwise. Sets without a test part give a fixed fifth of each class to test. There is no augmentation.

Source: Han, Papyan & Donoho (2022), Appendix A.1; Papyan, Han & Donoho (2020).
"""

import sys
import zlib
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from deepnet_runs.datasets.images import Batch as Batch
from deepnet_runs.datasets.images import DataSet as DataSet
from deepnet_runs.datasets.images import Images as Images
from deepnet_runs.datasets.images import Preparation
from deepnet_runs.datasets.reading import SPLIT_SEED, Read, Source
from deepnet_runs.datasets.registry import about, is_folder

TEST_SHARE = 5  # of so many images of a class one is a test image, in a set without a test part
AT_ONCE = 2**22  # pixels of which mean and standard deviation are computed together


def load(
    name: str,
    root: Path,
    *,
    download: bool = False,
    whole: bool = False,
    per_class: int | None = None,
    test_per_class: int | None = None,
    image_size: int | None = None,
    padded: int = 0,
    random_labels_seed: int | None = None,
    quiet: bool = True,
) -> DataSet:
    """A data set, its classes balanced unless `whole`.

    Arguments:
        name: one of `registry.SETS`, or folder:PATH.
        root: the folder of data sets.
        download: fetch the set if it is not there.
        whole: train on all examples.
        per_class: train on so many images of each class.
        test_per_class: test on so many images of each class; None: on all.
        image_size: height and width to which images are resized; None: as they are.
        padded: height and width to which smaller images are padded with zeros.
        random_labels_seed: shuffle the training labels by this seed.
        quiet: no progress bar and no message.

    Raises:
        ValueError: as the readers; for classes with too few examples.
    """
    known = about(name)
    source = Source(name, root.expanduser(), download, whole, image_size, quiet)
    read: Read = import_module(f"deepnet_runs.datasets.{known.reader}").read(source)
    train, test = split(read.train) if read.test is None else (read.train, read.test)
    C = known.classes or len(read.classes)
    for part, images, least in (("train", train, 2), ("test", test, 1)):
        _check_classes(f"{part} images of each of the {C} classes of {name}", images, least, C, read.read_from)
    # Standardisation is by all training images, however many of them are chosen.
    mean, std = (known.mean, known.std) if known.mean else statistics(train, read.scale, name)
    preparation = Preparation(0 if image_size else padded, read.scale, image_size or 0, mean, std)
    record: dict[str, Any] = {"read_from": read.read_from, "classes": C, "mean": list(mean), "std": list(std)}
    record["split"] = "of the set"
    if read.test is None:
        record["split"] = f"a {TEST_SHARE}th of each class to test, drawn with seed {SPLIT_SEED}"
    # The subsets.
    available = len(train)
    if per_class is not None:
        train = balanced(train, _there(per_class, train, f"train images of each class of {name}", "--per-class"))
    elif not whole:
        train = balanced(train, known.per_class)
        if is_folder(name) and len(train) < available and not quiet:
            equal = f"{len(train) // C} images of each of the {C} classes, {len(train)} of {available}"
            print(f"training on {equal}, for classes of equal size; --whole trains on all", file=sys.stderr)
    if test_per_class is not None:
        test = balanced(test, _there(test_per_class, test, f"test images of each class of {name}", "--test-per-class"))
    train = _mixed(train)
    record["chosen_crc32"] = f"{zlib.crc32(torch.cat([train.chosen, test.chosen]).numpy().tobytes()):08x}"
    if random_labels_seed is not None:
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(random_labels_seed))
        train = replace(train, y=train.y[order])
    train, test = (replace(images, preparation=preparation) for images in (train, test))
    return DataSet(train, test, C, record | {"image": list(train.shape)})


def _check_classes(what: str, images: Images, least: int, C: int, place: str) -> None:
    counts = torch.bincount(images.y, minlength=C)
    if len(counts) > C or int(counts.min()) < least:
        few = f"counts {counts.tolist()}" if len(counts) <= 20 else f"{int(counts.min())} of class {counts.argmin()}"
        raise ValueError(f"Need at least {least} {what}, got {few}: check the files in {place}.")


def _there(asked: int, images: Images, what: str, option: str) -> int:
    """The number that is asked for, if there are so many of each class."""
    smallest = int(torch.bincount(images.y).min())
    if asked > smallest:
        raise ValueError(f"Need at most {smallest} {what} for {option}, got {asked}: give fewer.")
    return asked


def _shuffled_by_class(images: Images) -> list[Int[Tensor, " n"]]:
    """The places of each class, in an order that is the same in every run."""
    order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(images)))
    labels = images.y[order]
    return [order[labels == c] for c in range(int(images.y.max()) + 1)]


def _mixed(images: Images) -> Images:
    """Images sorted by class in a fixed random order.

    The statistics of batch normalization are estimated from consecutive images, and those of one class differ from
    those of the set.
    """
    if bool((images.y.diff() < 0).any()):
        return images
    return images.take(torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED)))


def split(images: Images) -> tuple[Images, Images]:
    """A fixed random split: a fifth of each class, and at least one image, to test, the rest to train."""
    places = _shuffled_by_class(images)
    sizes = [max(1, len(own) // TEST_SHARE) for own in places]
    test = torch.cat([own[:size] for own, size in zip(places, sizes, strict=True)])
    train = torch.cat([own[size:] for own, size in zip(places, sizes, strict=True)])
    return images.take(train.sort().values), images.take(test.sort().values)


def balanced(images: Images, per_class: int | None) -> Images:
    """A fixed random subsample, as many of each class; the smallest class bounds it. A smaller one is in a larger."""
    places = _shuffled_by_class(images)
    smallest = min(len(own) for own in places)
    number = smallest if per_class is None else min(per_class, smallest)
    return images.take(torch.cat([own[:number] for own in places]).sort().values)


def statistics(images: Images, scale: float, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of pixels that are bytes, divided by their scale, by exact sums.

    Raises:
        ValueError: if a channel has one value in all images.
    """
    channels = images.x.shape[1]
    sums = torch.zeros(2, channels, dtype=torch.int64)
    for rows in images.chosen.split(max(1, AT_ONCE // images.x[0].numel())):
        pixels = images.x[rows].long()
        sums += torch.stack([pixels.sum((0, 2, 3)), pixels.square().sum((0, 2, 3))])
    count = len(images) * images.x[0, 0].numel()
    found = []
    for first, second in zip(*sums.tolist(), strict=True):
        variance = (count * second - first**2) / count**2  # of whole numbers, without cancellation
        if variance == 0:
            raise ValueError(f"Need images that differ, got a channel of {name} with one value in all training images.")
        found.append((first / count / scale, variance**0.5 / scale))
    mean, std = zip(*found, strict=True)
    return mean, std
