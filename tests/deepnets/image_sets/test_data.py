"""Data sets: torchvision's own readers on tiny files of the real formats, and the embedded digits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_sets import MORE, draw, write
from sklearn.datasets import load_digits

from deepnet_runs.datasets import data
from deepnet_runs.training.config import DATASETS
from deepnet_runs.training.recipes import PER_CLASS

SETS = tuple(data.STATISTICS)


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
@pytest.mark.parametrize("name", ["mnist", "fashionmnist"])
def test_idx_files_are_read_unpacked_or_unpacked_from_sound_archives(name, archives, tmp_path, monkeypatch, no_network):
    pairs = draw(name)
    write(name, tmp_path, pairs, monkeypatch, archives)
    if archives == "only":
        with pytest.raises(ValueError, match="give --download"):
            data.load(name, tmp_path)
    read = data.load(name, tmp_path, whole=True, download=archives == "only")
    np.testing.assert_array_equal(read.train.y.numpy(), pairs[0][1])
    np.testing.assert_allclose(read.test.x.numpy(), standardised(name, pairs[1][0]), rtol=0, atol=2e-6)


def test_a_folder_below_the_home_folder_can_be_given_by_its_tilde(tmp_path, monkeypatch):
    write("mnist", tmp_path / "sets", draw("mnist"), monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(data.load("mnist", Path("~/sets"), whole=True).train.y) == 30 + sum(MORE)


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
