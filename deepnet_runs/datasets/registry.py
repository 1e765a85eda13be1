"""The data sets, one line each: what is known of them before they are read, without PyTorch.

A line names the module that reads the set: its function `read(source)` returns `Read`, the images as bytes. Pixels,
from 0 to 1, are standardised by `mean` and `std`, one number a channel; without them, by those of the training images.

A data set of one's own is `folder:PATH`, in the layout of torchvision's ImageFolder; its classes are counted when it is
read.

Source: Han, Papyan & Donoho (2022), Appendix A.1; the numbers of `fashionmnist` are those of the public code of this
protocol, all others are the sets' own.
"""

from pathlib import Path
from typing import NamedTuple

FOLDER = "folder:"


class SetInfo(NamedTuple):
    """What is known of a data set.

    Attributes:
        title: its name in figures and tables.
        classes: the number of classes; None if only the data say.
        per_class: training images a class by default; None: as many as the smallest class has.
        reader: the module of `deepnet_runs.datasets` that reads it.
        mean: of the pixels of each channel; empty: that of the training images.
        std: the standard deviation, as the mean.
    """

    title: str
    classes: int | None
    per_class: int | None
    reader: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


_CIFAR10 = (125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)

SETS: dict[str, SetInfo] = {  # in the paper's order, then the others
    "mnist": SetInfo("MNIST", 10, 5000, "idx", (0.1307,), (0.3081,)),
    "fashionmnist": SetInfo("FashionMNIST", 10, 6000, "idx", (0.5,), (0.5,)),
    "svhn": SetInfo("SVHN", 10, 4600, "published", (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    "cifar10": SetInfo("CIFAR10", 10, 5000, "published", *_CIFAR10),
    "stl10": SetInfo("STL10", 10, 500, "published", (0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713)),
    "digits": SetInfo("digits", 10, 140, "digits"),
    "cifar100": SetInfo("CIFAR100", 100, 500, "published", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "mnist5k": SetInfo("MNIST, 5000 images", 10, 400, "mnist5k", (0.1307,), (0.3081,)),
}
_FOLDER = SetInfo("folder", None, None, "folder")


def about(name: str) -> SetInfo:
    """What is known of the data set `name`, one of `SETS` or folder:PATH."""
    return SETS.get(name, _FOLDER)


def is_folder(name: str) -> bool:
    """Whether the name is folder:PATH."""
    return name.startswith(FOLDER)


def folder_of(name: str) -> Path:
    """The PATH of folder:PATH."""
    return Path(name.removeprefix(FOLDER)).expanduser()


def checked_name(text: str) -> str:
    """The name of a data set as configurations hold it: of a folder with its absolute path.

    Raises:
        ValueError: for a name that is none.
    """
    if is_folder(text) and text != FOLDER:
        return f"{FOLDER}{folder_of(text).absolute()}"
    if text not in SETS:
        raise ValueError(f"need one of {', '.join(SETS)}, or {FOLDER}PATH, got {text}")
    return text


def title(name: str) -> str:
    """The data set's name in figures and tables; of a folder its last part, of an unknown set the name itself."""
    if is_folder(name):
        return folder_of(name).name
    return SETS[name].title if name in SETS else name
