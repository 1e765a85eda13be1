"""`cp.measure` against slow definitions, on features of any shape, priors, rank and type, and on each case by name."""

import ml_dtypes
import numpy as np
import pytest
from by_definition import SCALARS, SIZES, by_loops, features, omega_by_definition, same, slow, unbalanced
from hypothesis import given, settings
from hypothesis import strategies as st

import central_path as cp
from central_path.metrics import snr
from central_path.metrics.catalogue import METRICS

EXACT = 1e-9

DOUBLE, SINGLE = (float(np.finfo(dtype).eps) for dtype in (np.float64, np.float32))
TYPES = {np.float64: DOUBLE, np.float32: SINGLE, np.float16: 2.0**-10, ml_dtypes.bfloat16: 2.0**-7}


def spectrum(A):
    """The singular values that are not 0. Entries are of order 1."""
    s = np.linalg.svd(A, compute_uv=False) if A.size else np.zeros(0)
    return s[s > 1e-8]


def least(A):
    """The least singular value that is not 0; infinity of a matrix of zeros."""
    return np.min(spectrum(A), initial=np.inf)


def condition_of(A):
    """Of A A^T on its range."""
    return (np.max(spectrum(A), initial=0) / least(A)) ** 2


def rounding_of(h, y, lam):
    """A relative error of the definitions in float64: ten roundings times the condition of what they invert."""
    M, _, pi = by_loops(h, y)
    Mbar, centred = M - (M @ pi)[:, None], h - h.mean(axis=0)
    inner = np.vstack([centred / np.sqrt(len(y)), np.sqrt(lam) * np.eye(h.shape[1])])
    between = condition_of(Mbar * np.sqrt(pi))
    return 10 * DOUBLE * max(condition_of(h - M.T[y]) * np.sqrt(between), between, condition_of(inner))


def resolves(eps, h, y):
    """Whether every direction varies by more than twice what the rounding of a type may be, by the page of `resolved`.

    Entries that the type holds exactly are judged like rounded ones, for nobody tells. So a direction that varies less
    counts as one that does not vary, rightly, and the rank is not that of the numbers.
    """
    M, Sigma_W, pi = by_loops(h, y)
    Mbar, (P, C) = M - (M @ pi)[:, None], M.shape
    rounding = np.sqrt(np.mean(h**2, axis=0) * (eps**2 / 4 + 64 * P * min(eps, SINGLE) ** 2))
    spread = np.sqrt(np.diag(Sigma_W))
    live = spread > 1e-8
    share = rounding[live] / spread[live]
    E = (h - M.T[y])[:, live] / spread[live] / np.sqrt(len(y))
    V = np.linalg.svd(E, full_matrices=True)[2]
    outside = (V[np.linalg.matrix_rank(E, tol=1e-8) :] if live.any() else V) @ (Mbar[live] / spread[live, None])
    within = least(E) > 2 * np.max(share, initial=0) < 1
    between = least(Mbar * np.sqrt(pi)) > 2 * np.linalg.norm(rounding)
    lost = min(
        least(outside) / np.max(share, initial=DOUBLE), least(Mbar[~live]) / np.max(rounding[~live], initial=DOUBLE)
    )
    return within and between and lost > 2 * (np.sqrt(P) + np.sqrt(C))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(drawn=features(), lam=st.sampled_from([0.0, 0.03]))
def test_every_number_is_its_definition_where_it_exists_and_nan_with_a_reason_elsewhere(drawn, lam):
    rows, h, y, rank = drawn
    if not resolves(TYPES[rows.dtype.type], h, y):  # too coarse a type sees no more than there is, and float64 all
        assert cp.measure(rows, y).rank_within <= rank
        rows = h
    rng = np.random.default_rng(len(y))
    C, P = max(y) + 1, h.shape[1]
    W, b = rng.standard_normal((C, P)), rng.standard_normal(C)
    found = cp.measure(rows, y, W=W, b=b, lam=lam)
    M, _, pi = by_loops(h, y)
    Mbar = M - (M @ pi)[:, None]
    norms = np.linalg.norm(Mbar, axis=0)
    missing = set()
    if norms.max() < 1e-9:
        missing = {"nc1", "equinorm", "equiangularity", "max_angle", "self_duality"}
    elif norms.min() < 1e-9:
        missing = {"equiangularity", "max_angle"}
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = slow(h, y, W, b, lam, rank)
    assert found.rank_within == rank
    assert {name for name in expected if np.any(np.isnan(found[name]))} == missing
    odd = {"omega"} if np.any(np.isinf(found.omega)) or np.any(found.omega == 0) else set()
    assert set(found.reasons) - set(METRICS) == missing | odd
    np.testing.assert_array_equal(np.isinf(found.omega), np.isinf(expected["omega"]))
    rounding = rounding_of(h, y, lam)
    tolerances = {"rtol": max(EXACT, rounding), "atol": max(1e-12, rounding)}  # far from singular: the first ones
    np.testing.assert_allclose(found.omega, expected["omega"], **tolerances)
    for name in set(expected) - missing - {"omega", "ncc_mismatch"}:
        np.testing.assert_allclose(found[name], expected[name], **tolerances, err_msg=name)
    distances = np.sort(np.sum((h[:, None, :] - M.T[None]) ** 2, axis=2), axis=1)
    if np.all(distances[:, 1] - distances[:, 0] > 1e-9):  # without ties
        assert found.ncc_mismatch == expected["ncc_mismatch"]


def test_omega_of_class_sizes_10_20_200_50_is_about_the_mean_of_the_examples(seed):
    h, y = unbalanced(seed=seed)
    M, Sigma_W, pi = by_loops(h, y)
    found = cp.measure(h, y).omega
    np.testing.assert_allclose(found, omega_by_definition(M, Sigma_W, pi, 8), rtol=1e-12)
    by_class = omega_by_definition(M, Sigma_W, np.full(4, 0.25), 8)  # the planted fault: equal weights
    assert np.max(np.abs(by_class / found - 1)) > 0.01
    shifted = snr.contrasts_of(pi)
    np.testing.assert_allclose(shifted.T @ shifted, np.eye(3), rtol=0, atol=1e-14)
    np.testing.assert_allclose(shifted.T @ pi, 0, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(snr.contrasts_of(np.full(7, 1 / 7)), snr.contrasts(7))


@pytest.mark.parametrize(
    ("added", "rank"),
    [
        (lambda h: np.zeros((len(h), 2)), 8),  # dead units
        (lambda h: np.full((len(h), 1), 0.3), 8),  # a constant column
        (lambda h: h[:, :1] + h[:, 1:2] - 0.7, 8),  # a dependent column
        (lambda h: h[:, :3], 8),  # duplicates
    ],
)
def test_columns_that_carry_nothing_change_no_omega_and_no_loss(added, rank):
    h, y = unbalanced()
    more = np.column_stack([h, added(h)])
    plain, found = cp.measure(h, y), cp.measure(more, y)
    assert found.rank_within == rank
    assert found.reasons == {}
    np.testing.assert_allclose(found.omega, plain.omega, rtol=1e-9)
    same(plain, found, but=("nc1", "equinorm", "equiangularity", "max_angle", "loss_ls_perp", "ncc_mismatch"))
    wrong = np.column_stack([h, added(h) + np.random.default_rng(0).standard_normal((len(h), 1))])  # planted: it varies
    assert cp.measure(wrong, y).rank_within == 9 or added(h).shape[1] > 1


def test_layer_normalised_features_in_float32_have_one_direction_less():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 60)
    z = rng.standard_normal((10, 64))[y] + rng.standard_normal((600, 64)) + 3
    scale = np.linspace(0.5, 2, 64)

    def normalised(z, dtype):
        z = z.astype(dtype)
        z = (z - z.mean(axis=1, keepdims=True)) / np.sqrt(z.var(axis=1, keepdims=True) + dtype(1e-5))
        return z * scale.astype(dtype) + dtype(0.1)

    single, double = (cp.measure(normalised(z, dtype), y) for dtype in (np.float32, np.float64))
    assert single.rank_within == double.rank_within == 63
    same(single, double, rtol=1e-5, but=("loss_ls_perp", "loss"))


def test_fewer_examples_than_dimensions_and_classes():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 4)
    h = rng.standard_normal((12, 20))
    found = cp.measure(h, y)
    np.testing.assert_array_equal(found.omega, [np.inf, np.inf])
    assert "rank of Sigma_W: 9 of P = 20, at most n - C = 9" in found.reasons["omega"]
    assert found.nc1 > 0
    assert 0 <= found.loss < 1e-15  # least squares fits every example
    part = cp.measure(h[:, :10], y)
    assert np.isinf(part.omega[0])
    assert np.isfinite(part.omega[1])


def test_two_class_means_that_coincide():
    h, y = unbalanced()
    rows, labels = np.concatenate([h[10:20], h[10:20], h[30:]]), np.concatenate([[0] * 10, [1] * 10, y[30:]])
    found = cp.measure(rows, labels)
    M, Sigma_W, pi = by_loops(rows, labels)
    np.testing.assert_allclose(found.omega, omega_by_definition(M, Sigma_W, pi, 8), rtol=1e-9)
    assert found.omega[-1] == 0
    assert found.rank_between == 2
    said = "zero: 1 of 3, because the class means span 2 dimensions (to the precision in which the features came)"
    assert found.reasons["omega"] == said
    assert set(found.reasons) == {"omega", "cdnv_galanti2022", "gnc2_liu2023"}
    Mbar = M - (M @ pi)[:, None]
    trace = np.trace(Sigma_W @ np.linalg.pinv((Mbar * pi) @ Mbar.T, rtol=1e-9))
    assert found.nc1 == pytest.approx(trace / 4, rel=1e-9)


def test_exact_collapse():
    y = np.repeat(np.arange(4), SIZES)
    means = np.random.default_rng(0).standard_normal((4, 6))
    found = cp.measure(means[y], y)
    np.testing.assert_array_equal(found.omega, np.full(3, np.inf))
    assert (found.nc1, found.rank_within, found.rank_between, found.ncc_mismatch) == (0, 0, 3, 0)
    assert found.loss == pytest.approx(0, abs=1e-25)
    nothing = cp.measure(np.ones((280, 6)), y)
    np.testing.assert_array_equal(nothing.omega, np.zeros(3))
    missing = {"nc1", "equinorm", "equiangularity", "max_angle", "self_duality"}
    assert {name for name in SCALARS if np.isnan(nothing[name])} == missing - {"self_duality"}
    assert set(nothing.reasons) - set(METRICS) == missing | {"omega"}
    assert nothing.loss == pytest.approx(0.5 * (1 - np.sum((np.array(SIZES) / 280) ** 2)), rel=1e-12)


@pytest.mark.parametrize(("C", "P"), [(40, 16), (50, 16), (6, 4), (5, 4)])
def test_more_classes_than_dimensions(C, P, seed):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(C), 12)
    h = rng.standard_normal((C, P))[y] + 0.2 * rng.standard_normal((len(y), P))
    found = cp.measure(h, y)
    M, Sigma_W, pi = by_loops(h, y)
    Mbar = M - (M @ pi)[:, None]
    assert found.nc1 == pytest.approx(np.trace(Sigma_W @ np.linalg.inv((Mbar * pi) @ Mbar.T)) / C, rel=1e-9)
    assert len(found.omega) == min(P, C - 1)
    np.testing.assert_allclose(found.omega, omega_by_definition(M, Sigma_W, pi, P), rtol=1e-9)
    assert found.reasons == {}


def test_a_class_without_examples_counts_in_the_loss_alone():
    h, y = unbalanced()
    keep = y != 1
    rng = np.random.default_rng(0)
    W, b = rng.standard_normal((4, 8)), rng.standard_normal(4)
    names, numbers = cp.measure(h[keep], y[keep]), cp.measure(h[keep], y[keep], C=4)
    same(names, numbers)
    one_hot = cp.measure(h[keep], np.eye(4)[y[keep]], W=W, b=b)
    by_rows = cp.measure(h[keep], y[keep], W=W, b=b)
    same(one_hot, by_rows)
    errors = h[keep] @ W.T + b - np.eye(4)[y[keep]]
    assert by_rows.loss == pytest.approx(0.5 * np.mean(np.sum(errors**2, axis=1)), rel=1e-12)
    same(by_rows, names, but=("loss", "loss_ls_perp", "ncc_mismatch"))
    decided = np.argmax(h[keep] @ W.T + b, axis=1)
    centers = np.stack([h[y == c].mean(axis=0) for c in (0, 2, 3)])
    nearest = np.array([0, 2, 3])[np.argmin(np.sum((h[keep][:, None] - centers) ** 2, axis=2), axis=1)]
    assert by_rows.ncc_mismatch == np.mean(decided != nearest)
    for wrong in (np.where(y == 3, 7, y), y - 1, np.array(list("abcd"))[y]):
        with pytest.raises(ValueError, match="Need labels that are integers from 0 to C - 1 = 4"):
            cp.measure(h, wrong, C=5)


def test_one_example_in_a_class():
    h, y = unbalanced()
    keep = np.r_[0, 10:280]
    M, Sigma_W, pi = by_loops(h[keep], y[keep])
    np.testing.assert_allclose(cp.measure(h[keep], y[keep]).omega, omega_by_definition(M, Sigma_W, pi, 8), rtol=1e-9)
    with pytest.raises(ValueError, match="Need at least 2 classes, got 1"):
        cp.measure(h[:10], y[:10])
