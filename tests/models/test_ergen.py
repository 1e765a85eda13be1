"""Batch norm, ReLU and decay: the closed form is critical and least, apart from the shared suite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.models.ergen import Ergen
from central_path.models.model import VALUE, random_point


def optimum(model):
    N, n = np.array(model.sizes), model.n
    s = np.maximum(np.sqrt(N) - model.decay, 0)
    on = np.eye(len(N))[:, model.labels]
    point = {"A": on, "gamma": np.sqrt(s * (1 - N / n)), "alpha": np.sqrt(s * N / n), "W": np.diag(np.sqrt(s))}
    return model.constrain(jax.tree.map(jnp.asarray, point))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(Ergen(m=4), marks=pytest.mark.slow),
        pytest.param(Ergen(sizes=(7, 3, 1), m=3, decay=0.9), marks=pytest.mark.slow),
        Ergen((5, 4, 1), 3, decay=2.1),
    ],
)
def test_the_closed_form_is_a_critical_point_with_its_value(model):
    point = optimum(model)
    assert float(model.loss(point)) == pytest.approx(float(model.predicted(point)[VALUE]), abs=1e-13)
    gradient = jax.grad(model.loss)(point)
    assert max(float(abs(g).max()) for g in gradient.values()) < 1e-14
    wanted = model.predicted(point)
    assert all(float(jnp.max(jnp.abs(x - wanted[key]))) < 1e-14 for key, x in model.measured(point).items())


def test_no_point_is_below_it():
    model = Ergen((5, 3, 1), m=6, decay=1.1)
    for seed, scale in enumerate((0.01, 0.3)):
        noise = random_point(seed, {key: x.shape for key, x in model.start(0).items()}, scale)
        best = optimum(Ergen((5, 3, 1), m=3, decay=1.1))
        padded = {
            key: noise[key] + jnp.pad(x, [(0, a - b) for a, b in zip(noise[key].shape, x.shape, strict=True)])
            for key, x in best.items()
        }
        assert float(model.loss(padded)) > float(model.predicted({})[VALUE])


def test_a_class_is_given_up_at_its_root():
    for decay, kept in ((1.99, True), (2.0, False), (2.5, False)):
        logits = np.asarray(Ergen((9, 4), decay=decay).predicted({})["W F"])
        assert (logits[1].max() > 0) == kept
        assert logits[0].max() > 0


def test_framework_normalisation_scales_gamma_and_alpha_and_their_decay():
    model = Ergen((3, 4), m=5, decay=0.7)
    point, n = model.start(0), model.n
    A, gamma, alpha, W = (np.asarray(point[key]) for key in ("A", "gamma", "alpha", "W"))
    gamma, alpha = gamma / np.sqrt(n), alpha / np.sqrt(n)  # theirs
    u = (A - A.mean(1, keepdims=True)) / A.std(1, keepdims=True)
    F = np.maximum(gamma[:, None] * u + alpha[:, None], 0)
    error = W @ F - np.eye(2)[:, model.labels]
    decay = model.decay * (n * np.sum(gamma**2) + n * np.sum(alpha**2) + np.sum(W**2))
    assert float(model.loss(point)) == pytest.approx((np.sum(error**2) + decay) / 2)


def test_lost_examples_and_classes_have_their_price():
    model = Ergen(m=4)
    point = optimum(model)
    point["W"] = point["W"].at[0].set(0.0)
    assert model.above(point) == pytest.approx((np.sqrt(6) - 0.5) ** 2 / 2)
    assert model.above(optimum(model)) == 0
