"""`cp.measure` against slow definitions, on features of any shape, priors, rank and type, and on each case by name."""

import subprocess
import sys

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import central_path as cp
from central_path.metrics import measurement, snr

EXACT = 1e-9
SCALARS = ("loss", "loss_nc1", "loss_nc23", "loss_ls_perp", "nc1", "equinorm", "equiangularity", "max_angle")


def by_loops(h, y):
    """M, Sigma_W, pi of rows h (n, P) with labels 0..C-1, all of which occur, example by example."""
    n, C = len(y), max(y) + 1
    M = np.stack([sum(h[i] for i in range(n) if y[i] == c) / np.sum(y == c) for c in range(C)], axis=1)
    Sigma_W = sum(np.outer(h[i] - M[:, y[i]], h[i] - M[:, y[i]]) for i in range(n)) / n
    return M, Sigma_W, np.array([np.mean(y == c) for c in range(C)])


def spread_of(columns):
    """Equinorm, equiangularity and max_angle of the columns, over pairs."""
    C = columns.shape[1]
    norms = [np.sqrt(np.sum(columns[:, c] ** 2)) for c in range(C)]
    cosines = [columns[:, c] @ columns[:, d] / (norms[c] * norms[d]) for c in range(C) for d in range(C) if c != d]
    return (
        np.std(norms) / np.mean(norms),
        np.std(cosines),
        np.mean([abs(cosine + 1 / (C - 1)) for cosine in cosines]),
    )


def omega_by_definition(M, Sigma_W, pi, rank_within):
    """Singular values of Sigma_W^(-1/2) Mbar as Sigma_W + delta I has them for delta to 0, with its rank known."""
    Mbar = M - (M @ pi)[:, None]
    w, U = np.linalg.eigh(Sigma_W)
    w, U = w[::-1], U[:, ::-1]
    A = np.diag(w[:rank_within] ** -0.5) @ U[:, :rank_within].T @ Mbar
    B = U[:, rank_within:].T @ Mbar
    size = max(1e-3, np.linalg.norm(Mbar))
    _, s, Vt = np.linalg.svd(B)
    infinite = int(np.sum(s > 1e-7 * size)) if len(B) else 0
    values = np.linalg.svd(A @ Vt[infinite:].T, compute_uv=False) if rank_within else np.zeros(0)
    K = min(len(Sigma_W), len(pi) - 1)
    rank = np.linalg.matrix_rank(Mbar, tol=1e-7 * size)
    finite = values[: max(0, rank - infinite)]
    return np.concatenate([np.full(infinite, np.inf), finite, np.zeros(K - infinite - len(finite))])


def slow(h, y, W, b, lam, rank_within):
    """What `cp.measure` returns, by its definitions."""
    n, C = len(y), max(y) + 1
    M, Sigma_W, pi = by_loops(h, y)
    Mbar = M - (M @ pi)[:, None]
    Sigma_B = sum(pi[c] * np.outer(Mbar[:, c], Mbar[:, c]) for c in range(C))
    extended = np.column_stack([h, np.ones(n)])
    Y = np.eye(C)[y]
    rows = np.vstack([extended / np.sqrt(n), np.sqrt(lam) * np.eye(extended.shape[1])])
    targets = np.vstack([Y / np.sqrt(n), np.zeros((extended.shape[1], C))])
    best = np.linalg.lstsq(rows, targets, rcond=1e-8)[0].T

    def loss(W_ext):
        errors = [np.sum((W_ext @ extended[i] - Y[i]) ** 2) for i in range(n)]
        return 0.5 * np.mean(errors) + 0.5 * lam * np.sum(W_ext**2)

    within = sum(np.sum((best[:, :-1] @ (h[i] - M[:, y[i]])) ** 2) for i in range(n)) / n + lam * np.sum(best**2)
    nearest = [int(np.argmin([np.sum((h[i] - M[:, c]) ** 2) for c in range(C)])) for i in range(n)]
    decided = [int(np.argmax(W @ h[i] + b)) for i in range(n)]
    given = np.column_stack([W, b])
    found = dict(zip(("equinorm", "equiangularity", "max_angle"), spread_of(Mbar), strict=True))
    return found | {
        "loss": loss(given),
        "loss_nc1": 0.5 * within,
        "loss_nc23": loss(best) - 0.5 * within,
        "loss_ls_perp": loss(given) - loss(best),
        "nc1": np.trace(Sigma_W @ np.linalg.pinv(Sigma_B, rtol=1e-9, hermitian=True)) / C,
        "self_duality": np.sum((W.T / np.linalg.norm(W) - Mbar / np.linalg.norm(Mbar)) ** 2),
        "ncc_mismatch": np.mean(np.array(nearest) != np.array(decided)),
        "omega": omega_by_definition(M, Sigma_W, pi, rank_within),
    }


@st.composite
def features(draw):
    """Rows, labels, and the rank of Sigma_W, of a chosen rank with condition 100, in a chosen type.

    Entries are small multiples of a power of 2, which every type holds exactly, where a rank is to be exact.
    """
    C, P = draw(st.integers(2, 5)), draw(st.integers(1, 7))
    counts = draw(st.lists(st.integers(1, 9), min_size=C, max_size=C))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["full", "dead units", "collapsed", "dependent", "equal means"]))
    y = rng.permutation(np.repeat(np.arange(C), counts))
    h = rng.integers(-8, 9, (C, P))[y] + rng.integers(-8, 9, (len(y), P))
    if kind == "dead units":
        h[:, rng.integers(0, P)] = 3
    elif kind == "collapsed":
        h = rng.integers(-8, 9, (C, P))[y]
    elif kind == "dependent":
        h[:, -1] = h[:, 0] - h[:, P // 2]
    elif kind == "equal means":
        a, b = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
        h[b] = h[np.resize(a, len(b))] if len(b) % len(a) == 0 else h[a[:1]]
        if len(b) % len(a):
            h[a] = h[a[:1]]
    h = h / 4.0
    means = np.stack([h[y == c].mean(axis=0) for c in range(C)])
    dtype = draw(st.sampled_from([np.float64, np.float32, np.float16, ml_dtypes.bfloat16]))
    rows = h.astype(dtype)
    assert np.array_equal(rows.astype(float), h)
    return rows, h, y, int(np.linalg.matrix_rank(h - means[y], tol=1e-8))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(drawn=features(), lam=st.sampled_from([0.0, 0.03]))
def test_every_number_is_its_definition_where_it_exists_and_nan_with_a_reason_elsewhere(drawn, lam):
    rows, h, y, rank = drawn
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
    assert set(found.reasons) == missing | odd
    np.testing.assert_array_equal(np.isinf(found.omega), np.isinf(expected["omega"]))
    np.testing.assert_allclose(found.omega, expected["omega"], rtol=EXACT, atol=1e-12)
    for name in set(expected) - missing - {"omega", "ncc_mismatch"}:
        np.testing.assert_allclose(found[name], expected[name], rtol=EXACT, atol=1e-12, err_msg=name)
    distances = np.sort(np.sum((h[:, None, :] - M.T[None]) ** 2, axis=2), axis=1)
    if np.all(distances[:, 1] - distances[:, 0] > 1e-9):  # without ties
        assert found.ncc_mismatch == expected["ncc_mismatch"]


SIZES = [10, 20, 200, 50]


def unbalanced(P=8, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(4), SIZES)
    return 2 * rng.standard_normal((4, P))[y] + rng.standard_normal((len(y), P)), y


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


def same(one, other, but=(), rtol=1e-9):
    for name in ("omega", *SCALARS, "ncc_mismatch"):
        if name not in but:
            np.testing.assert_allclose(one[name], other[name], rtol=rtol, atol=1e-13, err_msg=name)


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
    assert found.reasons == {
        "omega": "zero: 1 of 3, because the class means span 2 dimensions (to the precision in which the features came)"
    }
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
    assert set(nothing.reasons) == missing | {"omega"}
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


@pytest.mark.parametrize(
    "convert",
    [
        lambda h: h.astype(np.float16),
        lambda h: h.astype(ml_dtypes.bfloat16),
        lambda h: jnp.asarray(h, dtype=jnp.bfloat16),
        lambda h: torch.tensor(h, dtype=torch.bfloat16, requires_grad=True),
        lambda h: torch.tensor(h, dtype=torch.float16),
    ],
    ids=["numpy float16", "ml_dtypes bfloat16", "jax bfloat16", "torch bfloat16", "torch float16"],
)
@pytest.mark.parametrize("P", [8, 300])
def test_features_in_half_precision_keep_their_directions(convert, P):
    h, y = unbalanced(P=P)
    h, y = np.repeat(h, 3, axis=0), np.repeat(y, 3)
    h = h + np.random.default_rng(1).standard_normal(h.shape)
    exact, found = cp.measure(h, y), cp.measure(convert(h), y)
    assert found.rank_within == exact.rank_within == P
    same(found, exact, rtol=0.03, but=("loss_ls_perp", "ncc_mismatch"))
    dependent = np.column_stack([h, h[:, :1] + h[:, 1:2]])
    assert cp.measure(convert(dependent), y).rank_within == P
    assert np.all(np.isfinite(cp.measure(convert(dependent), y).omega))


class Series:
    """A column of objects, as pandas gives it to NumPy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=object)


@pytest.mark.parametrize(
    "labels",
    [
        lambda y: np.array(["ant", "bee", "cat", "dog"])[y],
        lambda y: Series([["ant", "bee", "cat", "dog"][c] for c in y]),
        lambda y: Series([int(c) for c in y]),
        lambda y: np.array(["a", "b", "c", "d"], dtype=np.dtypes.StringDType())[y],
        lambda y: y.astype(float),
        lambda y: y.astype(np.float32)[:, None],
        lambda y: np.eye(4)[y],
        lambda y: torch.eye(4)[y],
        lambda y: torch.tensor(y),
    ],
    ids=["words", "objects", "integer objects", "strings", "floats", "column", "one-hot", "torch one-hot", "torch"],
)
def test_labels_in_every_form(labels):
    h, y = unbalanced()
    same(cp.measure(h, labels(y)), cp.measure(h, y), rtol=1e-12)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (lambda y: y + 0.5, "Need labels that are class names, got the number 0.5"),
        (lambda y: np.where(y == 1, np.nan, y), "Need a label for every row, got 20 missing of 280: drop"),
        (lambda y: Series([None if c == 1 else "x" for c in y]), "Need a label for every row, got 20 missing"),
        (
            lambda y: Series(["x" if c == 1 else 3 for c in y]),
            "Need labels of one kind, integers or strings, got int, str",
        ),
        (lambda y: np.eye(4)[y] * 2, r"or one-hot rows \(n, C\), got shape \(280, 4\)"),
    ],
)
def test_labels_that_are_none_are_refused_with_the_remedy(labels, match):
    h, y = unbalanced()
    with pytest.raises(ValueError, match=match):
        cp.measure(h, labels(y))


@pytest.mark.parametrize("lam", [0.0, 0.02])
def test_a_classifier_without_bias_is_compared_with_the_best_one_without_bias(lam):
    h, y = unbalanced()
    h, Y, n = h + 1, np.eye(4)[y], len(y)
    W = np.random.default_rng(0).standard_normal((4, 8))
    found = cp.measure(h, y, W=torch.nn.Parameter(torch.tensor(W)), lam=lam)
    best = np.linalg.solve(h.T @ h / n + lam * np.eye(8), h.T @ Y / n).T

    def loss(W):
        return 0.5 * np.mean(np.sum((h @ W.T - Y) ** 2, axis=1)) + 0.5 * lam * np.sum(W**2)

    assert found.classifier == "given, without bias"
    assert found.loss == pytest.approx(loss(W), rel=1e-12)
    assert found.loss_ls_perp == pytest.approx(loss(W) - loss(best), rel=1e-9)
    assert cp.measure(h, y, W=best, lam=lam).loss_ls_perp == pytest.approx(0, abs=1e-20)
    with_bias = cp.measure(h, y, W=W, b=np.zeros(4), lam=lam)  # planted: a bias of 0 is a bias
    assert with_bias.classifier == "given"
    assert with_bias.loss_ls_perp > found.loss_ls_perp + 1e-3


def test_a_head_that_is_zero_has_no_direction():
    h, y = unbalanced()
    found = cp.measure(h, y, W=np.zeros((4, 8)), b=np.zeros(4))
    assert np.isnan(found.self_duality)
    assert found.reasons == {"self_duality": "W is 0: it has no direction."}
    assert found.loss == pytest.approx(0.5)


def test_a_measurement_is_a_mapping_that_says_its_names():
    h, y = unbalanced()
    found = cp.measure(h, y)
    assert isinstance(found, measurement.Measurement)
    assert dict(found).keys() == found.to_dict().keys() == set(found)
    assert found["nc1"] == found.nc1
    assert len(found) == len(list(found))
    with pytest.raises(KeyError, match=r"Need one of loss, .*, got 'nc2'"):
        found["nc2"]
    with pytest.raises(AttributeError):
        found.nc1 = 0


def test_measuring_imports_no_jax_and_compiles_nothing():
    code = (
        "import sys, numpy as np, central_path as cp; y = np.repeat([0, 1, 2], 20)\n"
        "cp.measure(np.random.default_rng(0).standard_normal((60, 5)), y)\n"
        "print(sorted({'jax', 'torch', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
