"""Limits and orders of sequences by extrapolation: exact where theory says so, and away from a wrong limit."""

import numpy as np
import pytest

from theory_checks.framework.extrapolation import fitted_limit, fitted_rate, limit, order

STEPS = 0.1 * 2.0 ** -np.arange(6.0)


def test_the_limit_of_a_polynomial_in_the_step_is_exact(seed):
    rng = np.random.default_rng(seed)
    coefficients = rng.standard_normal((6, 3))
    values = np.stack([h ** np.arange(6.0) @ coefficients for h in STEPS])
    np.testing.assert_allclose(limit(values), coefficients[0], atol=1e-11)
    assert np.min(np.abs(values[-1] - coefficients[0])) > 1e-8


def test_the_limit_of_another_series_is_near_and_a_fractional_power_is_not_removed():
    assert limit(np.exp(STEPS)) == pytest.approx(1.0, abs=1e-11)
    assert abs(limit(1 + np.sqrt(STEPS)) - 1) > 1e-3


@pytest.mark.parametrize("power", [0, 1, 2, 3])
def test_the_order_is_that_of_the_leading_power(power):
    assert order(STEPS**power * np.exp(3 * STEPS)) == pytest.approx(power, abs=1e-9)
    assert order(STEPS**power / (1 + 5 * STEPS)) == pytest.approx(power, abs=1e-3)


@pytest.mark.parametrize("rate", [-2.0, -0.5, 0.0])
def test_a_rate_is_fitted_beside_the_orders_that_follow_it(rate):
    t = np.geomspace(1e2, 1e6, 40)
    values = 7 * t**rate * (1 + 3 * t**-0.5)
    assert fitted_rate(t, values, step=0.5) == pytest.approx(rate, abs=1e-4)
    assert abs(np.polyfit(np.log(t), np.log(values), 1)[0] - rate) > 5e-3
    assert fitted_limit(t, values * t**-rate, step=0.5) == pytest.approx(7.0, abs=1e-9)
