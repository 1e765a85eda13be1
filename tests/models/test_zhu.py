"""Cross-entropy with decay: the closed form, the threshold and the saddles, apart from the shared suite."""

import jax
import numpy as np
import pytest

from central_path.models.frames import centring
from central_path.models.model import VALUE
from central_path.models.zhu import Zhu


@pytest.mark.parametrize("model", [Zhu(), Zhu(C=3, P=2, N=7, lW=1e-3), Zhu(C=6, P=9, N=1)])
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
