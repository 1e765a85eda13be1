"""What `cp.measure` takes, features, labels and classifiers of any type and form, and what it returns."""

import subprocess
import sys

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch
from by_definition import same, unbalanced

import central_path as cp
from central_path.metrics import measurement


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
    assert found.reasons["self_duality"] == "W is 0: it has no direction."
    missing = {"nc2_etf_classifier_zhu2021", "nc3_self_duality_zhu2021", "nc3_self_duality_wu2024", "unc3_wu2024"}
    assert set(found.reasons) == {"self_duality"} | missing
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
