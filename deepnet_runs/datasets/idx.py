"""MNIST and Fashion-MNIST: four files in the IDX format, gzipped or not, read where they lie.

That is torchvision's folder below --data-dir, or the folder of Debian's package `dataset-fashion-mnist`. The format is
two zero bytes, the type of the entries (8: bytes), the number of dimensions, their sizes as big-endian integers of four
bytes, and the entries. What is in a gzipped file is checked by its check sum.

Source: LeCun, Cortes & Burges, the MNIST database; Xiao, Rasul & Vollgraf (2017).
"""

import gzip
import struct
from math import prod
from pathlib import Path

import numpy as np

from deepnet_runs.datasets.images import Images
from deepnet_runs.datasets.reading import DOWNLOAD, Read, Source, complete_files, images_of

SYSTEM = Path("/usr/share/datasets")  # where Debian's packages of data sets are
FOLDERS = {"mnist": ("MNIST/raw", "mnist"), "fashionmnist": ("FashionMNIST/raw", "fashion-mnist")}
REMEDIES = {"fashionmnist": f"install Debian's package dataset-fashion-mnist, {DOWNLOAD}"}
PARTS = ("train", "t10k")
FILES = tuple(f"{part}-{kind}" for part in PARTS for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
SIDE = 28


def read(source: Source) -> Read:
    """The training and the test images, (n, 1, 28, 28).

    Raises:
        ValueError: if files are missing or damaged.
    """
    with complete_files(source, remedy=REMEDIES.get(source.name, DOWNLOAD)):
        folder = _folder(source)
        train, test = (_part(folder, part) for part in PARTS)
    return Read(train, test, str(folder))


def _folder(source: Source) -> Path:
    """The first folder that has one of the files; with `download` what is missing is fetched."""
    here = [root / name for root in (source.root, SYSTEM) for name in FOLDERS[source.name]]
    found = next((folder for folder in here if any(_path(folder, name).is_file() for name in FILES)), None)
    if source.download and (found is None or not all(_path(found, name).is_file() for name in FILES)):
        from torchvision import datasets  # only to fetch

        {"mnist": datasets.MNIST, "fashionmnist": datasets.FashionMNIST}[source.name](str(source.root), download=True)
        return here[0]
    if found is None:
        raise FileNotFoundError(f"none of its files there or in {SYSTEM / FOLDERS[source.name][1]}")
    return found


def _path(folder: Path, name: str) -> Path:
    """The unpacked file if it is there, else the gzipped one."""
    unpacked = folder / name
    return unpacked if unpacked.is_file() else folder / f"{name}.gz"


def _part(folder: Path, part: str) -> Images:
    pixels, labels = (_array(_path(folder, name), name) for name in FILES if name.startswith(part))
    if pixels.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"images of {' x '.join(map(str, pixels.shape[1:]))} in {folder}, not of {SIDE} x {SIDE}")
    return images_of(pixels[:, None], labels)


def _array(path: Path, name: str) -> np.ndarray:
    """The entries of a file, with as many dimensions as its name says."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            content = bytearray(file.read())
    except FileNotFoundError as error:
        raise ValueError(f"no {name} or {name}.gz in {path.parent}") from error
    except (OSError, EOFError) as error:
        raise ValueError(f"{path}: {error}") from error
    dimensions = int(name[name.index("idx") + 3])
    begin = 4 + 4 * dimensions
    if len(content) < begin or content[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path}, which does not begin as an IDX file of bytes with {dimensions} dimensions")
    sizes = struct.unpack_from(f">{dimensions}I", content, 4)
    if len(content) - begin != prod(sizes):
        raise ValueError(f"{path} with {len(content) - begin} bytes for sizes {' x '.join(map(str, sizes))}")
    return np.frombuffer(content, np.uint8, offset=begin).reshape(sizes)
