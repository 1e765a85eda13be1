"""How long to integrate: horizons and clocks from each flow's law.

`to_collapse`, of flows that grow as a power of t, ends where the law has brought the largest omega within 1 % of the
smallest: with w = omega_{C-1}(t) that is F(1.01 w) - F(w) = F(omega_1(0)) - F(omega_{C-1}(0)), a quadratic in w^2.
`to_tenfold`, of flows that keep every ratio, ends where every omega has grown tenfold, and none beyond 2e4, so that the
level `means`, which rounds omega by eps omega^2/C, can be compared with the law to 1e-6.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Float

from central_path.theory.laws import Law

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

    Infinite for a law that is not a power law, where ratios stay constant.
    """
    within = np.asarray(high) <= ratio * np.asarray(low)
    if not law.is_power_law:
        return np.where(within, 0.0, np.inf)
    low = np.asarray(low)
    high = np.where(within, 2 * ratio * low, high)
    c1, c2, c3 = law.constants
    a, b, c = c3 * (ratio**4 - 1), c2 * (ratio**2 - 1), c1 * np.log(ratio) - _difference(law, low, high)
    return np.where(within, 0.0, _difference(law, low, np.sqrt(-2 * c / (b + np.sqrt(b**2 - 4 * a * c)))))


def time_of_collapse(law: Law, omega0: Float[np.ndarray, "*starts K"]) -> Float[np.ndarray, "*starts"]:
    """When the largest omega is within 1 % of the smallest, by a power law.

    Where all omega are within 1 % from the start (C = 2, say), the time of tenfold growth of the smallest.

    Raises:
        ValueError: if the time is beyond float64.
    """
    low, high = np.min(omega0, axis=-1), np.max(omega0, axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):
        t_max = time_to_ratio(law, low, high, RATIO)
        t_max = np.where(t_max > 0, t_max, _difference(law, low, 10 * low))
    if not np.all(np.isfinite(t_max)):
        raise ValueError(
            f"Need omega whose law fits float64 for a default horizon, got {np.max(high):g}: give --t-max to try."
        )
    return t_max


def time_of_tenfold_growth(law: Law, omega0: Float[np.ndarray, "*starts K"]) -> Float[np.ndarray, "*starts"]:
    """When every omega has grown tenfold or the largest has reached 2e4, by an exponential law.

    Raises:
        ValueError: if an omega is 2e4 or more from the start.
    """
    high = np.max(omega0, axis=-1)
    if np.max(high) >= LARGEST_UNNORMALIZED:
        raise ValueError(
            f"Need omega < {LARGEST_UNNORMALIZED:g} for a default horizon of the unnormalized flow, which ends "
            f"there, got {np.max(high):g}: give --t-max."
        )
    return np.asarray(law.constants.c1 * np.minimum(TENFOLD, np.log(LARGEST_UNNORMALIZED / high)))


def to_collapse(law: Law, omega0: Float[np.ndarray, "*starts K"], t_max: float | None = None) -> Horizon:
    """A given horizon or `time_of_collapse`, of several starts the longest.

    The clock begins where the first omega begins to grow, and runs with the law's power of t.

    Raises:
        ValueError: as `time_of_collapse`.
    """
    t_max = float(np.max(time_of_collapse(law, omega0))) if t_max is None else t_max
    power = 1 / float(law.exponent)
    x = np.asarray(omega0) ** 2 / law.C
    return Horizon(t_max, law.C**2 * law.N * float(np.min((1 + x) ** (2 - float(law.k)))) / power, power)


def to_tenfold(law: Law, omega0: Float[np.ndarray, "*starts K"], t_max: float | None = None) -> Horizon:
    """A given horizon or `time_of_tenfold_growth`, with a linear clock.

    Of several starts the shortest, because float64 sets it.

    Raises:
        ValueError: as `time_of_tenfold_growth`.
    """
    t_max = float(np.min(time_of_tenfold_growth(law, omega0))) if t_max is None else t_max
    return Horizon(t_max, t_max, 1.0)
