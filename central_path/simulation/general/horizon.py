"""How long to integrate where no law exists: each direction by itself, from what is measured at the start.

Along a right singular vector v_j of the whitened class means, with x_j = omega_j^2/C in the balanced case,

    beta_j^2 = v_j^T B_c^T B_c v_j      A_j = beta_j^2/x_j      tau_j = v_j^T T v_j      sigma_j^2 = A_j - lambda

the moments of one direction move as d log beta/dt = (tau/n) (a A + b_o beta^2)/(A + beta^2)^2 and d log sigma/dt = -b
(tau/n) beta^2/(A + beta^2)^2. That is exact where the singular vectors stay, and a guess of the time where they turn.
The default horizon is the time in which every beta/sigma has grown tenfold by it, and no omega beyond 2e3, or
twice what it is at the start.

The clock has the power of t with which the direction that sets the horizon grows there: it is linear where that growth
is exponential.

NumPy only.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from central_path.flows.horizon import TENFOLD, Horizon

LARGEST_OMEGA = 2e3  # rounding of the constant matrix is eps omega^2/C of omega
SLOWEST = 4.0  # t^(1/4): the power of the clock is not larger
LEAST_GROWTH = 2.0  # of an omega that is that large from the start
STEPS = 400
FEW_STEPS = 40  # where the horizon is given, and the power alone is sought
LEAST = 1e-6  # of A: the within-class variance that a direction without any is taken to have


def times_of_growth(
    growth: Float[np.ndarray, " K"],
    beta: Float[np.ndarray, " K"],
    A: Float[np.ndarray, " K"],
    speed: Float[np.ndarray, " K"],
    *,
    lam: float,
    rates: tuple[float, float, float],
    steps: int = STEPS,
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """The time t in which log(beta/sigma) grows by `growth`, and then d log(beta/sigma)/d log t.

    Rates are a, the moving b and the oblique b.
    """
    a, moving, oblique = rates
    log_beta, log_sigma = np.log(beta), np.log(np.maximum(A - lam, LEAST * A)) / 2
    ds, t, slowness = growth / steps, np.zeros_like(beta), np.ones_like(beta)

    def slopes(log_beta, log_sigma):
        square, within = np.exp(2 * log_beta), np.exp(2 * log_sigma) + lam
        unit = speed / (within + square) ** 2
        up, down = unit * (a * within + oblique * square), -moving * unit * square
        return up / (up - down), down / (up - down), 1 / (up - down)

    for _ in range(steps):  # Heun's midpoint rule
        first = slopes(log_beta, log_sigma)
        up, down, slowness = slopes(log_beta + ds / 2 * first[0], log_sigma + ds / 2 * first[1])
        log_beta, log_sigma, t = log_beta + ds * up, log_sigma + ds * down, t + ds * slowness
    return t, t / slowness


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
    how: dict[str, Any] = {"lam": lam, "rates": rates, "steps": STEPS if t_max is None else FEW_STEPS}
    every, of_every = times_of_growth(np.full_like(omega, TENFOLD), beta, A, speed, **how)
    allowed = np.log(np.maximum(LARGEST_OMEGA / omega, LEAST_GROWTH))
    cap, of_cap = times_of_growth(allowed, beta, A, speed, **how)
    last, first = np.argmax(every), np.argmin(cap)
    end, exponent = (every[last], of_every[last]) if every[last] <= cap[first] else (cap[first], of_cap[first])
    power = float(np.clip(1 / exponent, 1.0, SLOWEST))
    t_max = float(end) if t_max is None else t_max
    return Horizon(t_max, float(1 / (power * np.max(rate))), power)
