"""What the readers of data sets are asked for, what they give, and the one sentence of files that cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from deepnet_runs.datasets.images import Images

SPLIT_SEED = 0  # splits and subsamples of a set are the same in every run
DOWNLOAD = "give --download to fetch them"


class Source(NamedTuple):
    """What is to be read.

    Attributes:
        name: the data set.
        root: the folder of data sets.
        download: whether files that are missing are fetched.
        whole: whether all examples are trained on.
        size: height and width of the images, for sets whose images differ in size; None: the reader's choice.
        quiet: no progress bar.
    """

    name: str
    root: Path
    download: bool = False
    whole: bool = False
    size: int | None = None
    quiet: bool = True


class Read(NamedTuple):
    """What a reader gives: images as bytes.

    Attributes:
        train: the training part, or everything.
        test: the test part; None if the set has none.
        read_from: where the images come from, for config.json.
        scale: the largest value of a pixel.
        classes: names of the classes; empty if they are numbers.
    """

    train: Images
    test: Images | None
    read_from: str
    scale: float = 255.0
    classes: tuple[str, ...] = ()


def images_of(pixels: np.ndarray, labels: np.ndarray) -> Images:
    """Bytes (n, channels, height, width) and their labels.

    Raises:
        ValueError: if their numbers differ.
    """
    if len(pixels) != len(labels):
        raise ValueError(f"{len(pixels)} images and {len(labels)} labels")
    return Images(torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64)))


@contextmanager
def complete_files(source: Source, *, remedy: str = DOWNLOAD) -> Iterator[None]:
    """One sentence of any error of a reader: the set, the folder, what the reader says, and the remedy.

    Raises:
        ValueError: that sentence.
    """
    try:
        yield
    except Exception as error:  # missing, truncated or altered files fail in torchvision, pickle, SciPy, gzip or NumPy
        said = " ".join(str(error).partition("You can use download=True")[0].split()) or type(error).__name__
        remedy = "check the connection and try again" if source.download else remedy
        raise ValueError(
            f"Need the complete files of {source.name} in {source.root.absolute()}, got: {said[:200].rstrip('.')}; "
            f"{remedy}, or --data-dir if they are elsewhere, and delete damaged files first."
        ) from error
