"""Files of data sets that are damaged, missing or incomplete: refused in one line."""

import numpy as np
import pytest
from made_up_sets import draw, write

from deepnet_runs.datasets import data, files

SETS = tuple(data.STATISTICS)


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
