"""The normalised linear network: ridge regression is where its flow rests, and rho is in closed form there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.models.homogeneous import spheres
from central_path.models.model import VALUE
from central_path.models.poggio import Poggio


def test_aligned_layers_of_the_ridge_regression_are_at_rest():
    model = Poggio()
    w = model.ridge(model.decay)
    rng = np.random.default_rng(0)
    a, b = (v / np.linalg.norm(v) for v in rng.standard_normal((2, model.m)))
    layers = {"V1": np.outer(a, w / np.linalg.norm(w)), "V2": np.outer(b, a), "V3": b[None, :]}
    point = jax.tree.map(jnp.asarray, layers | {"rho": np.asarray(np.linalg.norm(w))})
    assert max(float(jnp.max(jnp.abs(v))) for v in spheres(model, point).values()) < 1e-12
    assert float(model.loss(point)) == pytest.approx(float(model.predicted(point)[VALUE]), rel=1e-13)
    off = point | {"rho": 1.01 * point["rho"]}
    assert max(float(jnp.max(jnp.abs(v))) for v in spheres(model, off).values()) > 1e-3
