"""The files of torchvision's data sets, and which of them is missing or damaged.

torchvision knows MD5 sums of the files of CIFAR10, SVHN and STL10, but does not say which file fails. Of MNIST and
FashionMNIST it knows those of the archives alone: the unpacked IDX files are held here against the sizes in their own
headers and, where its archive still lies beside a file, against the checksum in that.
"""

import math
import zlib
from pathlib import Path

from torchvision import datasets
from torchvision.datasets.utils import check_integrity

IDX = {"mnist": datasets.MNIST, "fashionmnist": datasets.FashionMNIST}


def files(name: str) -> list[tuple[Path, str]]:
    """The files of a set, relative to its folder, with their MD5 sums (of IDX files: their archives')."""
    if name in IDX:
        raw = Path(IDX[name].__name__) / "raw"
        return [(raw / archive.removesuffix(".gz"), md5) for archive, md5 in IDX[name].resources]
    if name == "svhn":
        splits = (datasets.SVHN.split_list[split] for split in ("train", "test"))
        return [(Path(filename), md5) for _, filename, md5 in splits]
    if name == "stl10":
        reader, more = datasets.STL10, []
    else:
        reader, more = datasets.CIFAR10, [(datasets.CIFAR10.meta["filename"], datasets.CIFAR10.meta["md5"])]
    return [
        (Path(reader.base_folder) / filename, md5) for filename, md5 in (*reader.train_list, *reader.test_list, *more)
    ]


def fault(name: str, root: Path) -> str:
    """The first file of the set that is missing or damaged, in words; empty if there is none."""
    for path, md5 in files(name):
        if not (root / path).is_file():
            return f"no file {path}"
        damage = _idx_damage(root / path, md5) if name in IDX else _damage(root / path, md5)
        if damage:
            return f"a damaged file {path}: {damage}"
    return ""


def _damage(path: Path, md5: str) -> str:
    return "" if check_integrity(path, md5) else "its MD5 sum is not the published one"


def _idx_damage(path: Path, archive_md5: str) -> str:
    data = path.read_bytes()
    header = 4 + 4 * data[3] if len(data) >= 4 else 4  # two zeros, the type of the entries, the number of axes
    sizes = [int.from_bytes(data[i : i + 4], "big") for i in range(4, header, 4)]
    if data[:3] != b"\x00\x00\x08" or len(data) != header + math.prod(sizes):
        return f"its {len(data)} bytes are not what its header says"
    archive = path.with_name(f"{path.name}.gz")
    if check_integrity(archive, archive_md5) and zlib.crc32(data).to_bytes(4, "little") != archive.read_bytes()[-8:-4]:
        return f"it is not what {archive.name} holds"
    return ""
