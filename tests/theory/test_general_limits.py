"""End states for any priors: the minimum of the decayed loss over W and H, and the ETF of equal priors."""

import numpy as np
import pytest
from scipy.optimize import minimize

from central_path.theory import general_limits

PI, n = np.array([0.1, 0.2, 0.7]), 20
EQUAL = np.full(3, 1 / 3)
LIMITS = {
    "riemannian": lambda pi: general_limits.late_gram(pi, 9.0, n=n, flow="riemannian"),
    "renormalized": lambda pi: general_limits.late_gram(pi, 9.0, n=n, flow="renormalized", b=0.3),
    "decay of W": lambda pi: general_limits.late_gram(pi, 9.0, n=n, flow="unnormalized", lam=0.1),
    "both decays": lambda pi: general_limits.decayed_gram(pi, n=n, lam=0.01, lam_H=0.01),
    "SELI": general_limits.seli_gram,
}


@pytest.mark.parametrize("name", LIMITS)
def test_equal_priors_end_in_a_simplex_etf_and_others_do_not(name):
    etf = np.where(np.eye(3) > 0, 1.0, -0.5)
    norms, cosines = general_limits.norms_and_cosines(LIMITS[name](EQUAL), EQUAL)
    np.testing.assert_allclose(cosines, etf, atol=1e-12)
    np.testing.assert_allclose(norms, norms[0], rtol=1e-12)
    norms, cosines = general_limits.norms_and_cosines(LIMITS[name](PI), PI)
    assert np.max(np.abs(cosines - etf)) > 0.05
    assert np.ptp(norms) > 0.05 * norms[0]


def slow_minimum(pi, lam, lam_H, seed):
    """Over W (3, 2), collapsed features M (2, 3) and a bias without decay, by L-BFGS."""

    def loss(z):
        W, M, b = z[:6].reshape(3, 2), z[6:12].reshape(2, 3), z[12:]
        errors = W @ M + b[:, None] - np.eye(3)
        value = 0.5 * np.sum(pi * errors**2) + 0.5 * lam * np.sum(W**2) + 0.5 * lam_H * n * np.sum(pi * M**2)
        of_W = (errors * pi) @ M.T + lam * W
        of_M = W.T @ errors * pi + lam_H * n * pi * M
        return value, np.concatenate([of_W.ravel(), of_M.ravel(), errors @ pi])

    start = np.random.default_rng(seed).standard_normal(15)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-16, "gtol": 1e-10, "maxiter": 10000})
    M = found.x[6:12].reshape(2, 3)
    Mbar = M - (M @ pi)[:, None]
    return (np.sqrt(pi) * Mbar).T @ (np.sqrt(pi) * Mbar)


@pytest.mark.parametrize("lam_H", [1e-3, 0.05, 0.2, 0.6])  # none, none, one and both directions are lost
def test_the_decayed_end_is_the_minimum_over_classifier_and_features(lam_H):
    lam = 0.05
    expected = general_limits.decayed_gram(PI, n=n, lam=lam, lam_H=lam_H)
    found = slow_minimum(PI, lam, lam_H, seed=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # the minimum is quadratic
    faulty = general_limits.decayed_gram(np.roll(PI, 1), n=n, lam=lam, lam_H=lam_H)
    assert lam_H == 0.6 or np.max(np.abs(found - faulty)) > 1e-3


def test_ends_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"^Need riemannian, renormalized, or unnormalized with lam > 0"):
        general_limits.late_gram(PI, 1.0, n=n, flow="unnormalized")
    with pytest.raises(ValueError, match=r"^Need lam > 0 and lam_H > 0"):
        general_limits.decayed_gram(PI, n=n, lam=0.1, lam_H=0.0)
