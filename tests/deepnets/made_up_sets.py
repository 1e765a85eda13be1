"""Small data sets in the real formats, with MD5 sums of their own where torchvision keeps the published ones."""

import gzip
import hashlib
import pickle

import numpy as np
from scipy.io import savemat
from torchvision import datasets

from deepnet_runs.datasets import idx

SIZES = {
    "mnist": (1, 28),
    "fashionmnist": (1, 28),
    "svhn": (3, 32),
    "cifar10": (3, 32),
    "cifar100": (3, 32),
    "stl10": (3, 96),
}
MORE = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]  # images beyond three of each class of the training set


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_idx(raw, kind, images, labels, archives):
    raw.mkdir(parents=True, exist_ok=True)
    resources = []
    for name, array in ((f"{kind}-images-idx3-ubyte", images[:, 0]), (f"{kind}-labels-idx1-ubyte", labels)):
        sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
        content = bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()
        archive = raw / f"{name}.gz"
        archive.write_bytes(gzip.compress(content))
        resources.append((archive.name, md5(archive)))
        if archives != "only":
            (raw / name).write_bytes(content)
        if not archives:
            archive.unlink()
    return resources


def write_cifar10(folder, pairs, patch):
    folder.mkdir()
    (images, labels), test = pairs
    parts = [(images[k::5], labels[k::5]) for k in range(5)]
    names = [f"data_batch_{k}" for k in range(1, 6)]
    for name, (x, y) in zip([*names, "test_batch"], [*parts, test], strict=True):
        entry = {"batch_label": name, "labels": y.tolist(), "data": x.reshape(len(x), -1)}
        (folder / name).write_bytes(pickle.dumps(entry, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [str(c) for c in range(10)]}, protocol=2))
    patch.setattr(datasets.CIFAR10, "train_list", [[name, md5(folder / name)] for name in names])
    patch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5(folder / "test_batch")]])
    patch.setattr(datasets.CIFAR10, "meta", datasets.CIFAR10.meta | {"md5": md5(folder / "batches.meta")})


def write_cifar100(folder, pairs, patch):
    folder.mkdir()
    for name, (x, y) in zip(("train", "test"), pairs, strict=True):
        entry = {"fine_labels": y.tolist(), "coarse_labels": (y // 5).tolist(), "data": x.reshape(len(x), -1)}
        (folder / name).write_bytes(pickle.dumps(entry, protocol=2))
        patch.setattr(datasets.CIFAR100, f"{name}_list", [[name, md5(folder / name)]])
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [str(c) for c in range(100)]}, protocol=2))
    patch.setattr(datasets.CIFAR100, "meta", datasets.CIFAR100.meta | {"md5": md5(folder / "meta")})


def write_svhn(folder, pairs, patch):
    splits = {}
    for split, (x, y) in zip(("train", "test"), pairs, strict=True):
        path = folder / f"{split}_32x32.mat"
        savemat(path, {"X": x.transpose(2, 3, 1, 0), "y": np.where(y == 0, 10, y).astype(np.uint8)[:, None]})
        splits[split] = [f"http://localhost/{path.name}", path.name, md5(path)]
    patch.setattr(datasets.SVHN, "split_list", splits)


def write_stl10(folder, pairs, patch):
    folder.mkdir()
    for split, (x, y) in zip(("train", "test"), pairs, strict=True):
        (folder / f"{split}_X.bin").write_bytes(x.transpose(0, 1, 3, 2).tobytes())  # column-major
        (folder / f"{split}_y.bin").write_bytes((y + 1).astype(np.uint8).tobytes())
    (folder / "unlabeled_X.bin").write_bytes(bytes(3 * 96 * 96))
    for split, more in (("train", ["unlabeled_X.bin"]), ("test", [])):
        names = [f"{split}_X.bin", f"{split}_y.bin", *more]
        patch.setattr(datasets.STL10, f"{split}_list", [[name, md5(folder / name)] for name in names])


def write(name, root, pairs, patch, archives="too"):
    """The files of a set, and their own MD5 sums where torchvision keeps the published ones."""
    root.mkdir(exist_ok=True)
    if name == "cifar10":
        write_cifar10(root / "cifar-10-batches-py", pairs, patch)
    elif name == "cifar100":
        write_cifar100(root / "cifar-100-python", pairs, patch)
    elif name == "svhn":
        write_svhn(root, pairs, patch)
    elif name == "stl10":
        write_stl10(root / "stl10_binary", pairs, patch)
    else:
        reader = {"mnist": datasets.MNIST, "fashionmnist": datasets.FashionMNIST}[name]
        kinds = zip(("train", "t10k"), pairs, strict=True)
        lists = [write_idx(root / reader.__name__ / "raw", kind, *pair, archives) for kind, pair in kinds]
        patch.setattr(reader, "resources", [*lists[0], *lists[1]])
        patch.setattr(reader, "mirrors", ["http://localhost/"])
        patch.setattr(idx, "SYSTEM", root / "system")  # not what this machine has


def draw(name):
    """Training and test images (n, channels, size, size) of bytes, and labels in random order."""
    (channels, size), C = SIZES[name], 100 if name == "cifar100" else 10
    generator = np.random.default_rng(0)
    pairs = []
    for counts in (np.add(3, MORE), np.full(10, 2)):
        labels = generator.permutation(np.repeat(np.arange(C), np.tile(counts, C // 10)))
        pairs.append((generator.integers(0, 256, (len(labels), channels, size, size)).astype(np.uint8), labels))
    return pairs
