"""What every model must be: its constraint, its descent, its gradient, its prediction, and the fault that must show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.comparison import FAULT_FACTOR
from central_path.models.catalogue import CLASSES, load
from central_path.models.model import METRICS, comparisons, observe

NAMES = tuple(CLASSES)
INSTANCES = [
    pytest.param(instance, id=f"{name}-{i}") for name in NAMES for i, instance in enumerate(load(name).instances())
]
FIRST = [pytest.param(load(name).instances()[0], id=name) for name in NAMES]


def distance(a, b):
    return max(float(jnp.max(jnp.abs(a[key] - b[key]))) for key in a)


@pytest.mark.parametrize("model", INSTANCES)
def test_a_start_meets_the_constraint_and_is_of_its_seed(model):
    start = model.start(3)
    assert distance(model.constrain(start), start) < 1e-12
    assert distance(model.start(3), start) == 0
    assert distance(model.start(4), start) > 0


@pytest.mark.parametrize("model", INSTANCES)
def test_the_constraint_brings_back_what_has_left_it_and_then_changes_nothing(model):
    point = jax.tree.map(lambda value: 3 * value + 0.5, model.start(0))
    once = model.constrain(point)
    assert distance(model.constrain(once), once) < 1e-12
    assert np.isfinite(float(model.loss(once)))


@pytest.mark.parametrize("model", INSTANCES)
def test_the_gradient_is_that_of_differences(model):
    point = model.start(1)
    rng = np.random.default_rng(0)
    direction = {key: jnp.asarray(rng.standard_normal(value.shape)) for key, value in point.items()}
    gradient = jax.grad(model.loss)(point)
    slope = float(sum(jnp.sum(gradient[key] * direction[key]) for key in point))
    h = 1e-6
    ahead, behind = (
        float(model.loss(jax.tree.map(lambda p, d, s=s: p + s * h * d, point, direction))) for s in (1, -1)
    )
    scale = abs(slope) + abs(float(model.loss(point))) + 1e-3
    assert abs((ahead - behind) / (2 * h) - slope) < 1e-6 * scale


@pytest.mark.parametrize("model", FIRST)
def test_the_run_descends_to_what_is_predicted_and_a_planted_fault_shows(model):
    start = model.start(0)
    path = model.run(start)
    losses = path.ys["loss"]
    assert set(path.ys) == {"loss", *METRICS}
    assert losses[-1] <= losses[0]
    assert float(model.loss(path.point)) == pytest.approx(losses[-1], rel=1e-8, abs=1e-12)  # a flow drifts a little
    assert distance(model.constrain(path.point), path.point) < 1e-12
    found = comparisons(model, path.point)
    assert all(comparison.agrees for comparison in found), found
    assert any(comparison.fault_caught for comparison in found), found
    before = comparisons(model, start)
    assert any(comparison.residual > FAULT_FACTOR * comparison.tolerance for comparison in before), before


@pytest.mark.parametrize("model", FIRST)
def test_collapse_is_measured_on_its_own_layer(model):
    W, b, features, labels = model.layer(model.start(0))
    assert W.shape == (len(b), features.shape[1])
    assert len(features) == len(labels)
    assert set(np.unique(labels)) == set(range(len(b)))
    assert set(observe(model, model.start(0))) == {"loss", *METRICS}


@pytest.mark.parametrize("name", NAMES)
def test_every_fact_holds_and_its_fault_would_show(name):
    for fact in load(name).facts():
        assert fact.agrees, fact
        assert fact.holds, fact
        assert fact.reason
