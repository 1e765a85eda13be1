"""Predictions of later omega: those of the planted law are right, those of other laws and without a law are not."""

import numpy as np
import pytest
from planted_laws import C, N

from central_path.theory.laws import Law
from deepnet_runs.dynamics import forecast
from deepnet_runs.dynamics.law_of_run import advance

X = np.concatenate([[0.0], np.geomspace(0.5, 200, 20)])


def run(k, power=1.0, rate=0.5, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    omega0 = rng.uniform(4, 9, C - 1)
    t = C**2 * N * rate * X[:, None] ** power
    return np.asarray(Law(k, C, N).omega(t, omega0[None, :])) * np.exp(noise * rng.standard_normal((len(X), C - 1)))


@pytest.mark.parametrize("k", [0.0, 0.5, 1.0, 1.7, 2.0])
def test_advancing_by_the_time_of_a_law_is_that_law(k, seed):
    omega0 = np.random.default_rng(seed).uniform(0.1, 30, C - 1)
    for end in (0.0, 1e-3, 1.0, 30.0):
        tau = np.linspace(0, end, 7)
        expected = np.asarray(Law(k, C, N).omega(C**2 * N * tau[:, None], omega0[None, :]))
        np.testing.assert_allclose(advance(omega0, tau, k), expected, rtol=1e-8)


def test_beyond_k_2_omega_is_infinite_in_finite_time():
    ahead = advance(np.array([5.0, 6, 7]), np.array([0.0, 1e-3, 10]), 3.0)
    np.testing.assert_allclose(ahead[0], [5, 6, 7], rtol=1e-6)
    assert np.all(ahead[1] > ahead[0])
    assert np.all(np.isfinite(ahead[1]))
    assert np.all(np.isinf(ahead[2]))


@pytest.mark.parametrize("k", [0.0, 1.0])
@pytest.mark.parametrize("power", [1.0, 0.5])
def test_the_planted_law_predicts_later_epochs_once_its_clock_is_fitted(k, power):
    omega = run(k, power, noise=1e-4)
    free = power != 1
    own = forecast.by_law(omega, X, k, free_power=free)
    assert own.error < 1e-3
    assert own.fitted == 7
    others = [forecast.by_law(omega, X, other, free_power=free).error for other in (0.0, 1.0, 2.0) if other != k]
    naive = [forecast.constant(omega).error, forecast.line(omega, 10 + X).error]
    assert min(others + naive) > 5 * own.error
    if free:  # planted: a clock that is linear cannot be this one's
        assert forecast.by_law(omega, X, k, free_power=False).error > 5 * own.error


def test_predictions_without_a_law_are_exact_where_they_are_right():
    epochs = np.arange(1.0, 16)
    lines = np.exp(np.linspace(-1, 1, C - 1)) * epochs[:, None] ** np.linspace(0.1, 0.6, C - 1)
    assert forecast.line(lines, epochs).error < 1e-12
    assert forecast.constant(np.ones((15, C - 1))).error == 0
    later = lines[5:]
    expected = np.sqrt(np.mean(np.log(later / lines[4]) ** 2))
    assert forecast.constant(lines).error == pytest.approx(expected, rel=1e-12)


def test_a_window_without_later_epochs_is_refused():
    with pytest.raises(ValueError, match="at least 5 epochs to predict the last, got 4"):
        forecast.constant(np.ones((4, C - 1)))
