"""A data set of one's own: a folder of images for each class, in the layout of torchvision's ImageFolder.

    PATH/train/CLASS/IMAGE and PATH/test/CLASS/IMAGE (or val in the place of test), or PATH/CLASS/IMAGE

Every image is decoded once, resized so that the shorter side has the size of the set, cropped to the square in the
middle, and kept as bytes in one file below --data-dir, which later runs find again as long as names, lengths and dates
of the images are the same. The file is memory-mapped: a batch reads its own images, and the set may be larger than the
memory. Images are grey if all of them are, otherwise RGB.
"""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from torchvision.datasets import ImageFolder
from tqdm import tqdm

from central_path.cli.program import on_terminal
from central_path.cli.records import UNFINISHED
from deepnet_runs.datasets.reading import Read, Source, images_of
from deepnet_runs.datasets.registry import folder_of

LARGEST = 224  # pixels a side, unless a size is asked for
TEST_NAMES = ("test", "val")
GREY = ("1", "L")
MODES = (*GREY, "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # of 8 bits a channel
CHUNK = 1024  # images at a time


def read(source: Source) -> Read:
    """The images, (n, 1 or 3, size, size).

    Raises:
        ValueError: for folders without the layout, classes that differ between the parts, images that cannot be read,
            or a disk without room for them.
    """
    folder = folder_of(source.name)
    parts = [ImageFolderPart(path) for path in _parts(folder)]
    classes = parts[0].classes
    if len(classes) < 2:
        raise ValueError(f"Need at least 2 classes, a folder each, got {len(classes)} in {parts[0].path}.")
    for other in parts[1:]:
        if different := sorted(set(classes) ^ set(other.classes)):
            raise ValueError(
                f"Need the same classes in {parts[0].path} and {other.path}, got {different[0]} in one of them alone: "
                "add or remove that folder."
            )
    pixels = _decoded([path for part in parts for path in part.files], folder, source)
    n = len(parts[0].files)
    train = images_of(pixels[:n], np.array(parts[0].labels))
    test = images_of(pixels[n:], np.array(parts[1].labels)) if len(parts) > 1 else None
    return Read(train, test, str(folder), classes=classes)


class ImageFolderPart:
    """The classes and files of a part, in torchvision's order."""

    def __init__(self, path: Path):
        try:
            found = ImageFolder(str(path))
        except (OSError, ValueError) as error:
            said = " ".join(str(error).split())[:200].rstrip(".")
            raise ValueError(f"Need a folder of images for each class in {path}, got: {said}.") from error
        self.path, self.classes = path, tuple(found.classes)
        self.files = [Path(name) for name, _ in found.samples]
        self.labels = [label for _, label in found.samples]


def _parts(folder: Path) -> list[Path]:
    """The folders of the training part and of the test part, if there is one."""
    if not folder.is_dir():
        is_what = "is a file" if folder.exists() else "does not exist"
        raise ValueError(f"Need a folder with a folder of images for each class, got {folder}, which {is_what}.")
    train = folder / "train"
    if not (train.is_dir() and any(path.is_dir() for path in train.iterdir())):
        return [folder]
    tests = [folder / name for name in TEST_NAMES if (folder / name).is_dir()]
    return [train, *tests[:1]]


def _decoded(files: Sequence[Path], folder: Path, source: Source) -> np.ndarray:
    """The images of the files, memory-mapped; decoded by the first process that needs them."""
    seen = hashlib.sha256(f"{source.size}".encode())
    for path in files:
        status = path.stat()
        seen.update(f"{path.relative_to(folder)} {status.st_size} {status.st_mtime_ns}\n".encode())
    kept = source.root / "decoded"
    path = kept / f"{folder.name}-{seen.hexdigest()[:16]}.npy"
    if not path.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        with _alone_in(kept):
            if not path.is_file():
                _decode(files, path, source)
    return np.load(path, mmap_mode="c")  # no byte is written: torch warns of arrays that are read-only


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other process decodes there, and keep others waiting."""
    directory = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # file systems without locks: both decode, to the same bytes
            fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _decode(files: Sequence[Path], path: Path, source: Source) -> None:
    """Write the images to a file that appears once it is complete."""
    headers = list(_of_each(files, _header, "reading image sizes", source))
    size = source.size or min(LARGEST, int(np.median([side for side, _ in headers])))
    grey = all(is_grey for _, is_grey in headers)
    shape = (len(files), 1 if grey else 3, size, size)
    needed, free = int(np.prod(shape, dtype=np.int64)), shutil.disk_usage(path.parent).free
    if needed >= free:
        raise ValueError(
            f"Need {needed / 2**30:.1f} GiB in {path.parent} for {len(files)} images of {size} x {size}, got "
            f"{free / 2**30:.1f} GiB: give a smaller --image-size, or a --data-dir with more room."
        )
    unfinished = path.with_name(f"{UNFINISHED}{path.name}")
    try:
        pixels = np.lib.format.open_memmap(unfinished, "w+", np.uint8, shape)
        images = _of_each(files, lambda file: _image(file, size, grey=grey), "decoding images", source)
        for i, image in enumerate(images):
            pixels[i] = image
        pixels.flush()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _of_each(files: Sequence[Path], function: Callable[[Path], Any], what: str, source: Source) -> Iterator[Any]:
    """The function of every file, in order, by a thread for each core: Pillow decodes without Python's lock."""
    silent = source.quiet or not on_terminal()
    with (
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
        tqdm(total=len(files), desc=what, file=sys.stderr, leave=False, disable=silent) as bar,
    ):
        for begin in range(0, len(files), CHUNK):
            yield from pool.map(lambda file: _readable(file, function), files[begin : begin + CHUNK])
            bar.update(min(CHUNK, len(files) - begin))


def _readable(file: Path, function: Callable[[Path], Any]) -> Any:
    try:
        return function(file)
    except Exception as error:  # Pillow's readers fail each in its own way
        said = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise ValueError(f"Need images that can be read, got {file} ({said}): repair or remove it.") from error


def _header(file: Path) -> tuple[int, bool]:
    """The shorter side of an image, and whether it is grey."""
    with Image.open(file) as image:
        if image.mode not in MODES:
            raise ValueError(f"not of 8 bits a channel but of Pillow's mode {image.mode}")
        return min(image.size), image.mode in GREY


def _image(file: Path, size: int, *, grey: bool) -> np.ndarray:
    """An image (channels, size, size): the square in its middle, resized."""
    with Image.open(file) as image:
        opaque = image.convert("RGBA") if "transparency" in image.info else image
        fitted = ImageOps.fit(opaque.convert("L" if grey else "RGB"), (size, size), Image.Resampling.BILINEAR)
    return np.asarray(fitted).reshape(size, size, -1).transpose(2, 0, 1)
