"""Data sets: torchvision's own readers on tiny files of the real formats, and the embedded digits."""

import gzip
import hashlib
import pickle
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from sklearn.datasets import load_digits
from torchvision import datasets

from deepnet_runs import data, files
from deepnet_runs.options import DATASETS
from deepnet_runs.recipes import PER_CLASS

SETS = tuple(data.STATISTICS)
SIZES = {"mnist": (1, 28), "fashionmnist": (1, 28), "cifar10": (3, 32), "svhn": (3, 32), "stl10": (3, 96)}
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


def draw(name):
    """Training and test images (n, channels, size, size) of bytes, and labels in random order."""
    channels, size = SIZES[name]
    generator = np.random.default_rng(0)
    pairs = []
    for counts in (np.add(3, MORE), np.full(10, 2)):
        labels = generator.permutation(np.repeat(np.arange(10), counts))
        pairs.append((generator.integers(0, 256, (len(labels), channels, size, size)).astype(np.uint8), labels))
    return pairs


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


def standardised(name, images):
    mean, std = (np.array(values)[:, None, None] for values in data.STATISTICS[name])
    border = (32 - images.shape[-1]) // 2 if images.shape[-1] == 28 else 0
    padded = np.pad(images, ((0, 0), (0, 0), (border, border), (border, border)))
    return (padded / 255 - mean) / std


def test_the_data_sets_of_the_options_are_those_that_exist():
    assert set(DATASETS) == set(data.LOADERS) == set(PER_CLASS)


@pytest.mark.parametrize("name", SETS)
def test_whole_sets_are_read_as_they_were_written_padded_and_standardised(name, tmp_path, monkeypatch):
    pairs = draw(name)
    write(name, tmp_path, pairs, monkeypatch)
    if name == "cifar10":  # read batch after batch
        order = np.concatenate([np.arange(len(pairs[0][1]))[k::5] for k in range(5)])
        pairs[0] = tuple(array[order] for array in pairs[0])
    read = data.load(name, tmp_path, whole=True)
    assert read.classes == 10
    for found, (images, labels) in zip(read[:2], pairs, strict=True):
        assert (found.x.dtype, found.y.dtype) == (torch.float32, torch.int64)
        assert found.x.is_contiguous()
        np.testing.assert_allclose(found.x.numpy(), standardised(name, images), rtol=0, atol=2e-6)
        np.testing.assert_array_equal(found.y.numpy(), labels)


@pytest.mark.parametrize("archives", ["only", "too", ""])
@pytest.mark.parametrize("name", files.IDX)
def test_idx_files_are_read_unpacked_or_unpacked_from_sound_archives(name, archives, tmp_path, monkeypatch, no_network):
    pairs = draw(name)
    write(name, tmp_path, pairs, monkeypatch, archives)
    if archives == "only":
        with pytest.raises(
            ValueError, match=f"no file {files.IDX[name].__name__}/raw/train-images-idx3-ubyte; give --dow"
        ):
            data.load(name, tmp_path)
    read = data.load(name, tmp_path, whole=True, download=archives == "only")
    np.testing.assert_array_equal(read.train.y.numpy(), pairs[0][1])
    np.testing.assert_allclose(read.test.x.numpy(), standardised(name, pairs[1][0]), rtol=0, atol=2e-6)


def test_a_folder_below_the_home_folder_can_be_given_by_its_tilde(tmp_path, monkeypatch):
    write("mnist", tmp_path / "sets", draw("mnist"), monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(data.load("mnist", Path("~/sets"), whole=True).train.y) == 30 + sum(MORE)


def names_of(name, patch, root):
    write(name, root, draw(name), patch)
    return [path for path, _ in files.files(name)]


FILES = {
    "mnist": 4,
    "fashionmnist": 4,
    "cifar10": 7,
    "svhn": 2,
    "stl10": 5,
}


def changed_byte(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-7])


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [changed_byte, truncated, emptied])
@pytest.mark.parametrize(("name", "k"), [(name, k) for name, n in FILES.items() for k in range(n)])
def test_a_damaged_file_is_refused_by_its_name_in_one_line(name, k, damage, tmp_path, monkeypatch):
    paths = names_of(name, monkeypatch, tmp_path)
    assert len(paths) == FILES[name]
    damage(tmp_path / paths[k])
    with pytest.raises(ValueError) as caught:
        data.load(name, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"Need the data set {name} in {tmp_path}, got a damaged file {paths[k]}: ")
    assert message.endswith("; delete what is damaged and give --download to fetch it again.")
    assert "\n" not in message


@pytest.mark.parametrize("damage", [truncated, emptied])
@pytest.mark.parametrize("k", range(4))
def test_a_truncated_idx_file_is_refused_without_its_archive_too(k, damage, tmp_path, monkeypatch):
    write("mnist", tmp_path, draw("mnist"), monkeypatch, archives="")
    path = files.files("mnist")[k][0]
    damage(tmp_path / path)
    with pytest.raises(ValueError, match=f"got a damaged file {path}: its [0-9]+ bytes are not what its header says"):
        data.load("mnist", tmp_path)


def test_as_many_labels_as_images_are_needed(tmp_path, monkeypatch):
    (images, labels), test = draw("mnist")
    write("mnist", tmp_path, [(images[:-1], labels), test], monkeypatch)
    with pytest.raises(ValueError, match=r"mnist in .*, got 38 images and 39 labels; "):
        data.load("mnist", tmp_path)


@pytest.mark.parametrize("name", SETS)
def test_a_missing_set_says_where_it_was_looked_for_and_how_to_get_it(name, tmp_path):
    folder = tmp_path / "nowhere"
    with pytest.raises(ValueError) as caught:
        data.load(name, folder)
    first = files.files(name)[0][0]
    assert str(caught.value) == (
        f"Need the data set {name} in {folder}, got no file {first}; "
        "give --download to fetch it, or --data-dir if it is elsewhere."
    )


@pytest.mark.parametrize("name", SETS)
def test_a_failed_download_is_one_line_with_its_reason(name, tmp_path, monkeypatch, no_network):
    if name in files.IDX:
        monkeypatch.setattr(files.IDX[name], "mirrors", ["http://localhost/"])
    with pytest.raises(ValueError) as caught:
        data.load(name, tmp_path, download=True)
    message = str(caught.value)
    assert f"got no file {files.files(name)[0][0]} (" in message
    assert "no network in tests" in message
    assert message.endswith("; check the connection and try again, or --data-dir if it is elsewhere.")
    assert "\n" not in message


def test_a_damaged_archive_is_not_unpacked(tmp_path, monkeypatch, no_network):
    write("mnist", tmp_path, draw("mnist"), monkeypatch, archives="only")
    changed_byte(tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(
        ValueError, match=r"got no file MNIST/raw/t10k-labels-idx1-ubyte \(.*t10k-labels-idx1-ubyte\.gz"
    ):
        data.load("mnist", tmp_path, download=True)


def test_a_set_without_an_image_of_a_class_is_refused_with_its_counts(tmp_path, monkeypatch):
    (images, labels), test = draw("svhn")
    write("svhn", tmp_path, [(images, np.where(labels == 4, 5, labels)), test], monkeypatch)
    with pytest.raises(
        ValueError, match=r"at least 2 train images .* of svhn, got counts \[3, 4, 5, 3, 0, 9, 3, 4, 5, 3\]"
    ):
        data.load("svhn", tmp_path)


def test_labels_beyond_the_classes_are_refused_with_their_counts(tmp_path, monkeypatch):
    train, (images, labels) = draw("fashionmnist")
    labels[np.flatnonzero(labels == 9)[0]] = 10
    write("fashionmnist", tmp_path, [train, (images, labels)], monkeypatch)
    with pytest.raises(
        ValueError, match=r"1 test images .* got counts \[2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1\]: check the f"
    ):
        data.load("fashionmnist", tmp_path)


def rows(images):
    return {(x.numpy().tobytes(), int(y)) for x, y in zip(images.x, images.y, strict=True)}


@pytest.mark.parametrize(("per_class", "expected"), [(2, 2), (5000, 3)])
def test_balanced_sets_are_a_fixed_subsample_with_as_many_of_each_class(per_class, expected, tmp_path, monkeypatch):
    write("cifar10", tmp_path, draw("cifar10"), monkeypatch)
    monkeypatch.setitem(PER_CLASS, "cifar10", per_class)
    first, again = data.load("cifar10", tmp_path), data.load("cifar10", tmp_path)
    whole = data.load("cifar10", tmp_path, whole=True)
    assert torch.bincount(first.train.y).tolist() == [expected] * 10
    assert torch.bincount(whole.train.y).tolist() == np.add(3, MORE).tolist()
    assert rows(first.train) < rows(whole.train)
    torch.testing.assert_close(first.train, again.train, rtol=0, atol=0)
    torch.testing.assert_close(first.test, whole.test, rtol=0, atol=0)


def test_random_labels_are_a_permutation_of_the_training_labels_by_seed(tmp_path):
    true = data.load("digits", tmp_path)
    first, again, other = (data.load("digits", tmp_path, random_labels_seed=seed) for seed in (0, 0, 1))
    for shuffled in (first, other):
        assert torch.bincount(shuffled.train.y).tolist() == [140] * 10
        assert float((shuffled.train.y == true.train.y).double().mean()) < 0.2  # by chance 0.1, give or take 0.008
        torch.testing.assert_close(shuffled.train.x, true.train.x, rtol=0, atol=0)
        torch.testing.assert_close(shuffled.test, true.test, rtol=0, atol=0)
    torch.testing.assert_close(first.train.y, again.train.y)
    assert not torch.equal(first.train.y, other.train.y)


def test_the_digits_are_split_into_140_a_class_to_train_and_397_to_test_and_standardised(tmp_path):
    train, test, classes = data.load("digits", tmp_path)
    assert (train.x.shape, test.x.shape, classes) == ((1400, 1, 8, 8), (397, 1, 8, 8), 10)
    assert torch.bincount(train.y).tolist() == [140] * 10
    assert torch.bincount(test.y).tolist() == [38, 42, 37, 43, 41, 42, 41, 39, 34, 40]
    assert (train.x.dtype, train.y.dtype) == (torch.float32, torch.int64)
    assert float(train.x.double().mean()) == pytest.approx(0, abs=1e-6)
    assert float(train.x.double().std(unbiased=False)) == pytest.approx(1, abs=1e-6)


def test_the_two_parts_of_the_digits_are_disjoint_and_together_all_of_them(tmp_path):
    train, test, _ = data.load("digits", tmp_path)
    pixels, labels = load_digits(return_X_y=True)
    together = torch.cat([train.x, test.x]).flatten(1).double()
    shade = (together - together.min()) / (together.max() - together.min()) * 16
    found = sorted(
        (*row, y) for row, y in zip(shade.round().tolist(), torch.cat([train.y, test.y]).tolist(), strict=True)
    )
    assert found == sorted((*row, y) for row, y in zip(pixels.tolist(), labels.tolist(), strict=True))


def test_whole_digits_are_unbalanced_and_keep_a_fifth_of_the_rest_to_test(tmp_path):
    train, test, _ = data.load("digits", tmp_path, whole=True)
    assert (len(train.y), len(test.y)) == (1717, 80)
    assert len(set(torch.bincount(train.y).tolist())) > 1
    balanced = data.load("digits", tmp_path)
    assert rows(balanced.train) < rows(train)
    assert rows(test) < rows(balanced.test)
