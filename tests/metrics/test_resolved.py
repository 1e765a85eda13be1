"""Ranks, conditions and singular vectors of what features resolve, each against its definition."""

import ml_dtypes
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
    """With the rounding of each coordinate as 1 that of all is at most P^(1/2), whatever their scales."""
    m, scale = moments(seed), np.geomspace(1e-4, 1e4, 6)
    rounding = resolved.Rounding(1e-8 * scale**2, 2e-8 * scale**2)
    square = m.pi[0] * (1 - m.pi[0])  # of the one singular value
    for along in ([0], [3], [5], [0, 3, 5]):
        bound = np.sqrt(3e-8) * np.sqrt(6 / len(along))  # in each of these coordinates
        for factor, rank in ((0.9, 0), (1.1, 1)):
            apart = np.outer(scale * np.isin(np.arange(6), along), [1.0, 0, 0, 0])
            close = Moments(scale[:, None] + factor * bound / np.sqrt(square) * apart, m.Sigma_W, m.pi)
            found = resolved.between(close, rounding)
            assert found.rank == rank
            assert found.tolerance == pytest.approx(np.linalg.norm(scale) * np.sqrt(3e-8), rel=1e-8)
            kept = close.Mbar if rank else np.zeros((6, 4))
            np.testing.assert_allclose(found.moments.Mbar, kept, rtol=0, atol=1e-12 * scale[-1])


def test_rounding_of_several_coordinates_is_longer_than_that_of_one(seed):
    """Singular values that are all the same, along three of six coordinates: they count above 6^(1/2) of rounding."""
    m, scale = moments(seed), np.geomspace(1e-4, 1e4, 6)
    rounding = resolved.Rounding(scale**2, np.zeros(6))
    rows = np.linalg.svd(np.sqrt(m.pi)[None, :])[2][1:] / np.sqrt(m.pi)
    for factor, rank in ((2.4, 0), (2.5, 3)):
        M = np.zeros((6, 4))
        M[[0, 2, 5]] = factor * scale[[0, 2, 5], None] * rows
        assert resolved.between(Moments(M, m.Sigma_W, m.pi), rounding).rank == rank


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
@pytest.mark.parametrize("decades", [0, 2, 4, 7])
def test_no_scale_of_a_coordinate_decides_what_is_resolved(dtype, decades, seed):
    """Stored in few digits, and the same numbers in float64: ranks, NC1 and omega are the same."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(9), [2, 3, 4, 40, 5, 60, 7, 8, 9])
    scale = np.geomspace(1e-3, 10.0 ** (decades - 3), 5)
    h = (rng.normal(size=(9, 5))[y] + rng.normal(size=(len(y), 5))) * scale
    h[:, 2] = 0
    stored = h.astype(dtype)
    found, exact = cp.measure(stored, y), cp.measure(stored.astype(np.float64), y)
    assert (found.rank_between, found.rank_within) == (exact.rank_between, exact.rank_within) == (4, 4)
    np.testing.assert_allclose(found.omega, exact.omega, rtol=1e-9)
    for name in ("nc1", "nc1_zhu2021"):  # the vectors of Sigma_B^+ to eps times the ratio of lengths
        assert found[name] == pytest.approx(exact[name], rel=1e-13 * 10**decades + 1e-12)


def test_the_rounding_of_a_large_coordinate_hides_no_small_one(seed):
    """A unit that is 1000 to one spacing of float16 has no class means; those of a scale of 0.01 are all there."""
    rng = np.random.default_rng(seed)
    y = np.arange(600) % 3
    h = np.zeros((600, 4), dtype=np.float16)
    h[:, 1:] = 1e-2 * (rng.normal(size=(3, 3))[y] + rng.normal(size=(600, 3)))
    alone = cp.measure(h, y)
    h[:, 0] = 1000 + 0.5 * rng.integers(2, size=600)
    found = cp.measure(h, y)
    assert found.rank_between == alone.rank_between == 2
    assert found.nc1 == pytest.approx(alone.nc1, rel=1e-9)
    assert found["nc1_zhu2021"] == pytest.approx(alone["nc1_zhu2021"], rel=1e-9)
    np.testing.assert_allclose(found.omega, alone.omega, rtol=1e-9)
    assert {"nc1", "nc1_zhu2021", "omega"}.isdisjoint(found.reasons)


def test_lengths_beyond_the_digits_of_float64_give_no_nc1(seed):
    """Ranks and omega are of scaled coordinates and exist; the vectors of Sigma_B^+ are not known."""
    rng = np.random.default_rng(seed)
    y = np.arange(60) % 3
    h = np.eye(3)[y] + rng.normal(size=(60, 3)) / 4
    exact = cp.measure(h, y)
    found = cp.measure(np.c_[1e18 * h[:, 0], h], y)
    assert found.rank_between == exact.rank_between == 2
    np.testing.assert_allclose(found.omega, exact.omega, rtol=1e-6)
    assert np.isnan(found.nc1)
    assert "scale the coordinates" in found.reasons["nc1"]
    assert np.isnan(found["nc1_zhu2021"])
    assert "nc1_zhu2021" in found.reasons


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
    found = resolved.snr(resolved.between(moments(seed, rank_between=2, null=1), EXACT), EXACT)
    assert (found.infinite, found.rank) == (1, 5)
    assert found.omega[0] == np.inf
    assert 1e-3 < found.omega[1] < 1e3
    assert found.omega[2] == 0


@pytest.mark.parametrize(("null", "infinite"), [(0, 0), (2, 2)])
def test_the_singular_vectors_are_those_of_the_whitened_means(null, infinite, seed):
    m = moments(seed, null=null)
    found = resolved.snr(resolved.between(m, EXACT), EXACT, vectors=True)
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
    assert resolved.snr(resolved.between(m, EXACT), EXACT).V is None


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
