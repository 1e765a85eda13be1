"""The time that a law implies is the time that it was planted with, and only for that law."""

import numpy as np
import pytest
from planted_laws import C, N

from central_path.theory.laws import Law
from deepnet_runs.dynamics import clock

TIMES = np.geomspace(1, 2000, 12) - 1


def run(k, power, seed=0):
    """omega along the law k whose time goes as x^power."""
    omega0 = np.random.default_rng(seed).uniform(4, 9, C - 1)
    return np.asarray(Law(k, C, N).omega(C**2 * N * TIMES[:, None] ** power, omega0[None, :]))


@pytest.mark.parametrize("k", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("power", [0.5, 1.0])
def test_the_planted_clock_is_found_for_its_own_law_alone(k, power):
    if k == 2:
        power /= 4  # or omega would overflow
    omega = run(k, power)
    tau = clock.elapsed(omega, k)
    np.testing.assert_allclose(tau, TIMES**power, rtol=1e-9, atol=1e-12)
    found = clock.power(tau, TIMES)
    assert abs(found.exponent - power) < 1e-8
    assert found.R2 > 1 - 1e-12
    other = clock.power(clock.elapsed(omega, 2 - k if k != 1 else 0.0), TIMES)
    assert abs(other.exponent - power) > 0.01


def test_a_power_of_noise_explains_little_and_of_nothing_is_nothing():
    rng = np.random.default_rng(0)
    assert clock.power(rng.uniform(1, 2, 50), rng.uniform(1, 2, 50)).R2 < 0.3
    assert np.isnan(clock.power(np.zeros(5), np.arange(5.0)).exponent)


def test_where_directions_differ_the_time_is_their_mean():
    omega = np.exp(np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 6.0]]))
    np.testing.assert_allclose(clock.elapsed(omega, 2.0), [0, 3], rtol=1e-12)  # F_2 is log omega
