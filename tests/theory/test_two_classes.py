"""Two classes of any priors: the time of their own against direct integration, and the laws of balanced classes."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from central_path.theory.laws import Law
from central_path.theory.two_classes import POWERS, TwoClasses, time_of_omega

PI, P, n = np.array([0.1, 0.9]), 3, 60


def draw(seed):
    rng = np.random.default_rng(seed)
    F = rng.standard_normal((P, P))
    return rng.standard_normal((P, 2)), F @ F.T / P + 0.1 * np.eye(P)


def by_definition(M, Sigma_W, flow, b, t):
    """omega at t from dL/dbeta and dL/dSigma_W of L = tau/(2 (1 + rho)), written out for one column."""
    tau, spread = 2 * PI[0] * PI[1], (PI[0] ** 2 + PI[1] ** 2) / (PI[0] * PI[1])
    beta0 = np.sqrt(PI[0] * PI[1]) * (M[:, 0] - M[:, 1])

    def velocity(_, state):
        beta, Sigma = state[:P], state[P:].reshape(P, P)
        y = np.linalg.solve(Sigma, beta)
        unit = tau / (n * (1 + beta @ y) ** 2)
        left = b * unit * np.outer(y, y)
        moved = {"unnormalized": -(left @ Sigma + Sigma @ left)}.get(flow, 0 * Sigma)
        return np.concatenate([unit * y + (left @ beta if flow == "renormalized" else 0), moved.ravel()])

    start = np.concatenate([beta0, Sigma_W.ravel()])
    path = solve_ivp(velocity, (0, t[-1]), start, method="DOP853", t_eval=t, rtol=1e-11, atol=1e-13).y
    return np.array([np.sqrt(spread * s[:P] @ np.linalg.solve(s[P:].reshape(P, P), s[:P])) for s in path.T])


@pytest.mark.parametrize("b", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("flow", POWERS)
def test_the_closed_form_is_the_flow(flow, b):
    M, Sigma_W = draw(1)
    t = np.linspace(0, 200 / max(1.0, b**2), 6)
    two = TwoClasses.of(M, Sigma_W, PI, n=n, flow=flow, b=b)
    expected = by_definition(M, Sigma_W, flow, b, t)
    np.testing.assert_allclose(two.omega(t), expected, rtol=1e-8)  # the integrator's, a hundred of its tolerances
    balanced = TwoClasses.of(M, Sigma_W, np.array([0.5, 0.5]), n=n, flow=flow, b=b)
    assert np.max(np.abs(balanced.omega(t) / expected - 1)) > 0.02


@pytest.mark.parametrize("flow", ["renormalized", "riemannian"])
def test_one_long_way_is_many_short_ones_where_a_direction_has_little_variance(flow):
    """Over 40 decades of time: stretches are as short as the fastest direction needs, and no shorter."""
    M, _ = draw(2)
    two = TwoClasses.of(M, np.diag([1e-3, 1.0, 2.0]), PI, n=n, flow=flow, b=0.5)
    many = two.omega(np.geomspace(1e-3, 1e40, 600))
    np.testing.assert_allclose(two.omega(np.array([1e40])), many[-1], rtol=1e-12)


def test_the_unnormalized_flow_has_an_end_beyond_which_nothing_is_resolved():
    M, Sigma_W = draw(1)
    omega = TwoClasses.of(M, Sigma_W, PI, n=n, flow="unnormalized").omega(np.array([1e2, 1e30, 1e40]))
    assert omega[0] < 1e3 < omega[1] <= omega[2]
    two = TwoClasses.of(M, Sigma_W, PI, n=n, flow="unnormalized", b=0.5)
    theta = np.linspace(0, 100 * two.s[0], 10_000)
    left = 1 - 0.5 * two.kappa(theta)  # of the between-class share: the classes are separated where nothing is
    assert left[0] > 0 > left[-1]
    np.testing.assert_array_equal(np.isinf(two.rho(theta)), left <= 0)


@pytest.mark.parametrize("flow", POWERS)
def test_rates_of_means_and_deviations_are_units_of_time_together(flow):
    """With the mobilities (a, b) time runs a times as fast as with (1, b/a)."""
    M, Sigma_W = draw(1)
    t = np.linspace(0, 50, 4)
    fast = TwoClasses.of(M, Sigma_W, PI, n=n, flow=flow, a=3.0, b=0.6).omega(t)
    np.testing.assert_allclose(fast, TwoClasses.of(M, Sigma_W, PI, n=n, flow=flow, b=0.2).omega(3 * t), rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize("flow", POWERS)
def test_the_unit_of_features_is_a_unit_of_time(flow, scale):
    """Features in units that are 1/scale as large have the same omega, scale^2 later."""
    M, Sigma_W = draw(1)
    t = np.linspace(0, 200, 4)
    expected = TwoClasses.of(M, Sigma_W, PI, n=n, flow=flow, b=0.5).omega(t)
    scaled = TwoClasses.of(scale * M, scale**2 * Sigma_W, PI, n=n, flow=flow, b=0.5)
    np.testing.assert_allclose(scaled.omega(scale**2 * t), expected, rtol=1e-12)


@pytest.mark.parametrize("b", [0.0, 1e-9, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("flow", POWERS)
def test_forward_and_inverse_agree_where_the_direction_stays(flow, b):
    M = np.array([[1.0, -1.0], [0.0, 0.0]])
    square = PI[0] * PI[1] * 4
    Sigma_W = np.eye(2) - (b if flow == "unnormalized" else 0.0) * square * np.diag([1.0, 0.0])
    two = TwoClasses.of(M, Sigma_W, PI, n=n, flow=flow, b=b)
    t = np.geomspace(1e-3, 100, 5)
    omega = two.omega(t)
    np.testing.assert_allclose(time_of_omega(omega, two.omega(np.zeros(1))[0], PI, n=n, flow=flow, b=b), t, rtol=1e-9)


@pytest.mark.parametrize(("flow", "k"), [("riemannian", 0), ("renormalized", 1), ("unnormalized", 2)])
def test_equal_priors_give_the_laws(flow, k):
    law = Law(k, 2, n // 2)
    t = np.geomspace(1.0, 1e4, 7)
    omega = 0.5 * np.exp(np.asarray(law.growth(jnp.asarray(t), jnp.asarray(0.5))))
    found = time_of_omega(omega, 0.5, np.array([0.5, 0.5]), n=n, flow=flow)
    np.testing.assert_allclose(found, t, rtol=1e-10)


def test_an_unknown_flow_is_refused():
    with pytest.raises(ValueError, match=r"^Need a flow among unnormalized, renormalized, riemannian, got 'plain'"):
        TwoClasses.of(*draw(1), PI, n=n, flow="plain")


@pytest.mark.parametrize("last", [1.0, 1e3, 1e8])
def test_the_quadrature_is_the_elementary_integral_over_any_range(last):
    """At r = 0, where the elementary form has positive terms and does not cancel: 50 roundings from omega = 1e-6."""
    x0, x = (PI[0] * PI[1] / (PI @ PI) * omega**2 for omega in (1e-6, last))
    exact = np.log(x / x0) + 2 * (x - x0) + (x**2 - x0**2) / 2
    found = time_of_omega(np.array([last]), 1e-6, PI, n=n, flow="riemannian")
    np.testing.assert_allclose(found, n / (4 * PI[0] * PI[1]) * exact, rtol=1e-14)
