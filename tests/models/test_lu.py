"""Cross-entropy on spheres: the bound on random points, the minimum, and where the statement ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.models.lu import Lu
from central_path.models.model import VALUE

SIZES = [Lu(C=3, P=2), Lu(C=6, P=9, a=0.5, r=3.0), Lu(balls=True)]


@pytest.mark.parametrize("model", SIZES[:2])
def test_the_etf_is_critical_on_the_spheres_and_has_the_value(model):
    point = model.etf()
    gradient = jax.jit(jax.grad(model.on_spheres))(point)
    assert max(float(jnp.max(jnp.abs(g))) for g in gradient.values()) < 1e-15
    assert float(model.loss(point)) == pytest.approx(float(model.predicted(point)[VALUE]), abs=1e-15)


def losses_of_starts(model, starts=20):
    """Of many random points of the constraint."""
    points = [model.start(seed) for seed in range(starts)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *points)
    return jax.jit(jax.vmap(model.loss))(stacked)


@pytest.mark.parametrize("model", SIZES)
def test_no_point_of_the_constraint_is_below_the_value(model):
    least = float(model.predicted({})[VALUE])
    assert float(jnp.min(losses_of_starts(model))) > least


@pytest.mark.parametrize("model", [Lu(C=2, P=3), Lu(C=5, P=7)])
def test_only_rotations_leave_the_minimum_flat(model):
    values = model.curvatures()
    assert np.sum(np.abs(values) < 1e-10) == model.flat_directions
    assert values[0] > -1e-12
    assert values[model.flat_directions] == pytest.approx(model.rate, rel=1e-10)


def test_on_a_line_the_spheres_are_two_points_and_nothing_moves():
    model = Lu(C=2, P=1)
    gradient = jax.jit(jax.grad(model.on_spheres))(model.start(0))
    assert max(float(jnp.max(jnp.abs(g))) for g in gradient.values()) < 1e-15
    assert float(jnp.max(losses_of_starts(model))) > float(model.predicted({})[VALUE]) + 0.5


def test_a_point_in_the_balls_stays():
    model = Lu(balls=True)
    point = {"W": 0.3 * model.etf()["W"], "M": model.etf()["M"] * 2}
    kept = model.constrain(point)
    np.testing.assert_array_equal(kept["W"], point["W"])
    np.testing.assert_allclose(kept["M"], model.etf()["M"], atol=1e-15)
