"""Norm bounds: the minimum and its free row, the projection, and the two-layer counter-example."""

import jax.numpy as jnp
import numpy as np
import pytest

from central_path.models import two_layer
from central_path.models.e_wojtowytsch import EWojtowytsch
from central_path.models.frames import centring, labels_of
from central_path.models.model import VALUE, residuals

SIZES = [EWojtowytsch(), EWojtowytsch(C=3, P=2, N=2), EWojtowytsch(C=5, P=5, N=1)]


def minimiser(model, row=0.0):
    """The closed form, with a free mean row of a norm."""
    C, P = model.C, model.P
    Q = np.linalg.qr(np.hstack([np.ones((C, 1)), np.eye(C)[:, 1:]]))[0][:, 1:]
    W = Q @ np.eye(C - 1, P)
    H = np.sqrt(C / (C - 1)) * W.T[:, labels_of(C, model.N)]
    W[:, -1] += row / np.sqrt(C)
    return {"W": jnp.asarray(W), "H": jnp.asarray(H)}


@pytest.mark.parametrize("model", SIZES)
def test_the_closed_form_meets_the_bounds_and_the_prediction(model):
    point = minimiser(model)
    assert float(jnp.linalg.norm(point["W"], ord=2)) == pytest.approx(1)
    np.testing.assert_allclose(jnp.linalg.norm(point["H"], axis=0), 1)
    assert max(residuals(model, point).values()) < 1e-14


@pytest.mark.parametrize("row", [0.5, 1.0])
def test_the_mean_row_of_W_is_free(row):
    model = EWojtowytsch()
    point = minimiser(model, row)
    assert float(jnp.linalg.norm(point["W"], ord=2)) == pytest.approx(1)
    assert max(residuals(model, point).values()) < 1e-14
    assert float(jnp.max(jnp.abs(point["W"] @ point["W"].T - centring(4)))) == pytest.approx(row**2 / 4)


def test_no_point_within_the_bounds_is_below_the_value():
    model = EWojtowytsch()
    least = float(model.predicted({})[VALUE])
    assert all(float(model.loss(model.start(seed))) > least for seed in range(12))


def test_the_projection_is_the_nearest_point():
    model, rng = EWojtowytsch(C=3, P=4, N=1), np.random.default_rng(0)
    far = {"W": jnp.asarray(3 * rng.normal(size=(3, 4))), "H": jnp.asarray(rng.normal(size=(4, 3)))}
    near = model.constrain(far)
    for seed in range(20):
        other = model.start(seed)
        for key in far:  # an obtuse angle to every point of a convex set
            assert float(jnp.sum((far[key] - near[key]) * (other[key] - near[key]))) < 1e-12
    inside = {key: 0.1 * value / jnp.linalg.norm(value) for key, value in far.items()}
    for key, value in model.constrain(inside).items():
        np.testing.assert_array_equal(value, inside[key])


def test_the_widest_margin_is_reached_by_two_neurons_and_not_below():
    norm, f = two_layer.widest_margin()
    two = two_layer.features(np.radians([45.0, 135.0])) @ np.array([1, -1]) / np.sqrt(2)
    np.testing.assert_allclose(two, [-1, 1, 1.5], atol=1e-15)
    np.testing.assert_allclose(f, two, atol=1e-7)
    assert norm == pytest.approx(float(np.sum(two_layer.WEIGHTS)), abs=1e-7)  # the dual value
    assert two_layer.widest_margin(equal=True)[0] / norm == pytest.approx(1.5, abs=1e-7)


def test_training_a_two_layer_network_keeps_a_class_apart():
    seen = two_layer.train(width=50, seed=1, checks=(1000, 20_000))
    assert abs(seen.ratio[1] - 1.5) < abs(seen.ratio[0] - 1.5) < 0.1
    assert np.sqrt(2) < seen.norm[1] < seen.norm[0] < 1.43
