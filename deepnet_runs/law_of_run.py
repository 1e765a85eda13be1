"""Whose law does omega follow? Read from omega at some epochs alone, whatever the clock.

Along a law of the family every singular value moves by itself, d omega/d tau = omega (1 + omega^2/C)^(k-2) in some
time tau common to all, so that the increments of

    F_k(omega) = integral of (1 + w^2/C)^(2-k) dw/w

are the same for every j at every moment. From the first epoch of a window to t, dF_j(t) is that increment; how far a
run is from the law k is

    D(k) = max over t, j of |dF_j(t) - mean_i dF_i(t)| / mean_i dF_i(end)

and the run's own exponent minimises it. All k agree while omega^2 << C, so a window must reach beyond. Of several runs
the largest D is minimised, and resampling the runs gives the interval; of one run the directions j are resampled.

Source: the family of laws is `central_path.laws`; the statistic is this project's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.integrate import cumulative_simpson
from scipy.interpolate import CubicHermiteSpline

LAWS = {"riemannian": 0.0, "renormalized": 1.0, "unnormalized": 2.0}
GRID = np.linspace(-3.0, 5.0, 1601)  # exponents looked at, 0.005 apart; the laws are among them
FOLLOWS = 0.15  # D at most, for a run to follow a law: its directions keep step to within it
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def increments(omega: Float[np.ndarray, "T K"], k: Float[np.ndarray, " G"]) -> Float[np.ndarray, "G T K"]:
    """F_k(omega(t)) - F_k(omega(0)) of K = C - 1 singular values, by quadrature in log omega, where nothing cancels."""
    x = omega / np.sqrt(omega.shape[1] + 1)
    begin, length = np.log(x[:1]), np.log(x) - np.log(x[:1])
    u = begin[..., None] + length[..., None] * (1 + _NODES) / 2
    log_ratio = np.log1p(np.exp(2 * u))  # of total and within-class variance
    return np.stack([length / 2 * (np.exp((2 - one) * log_ratio) @ _WEIGHTS) for one in k])


def advance(omega: Float[np.ndarray, " K"], tau: Float[np.ndarray, " T"], k: float) -> Float[np.ndarray, "T K"]:
    """omega after increments tau >= 0 of F_k: the law k itself, up to e^300 times the largest omega.

    Beyond it, and where for k > 2 the law has no omega that late, it is infinite.
    """
    x = np.log(omega / np.sqrt(len(omega) + 1))
    grid = np.linspace(x.min(), x.max() + _room(x.max(), np.max(tau, initial=0.0), k), 1001)
    slope = np.exp((2 - k) * np.logaddexp(0, 2 * grid))
    F = cumulative_simpson(slope, x=grid, initial=0)
    reached = CubicHermiteSpline(grid, F, slope)(x) + tau[:, None]
    there = CubicHermiteSpline(F, grid, 1 / slope)(np.minimum(reached, F[-1]))
    return np.sqrt(len(omega) + 1) * np.exp(np.where(reached <= F[-1], there, np.inf))


def _room(x: float, tau: float, k: float) -> float:
    """By how much x = log(omega/sqrt(C)) grows at most in the time tau."""
    if k > 2:
        return 14.0  # where 1 - (what is left of the time until it is infinite) is rounding
    bounds = [tau, 300.0]  # dx/dtau is at most 1, and at most exp(-2 (2 - k) x)
    if k < 2:
        rate = 2 * (2 - k)
        bounds.append(np.logaddexp(np.log(rate) + np.log(max(tau, 1e-300)), rate * x) / rate - x)
    return min(bounds) * 1.001 + 1e-6


def distance(dF: Float[np.ndarray, "G T K"]) -> Float[np.ndarray, " G"]:
    """D of increments; infinite where omega does not grow on the whole."""
    mean = dF.mean(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        D = np.max(np.abs(dF - mean[:, :, None]), axis=(1, 2)) / mean[:, -1]
    return np.where(mean[:, -1] > 0, D, np.inf)


def check(omega: np.ndarray) -> None:
    """Refuse a window that says nothing.

    Raises:
        ValueError: without 3 epochs and 3 directions, all omega positive.
    """
    if omega.ndim != 2 or min(omega.shape) < 3 or not np.all(omega > 0):
        raise ValueError(
            f"Need omega > 0 at 3 epochs or more in 3 directions or more, got an array of shape {omega.shape}, "
            f"smallest {omega.min() if omega.size else np.nan:.3g}: choose a window that holds them."
        )


@dataclass(frozen=True)
class Finding:
    """What the runs say: the exponent k with an interval, D there and at the three laws, and a verdict.

    `k_by_run` and `distance_by_run` are of each run alone: the exponent that is best for it, and D there.
    """

    k: float
    interval: tuple[float, float]
    distance: float
    distances: dict[str, float]
    largest: float  # omega^2/C at the end, of the largest omega; below 1 no k can be told
    resampled: str
    k_by_run: list[float]
    distance_by_run: list[float]

    @property
    def verdict(self) -> str:
        """One of the three laws, `between` with its k, `none`, or `cannot be told`."""
        if self.largest < 1:
            return "cannot be told: omega^2 < C"
        if self.distance > FOLLOWS:
            return "none"
        low, high = self.interval
        inside = [name for name, k in LAWS.items() if low <= k <= high and self.distances[name] <= FOLLOWS]
        if len(inside) > 1:
            return f"cannot be told: {' or '.join(inside)}"
        return inside[0] if inside else f"of the family, k = {self.k:.2f}"


def find(runs: Sequence[Float[np.ndarray, "T K"]], *, resamples: int = 200, seed: int = 0) -> Finding:
    """The exponent of runs that are repetitions of one another, with a 95 % interval.

    Raises:
        ValueError: without a run of at least 3 epochs and 3 directions, all omega positive.
    """
    if not runs:
        raise ValueError("Need a run, got none.")
    for omega in runs:
        check(omega)
    rng = np.random.default_rng(seed)
    each = [increments(omega, GRID) for omega in runs]
    by_run = np.stack([distance(dF) for dF in each])
    D = by_run.max(axis=0)
    found = []
    for _ in range(resamples):
        if len(runs) >= 3:
            found.append(by_run[rng.integers(len(runs), size=len(runs))].max(axis=0))
            continue
        drawn = [np.unique(rng.integers(dF.shape[2], size=dF.shape[2])) for dF in each]
        parts = [dF[:, :, j] if len(j) > 1 else dF for dF, j in zip(each, drawn, strict=True)]
        found.append(np.max([distance(dF) for dF in parts], axis=0))
    ks = GRID[np.argmin(found, axis=1)]
    k = float(GRID[np.argmin(D)])
    low, high = np.quantile(ks, [0.025, 0.975])
    return Finding(
        k=k,
        interval=(float(min(low, k)), float(max(high, k))),
        distance=float(D.min()),
        distances={name: float(D[np.argmin(np.abs(GRID - at))]) for name, at in LAWS.items()},
        largest=min(float(omega[-1].max() ** 2 / (omega.shape[1] + 1)) for omega in runs),
        resampled="runs" if len(runs) >= 3 else "directions",
        k_by_run=GRID[np.argmin(by_run, axis=1)].tolist(),
        distance_by_run=by_run.min(axis=1).tolist(),
    )
