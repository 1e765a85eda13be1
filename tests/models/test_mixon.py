"""Free features without decay: end state, linear flow and escape, apart from the shared suite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.models.frames import simplex_etf
from central_path.models.mixon import Mixon, linearised
from central_path.models.optimise import downhill


def size(tree):
    return max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize("bias", [True, False])
def test_the_closed_form_rests_in_S_with_loss_zero(bias):
    model = Mixon(C=5, P=7, N=3, bias=bias)
    W = np.sqrt(0.8) * simplex_etf(5, 7).T if bias else np.eye(5, 7)
    W = jnp.asarray(3**0.25 * W)
    H = jnp.repeat(W.T, 3, axis=1) / np.sqrt(3)
    point = {"W": W, "H": H} | ({"b": jnp.full(5, 0.2)} if bias else {})
    assert float(model.loss(point)) < 1e-30
    assert size(downhill(model, point)) < 1e-14
    assert model.linear.angle(point) < 1e-15
    wanted = model.predicted(point)
    assert all(size(value - wanted[key]) < 1e-14 for key, value in model.measured(point).items())


@pytest.mark.parametrize("bias", [True, False])
def test_the_parts_are_eigenvectors_of_the_linear_flow(bias):
    model = Mixon(C=3, P=4, N=7, bias=bias)
    start = model.from_rest(5, 1.0)
    parts = model.linear.parts(start)
    for part, rate in zip(parts, (np.sqrt(7), -np.sqrt(7), 0.0), strict=True):
        velocity = linearised(model, model.rest() | part)
        assert size({key: velocity[key] - rate * part[key] for key in part}) < 1e-13
    assert size(start["H"] - sum(part["H"] for part in parts)) < 1e-14


def test_an_eigenvalue_is_half_way_at_the_escape_time():
    model, s = Mixon(), 1e-6
    t = np.log(model.linear.rate / s) / (2 * model.linear.rate)
    assert model.linear.logistic(s, np.array([t])) == pytest.approx(model.linear.rate / 2, rel=1e-6)


def test_too_few_dimensions_leave_some_loss():
    model = Mixon(C=4, P=2, N=2, aligned=True, eps=0.1)
    end = model.follow(model.start(0), 30.0).point  # W W^T = sqrt(N) times a projection of rank P
    assert np.linalg.eigvalsh(np.asarray(end["W"] @ end["W"].T)) == pytest.approx([0, 0, 2**0.5, 2**0.5], abs=1e-8)
    assert float(model.loss(end)) == pytest.approx(1.0, abs=1e-8)  # half of N, for the direction that is lost
