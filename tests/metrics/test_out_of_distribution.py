"""NECO of single examples, beside projections by a singular value decomposition and loops."""

import numpy as np
import pytest
import torch

from central_path.metrics import neco_benammar2024


def by_definition(H, training, dimension):
    rows = np.linalg.svd(training - training.mean(axis=0))[2][:dimension]
    return [np.sqrt(sum((row @ h) ** 2 for row in rows) / sum(h**2)) for h in H]


def features(seed=0, n=60, P=9):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, P)) * np.linspace(3, 0.1, P), rng.normal(size=(7, P))


@pytest.mark.parametrize("dimension", [1, 4, 9])
@pytest.mark.parametrize("array", [np.asarray, torch.from_numpy])
def test_the_score_is_the_share_of_the_norm_in_the_principal_subspace(array, dimension):
    training, H = features()
    found = np.asarray(neco_benammar2024(array(H), array(np.cov(training.T)), dimension))
    assert found == pytest.approx(by_definition(H, training, dimension), rel=1e-10)
    trailing = np.linalg.norm(H @ np.linalg.eigh(np.cov(training.T))[1][:, :dimension], axis=1)  # planted
    if dimension < 9:
        assert found != pytest.approx(trailing / np.linalg.norm(H, axis=1), rel=1e-2)


def test_examples_along_the_means_score_one_and_orthogonal_ones_zero():
    M = np.eye(6)[:, :3] - np.eye(6)[:, :3].mean(axis=1, keepdims=True)
    H = np.vstack([M.T, np.eye(6)[4:], np.zeros((1, 6))])
    assert neco_benammar2024(H, M @ M.T, 2) == pytest.approx([1, 1, 1, 0, 0, np.nan], abs=1e-12, nan_ok=True)


def test_a_dimension_that_the_features_do_not_have_is_refused():
    training, H = features()
    with pytest.raises(ValueError, match="Need a dimension from 1 to P = 9, got 10"):
        neco_benammar2024(H, np.cov(training.T), 10)
