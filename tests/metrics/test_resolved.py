"""Ranks, conditions and singular vectors of what features resolve, each against its definition."""

import numpy as np
import pytest

import central_path as cp
from central_path.metrics import resolved
from central_path.metrics.snr import Moments

ROUNDING = 1e-10
EXACT = resolved.Rounding(np.full(6, 1e-30), np.zeros(6))


def moments(seed, C=4, P=6, rank_between=None, null=0):
    """Unbalanced moments; the last `null` directions have no variance within the classes."""
    rng = np.random.default_rng(seed)
    pi = rng.uniform(1, 3, C)
    pi /= pi.sum()
    M = rng.standard_normal((P, C))
    if rank_between is not None:
        M = rng.standard_normal((P, rank_between)) @ rng.standard_normal((rank_between, C))
    A = rng.standard_normal((P, P))
    A[P - null :] = 0
    return Moments(M, A @ A.T / P, pi)


def test_the_condition_number_of_the_between_class_covariance_is_that_of_its_range(seed):
    m = moments(seed)
    w = np.linalg.eigvalsh(m.Sigma_B)[-3:]
    found = resolved.between(m, EXACT)
    assert (found.rank, len(found.s)) == (3, 3)
    assert found.condition == pytest.approx(w[-1] / w[0], rel=ROUNDING)
    degenerate = resolved.between(moments(seed, rank_between=2), EXACT)
    assert (degenerate.rank, degenerate.condition) == (2, np.inf)


def test_class_means_that_differ_by_less_than_rounding_coincide(seed):
    """The bound is a standard deviation: the norm of the rounding of all coordinates."""
    m = moments(seed)
    rounding = resolved.Rounding(np.linspace(1, 2, 6) * 1e-8, np.linspace(2, 3, 6) * 1e-8)
    found = resolved.between(m, rounding)
    bound = np.sqrt(np.sum(np.linspace(3, 5, 6)) * 1e-8)
    assert found.tolerance == pytest.approx(bound, rel=1e-9)
    for factor, rank in ((0.9, 0), (1.1, 1)):
        apart = np.outer(np.eye(6)[0], [1.0, 0, 0, 0])
        square = m.pi[0] * (1 - m.pi[0])  # of the one singular value
        close = Moments(1.0 + factor * bound / np.sqrt(square) * apart, m.Sigma_W, m.pi)
        assert resolved.between(close, rounding).rank == rank


def test_the_rounding_of_scaled_features_is_the_scaled_rounding(seed):
    m, scale = moments(seed), np.geomspace(1e-3, 1e4, 6)
    live = np.array([True, True, False, True, True, True])
    scaled = Moments(m.M / scale[:, None], m.Sigma_W / np.outer(scale, scale), m.pi)
    for eps in (np.finfo(np.float16).eps, np.finfo(float).eps):
        of_scaled = resolved.Rounding.of(scaled, float(eps))
        found = resolved.Rounding.of(m, float(eps)).scaled(scale[live], live)
        np.testing.assert_allclose(found.own, of_scaled.own[live], rtol=1e-12)
        np.testing.assert_allclose(found.shared, of_scaled.shared[live], rtol=1e-12)


def test_beyond_the_rank_of_the_class_means_omega_is_zero_where_one_is_infinite_too(seed):
    found = resolved.snr(moments(seed, rank_between=2, null=1), EXACT)
    assert (found.infinite, found.rank) == (1, 5)
    assert found.omega[0] == np.inf
    assert 1e-3 < found.omega[1] < 1e3
    assert found.omega[2] == 0


@pytest.mark.parametrize(("null", "infinite"), [(0, 0), (2, 2)])
def test_the_singular_vectors_are_those_of_the_whitened_means(null, infinite, seed):
    m = moments(seed, null=null)
    found = resolved.snr(m, EXACT, vectors=True)
    assert (found.infinite, found.rank) == (infinite, 6 - null)
    V = found.V
    finite = found.omega[infinite:]
    # the limit is that of Sigma_W + delta I, and the first vectors belong to what it sends to infinity
    delta = 1e-8 if null else 0.0
    w, U = np.linalg.eigh(m.Sigma_W + delta * np.eye(6))
    SNR = (U / np.sqrt(w)) @ U.T @ m.Mbar
    np.testing.assert_allclose(V.T @ V, np.eye(3), rtol=0, atol=ROUNDING)
    exact = ROUNDING if not null else 1e-4
    np.testing.assert_allclose(np.linalg.norm(SNR @ V, axis=0)[infinite:], finite, rtol=exact)
    across = V.T @ SNR.T @ SNR @ V  # diagonal, as far as the singular values are apart
    np.testing.assert_allclose(across[infinite:, infinite:], np.diag(finite**2), rtol=0, atol=exact * finite.max() ** 2)
    assert (np.take_along_axis(V, np.abs(V).argmax(axis=0)[None, :], axis=0) > 0).all()
    assert resolved.snr(m, EXACT).V is None


def test_what_leaves_the_range_is_measured_in_standard_deviations_of_rounding(seed):
    """Of a direction: its own, P times the shared one by Cauchy, that of the sums, and the turning of the range."""
    rng = np.random.default_rng(seed)
    P, rank = 5, 3
    basis = np.linalg.qr(rng.standard_normal((P, P)))[0]
    V, rest = basis[:, :rank], basis[:, rank:]
    w = np.array([1.0, 2.0, 3.0])
    for own, shared, arithmetic in ((1e-3, 4e-3, 0.0), (0.0, 4e-3, 0.0), (0.0, 0.0, 3e-3)):
        rounding = resolved.Rounding(np.full(P, own), np.full(P, shared))
        within = resolved.ResolvedRange(np.ones(P, bool), np.ones(P), w, V, rounding, arithmetic)
        A = 0.1 * (rest @ rng.standard_normal((P - rank, 2)) + V @ rng.standard_normal((rank, 2)))
        turned = arithmetic * (w.max() / w.min()) * np.linalg.norm(A, axis=0).max()
        expected = (rest @ rest.T @ A) / np.sqrt(own + P * shared + arithmetic + turned**2)
        np.testing.assert_allclose(within.outside(A, rounding), expected, rtol=ROUNDING)


def test_a_direction_far_above_the_rounding_of_float64_counts():
    """Entries of order 1 with a standard deviation of 1e-9 in one column: seven digits of it are there."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    h = 1 + rng.standard_normal((3, 4))[y] + rng.standard_normal((60, 4))
    h[:, 2] = 1 + 1e-9 * rng.standard_normal(60)
    found = cp.measure(h, y)
    assert found.rank_within == 4
    scaled = h - [0, 0, 1, 0]
    np.testing.assert_allclose(found.omega, cp.measure(scaled * [1, 1, 1e9, 1], y).omega, rtol=1e-5)
