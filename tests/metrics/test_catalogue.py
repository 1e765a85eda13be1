"""The metrics of the catalogue against loops over the examples, their invariances, and where they do not exist."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from by_definition import by_loops, features, unbalanced
from catalogue_by_definition import catalogue
from hypothesis import given, settings
from hypothesis import strategies as st

import central_path as cp
from central_path import metrics
from central_path.metrics import collapse, simplex
from central_path.metrics.catalogue import METRICS, SAME, _functions, by_definition
from central_path.metrics.snr import Moments

OF_CLASSIFIER = {"nc0_zhao2026", "nc2_etf_classifier_zhu2021"}
OF_BOTH = {"nc3_self_duality_zhu2021", "nc3_self_duality_wu2024", "unc3_wu2024"}
OF_MEANS = {*METRICS} - OF_CLASSIFIER


def measured(h, y, W):
    return dict(cp.measure(h, y, W=W, b=np.zeros(len(W))).further)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(drawn=features(), zero=st.sampled_from(["", "", "", "row", "all"]))
def test_every_metric_is_its_definition_where_it_exists_and_nan_with_a_reason_elsewhere(drawn, zero):
    _, h, y, _ = drawn
    W = np.random.default_rng(len(y)).standard_normal((max(y) + 1, h.shape[1]))
    W[{"": slice(0), "row": slice(1), "all": slice(None)}[zero]] = 0
    found, expected = cp.measure(h, y, W=W), catalogue(h, y, W)
    assert list(found.further) == list(METRICS)
    assert set(expected) == set(METRICS)
    for name in METRICS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-8, atol=1e-10, err_msg=name)
    undefined = {name for name in METRICS if np.isnan(expected[name])}
    assert {name for name in found.reasons if name in METRICS} == undefined


def moved(h, y, W, kind, rng):
    """The same problem after a transformation."""
    P, C = h.shape[1], len(W)
    Q = np.linalg.qr(rng.standard_normal((P, P)))[0]
    order = rng.permutation(C)
    return {
        "rotation": (h @ Q, y, W @ Q),
        "shift": (h + rng.standard_normal(P), y, W),
        "scale": (3 * h, y, W),
        "factor of W": (h, y, 3 * W),
        "classes": (h, np.argsort(order)[y], W[order]),
        "dead units": (np.pad(h, ((0, 0), (0, 3))), y, np.pad(W, ((0, 0), (0, 3)))),
        "order": (h[::-1], y[::-1], W),
    }[kind]


KINDS = ("rotation", "shift", "scale", "factor of W", "classes", "dead units", "order")
CHANGED = {("nc0_zhao2026", "factor of W")}


@pytest.mark.parametrize("kind", KINDS)
def test_invariances(kind, seed):
    rng = np.random.default_rng(seed)
    h, y = unbalanced(seed=seed)
    W = rng.standard_normal((4, 8))
    before, after = measured(h, y, W), measured(*moved(h, y, W, kind, rng))
    for name in METRICS:
        if (name, kind) in CHANGED:
            assert abs(after[name] / before[name] - 1) > 0.1, name
        else:
            np.testing.assert_allclose(after[name], before[name], rtol=1e-9, err_msg=name)


def etf(C, P, rng):
    """A Simplex ETF, one vector a row, somewhere in P dimensions."""
    basis = np.linalg.qr(rng.standard_normal((P, C)))[0]
    return (np.eye(C) - 1 / C) @ basis.T


@pytest.mark.parametrize(("C", "P"), [(2, 3), (5, 5), (6, 9)])
def test_at_collapse_all_are_zero_and_the_rank_is_that_of_a_simplex_and_a_fault_is_seen(C, P, seed):
    rng = np.random.default_rng(seed)
    means, y = etf(C, P, rng), np.repeat(np.arange(C), 4)
    found = measured(7 * means[y] + 2, y, 0.3 * means)
    assert found.pop("effective_rank_means_roy2007") == pytest.approx(C - 1, rel=1e-9)
    np.testing.assert_allclose(list(found.values()), 0, atol=1e-13, err_msg=str(list(found)))
    off = means + 0.03 * rng.standard_normal(means.shape)
    planted = measured((7 * off[y] + 2) + 0.1 * rng.standard_normal((len(y), P)), y, 0.3 * means + 0.01)
    two = {"gnc2_liu2023", "nc2_etf_kothapalli2023"} if C == 2 else set()  # two means are always opposite
    assert {name for name, value in planted.items() if not value > 1e-6} <= two


def test_more_classes_than_a_simplex_has_room_for(seed):
    rng = np.random.default_rng(seed)
    C, P = 12, 4
    y = np.repeat(np.arange(C), 3)
    h, W = rng.standard_normal((C, P))[y] + 0.1 * rng.standard_normal((3 * C, P)), rng.standard_normal((C, P))
    found, expected = measured(h, y, W), catalogue(h, y, W)
    np.testing.assert_allclose(list(found.values()), [expected[name] for name in found], rtol=1e-10)
    least = np.sqrt(2 - 2 * np.sqrt(P / (C - 1)))
    assert found["nc2_etf_classifier_zhu2021"] > least
    basis = np.linalg.qr(np.column_stack([np.ones(C), rng.standard_normal((C, P))]))[0][:, 1:]
    assert float(simplex.nc2_etf_classifier_zhu2021(basis)) == pytest.approx(least, rel=1e-12)  # a tight frame has it


@pytest.mark.parametrize("P", [9, 10, 11, 12])
def test_the_two_forms_of_the_distance_are_one(P, seed):
    rng = np.random.default_rng(seed)
    A, B = rng.standard_normal((11, P)), rng.standard_normal((P, 11))
    wide = [np.pad(A, ((0, 0), (0, 9))), np.pad(B, ((0, 9), (0, 0)))]  # more dimensions: the other form
    assert float(simplex.gram_distance(A, B)) == pytest.approx(float(simplex.gram_distance(*wide)), rel=1e-12)


def test_a_tile_of_classes_at_a_time_gives_the_same(monkeypatch):
    h, y = unbalanced()
    whole = measured(h, y, np.ones((4, 8)))
    monkeypatch.setattr(collapse, "TILE", 3)
    np.testing.assert_allclose(list(measured(h, y, np.ones((4, 8))).values()), list(whole.values()), rtol=1e-13)


def undefined(h, y, W):
    found = cp.measure(h, y, W=W, b=np.zeros(len(W)))
    assert all(found.reasons[name] for name in METRICS if np.isnan(found[name]))
    return {name for name in METRICS if np.isnan(found[name])}, found


def test_where_they_do_not_exist_they_are_nan_with_a_reason():
    h, y = unbalanced()
    W = np.random.default_rng(1).standard_normal((4, 8))
    assert undefined(h, y, W)[0] == set()
    assert undefined(h, y, 0 * W)[0] == OF_BOTH | {"nc2_etf_classifier_zhu2021"}
    missing, found = undefined(np.ones_like(h), y, W)
    assert missing == OF_MEANS
    assert {found.reasons[name] for name in missing} == {SAME}
    rows = np.concatenate([h[10:20], h[10:20], h[30:]])  # two class means coincide
    assert undefined(rows, np.repeat([0, 1, 2, 3], [10, 10, 200, 50]), W)[0] == {"cdnv_galanti2022", "gnc2_liu2023"}
    assert undefined(h[[0, 10, 30, 230]], np.arange(4), W)[0] == set()  # one example a class
    centre = np.concatenate([h - h.mean(axis=0), -(h - h.mean(axis=0)), np.zeros((5, 8))])
    labels = np.concatenate([y, y + 4, np.full(5, 8)])  # the mean of class 8 is the global mean
    assert undefined(centre, labels, np.ones((9, 8)))[0] == {"nc3_self_duality_wu2024", "unc3_wu2024", "gnc2_liu2023"}


def test_class_means_that_differ_by_rounding_alone_coincide(seed):
    """Rows in float32 whose classes have one mean: without a tolerance the numbers would be of the order 1e14."""
    rng = np.random.default_rng(seed)
    e = rng.standard_normal((30, 6))
    h = np.concatenate([e, -e, 0.7 * e, -0.7 * e]) + 3
    y = np.repeat([0, 0, 1, 1], 30)
    assert undefined(h.astype(np.float32), y, rng.standard_normal((2, 6)))[0] == OF_MEANS
    far = np.concatenate([h, h + 5])
    labels = np.concatenate([y, y + 2])
    missing = undefined(far.astype(np.float32), labels, rng.standard_normal((4, 6)))[0]
    assert missing == {"cdnv_galanti2022", "gnc2_liu2023"}


def test_a_class_without_examples_counts_in_the_row_sum_alone():
    h, y = unbalanced()
    W = np.random.default_rng(0).standard_normal((4, 8))
    keep = y != 1
    part = cp.measure(h[keep], y[keep], W=W, C=4)
    rest = cp.measure(h[keep], y[keep], W=W[[0, 2, 3]])
    assert part["nc0_zhao2026"] == pytest.approx(np.linalg.norm(W.sum(axis=0)))
    assert {name for name in METRICS if part[name] != pytest.approx(rest[name])} == {"nc0_zhao2026"}


def arguments(xp, seed=0):
    h, y = unbalanced(seed=seed)
    M, Sigma_W, pi = by_loops(h, y)
    variances = np.array([np.mean(np.sum((h[y == c] - M[:, c]) ** 2, axis=1)) for c in range(4)])
    W = np.random.default_rng(seed).standard_normal((4, 8))
    m, W, variances = Moments(*map(xp, (M, Sigma_W, pi))), xp(W), xp(variances)
    return {"m": m, "W": W, "last_layer": W, "variances": variances}


@pytest.mark.parametrize("name", METRICS)
def test_arrays_of_jax_and_torch_give_what_those_of_numpy_give(name):
    metric, needed = _functions()[name]

    def given(xp):
        return {argument: value for argument, value in arguments(xp).items() if argument in needed}

    expected = float(metric(**given(np.asarray)))
    traced = jax.jit(metric)(**given(jnp.asarray))
    assert isinstance(traced, jax.Array)
    assert float(traced) == pytest.approx(expected, rel=1e-11)
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install central-path[deepnets]")
    found = metric(**given(torch.asarray))
    assert isinstance(found, torch.Tensor)
    assert float(found) == pytest.approx(expected, rel=1e-11)


def test_with_as_many_classes_as_span_the_space_nc1_is_unchanged_by_every_invertible_map(seed):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(6), rng.integers(3, 9, 6))
    h = rng.standard_normal((6, 4))[y] + 0.3 * rng.standard_normal((len(y), 4))
    A, W = rng.standard_normal((4, 4)), np.ones((6, 4))
    before, after = measured(h, y, W), measured(h @ A, y, W)
    assert after["nc1_zhu2021"] == pytest.approx(before["nc1_zhu2021"], rel=1e-8)
    assert after["nc1_tirer2023"] != pytest.approx(before["nc1_tirer2023"], rel=1e-2)  # this one is not


@pytest.mark.parametrize("name", ["gnc2_liu2023", "nc3_self_duality_wu2024", "unc3_wu2024"])
def test_directions_alone_count(name, seed):
    rng = np.random.default_rng(seed)
    given = arguments(np.asarray, seed)
    m, W, factors = given["m"], given["W"], rng.uniform(0.2, 5, 4)
    pi = m.pi / factors / np.sum(m.pi / factors)  # for which the global mean of the scaled m_c is 0
    scaled = Moments(m.Mbar * factors, m.Sigma_W, pi)
    metric, needed = _functions()[name]
    found = metric(*((scaled, 3 * factors[::-1, None] * W) if "W" in needed else (scaled,)))
    assert float(found) == pytest.approx(float(metric(*((m, W) if "W" in needed else (m,)))), rel=1e-9)


def test_names_by_definition_are_those_of_the_page():
    assert by_definition("cdnv_galanti2022") == "cdnv/galanti2022"
    assert by_definition("effective_rank_means_roy2007") == "effective_rank_means/roy2007"
    assert by_definition("within_share") == "within_share"
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    assert [name for name in METRICS if f"| `{by_definition(name)}` |" not in page] == []
    named = set(re.findall(r"^\| `(\w+)\(", page, re.M))
    public = {name for name in vars(metrics) if re.search(r"_[a-z]+\d{4}$", name)}
    assert named == public
