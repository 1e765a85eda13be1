"""Predictions of a network's later features by the general central path, from the features of one checkpoint.

From class means, Sigma_W and class sizes at one epoch, the flow of the level `moments` gives features at every later
time, with the block kernel that was measured there: a of class means, w of deviations, g of the global mean (`field`).
Under gradient flow on the parameters the time of an epoch is the summed learning rate; with momentum mu it is, to first
order, 1/(1 - mu) times that. The clock is the time of a model per time of the training:

    kernel               the measured kernel, clock 1: nothing is fitted
    kernel_fitted        the same with one fitted number, the clock
    free_fitted          features that move freely, Theta = a I: one fitted number
    common_factor        every omega grows by exp(clock time), singular vectors stay: one fitted number
    line                 each log omega_j, and log NC1, on a straight line in log epoch: two numbers each
    constant             what was at the last of the fitted epochs

All are fitted to the same epochs, the first few after the checkpoint (`forecast.few`), by least squares in log omega.
Predicted and later omega are compared in the order of size. The overlaps of U and V are mean squared cosines of vectors
of the same place in that order; by chance they are 1/P and 1/(C - 1).

Source: the flow is that of `central_path.simulation.general`; the comparison is this project's.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import inf, log, nan
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar

from central_path.metrics import collapse
from central_path.metrics.snr import Moments
from central_path.simulation.general.dynamics import BlockKernel, Dynamics
from central_path.simulation.general.run import GeneralRun, run_general
from central_path.simulation.general.start import GeneralStart, start_of_samples
from deepnet_runs.dynamics import forecast
from deepnet_runs.dynamics.snr_frame import Singular

NEAR = 0.1  # a prediction holds as long as the root mean square of log omega is within log(1 + NEAR)
SLOWEST, FASTEST = 1e-3, 1e2  # clocks that are tried
SAVES, RTOL = 300, 1e-8
Vectors = tuple[Float[np.ndarray, "P K"], Float[np.ndarray, "C K"]]


class Checkpoint(NamedTuple):
    """Moments of a network's features at an epoch, and the time of gradient flow on its parameters until then."""

    epoch: int
    time: float
    m: Moments


class Seen(NamedTuple):
    """What is compared: omega, NC1, and the singular vectors of the SNR matrix, in the coordinates of the features."""

    omega: Float[np.ndarray, " K"]
    nc1: float
    U: Float[np.ndarray, "P K"]
    V: Float[np.ndarray, "C K"]


@dataclass(frozen=True)
class Prediction:
    """Of one model at every epoch after the checkpoint, beside what was there.

    Attributes:
        clock: time of the model per time of training; None where the model has no time.
        omega_error: root mean square of log omega predicted - log omega.
        nc1_error: log NC1 predicted - log NC1.
        U: overlap of the left singular vectors; None where the model says nothing.
        V: the same of the right ones.
    """

    clock: float | None
    omega_error: list[float]
    nc1_error: list[float]
    U: list[float] | None = None
    V: list[float] | None = None

    @property
    def lasts(self) -> int:
        """At how many epochs, from the first one on, omega is within NEAR."""
        beyond = np.flatnonzero(~(np.array(self.omega_error) <= log(1 + NEAR)))
        return int(beyond[0]) if len(beyond) else len(self.omega_error)


@dataclass(frozen=True)
class KernelForecast:
    """What each model predicts from one checkpoint; the first `fitted` of the later epochs are those fitted to.

    Attributes:
        epoch: of the checkpoint.
        epochs: the later ones.
        fitted: how many of them the clocks are fitted to.
        rate_means: a of the measured kernel.
        rate_within: the same of deviations from class means.
        rate_overall: the same of the global mean.
        lam: weight decay of the classifier in the models.
        growth: of the geometric mean of omega since the checkpoint, at each epoch.
        models: the predictions by name.
    """

    epoch: int
    epochs: list[int]
    fitted: int
    rate_means: float
    rate_within: float
    rate_overall: float
    lam: float
    growth: list[float]
    models: dict[str, Prediction]

    def to_dict(self) -> dict[str, Any]:
        """The keys of a line of forecast.jsonl."""
        return asdict(self)


def seen_of(m: Moments) -> Seen:
    """Of moments in float64.

    Raises:
        ValueError: if there is no omega.
    """
    found = Singular.of(m)
    return Seen(found.omega, float(collapse.nc1(m)), found.basis @ found.U, found.V)


def overlap(A: Float[np.ndarray, "r K"], B: Float[np.ndarray, "r k"]) -> float:
    """Mean squared cosine of the columns of the same place."""
    return float(np.mean([(a @ b) ** 2 for a, b in zip(A.T, B.T, strict=False)]))


def _run(start: GeneralStart, kernel: BlockKernel, lam: float, ts: Float[np.ndarray, " T"]) -> GeneralRun:
    dynamics = Dynamics("unnormalized", kernel, lam)
    return run_general(
        start, dynamics, level="moments", t_max=None, saves=2, rtol=RTOL, atol=RTOL, keep_moments=True, ts=ts
    )


class Later(NamedTuple):
    """The later epochs: their numbers, times since the checkpoint, what was there, and how many are fitted to."""

    epochs: Float[np.ndarray, " T"]
    times: Float[np.ndarray, " T"]
    seen: list[Seen]
    fitted: int

    @property
    def omega(self) -> Float[np.ndarray, "T K"]:
        """As many at every epoch."""
        K = min(len(seen.omega) for seen in self.seen)
        return np.stack([seen.omega[:K] for seen in self.seen])


def _error(found: np.ndarray, true: np.ndarray) -> float:
    K = min(len(found), len(true))
    return float(np.sqrt(np.mean((np.log(found[:K]) - np.log(true[:K])) ** 2)))


def _of_flow(start: GeneralStart, kernel: BlockKernel, lam: float, clock: float, later: Later) -> Prediction:
    """The flow at a clock; infinite errors at times that it does not reach."""
    run = _run(start, kernel, lam, np.concatenate([[0.0], clock * later.times]))
    T, pi = len(run.ts) - 1, start.pi
    predicted = [
        seen_of(Moments(start.basis @ M, start.basis @ Sigma_W @ start.basis.T, pi))
        for M, Sigma_W in zip(run.ys["M"][1:], run.ys["Sigma_W"][1:], strict=True)
    ]
    both, rest = list(zip(predicted, later.seen[:T], strict=True)), len(later.seen) - T
    return Prediction(
        clock,
        [_error(found.omega, true.omega) for found, true in both] + rest * [inf],
        [log(found.nc1 / true.nc1) for found, true in both] + rest * [inf],
        [overlap(found.U, true.U) for found, true in both] + rest * [nan],
        [overlap(found.V, true.V) for found, true in both] + rest * [nan],
    )


def _best(miss: Callable[[float], float], clocks: Float[np.ndarray, " G"]) -> float:
    """The clock of least error: the best of a grid, refined between its neighbours."""
    errors = [miss(log_clock) for log_clock in np.log(clocks)]
    at = int(np.argmin(errors))
    low, high = np.log(clocks[max(at - 1, 0)]), np.log(clocks[min(at + 1, len(clocks) - 1)])
    found: Any = minimize_scalar(miss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def fitted_clock(start: GeneralStart, kernel: BlockKernel, lam: float, later: Later) -> float:
    """The clock with which the flow is nearest to log omega at the fitted epochs."""
    times, true = later.times[: later.fitted], np.log(later.omega[: later.fitted])
    run = _run(
        start, kernel, lam, np.concatenate([[0.0], np.geomspace(SLOWEST * times[0], FASTEST * times[-1], SAVES)])
    )
    known, K = np.log(run.ys["omega"]), min(true.shape[1], run.ys["omega"].shape[1])

    def miss(log_clock: float) -> float:
        at = np.exp(log_clock) * times
        if at[-1] > run.ts[-1]:
            return inf
        ahead = np.stack(
            [np.interp(np.log1p(at / times[0]), np.log1p(run.ts / times[0]), known[:, j]) for j in range(K)]
        )
        return float(np.mean((ahead.T - true[:, :K]) ** 2))

    return _best(miss, np.geomspace(SLOWEST, FASTEST, 101))


def _without_a_flow(first: Seen, later: Later) -> dict[str, Prediction]:
    """The common factor, straight lines, and what was at the last fitted epoch; singular vectors stay."""
    omega, few = later.omega, later.fitted
    K = omega.shape[1]
    steps = np.log(omega[:few]) - np.log(first.omega[:K])
    rate = float(np.sum(steps.mean(axis=1) * later.times[:few]) / np.sum(later.times[:few] ** 2))
    growth = np.exp(rate * later.times)
    nc1 = np.array([seen.nc1 for seen in later.seen])
    x = np.log(later.epochs)

    def line(values: np.ndarray) -> np.ndarray:
        slope, constant = np.polyfit(x[:few], np.log(values[:few]), 1)
        return np.exp(np.multiply.outer(x, slope) + constant)

    of_nc1 = {"common_factor": first.nc1 / growth**2, "line": line(nc1), "constant": np.full(len(nc1), nc1[few - 1])}
    of_omega = {
        "common_factor": first.omega[:K] * growth[:, None],
        "line": line(omega),
        "constant": np.repeat(omega[few - 1 : few], len(omega), axis=0),
    }
    U, V = ([overlap(getattr(first, name), getattr(true, name)) for true in later.seen] for name in ("U", "V"))
    return {
        name: Prediction(
            rate if name == "common_factor" else None,
            [_error(found, true) for found, true in zip(of_omega[name], omega, strict=True)],
            [float(value) for value in np.log(of_nc1[name] / nc1)],
            *((U, V) if name == "common_factor" else (None, None)),
        )
        for name in of_omega
    }


def predict(
    checkpoints: Sequence[Checkpoint],
    H: Float[np.ndarray, "n P"],
    labels: Int[np.ndarray, " n"],
    kernel: BlockKernel,
    lam: float = 0.0,
) -> KernelForecast:
    """What every model predicts for the later checkpoints from the features H and the kernel at the first.

    Raises:
        ValueError: for fewer than 4 later checkpoints, or features that have no flow.
    """
    first, rest = checkpoints[0], checkpoints[1:]
    if len(rest) < 4:
        raise ValueError(
            f"Need at least 4 checkpoints after epoch {first.epoch}, three of them to fit to, got {len(rest)}: begin "
            "earlier, or save the weights of more epochs."
        )
    fitted = forecast.few(len(checkpoints)) - 1
    seen = [seen_of(c.m) for c in checkpoints]
    times = np.array([c.time - first.time for c in rest])
    later = Later(np.array([float(c.epoch) for c in rest]), times, seen[1:], fitted)
    start = start_of_samples(H, labels, centred=lam == 0)
    if start.infinite:
        raise ValueError(
            f"Need within-class variance where class means differ, got {start.infinite} directions without at epoch "
            f"{first.epoch}: begin earlier."
        )
    models = {"kernel": _of_flow(start, kernel, lam, 1.0, later)}
    a = kernel.class_means
    for name, of in (("kernel_fitted", kernel), ("free_fitted", BlockKernel(a, a, a))):
        models[name] = _of_flow(start, of, lam, fitted_clock(start, of, lam, later), later)
    omega = later.omega
    growth = np.exp(np.mean(np.log(omega) - np.log(seen[0].omega[: omega.shape[1]]), axis=1))
    return KernelForecast(
        first.epoch,
        [c.epoch for c in rest],
        fitted,
        kernel.class_means,
        kernel.within,
        kernel.global_mean,
        lam,
        [float(value) for value in growth],
        models | _without_a_flow(seen[0], later),
    )
