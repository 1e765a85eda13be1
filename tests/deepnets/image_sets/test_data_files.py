"""Files of data sets that are damaged, missing or incomplete: refused in one line."""

import numpy as np
import pytest
from made_up_sets import draw, write

from deepnet_runs.datasets import data

SETS = tuple(data.STATISTICS)
WITH_CHECKSUMS = ("cifar10", "svhn", "stl10")  # of MNIST and FashionMNIST torchvision knows those of archives alone


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
    [(name, damage) for name in SETS for damage in (truncated, emptied)] + [(n, changed_byte) for n in WITH_CHECKSUMS],
)
def test_every_damaged_file_is_refused_in_one_line(name, damage, tmp_path, monkeypatch):
    write(name, tmp_path, draw(name), monkeypatch, archives="")
    for path in (path for path in sorted(tmp_path.rglob("*")) if path.is_file()):
        before = path.read_bytes()
        damage(path)
        assert refusal(name, tmp_path).endswith("and delete damaged files first."), path
        path.write_bytes(before)
    data.load(name, tmp_path)


def test_as_many_labels_as_images_are_needed(tmp_path, monkeypatch):
    (images, labels), test = draw("mnist")
    write("mnist", tmp_path, [(images[:-1], labels), test], monkeypatch)
    assert "got: 38 images and 39 labels; " in refusal("mnist", tmp_path)


@pytest.mark.parametrize("name", SETS)
def test_a_missing_set_says_where_it_was_looked_for_and_how_to_get_it(name, tmp_path):
    assert "; give --download to fetch them, or --data-dir if they are elsewhere" in refusal(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name", SETS)
def test_a_failed_download_is_one_line_with_its_reason(name, tmp_path, monkeypatch, no_network):
    if name in ("mnist", "fashionmnist"):
        from torchvision import datasets

        reader = {"mnist": datasets.MNIST, "fashionmnist": datasets.FashionMNIST}[name]
        monkeypatch.setattr(reader, "mirrors", ["http://localhost/"])
    message = refusal(name, tmp_path, download=True)
    assert "no network in tests" in message
    assert "; check the connection and try again, or --data-dir" in message


def test_a_damaged_archive_is_not_unpacked(tmp_path, monkeypatch, no_network):
    write("mnist", tmp_path, draw("mnist"), monkeypatch, archives="only")
    changed_byte(tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz")
    assert "t10k-labels-idx1-ubyte.gz" in refusal("mnist", tmp_path, download=True)


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
