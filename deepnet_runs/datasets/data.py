"""Image data sets as tensors: the embedded digits, and five of torchvision's.

Every set is whole in memory, on the device that trains; a batch is an index into it. 28 x 28 images are padded with
zeros to 32 x 32; then pixels are standardised by the mean and standard deviation of the set (a channel), rounded as
published, before padding; of FashionMNIST by 0.5 and 0.5, as in the public code of this protocol, its own being 0.286
and 0.353. Classes are balanced by a fixed random subsample unless asked otherwise. There is no augmentation.

Source: Han, Papyan & Donoho (2022), Appendix A.1; Papyan, Han & Donoho (2020).
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from deepnet_runs.training.recipes import CLASSES, PER_CLASS

SPLIT_SEED = 0  # the subsample of a set is the same in every run
STATISTICS = {  # mean and standard deviation a channel, of pixels from 0 to 1, by which images are standardised
    "mnist": ((0.1307,), (0.3081,)),
    "fashionmnist": ((0.5,), (0.5,)),
    "cifar10": ((125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)),
    "svhn": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    "stl10": ((0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713)),
}


class Images(NamedTuple):
    """Standardised images (n, channels, size, size), float32, and their labels (n,) from 0."""

    x: Float[Tensor, "n channels size size"]
    y: Int[Tensor, " n"]

    def to(self, device: torch.device, memory_format: torch.memory_format) -> "Images":
        """The same on a device."""
        return Images(self.x.to(device, memory_format=memory_format), self.y.to(device))


class DataSet(NamedTuple):
    """Training and test images, and the number of classes."""

    train: Images
    test: Images
    classes: int


def _digits(root: Path, download: bool) -> tuple[Images, Images]:
    """scikit-learn's 1797 images of 8 x 8, split at random once: 140 a class to train, the rest to test."""
    del root, download
    from sklearn.datasets import load_digits  # takes a second, for one of the sets

    pixels, labels = (np.asarray(array) for array in load_digits(return_X_y=True))
    images, labels = pixels.reshape(-1, 8, 8).astype(np.float32) / 16, labels.astype(np.int64)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    rank = np.empty(len(labels), int)
    for c in range(10):
        rank[order[labels[order] == c]] = np.arange(np.count_nonzero(labels == c))
    train = rank < PER_CLASS["digits"]
    mean, std = images[train].mean(), images[train].std()
    x = torch.from_numpy((images - mean) / std)[:, None]
    y = torch.from_numpy(labels)
    mask = torch.from_numpy(train)
    return Images(x[mask], y[mask]), Images(x[~mask], y[~mask])


def _arrays(name: str, train: bool, root: Path, download: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, channels, h, w), uint8, and labels, by torchvision's reader, which checks the files."""
    from torchvision import datasets  # not for the digits

    split = "train" if train else "test"
    if name in ("mnist", "fashionmnist"):
        reader = {"mnist": datasets.MNIST, "fashionmnist": datasets.FashionMNIST}[name]
        read = reader(str(root), train=train, download=download)
        return read.data.numpy()[:, None], read.targets.numpy()
    if name == "cifar10":
        read = datasets.CIFAR10(str(root), train=train, download=download)
        return np.ascontiguousarray(read.data.transpose(0, 3, 1, 2)), np.asarray(read.targets)
    read = {"svhn": datasets.SVHN, "stl10": datasets.STL10}[name](str(root), split=split, download=download)
    return read.data, np.asarray(read.labels)


def _read(name: str, train: bool, root: Path, download: bool) -> tuple[np.ndarray, np.ndarray]:
    """The reader's arrays.

    Raises:
        ValueError: if files are missing or damaged, with the folder, what the reader says, and the remedy.
    """
    try:
        images, labels = _arrays(name, train, root, download)
        if len(images) != len(labels):
            raise ValueError(f"{len(images)} images and {len(labels)} labels")
    except Exception as error:  # missing, truncated or altered files fail in torchvision, pickle, SciPy or NumPy
        said = " ".join(str(error).partition("You can use download=True")[0].split()) or type(error).__name__
        remedy = "check the connection and try again" if download else "give --download to fetch them"
        raise ValueError(
            f"Need the complete files of {name} in {root.absolute()}, got: {said[:200].rstrip('.')}; {remedy}, or "
            "--data-dir if they are elsewhere, and delete damaged files first."
        ) from error
    return images, labels.astype(np.int64)


def _standardised(name: str, images: np.ndarray, labels: np.ndarray) -> Images:
    mean, std = (torch.tensor(values)[:, None, None] for values in STATISTICS[name])
    x = torch.from_numpy(images)
    if x.shape[-1] == 28:
        x = pad(x, (2, 2, 2, 2))
    return Images(x.float().contiguous().div_(255).sub_(mean).div_(std), torch.from_numpy(labels))


def _balanced(images: Images, per_class: int) -> Images:
    """A fixed random subsample, as many of each class; the smallest class bounds it."""
    order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(images.y)))
    counts = torch.bincount(images.y)
    per_class = min(per_class, int(counts.min()))
    kept = torch.cat([order[images.y[order] == c][:per_class] for c in range(len(counts))]).sort().values
    return Images(images.x[kept], images.y[kept])


def _torchvision(name: str) -> Callable[[Path, bool], tuple[Images, Images]]:
    def load(root: Path, download: bool) -> tuple[Images, Images]:
        train, test = (_standardised(name, *_read(name, train, root, download)) for train in (True, False))
        return train, test

    return load


LOADERS = {"digits": _digits, **{name: _torchvision(name) for name in STATISTICS}}


def load(
    name: str, root: Path, *, download: bool = False, whole: bool = False, random_labels_seed: int | None = None
) -> DataSet:
    """A data set, balanced unless `whole`, its training labels shuffled by a seed if one is given.

    The digits' `whole` adds to the training split what its classes have beyond 140, less a fifth kept to test.

    Raises:
        ValueError: as `_read`; or for a class with fewer than two examples to train on, or none to test on.
    """
    root = root.expanduser()
    train, test = LOADERS[name](root, download)
    if whole and name == "digits":
        extra = torch.arange(len(test.y)) % 5 != 0
        train = Images(torch.cat([train.x, test.x[extra]]), torch.cat([train.y, test.y[extra]]))
        test = Images(test.x[~extra], test.y[~extra])
    for part, images, least in (("train", train, 2), ("test", test, 1)):
        counts = torch.bincount(images.y, minlength=CLASSES)
        if len(counts) > CLASSES or int(counts.min()) < least:
            raise ValueError(
                f"Need at least {least} {part} images of each of the {CLASSES} classes of {name}, "
                f"got counts {counts.tolist()}: check the files in {root.absolute()}."
            )
    if not whole:
        train = _balanced(train, PER_CLASS[name])
    if random_labels_seed is not None:
        order = torch.randperm(len(train.y), generator=torch.Generator().manual_seed(random_labels_seed))
        train = Images(train.x, train.y[order])
    return DataSet(train, test, CLASSES)
