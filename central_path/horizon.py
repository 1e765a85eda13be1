"""How long to integrate: horizons and clocks from each flow's law.

`riemannian` and `renormalized` run until their law has brought the largest omega within 1 % of the smallest: with w =
omega_{C-1}(t) that is F(1.01 w) - F(w) = F(omega_1(0)) - F(omega_{C-1}(0)), a quadratic in w^2. `unnormalized` keeps
every ratio for ever, so there every omega grows tenfold, and none beyond 2e4, so that the level `means`, which rounds
omega by eps omega^2/C, can be held against the law to 1e-6.

How accurate omega can be is set by rounding (`rounding`), and known before a flow is integrated.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Float

from central_path.laws import Law

RATIO = 1.0099  # a little below 1.01, so that the integrated flow is within 1 % too
TENFOLD = math.log(10.0)
LARGEST_UNNORMALIZED = 2e4
FIRST_LOOK = 0.01  # the times to look at begin where the fastest omega has grown by 1 %


class Horizon(NamedTuple):
    """t_max and the scale and power of `solve.Clock`."""

    t_max: float
    scale: float
    power: float

    def times(self, saves: int) -> Float[np.ndarray, " T"]:
        """`saves` times from 0 to t_max: logarithmic from 1 % of growth, or evenly spaced for a linear clock."""
        if self.power == 1:
            return np.linspace(0.0, self.t_max, saves)
        first = min(FIRST_LOOK * self.power * self.scale, self.t_max / 100)
        return np.concatenate([[0.0], np.geomspace(first, self.t_max, saves - 1) if saves > 2 else [self.t_max]])


def _difference(
    law: Law, low: Float[ArrayLike, "*#starts"], high: Float[ArrayLike, "*#starts"]
) -> Float[ArrayLike, "*starts"]:
    """F(high) - F(low)."""
    low, high = np.asarray(low), np.asarray(high)
    c1, c2, c3 = law.constants
    return c1 * np.log(high / low) + (high - low) * (high + low) * (c2 + c3 * (high**2 + low**2))


def time_to_ratio(
    law: Law, low: Float[ArrayLike, "*#starts"], high: Float[ArrayLike, "*#starts"], ratio: float
) -> Float[np.ndarray, "*starts"]:
    """When omega that start at low and high have come within a ratio of each other, by their law; 0 if they are.

    Infinite for k = 2, where ratios stay.
    """
    within = np.asarray(high) <= ratio * np.asarray(low)
    if law.k == 2:
        return np.where(within, 0.0, np.inf)
    low = np.asarray(low)
    high = np.where(within, 2 * ratio * low, high)
    c1, c2, c3 = law.constants
    a, b, c = c3 * (ratio**4 - 1), c2 * (ratio**2 - 1), c1 * np.log(ratio) - _difference(law, low, high)
    return np.where(within, 0.0, _difference(law, low, np.sqrt(-2 * c / (b + np.sqrt(b**2 - 4 * a * c)))))


def default_t_max(law: Law, omega0: Float[np.ndarray, "*starts K"]) -> Float[ArrayLike, "*starts"]:
    """The horizon described above.

    Where all omega are within 1 % from the start (C = 2, say), the time of tenfold growth of the smallest.

    Raises:
        ValueError: if an omega of the `unnormalized` flow is 2e4 or more from the start, where it has no default
            horizon, or if the horizon is beyond float64.
    """
    low, high = np.min(omega0, axis=-1), np.max(omega0, axis=-1)
    if law.k == 2:
        if np.max(high) >= LARGEST_UNNORMALIZED:
            raise ValueError(
                f"Need omega < {LARGEST_UNNORMALIZED:g} for a default horizon of the unnormalized flow, which ends "
                f"there, got {np.max(high):g}: give --t-max."
            )
        return law.constants.c1 * np.minimum(TENFOLD, np.log(LARGEST_UNNORMALIZED / high))
    with np.errstate(over="ignore", invalid="ignore"):
        t_max = time_to_ratio(law, low, high, RATIO)
        t_max = np.where(t_max > 0, t_max, _difference(law, low, 10 * low))
    if not np.all(np.isfinite(t_max)):
        raise ValueError(
            f"Need omega whose law fits float64 for a default horizon, got {np.max(high):g}: give --t-max to try."
        )
    return t_max


def horizon(law: Law, omega0: Float[np.ndarray, "*starts K"], t_max: float | None = None) -> Horizon:
    """Default or given horizon, and its clock.

    The clock begins where the first omega begins to grow, and runs with the law's power of t; for `unnormalized` it is
    linear. Of several starts, to be observed at the same times, the longest horizon; for `unnormalized`, where float64
    sets it, the shortest.

    Raises:
        ValueError: as `default_t_max`.
    """
    if t_max is None:
        t_max = float((np.min if law.k == 2 else np.max)(default_t_max(law, omega0)))
    if law.k == 2:
        return Horizon(t_max, t_max, 1.0)
    power = 1 / float(law.exponent)
    x = np.asarray(omega0) ** 2 / law.C
    return Horizon(t_max, law.C**2 * law.N * float(np.min((1 + x) ** (2 - float(law.k)))) / power, power)


def rounding(law: Law, omega0: Float[np.ndarray, " K"], t_max: float, *, level: str) -> float:
    """The relative error of omega that float64 leaves at a level up to t_max.

    The largest of, with eps = 2^-52 and omega the largest at t_max,

        eps omega_1(0)/omega_{C-1}(0)    at every level: features that hold omega_1 know the smallest to eps omega_1
        eps omega^2/(4 C)                at `features` for k = 0: what is left of the within-class gradient when the
                                         projection takes it away (`aligned`)
        eps omega^2/C                    at `means` for k = 2, where omega is s/(1 - s^2/C)^(1/2)
    """
    eps = float(np.finfo(float).eps)
    largest, smallest = float(np.max(omega0)), float(np.min(omega0))
    left = eps * largest / smallest
    if (level, law.k) == ("features", 0):  # d omega^4/dt < 4/N, and nearly that where this error matters
        return max(left, eps * math.hypot(largest**2, 2 * math.sqrt(t_max / law.N)) / (4 * law.C))
    if (level, law.k) == ("means", 2):
        growth = min(t_max / law.constants.c1, 300.0)
        return max(left, eps * (largest * math.exp(growth)) ** 2 / law.C)
    return left
