"""The error at the Simplex ETF, and what follows from NC1 and NC2, apart from the shared suite."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from central_path.models.duality import covariances, limit, moments, nc3
from central_path.models.frames import simplex_etf
from central_path.models.model import VALUE
from central_path.models.papyan import Papyan


def test_the_etf_has_the_value_for_every_tau():
    for tau in (1e-3, 0.3, 10.0):
        model = Papyan(C=5, P=6, tau=tau)
        point = {"M": jnp.asarray(simplex_etf(5, 6))}
        assert float(model.loss(point)) == pytest.approx(float(model.predicted(point)[VALUE]), abs=1e-13)
        assert float(model.loss({"M": 0.99 * point["M"]})) > float(model.predicted(point)[VALUE])


def test_two_classes_err_by_one_tail():
    model = Papyan(C=2, P=1)
    for sigma in (0.02, 0.3, 1.0):
        assert model.log_error(sigma) == pytest.approx(norm.logsf(1 / sigma), rel=1e-10)
        assert model.bounds(sigma) == pytest.approx((norm.logsf(1 / sigma), norm.logsf(1 / sigma)))


def test_three_classes_err_outside_a_sector():
    sigma = 0.7  # noise of direction a from the axis meets the nearer border, whose normal is 30 degrees off it

    def outside(a):
        border = np.sqrt(3) / 2 / np.cos(a - np.pi / 6)
        return np.exp(-(border**2) / (2 * sigma**2)) / (2 * np.pi)

    total = 2 * quad(outside, 0, 2 * np.pi / 3)[0]
    assert np.exp(Papyan(C=3, P=2).log_error(sigma)) == pytest.approx(total, rel=1e-8)


@pytest.mark.parametrize(("C", "P", "holds"), [(4, 3, True), (4, 4, False), (2, 5, False), (3, 2, True)])
def test_duality_fails_in_the_limit_only_with_room_beside_the_means(C, P, holds):
    E = simplex_etf(C, P)
    S = covariances(E).generic
    assert nc3(moments(E, np.zeros((P, P)))) < 1e-12
    assert (nc3(moments(E, 1e-9 * S)) < 1e-6) == holds
    W = limit(E, S)
    assert (np.linalg.norm(W.T / np.linalg.norm(W) - E / np.linalg.norm(E)) < 1e-10) == holds
