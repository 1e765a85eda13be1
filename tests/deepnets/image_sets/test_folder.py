"""A folder of images of one's own: its layouts, its decoded file, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_folders import write
from PIL import Image

from deepnet_runs.datasets import data, folder

COUNTS = {"ants": 11, "bees": 10, "cats": 17}


def name_of(path):
    return f"folder:{path}"


def pixels_of(path):
    """An image as Pillow reads it, (3, height, width)."""
    return np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1)


def test_a_folder_without_parts_gives_a_fixed_fifth_of_each_class_to_test(tmp_path):
    write(tmp_path / "set", COUNTS)
    read, again = (data.load(name_of(tmp_path / "set"), tmp_path / "data", whole=True) for _ in range(2))
    assert read.classes == 3
    assert torch.bincount(read.test.y).tolist() == [2, 2, 3]
    assert torch.bincount(read.train.y).tolist() == [9, 8, 14]
    both = torch.cat([read.train.chosen, read.test.chosen])
    assert sorted(both.tolist()) == list(range(38))
    assert read.record == again.record
    files = [tmp_path / "set" / name / f"{i:03d}.png" for name, count in COUNTS.items() for i in range(count)]
    for part in read[:2]:
        for row, label in zip(part.chosen.tolist(), part.y.tolist(), strict=True):
            np.testing.assert_array_equal(part.x[row].numpy(), pixels_of(files[row]))
            assert list(COUNTS)[label] == files[row].parent.name


def test_images_are_standardised_by_the_training_images(tmp_path):
    write(tmp_path / "set", COUNTS)
    read = data.load(name_of(tmp_path / "set"), tmp_path / "data", whole=True)
    x = read.train.batch().x.double()
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(x.std((0, 2, 3), unbiased=False), torch.ones(3).double(), rtol=0, atol=1e-6)
    kept = read.train.x[read.train.chosen].double() / 255
    np.testing.assert_allclose(read.record["mean"], kept.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(read.record["std"], kept.std((0, 2, 3), unbiased=False), rtol=1e-12)


@pytest.mark.parametrize("second", ["test", "val"])
def test_parts_are_those_of_the_folder(second, tmp_path):
    write(tmp_path / "set" / "train", COUNTS)
    write(tmp_path / "set" / second, dict.fromkeys(COUNTS, 2), seed=1)
    read = data.load(name_of(tmp_path / "set"), tmp_path / "data")
    assert torch.bincount(read.train.y).tolist() == [10] * 3  # as many as the smallest class has
    assert torch.bincount(read.test.y).tolist() == [2] * 3
    assert read.record["split"] == "of the set"
    np.testing.assert_array_equal(read.test.x[0].numpy(), pixels_of(tmp_path / "set" / second / "ants" / "000.png"))


def test_a_class_named_train_is_a_class(tmp_path):
    write(tmp_path / "set", {"car": 5, "train": 5})
    assert data.load(name_of(tmp_path / "set"), tmp_path / "data").classes == 2


@pytest.mark.parametrize(("asked", "side"), [(None, 22), (10, 10)])
def test_images_of_many_sizes_get_the_median_of_their_shorter_sides(asked, side, tmp_path):
    write(tmp_path / "set", {"ants": 9, "bees": 9}, size=None)  # shorter sides 14, 16, ..., 26, 27, 28
    read = data.load(name_of(tmp_path / "set"), tmp_path / "data", image_size=asked)
    assert read.train.shape == (3, side, side)


def test_an_image_is_the_square_in_its_middle(tmp_path):
    write(tmp_path / "set", {"ants": 5, "bees": 5}, size=(20, 12))
    read = data.load(name_of(tmp_path / "set"), tmp_path / "data", whole=True)
    first = int(read.train.chosen[read.train.y == 0].min())
    whole = pixels_of(tmp_path / "set" / "ants" / f"{first:03d}.png")
    np.testing.assert_array_equal(read.train.x[first].numpy(), whole[:, :, 4:16])


def test_grey_images_have_one_channel_and_small_ones_are_padded_for_the_networks_of_the_paper(tmp_path):
    write(tmp_path / "set", COUNTS, mode="L")
    assert data.load(name_of(tmp_path / "set"), tmp_path / "data").train.shape == (1, 12, 12)
    padded = data.load(name_of(tmp_path / "set"), tmp_path / "data", padded=32).train
    assert padded.shape == (1, 32, 32)
    mean, std = padded.preparation.mean[0], padded.preparation.std[0]
    torch.testing.assert_close(padded.batch().x[0, 0, 0, 0], torch.tensor(-mean / std))


def test_images_are_decoded_once_and_again_when_one_has_changed(tmp_path, monkeypatch):
    write(tmp_path / "set", COUNTS)
    decoded, real = [], folder._decode
    monkeypatch.setattr(
        folder, "_decode", lambda files, path, source: decoded.append(path) or real(files, path, source)
    )
    for _ in range(2):
        data.load(name_of(tmp_path / "set"), tmp_path / "data")
    assert len(decoded) == 1
    Image.new("RGB", (12, 12), (9, 200, 9)).save(tmp_path / "set" / "ants" / "000.png")
    read = data.load(name_of(tmp_path / "set"), tmp_path / "data")
    assert len(decoded) == 2
    assert read.train.x[0, :, 0, 0].tolist() == [9, 200, 9]
    assert sorted(path.name for path in (tmp_path / "data" / "decoded").iterdir()) == sorted(p.name for p in decoded)


def broken(path):
    (path / "ants" / "003.png").write_bytes((path / "ants" / "003.png").read_bytes()[:80])


def no_image(path):
    (path / "bees" / "001.png").write_text("hello")


def deep(path):
    Image.fromarray(np.zeros((12, 12), np.uint16)).save(path / "bees" / "001.png")


def one_class(path):
    for other in ("bees", "cats"):
        (path / other).rename(path.parent / other)


def an_empty_class(path):
    for file in (path / "cats").iterdir():
        file.unlink()


def another_class_to_test(path):
    (path / "train").mkdir()
    for name in COUNTS:
        (path / name).rename(path / "train" / name)
    write(path / "test", {"ants": 2, "bees": 2, "dogs": 2})


def one_image(path):
    for file in sorted((path / "cats").iterdir())[1:]:
        file.unlink()


def one_shade(path):
    for file in path.rglob("*.png"):
        Image.new("RGB", (12, 12), (0, 0, 0)).save(file)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (broken, r"Need images that can be read, got .*ants/003.png \(.*\): repair or remove it"),
        (no_image, r"got .*bees/001.png \(cannot identify image file"),
        (deep, r"got .*bees/001.png \(not of 8 bits a channel but of Pillow's mode I;16\)"),
        (one_class, r"Need at least 2 classes, a folder each, got 1 in .*set"),
        (an_empty_class, r"Need a folder of images for each class in .*set, got: Found no valid file for .* cats"),
        (another_class_to_test, r"Need the same classes in .*train and .*test, got cats in one of them alone"),
        (one_image, r"Need at least 2 train images of each of the 3 classes of folder:.*set, got counts \[9, 8, 0\]"),
        (one_shade, r"Need images that differ, got a channel of folder:.*set with one value in all training images"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_one_sentence_and_leaves_nothing(damage, match, tmp_path):
    damage(write(tmp_path / "set", COUNTS))
    with pytest.raises(ValueError, match=match) as caught:
        data.load(name_of(tmp_path / "set"), tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob(".unfinished*"))


@pytest.mark.parametrize(("place", "match"), [("nowhere", "does not exist"), ("file", "is a file")])
def test_a_path_without_a_folder_is_refused(place, match, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=f"Need a folder with .* got .*{place}, which {match}"):
        data.load(name_of(tmp_path / place), tmp_path / "data")


def test_a_disk_without_room_is_refused_with_both_sizes(tmp_path, monkeypatch):
    write(tmp_path / "set", COUNTS)
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(ValueError, match=r"GiB in .* for 38 images of 12 x 12, got 0.0 GiB: give a smaller --image-si"):
        data.load(name_of(tmp_path / "set"), tmp_path / "data")


@pytest.mark.slow
def test_batches_of_a_memory_mapped_set_hold_no_more_than_a_batch(tmp_path):
    """Of 31 MB on disk a pass keeps a few batches of 3 MB in float32; the set would take 123 MB."""
    shape = (10_000, 3, 32, 32)
    np.lib.format.open_memmap(tmp_path / "set.npy", "w+", np.uint8, shape).flush()
    x = torch.from_numpy(np.load(tmp_path / "set.npy", mmap_mode="c"))
    preparation = data.Preparation(scale=255.0, mean=(0.5,) * 3, std=(0.5,) * 3)
    images = data.Images(x, torch.zeros(len(x), dtype=torch.int64), preparation)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))

    def private():
        """Bytes of memory that belong to no file."""
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))

    def grown(batches):
        before, most = private(), 0
        for batch in batches:
            most = max(most, private() - before)
            assert batch.x.shape[1:] == shape[1:]
        return most

    assert grown(images.batch(some) for some in order.split(256)) < 40e6
    assert grown(images.batch(some) for some in order.split(5_000)) > 50e6  # planted: large batches show
