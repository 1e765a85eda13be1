"""Predictions of later omega by a law from the omega of one epoch, with a clock fitted to the next few epochs.

From omega at the window's first epoch the law k gives every omega_j for every increment tau of its time, but not how
much of that time an epoch takes. So the clock tau = a x^p is fitted to the first few epochs, x the summed learning rate
(or the number of epochs) since the first: with p = 1, one parameter for all directions, or with p free, two. The error
is the root mean square of log omega predicted - log omega over the directions and later epochs. The law k = 2 predicts
a common growth factor. Two predictions without a law stand beside: omega stays what it was at the last fitted epoch;
log omega_j continues on a straight line in log epoch, two parameters for each direction.

Source: the laws are those of `central_path.laws`; the comparison is this project's.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from deepnet_runs.dynamics.law_of_run import advance

FEW = 1 / 3  # of the window's epochs, to which the clock is fitted; at least 3


class Forecast(NamedTuple):
    """Predicted omega at every epoch of a window, the number of epochs fitted to, and the error on the others."""

    omega: Float[np.ndarray, "T K"]
    fitted: int
    error: float  # root mean square of log omega, of the later epochs; infinite if the prediction is


def few(epochs: int) -> int:
    """How many of a window's epochs the clocks are fitted to, the first among them.

    Raises:
        ValueError: if no epoch is left to predict.
    """
    fitted = max(4, round(FEW * epochs))
    if fitted >= epochs:
        raise ValueError(
            f"Need a window of at least {fitted + 1} epochs to predict the last, got {epochs}: choose a longer one."
        )
    return fitted


def _with_error(forecast: np.ndarray, omega: np.ndarray, fitted: int) -> Forecast:
    with np.errstate(over="ignore"):
        miss = np.log(forecast[fitted:]) - np.log(omega[fitted:])
    return Forecast(forecast, fitted, float(np.sqrt(np.mean(miss**2))))


def by_law(omega: Float[np.ndarray, "T K"], x: Float[np.ndarray, " T"], k: float, *, free_power: bool) -> Forecast:
    """The law k from omega[0], its clock a x^p fitted to the first few epochs.

    x is 0 at the first epoch and grows. p is 1, or fitted too.

    Raises:
        ValueError: if the window is too short.
    """
    fitted = few(len(omega))

    def tau(log_a_p: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.exp(log_a_p[0]) * x ** (log_a_p[1] if free_power else 1.0)

    def miss(log_a_p: np.ndarray) -> np.ndarray:
        ahead = advance(omega[0], tau(log_a_p, x[1:fitted]), k)
        return (np.minimum(np.log(ahead), 1e3) - np.log(omega[1:fitted])).ravel()

    starts = np.log(np.logspace(-6, 3, 19) / x[fitted - 1])  # orders of magnitude apart: the best is refined
    start = min(starts, key=lambda log_a: float(np.sum(miss(np.array([log_a, 1.0])) ** 2)))
    found = least_squares(miss, [start, 1.0] if free_power else [start], bounds=_bounds(start, free_power)).x
    return _with_error(advance(omega[0], tau(found, x), k), omega, fitted)


def _bounds(start: float, free_power: bool) -> tuple[list[float], list[float]]:
    return ([start - 20, 0.05], [start + 20, 10.0]) if free_power else ([start - 20], [start + 20])


def constant(omega: Float[np.ndarray, "T K"]) -> Forecast:
    """The omega of the last fitted epoch, for every epoch.

    Raises:
        ValueError: if the window is too short.
    """
    fitted = few(len(omega))
    ahead = np.concatenate([omega[:fitted], np.repeat(omega[fitted - 1 : fitted], len(omega) - fitted, axis=0)])
    return _with_error(ahead, omega, fitted)


def line(omega: Float[np.ndarray, "T K"], epoch: Float[np.ndarray, " T"]) -> Forecast:
    """Each log omega_j continues on its own straight line in log epoch.

    Raises:
        ValueError: if the window is too short.
    """
    fitted = few(len(omega))
    slope, constant_term = np.polyfit(np.log(epoch[:fitted]), np.log(omega[:fitted]), 1)
    return _with_error(np.exp(slope * np.log(epoch)[:, None] + constant_term), omega, fitted)
