"""Class means drawn without features have the distribution of those of random features."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from central_path.metrics import samples
from central_path.theory import wishart

C, N, P = 4, 5, 6


def omega_of_features(seed):
    H = samples.random_features(C, N, P, seed=seed)
    M = H.mean(axis=2)
    E = (H - M[:, :, None]).reshape(P, -1)
    L = np.linalg.cholesky(E @ E.T / (C * N))
    return np.linalg.svd(np.linalg.solve(L, M - M.mean(axis=1, keepdims=True)), compute_uv=False)[: C - 1]


def omega_of_means(seed, N=N):
    return np.linalg.svd(wishart.random_means(C, N, P, seed=seed), compute_uv=False)


@pytest.mark.parametrize("draws", [1000, pytest.param(4000, marks=pytest.mark.slow)])
def test_omega_has_the_distribution_of_random_features(draws):
    features = np.array([omega_of_features(seed) for seed in range(draws)])
    means = np.array([omega_of_means(seed) for seed in range(draws)])
    wrong = np.array([omega_of_means(seed, N + 1) for seed in range(draws)])  # planted: an example more a class
    for j in range(C - 1):
        assert ks_2samp(features[:, j], means[:, j]).pvalue > 1e-3
    assert min(ks_2samp(features[:, j], wrong[:, j]).pvalue for j in range(C - 1)) < 1e-6


def moments_of_features(seed):
    H = samples.random_features(C, N, P, seed=seed)
    M = H.mean(axis=2)
    E = (H - M[:, :, None]).reshape(P, -1)
    return M, E @ E.T / (C * N)


def numbers(M, Sigma_W):
    """What rotations of the features leave: omega, spectrum of Sigma_W, length of the means."""
    A = np.linalg.solve(np.linalg.cholesky(Sigma_W), M - M.mean(axis=1, keepdims=True))
    return np.array([*np.linalg.svd(A, compute_uv=False)[: C - 1], *np.linalg.eigvalsh(Sigma_W), np.sum(M**2)])


def test_moments_have_the_distribution_of_random_features():
    def drawn(seed, N=N):
        M, L = wishart.random_moments(C, N, P, seed=seed)
        return numbers(M, L @ L.T)

    features = np.array([numbers(*moments_of_features(seed)) for seed in range(1000)])
    found = np.array([drawn(seed) for seed in range(1000, 2000)])
    wrong = np.array([drawn(seed, N + 1) for seed in range(1000, 2000)])  # planted: an example more a class
    for j in range(features.shape[1]):
        assert ks_2samp(features[:, j], found[:, j]).pvalue > 1e-3
    assert min(ks_2samp(features[:, j], wrong[:, j]).pvalue for j in range(features.shape[1])) < 1e-6


@pytest.mark.parametrize(("C", "N", "P"), [(2, 2, 1), (3, 4, 9), (10, 5, 9), (10, 50, 20)])
def test_means_sum_to_zero_and_span_their_dimensions(C, N, P):
    M = wishart.random_means(C, N, P, seed=3)
    assert M.shape == (C - 1, C)
    np.testing.assert_allclose(M.sum(axis=1), 0, rtol=0, atol=1e-12)
    assert np.linalg.matrix_rank(M) == C - 1
    np.testing.assert_array_equal(M, wishart.random_means(C, N, P, seed=3))
    assert np.any(wishart.random_means(C, N, P, seed=4) != M)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="Need P >= C - 1"):
        wishart.random_means(5, 5, 3, seed=0)
