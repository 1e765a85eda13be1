"""How long to integrate: horizons and clocks from each flow's law.

`to_collapse`, of flows that grow as a power of t, ends where the law has brought the largest omega within 1 % of the
smallest: with w = omega_{C-1}(t) that is F(1.01 w) - F(w) = F(omega_1(0)) - F(omega_{C-1}(0)), a quadratic in w^2.
`to_tenfold`, of flows that keep every ratio, ends where every omega has grown tenfold, and none beyond 2e4, so that the
level `means`, which rounds omega by eps omega^2/C, can be compared with the law to 1e-6.

Where a law is no polynomial, the same times come from `law.elapsed`.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Float

from central_path.theory.law import LARGEST, SMALLEST, AbstractLaw

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
        """`saves` times from 0 to t_max: logarithmic from 1 % of growth, or evenly for a linear clock."""
        if self.power == 1 and self.scale >= self.t_max:
            return np.linspace(0.0, self.t_max, saves)
        first = min(FIRST_LOOK * self.power * self.scale, self.t_max / 100)
        return np.concatenate([[0.0], np.geomspace(first, self.t_max, saves - 1) if saves > 2 else [self.t_max]])


def _difference(
    law: AbstractLaw, low: Float[ArrayLike, "*#starts"], high: Float[ArrayLike, "*#starts"]
) -> Float[ArrayLike, "*starts"]:
    """F(high) - F(low)."""
    low, high = np.asarray(low), np.asarray(high)
    if not law.is_polynomial:
        return np.asarray(law.elapsed(low, np.log(high / low)))
    c1, c2, c3 = law.constants
    return c1 * np.log(high / low) + (high - low) * (high + low) * (c2 + c3 * (high**2 + low**2))


def _omega_of_ratio(law: AbstractLaw, apart: Float[ArrayLike, "*starts"], ratio: float) -> Float[ArrayLike, "*starts"]:
    """The w with F(ratio w) - F(w) = apart, by a law for which the left side increases."""
    if law.is_polynomial:
        c1, c2, c3 = law.constants
        a, b, c = c3 * (ratio**4 - 1), c2 * (ratio**2 - 1), c1 * np.log(ratio) - apart
        return np.sqrt(-2 * c / (b + np.sqrt(b**2 - 4 * a * c)))
    low, high = np.full_like(apart, math.log(SMALLEST)), np.full_like(apart, math.log(LARGEST))
    for _ in range(60):  # 690 2^-60 < 1e-15
        middle = (low + high) / 2
        below = np.asarray(law.elapsed(np.exp(middle), math.log(ratio))) < apart
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.exp(high)


def time_to_ratio(
    law: AbstractLaw, low: Float[ArrayLike, "*#starts"], high: Float[ArrayLike, "*#starts"], ratio: float
) -> Float[np.ndarray, "*starts"]:
    """When omega that start at low and high have come within a ratio of each other, by their law; 0 if they are.

    Infinite for a law that is not a power law.
    """
    within = np.asarray(high) <= ratio * np.asarray(low)
    if not law.is_power_law:
        return np.where(within, 0.0, np.inf)
    low = np.asarray(low)
    high = np.where(within, 2 * ratio * low, high)
    return np.where(within, 0.0, _difference(law, low, _omega_of_ratio(law, _difference(law, low, high), ratio)))


def time_of_collapse(law: AbstractLaw, omega0: Float[np.ndarray, "*starts K"]) -> Float[np.ndarray, "*starts"]:
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


def time_of_tenfold_growth(law: AbstractLaw, omega0: Float[np.ndarray, "*starts K"]) -> Float[np.ndarray, "*starts"]:
    """When every omega has grown tenfold or the largest has reached 2e4, by a law that is exponential in the end.

    Raises:
        ValueError: if an omega is 2e4 or more from the start.
    """
    high = np.max(omega0, axis=-1)
    if np.max(high) >= LARGEST_UNNORMALIZED:
        raise ValueError(
            f"Need omega < {LARGEST_UNNORMALIZED:g} for a default horizon of the unnormalized flow, which ends "
            f"there, got {np.max(high):g}: give --t-max."
        )
    if law.is_polynomial:
        return np.asarray(law.constants.c1 * np.minimum(TENFOLD, np.log(LARGEST_UNNORMALIZED / high)))
    to_end = np.asarray(law.elapsed(high, np.log(LARGEST_UNNORMALIZED / high)))
    return np.asarray(np.minimum(np.max(np.asarray(law.elapsed(omega0, TENFOLD)), axis=-1), to_end))


def _clock(law: AbstractLaw, omega0: Float[np.ndarray, "*starts K"], t_max: float) -> Horizon:
    """A clock that begins where the first omega begins to grow.

    It runs with the law's power of t in the end; with the fourth where growth passes from one form to another.
    """
    omega0 = np.asarray(omega0)
    if law.is_polynomial:
        c1, c2, c3 = law.constants
        power, of_growth = 1 / float(law.exponent), c1 + 2 * c2 * omega0**2 + 4 * c3 * omega0**4  # omega dF/domega
    else:
        power, of_growth = 4.0, omega0 / np.asarray(law.rate(omega0))
    return Horizon(t_max, float(np.min(of_growth)) / power, power)


def to_collapse(law: AbstractLaw, omega0: Float[np.ndarray, "*starts K"], t_max: float | None = None) -> Horizon:
    """A given horizon or `time_of_collapse`, of several starts the longest.

    Raises:
        ValueError: as `time_of_collapse`.
    """
    return _clock(law, omega0, float(np.max(time_of_collapse(law, omega0))) if t_max is None else t_max)


def to_tenfold(law: AbstractLaw, omega0: Float[np.ndarray, "*starts K"], t_max: float | None = None) -> Horizon:
    """A given horizon or `time_of_tenfold_growth`, with a linear clock where growth is exponential from the start.

    Of several starts the shortest, because float64 sets it.

    Raises:
        ValueError: as `time_of_tenfold_growth`.
    """
    t_max = float(np.min(time_of_tenfold_growth(law, omega0))) if t_max is None else t_max
    return Horizon(t_max, t_max, 1.0) if law.is_polynomial else _clock(law, omega0, t_max)
