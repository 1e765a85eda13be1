"""How long to integrate where no law exists: each direction by itself, from what is measured at the start.

Along a right singular vector v_j of the whitened class means, with x_j = omega_j^2/C in the balanced case,

    beta_j^2 = v_j^T B_c^T B_c v_j      A_j = beta_j^2/x_j      tau_j = v_j^T T v_j      sigma_j^2 = A_j - lambda

the moments of one direction move as d log beta/dt = (tau/n) (a A + b_o beta^2)/(A + beta^2)^2 and d log sigma/dt = -b
(tau/n) beta^2/(A + beta^2)^2. That is exact where the singular vectors stay, and a guess of the time where they turn.
The default horizon is the time in which every beta/sigma has grown tenfold by it, and no omega beyond 2e3, or
twice what it is at the start.

NumPy only.
"""

import numpy as np
from jaxtyping import Float

from central_path.flows.horizon import TENFOLD, Horizon

LARGEST_OMEGA = 2e3  # rounding of the constant matrix is eps omega^2/C of omega
POWER = 4.0  # of the clock: that of the slowest growth, t^(1/4)
LEAST_GROWTH = 2.0  # of an omega that is that large from the start
STEPS = 400
LEAST = 1e-6  # of A: the within-class variance that a direction without any is taken to have


def times_of_growth(
    growth: Float[np.ndarray, " K"],
    beta: Float[np.ndarray, " K"],
    A: Float[np.ndarray, " K"],
    speed: Float[np.ndarray, " K"],
    *,
    lam: float,
    rates: tuple[float, float, float],
) -> Float[np.ndarray, " K"]:
    """The time in which log(beta/sigma) grows by `growth`; rates are a, the moving b and the oblique b."""
    a, moving, oblique = rates
    log_beta, log_sigma = np.log(beta), np.log(np.maximum(A - lam, LEAST * A)) / 2
    ds, t = growth / STEPS, np.zeros_like(beta)

    def slopes(log_beta, log_sigma):
        square, within = np.exp(2 * log_beta), np.exp(2 * log_sigma) + lam
        unit = speed / (within + square) ** 2
        up, down = unit * (a * within + oblique * square), -moving * unit * square
        return up / (up - down), down / (up - down), 1 / (up - down)

    for _ in range(STEPS):  # Heun's midpoint rule
        first = slopes(log_beta, log_sigma)
        up, down, slowness = slopes(log_beta + ds / 2 * first[0], log_sigma + ds / 2 * first[1])
        log_beta, log_sigma, t = log_beta + ds * up, log_sigma + ds * down, t + ds * slowness
    return t


def horizon(
    omega: Float[np.ndarray, " K"],
    beta: Float[np.ndarray, " K"],
    A: Float[np.ndarray, " K"],
    speed: Float[np.ndarray, " K"],
    *,
    lam: float,
    rates: tuple[float, float, float],
    t_max: float | None,
) -> Horizon:
    """A given horizon, or that of this module's page, and the clock. omega (K,) are finite and positive.

    Raises:
        ValueError: if all class means coincide.
    """
    a, moving, oblique = rates
    square = beta**2
    rate = speed * (a * A + (oblique + moving) * square) / (A + square) ** 2
    if not len(omega):
        raise ValueError("Need class means that differ, got none that do: nothing grows; drop or merge classes.")
    if t_max is None:
        sizes = {"lam": lam, "rates": rates}
        every = times_of_growth(np.full_like(omega, TENFOLD), beta, A, speed, **sizes)
        cap = times_of_growth(np.log(np.maximum(LARGEST_OMEGA / omega, LEAST_GROWTH)), beta, A, speed, **sizes)
        t_max = float(min(np.max(every), np.min(cap)))
    return Horizon(t_max, float(1 / (POWER * np.max(rate))), POWER)
