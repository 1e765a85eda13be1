"""The time that a law implies: along the law k it is the increment of F_k.

    tau_k(t) = mean over j of F_k(omega_j(t)) - F_k(omega_j(t_0))

For large omega F_k is proportional to omega^4 for `riemannian`, to omega^2 for `renormalized`, and log omega for
`unnormalized`. Compared with a time axis x of the training, counted from t_0, it has an exponent p and R^2 in log tau =
p log x + const: gradient flow at a constant rate of time has p = 1 for the summed learning rate. tau_2 is the mean
growth of log omega, whatever moves omega: p describes a clock and is no evidence for a law.

Source: the laws are those of `central_path.laws`; the comparison is this project's.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from deepnet_runs.dynamics.law_of_run import increments


class Power(NamedTuple):
    """tau = const x^exponent, and the share R^2 of the variance of log tau that it explains."""

    exponent: float
    R2: float


def elapsed(omega: Float[np.ndarray, "T K"], k: float) -> Float[np.ndarray, " T"]:
    """tau_k of every epoch since the first, in units of C^2 N of the law's time."""
    return increments(omega, np.array([k]))[0].mean(axis=1)


def power(tau: Float[np.ndarray, " T"], x: Float[np.ndarray, " T"]) -> Power:
    """The power of x that is nearest to tau, where both are positive; NaN with fewer than 3 such epochs."""
    there = (tau > 0) & (x > 0)
    if np.count_nonzero(there) < 3:
        return Power(np.nan, np.nan)
    log_x, log_tau = np.log(x[there]), np.log(tau[there])
    exponent, constant = np.polyfit(log_x, log_tau, 1)
    residual = log_tau - exponent * log_x - constant
    return Power(float(exponent), float(1 - np.var(residual) / np.var(log_tau)))
