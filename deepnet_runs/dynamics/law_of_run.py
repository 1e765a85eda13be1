"""The law of the family that describes the rank-ordered singular values of a run best, whatever its clock.

Along a law of the family every singular value obeys d omega/d tau = omega (1 + omega^2/C)^(k-2) in a time tau common to
all, so that the increments of

    F_k(omega) = integral of (1 + w^2/C)^(2-k) dw/w

are the same for every j at every epoch. With dF_j(t) the increment from the first epoch of a window to the epoch t,

    D(k) = max over t, j of |dF_j(t) - mean_i dF_i(t)| / mean_i dF_i(end)

is the largest deviation relative to the mean total increment, and the exponent of a run is the k that minimises it. All
k agree while omega^2 << C, so a window must reach beyond. Of several runs that differ in the seed, the exponent is the
mean of theirs, with a t interval (the seeds are random effects). A single run has no interval: its directions share one
network and are not repetitions.

Note:
    omega are ordered by rank at every epoch, which hides crossings, and the law k = 2 is a common growth factor of all
    omega. A small D(2) is therefore no evidence for a law; `deepnet_runs.dynamics.common_growth` gives what spectra
    without a law give.

Source: the family of laws is `central_path.laws`; the statistic is this project's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.integrate import cumulative_simpson
from scipy.interpolate import CubicHermiteSpline
from scipy.stats import t as student_t

LAWS = {"riemannian": 0.0, "renormalized": 1.0, "unnormalized": 2.0}
STEP = 0.02
GRID = np.linspace(-1.0, 4.0, 251)  # exponents tried, STEP apart
LIMIT = 0.15  # of D, up to which a run is described by a law: planted laws with 0.3 % noise stay well below
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
    """Refuse a window that is too short to determine an exponent.

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
    """The exponent k of runs that are repetitions, D there and at the three laws, and a description in words.

    Of a run in which omega do not grow D is infinite and k is NaN.
    """

    k: float  # mean over the runs
    interval: tuple[float, float] | None  # 95 %, Student's t over the runs; None for one run, or without k
    distance: float  # D at k, the largest of the runs
    distances: dict[str, float]  # D at each law, the largest of the runs
    largest: float  # omega^2/C at the end, of the largest omega; below 1 no k can be identified
    k_by_run: list[float]
    distance_by_run: list[float]  # D at the run's own k
    within_limit: dict[str, int]  # how many runs have D <= LIMIT: at each law, and at their own k ("own")

    @property
    def description(self) -> str:
        """One of the three laws, `of the family` with its k, `none`, or `undetermined` with the reason."""
        if self.largest < 1:
            return "undetermined: omega^2 < C"
        low, high = self.interval or (-np.inf, np.inf)
        low, high = low - STEP / 2, high + STEP / 2  # what the grid resolves
        laws = [name for name, k in LAWS.items() if low <= k <= high and self.distances[name] <= LIMIT]
        if len(laws) > 1:
            return f"undetermined: {' or '.join(laws)}"
        if laws:
            return laws[0]
        return f"of the family, k = {self.k:.2f}" if self.distance <= LIMIT else "none"


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Student's t interval of the mean of independent values; None of fewer than two, or where one is not finite."""
    if len(values) < 2 or not np.all(np.isfinite(values)):
        return None
    half = student_t.ppf((1 + level) / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    mean = np.mean(values)
    return float(mean - half), float(mean + half)


def exponent(omega: Float[np.ndarray, "T K"]) -> tuple[float, float]:
    """The k of least D, and D there; NaN and infinity if omega does not grow."""
    D = distance(increments(omega, GRID))
    best = int(np.argmin(D))
    return (float(GRID[best]), float(D[best])) if np.isfinite(D[best]) else (np.nan, np.inf)


def find(runs: Sequence[Float[np.ndarray, "T K"]]) -> Finding:
    """The exponent of runs that are repetitions of one another, and what describes them.

    Raises:
        ValueError: without a run of at least 3 epochs and 3 directions, all omega positive.
    """
    if not runs:
        raise ValueError("Need a run, got none.")
    for omega in runs:
        check(omega)
    ks, own = (list(values) for values in zip(*(exponent(omega) for omega in runs), strict=True))
    k = float(np.mean(ks))
    at = np.array([*LAWS.values(), k])
    D_at = np.stack([distance(increments(omega, at)) for omega in runs])
    largest_D = np.where(np.isnan(at), np.inf, D_at.max(axis=0))
    within = np.count_nonzero(np.column_stack([D_at[:, :-1], own]) <= LIMIT, axis=0)
    return Finding(
        k=k,
        interval=t_interval(ks),
        distance=float(largest_D[-1]),
        distances=dict(zip(LAWS, largest_D[:-1].tolist(), strict=True)),
        largest=min(float(omega[-1].max() ** 2 / (omega.shape[1] + 1)) for omega in runs),
        k_by_run=ks,
        distance_by_run=own,
        within_limit=dict(zip([*LAWS, "own"], within.tolist(), strict=True)),
    )
