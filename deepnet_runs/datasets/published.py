"""SVHN, CIFAR10, CIFAR100 and STL10, by torchvision's readers, which check the files."""

import numpy as np

from deepnet_runs.datasets.images import Images
from deepnet_runs.datasets.reading import Read, Source, complete_files, images_of


def read(source: Source) -> Read:
    """The training and the test images, (n, 3, height, width).

    Raises:
        ValueError: if files are missing or damaged.
    """
    with complete_files(source):
        train, test = (_part(source, train=train) for train in (True, False))
    return Read(train, test, str(source.root.absolute()))


def _part(source: Source, *, train: bool) -> Images:
    from torchvision import datasets  # takes a second, for some of the sets

    where = {"root": str(source.root), "download": source.download}
    if source.name in ("cifar10", "cifar100"):
        reader = datasets.CIFAR10 if source.name == "cifar10" else datasets.CIFAR100
        found = reader(train=train, **where)
        pixels, labels = found.data.transpose(0, 3, 1, 2), found.targets
    else:
        reader = datasets.SVHN if source.name == "svhn" else datasets.STL10
        found = reader(split="train" if train else "test", **where)
        pixels, labels = found.data, found.labels
    return images_of(np.ascontiguousarray(pixels), np.asarray(labels))
