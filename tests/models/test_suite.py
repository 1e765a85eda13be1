"""What every model must be: its constraint, its descent, its gradient, its prediction, and the fault that must show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.comparison import FAULT_FACTOR
from central_path.models.catalogue import CLASSES, load
from central_path.models.model import METRICS, comparisons, observe

NAMES = tuple(CLASSES)
INSTANCES = [  # the first of each model, and all of them in the slow command
    pytest.param(instance, id=f"{name}-{i}", marks=pytest.mark.slow if i else ())
    for name in NAMES
    for i, instance in enumerate(load(name).instances())
]
LONG = {"ergen", "hui", "poggio"}  # whose run is long
FIRST = [
    pytest.param(load(name).instances()[0], id=name, marks=pytest.mark.slow if name in LONG else ()) for name in NAMES
]


@pytest.fixture(scope="module", params=INSTANCES)
def model(request):
    """A model, for all tests of it in turn, so that its programs are compiled once."""
    return request.param


@pytest.fixture(scope="module", params=FIRST)
def first(request):
    """The first instance of a class."""
    return request.param


def distance(a, b):
    return max(float(np.max(np.abs(np.asarray(a[key]) - np.asarray(b[key])))) for key in a)


constrain = jax.jit(lambda model, point: model.constrain(point), static_argnums=0)
observed = jax.jit(observe, static_argnums=0)
loss_and_gradient = jax.jit(lambda model, point: jax.value_and_grad(model.loss)(point), static_argnums=0)


def test_a_start_meets_the_constraint_and_is_of_its_seed(model):
    start = model.start(3)
    assert distance(constrain(model, start), start) < 1e-12
    assert distance(model.start(3), start) == 0
    assert distance(model.start(4), start) > 0


def test_the_constraint_brings_back_what_has_left_it_and_then_changes_nothing(model):
    point = {key: jnp.asarray(3 * np.asarray(value) + 0.5) for key, value in model.start(0).items()}
    once = constrain(model, point)
    assert distance(constrain(model, once), once) < 1e-12
    assert np.isfinite(float(loss_and_gradient(model, once)[0]))


def test_the_gradient_is_that_of_differences(model):
    point = model.start(1)
    rng = np.random.default_rng(0)
    direction = {key: rng.standard_normal(value.shape) for key, value in point.items()}
    value, gradient = loss_and_gradient(model, point)
    slope = sum(np.sum(np.asarray(gradient[key]) * direction[key]) for key in point)
    h = 1e-6
    ahead, behind = (
        float(loss_and_gradient(model, {key: point[key] + jnp.asarray(s * h * direction[key]) for key in point})[0])
        for s in (1, -1)
    )
    scale = abs(slope) + abs(float(value)) + 1e-3
    assert abs((ahead - behind) / (2 * h) - slope) < 1e-6 * scale


def test_the_run_descends_to_what_is_predicted_and_a_planted_fault_shows(first):
    start = first.start(0)
    path = first.run(start)
    losses = path.ys["loss"]
    assert set(path.ys) == {"loss", *METRICS}
    assert losses[-1] <= losses[0]
    end, _ = loss_and_gradient(first, path.point)
    assert float(end) == pytest.approx(losses[-1], rel=1e-8, abs=1e-12)  # a flow drifts a little
    assert distance(constrain(first, path.point), path.point) < 1e-12
    found = comparisons(first, path.point)
    assert all(comparison.agrees for comparison in found), found
    assert any(comparison.fault_caught for comparison in found), found
    before = comparisons(first, start)
    assert any(comparison.residual > FAULT_FACTOR * comparison.tolerance for comparison in before), before


def test_collapse_is_measured_on_its_own_layer(first):
    W, b, features, labels = first.layer(first.start(0))
    assert W.shape == (len(b), features.shape[1])
    assert len(features) == len(labels)
    assert set(np.unique(labels)) == set(range(len(b)))
    assert set(observed(first, first.start(0))) == {"loss", *METRICS}


QUICK = {"e_wojtowytsch"}  # facts of the others are long runs


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in NAMES])
def test_every_fact_holds_and_its_fault_would_show(name):
    for fact in load(name).facts():
        assert fact.agrees, fact
        assert fact.holds, fact
        assert fact.reason
