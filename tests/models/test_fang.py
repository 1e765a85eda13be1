"""Minority collapse: the four scalars against plain differentiation of their problem, thresholds and limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.models.fang import Fang
from central_path.models.model import VALUE
from central_path.models.peeled import Peeled

THRESHOLDS = {  # K_A, K_B, E_W E_H: R*, to the digits given
    (2, 2, 1): 3.3804885,
    (5, 5, 1): 1.7354156,
    (5, 5, 2): 2.8945666,
    (5, 5, 5): 12.1924471,
    (5, 5, 10): 81.1022,
    (7, 3, 5): 4.0004667,
    (3, 7, 5): 245.497,
    (2, 2, 25): 31095.9,
}


def peeled(K_A, K_B, E, R=1.0):
    """At a budget E = E_W E_H."""
    return Peeled(K_A, K_B, R, (K_A + K_B) * E**0.5)


@pytest.mark.parametrize(("setting", "R"), THRESHOLDS.items())
def test_the_threshold(setting, R):
    assert peeled(*setting).threshold() == pytest.approx(R, rel=2e-6)
    below, above = (peeled(*setting, R=factor * R) for factor in (0.999, 1.001))
    assert 0.98 < below.cosine < 1
    assert above.cosine == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("setting", [(2, 2, 1), (5, 5, 5), (7, 3, 5), (3, 7, 2)])
def test_equal_classes_are_the_balanced_closed_form(setting):
    at, K = peeled(*setting), setting[0] + setting[1]
    a = at.tau / (K - 1)
    np.testing.assert_allclose(at.minimum[:4], [a, a, a / at.K_A, a / at.K_B], rtol=1e-12)
    assert at.value == pytest.approx(np.log1p((K - 1) * np.exp(-a)), abs=1e-15)
    assert at.cosine == pytest.approx(-1 / (K - 1), abs=1e-12)


@pytest.mark.parametrize("at", [peeled(2, 2, 1, 2.0), peeled(5, 5, 1, 2.0), peeled(5, 5, 1, 4.0), peeled(3, 4, 1, 1.5)])
def test_the_minimum_is_optimal_for_the_nuclear_norm(at):
    """A subgradient: the gradient in Z is -nu times a matrix of spectral norm 1 that is dual to Z."""
    Z, size = at.matrices()
    G = at.classes()[None, :] * (np.exp(Z) / np.exp(Z).sum(axis=0) - np.eye(at.K))
    assert np.linalg.norm(Z, "nuc") == pytest.approx(at.tau, rel=1e-12)
    assert np.linalg.norm(G, 2) == pytest.approx(at.minimum.nu, rel=1e-10)
    assert -np.sum(G * Z) == pytest.approx(at.minimum.nu * at.tau, rel=1e-10)
    np.testing.assert_allclose(size @ size, Z @ Z.T, atol=1e-10)


def test_the_minority_vanishes_only_under_small_budgets():
    assert peeled(5, 5, 1).threshold() < peeled(5, 5, 1).vanishing() < 3
    assert peeled(5, 5, 1, 3.0).minimum[1:4] == (0, 0, 0)
    assert peeled(5, 5, 5).vanishing() == np.inf
    before = peeled(5, 5, 1, 0.9999 * peeled(5, 5, 1).vanishing()).minimum
    assert 0 < before.d_A < 1e-2


def test_budgets_are_used_up_and_unequal_ones_only_rescale():
    even, odd = Fang(n_A=5, n_B=2), Fang(n_A=5, n_B=2, E_W=4.0, E_H=0.25)
    point = odd.constrain(even.start(0))
    assert float(jnp.sum(point["W"] ** 2)) == pytest.approx(4 * odd.E_W)
    norms = jnp.sum(point["H"] ** 2, axis=0)
    assert float(jnp.mean(jnp.stack([norms[odd.labels == k].mean() for k in range(4)]))) == pytest.approx(odd.E_H)
    assert float(odd.loss(point)) == pytest.approx(float(even.loss(even.start(0))), abs=1e-14)
    a, b = (model.predicted({}) for model in (even, odd))
    assert float(a[VALUE]) == float(b[VALUE])
    np.testing.assert_allclose(4 * a["W W^T"], b["W W^T"], atol=1e-14)


def test_a_balanced_etf_is_critical_on_the_budgets():
    model = Fang(K_A=3, K_B=2, n_A=2, n_B=2, P=5)
    w = np.sqrt(5 / 4) * (np.eye(5) - 1 / 5)
    point = jax.tree.map(jnp.asarray, {"W": w, "H": np.repeat(w, 2, axis=1)})
    gradient = jax.jit(jax.grad(lambda x: model.loss(model.constrain(x))))(point)
    assert max(float(jnp.max(jnp.abs(g))) for g in gradient.values()) < 1e-15
    assert float(model.loss(point)) == pytest.approx(float(model.predicted(point)[VALUE]), abs=1e-15)


def test_groups_of_one_class_and_ratios_below_one_are_refused():
    with pytest.raises(ValueError, match="K_B >= 2"):
        Peeled(3, 1, 2.0, 4.0)
    with pytest.raises(ValueError, match="R >= 1"):
        Peeled(3, 3, 0.5, 4.0)
