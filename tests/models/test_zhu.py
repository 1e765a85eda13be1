"""Cross-entropy with decay: the closed form, the threshold and the saddles, apart from the shared suite."""

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.optimize import least_squares, minimize

from central_path.models.frames import centring
from central_path.models.model import VALUE
from central_path.models.zhu import Zhu


@pytest.mark.parametrize(
    "model",
    [
        Zhu(C=3, P=2, N=7, lW=1e-3),
        *(pytest.param(model, marks=pytest.mark.slow) for model in (Zhu(), Zhu(C=6, P=9, N=1))),
    ],
)
def test_the_closed_form_is_a_critical_point_with_its_value(model):
    a = model.size
    w, V = np.linalg.eigh(a * np.sqrt(model.N * model.lH / model.lW) * centring(model.C))
    W = np.zeros((model.C, model.P))
    W[:, : model.C - 1] = (V * np.sqrt(np.maximum(w, 0)))[:, 1:]
    h = np.sqrt(model.lW / (model.N * model.lH)) * W.T
    point = jax.tree.map(jax.numpy.asarray, {"W": W, "H": np.repeat(h, model.N, axis=1), "b": np.zeros(model.C)})
    gradient = jax.grad(model.loss)(point)
    assert max(float(abs(g).max()) for g in gradient.values()) < 1e-15
    assert float(model.loss(point)) == pytest.approx(float(model.predicted(point)[VALUE]), abs=1e-15)


def test_collapse_ends_at_the_threshold():
    at = Zhu(lW=0.0625, lH=0.2)  # C c = 1
    assert at.C * at.c == pytest.approx(1)
    assert Zhu(lW=0.0625, lH=0.2001).size == 0
    assert 0 < Zhu(lW=0.0625, lH=0.1999).size < 0.01
    assert float(Zhu(lW=0.1, lH=0.3).predicted({})[VALUE]) == pytest.approx(np.log(4), abs=1e-15)


def critical_points(model, seeds, minima):
    """Critical points by Levenberg and Marquardt's method on the gradient, and their Hessians.

    Of any kind, but for the first ones, which are minima of the loss by descent.
    """
    flat, build = ravel_pytree(model.start(0))
    loss = jax.jit(jax.value_and_grad(lambda x: model.loss(build(x))))
    gradient = jax.jit(jax.grad(lambda x: model.loss(build(x))))
    hessian = jax.jit(jax.hessian(lambda x: model.loss(build(x))))
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        x = rng.uniform(0.3, 2) * np.sqrt(model.size + 0.1) * rng.standard_normal(len(flat))
        if seed < minima:
            x = minimize(lambda x: tuple(map(np.asarray, loss(x))), x, jac=True, method="L-BFGS-B").x
        options = {"method": "lm", "xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "max_nfev": 300}
        found = least_squares(lambda x: np.asarray(gradient(x)), x, jac=lambda x: np.asarray(hessian(x)), **options)
        if np.abs(found.fun).max() < 1e-12:
            yield build(jax.numpy.asarray(found.x)), np.asarray(hessian(found.x))


def slope_by_the_logits(model, point):
    """G, with one column for each class: its examples coincide at a critical point, so its N columns are equal."""
    logits = np.asarray(point["W"] @ point["H"] + point["b"][:, None])
    G = np.exp(logits) / np.exp(logits).sum(axis=0) - np.eye(model.C)[:, model.labels]
    return G / (model.C * model.N)


@pytest.mark.parametrize(
    "model",
    [
        Zhu(C=3, P=2, N=1, lW=1e-3, lH=8e-4, lb=0.01),
        Zhu(C=3, P=2, N=2, lW=2e-2, lH=4e-2, lb=0.0),
        pytest.param(Zhu(C=3, P=2, N=1, lW=0.2, lH=0.3), marks=pytest.mark.slow),
        pytest.param(Zhu(C=4, P=3, N=1, lW=0.03, lH=0.1), marks=pytest.mark.slow),
        pytest.param(Zhu(C=4, P=4, N=1, lW=0.03, lH=0.1), marks=pytest.mark.slow),
    ],
    ids=lambda model: f"C={model.C}, P={model.P}, C c={model.C * model.c:.2g}",
)
def test_every_critical_point_but_the_minimum_is_a_strict_saddle_for_P_from_C_less_1(model):
    least, price, kinds = float(model.predicted({})[VALUE]), np.sqrt(model.lW * model.lH), set()
    for point, hessian in critical_points(model, 30, minima=3):
        G, W = slope_by_the_logits(model, point), np.asarray(point["W"])
        np.testing.assert_allclose(W.sum(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(G @ point["H"].T, -model.lW * W, atol=1e-11)
        excess, lowest = float(model.loss(point)) - least, np.linalg.eigvalsh(hessian)[0]
        rank, sigma = np.linalg.matrix_rank(W, tol=1e-5), np.linalg.svd(G, compute_uv=False)
        kinds.add((int(rank), excess < 1e-10))
        if rank < model.C - 1:
            length = np.sqrt(model.lH / model.lW) + np.sqrt(model.lW / model.lH)  # of (dW, dH), squared
            assert lowest <= 2 * (price - sigma[0]) / length + 1e-10
            assert lowest < -1e-3  # no degenerate one among them
            assert excess > 1e-4
        else:
            np.testing.assert_allclose(sigma[: model.C - 1], price, rtol=1e-6)
            assert abs(excess) < 1e-12
            assert lowest > -1e-12
    assert {(0, False), (1, False), (model.C - 1, True)} <= kinds


def test_below_C_less_1_dimensions_the_argument_fails():
    model = Zhu(C=4, P=2, N=1)
    ((point, hessian),) = critical_points(model, 1, minima=1)
    assert np.linalg.matrix_rank(point["W"], tol=1e-5) == 2
    assert np.linalg.eigvalsh(hessian)[0] > -1e-12  # a minimum, and yet
    sigma = np.linalg.svd(slope_by_the_logits(model, point), compute_uv=False)
    assert sigma[0] > 1.5 * np.sqrt(model.lW * model.lH)
    assert float(model.loss(point)) > float(model.predicted({})[VALUE]) + 1e-3
