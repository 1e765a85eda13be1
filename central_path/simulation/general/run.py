"""The general central path of any features, priors, weight decay and block kernel, at levels `moments` and `features`.

    from central_path.simulation.general import compare_levels
    run, whole, apart = compare_levels(features, labels, kernel=0.3, lam=1e-3)
    apart["omega"]

Source: Han, Papyan & Donoho (2022), Equation 5; for any priors, decay and kernel derived in `field`.
"""

from dataclasses import dataclass
from typing import Any, Literal

import diffrax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from central_path.flows.horizon import Horizon
from central_path.simulation.general.dynamics import BlockKernel, Dynamics
from central_path.simulation.general.horizon import LARGEST_OMEGA, LEAST_GROWTH, horizon
from central_path.simulation.general.levels import LEVELS, solve
from central_path.simulation.general.start import GeneralStart, renormalized, start_of_samples
from central_path.simulation.solve import Clock, Solution
from central_path.theory.general_loss import classes_of
from central_path.theory.problem import require_float64

MOST_CUTS = 3  # of a default horizon, where singular vectors turn and omega grows faster than was guessed


@dataclass(frozen=True)
class GeneralRun:
    """What was seen: times `ts` (T,) that the solver reached, and observables `ys` with leading axis T."""

    dynamics: Dynamics
    level: str
    start: GeneralStart
    t_max: float
    ts: Float[np.ndarray, " T"]
    ys: dict[str, Float[np.ndarray, "T ..."]]
    steps: int
    result: str

    @property
    def successful(self) -> bool:
        """Whether the solver reached the horizon."""
        return self.result == "successful"


def simulate_general(
    features: Any,
    labels: Any,
    *,
    flow: str = "unnormalized",
    kernel: float | BlockKernel = 1.0,
    lam: float = 0.0,
    decay_bias: bool = True,
    lam_H: float = 0.0,
    renormalize: bool | None = None,
    level: Literal["moments", "features"] = "moments",
    t_max: float | None = None,
    saves: int = 200,
    rtol: float = 1e-11,
    atol: float = 1e-11,
    keep_moments: bool = False,
) -> GeneralRun:
    """Integrate a flow from features (n, P) as they are, of any class sizes and rank.

    `keep_moments` records class means M (T, P, C) and Sigma_W (T, P, P) too, in the basis of the start.

    `kernel` is a block kernel, or its b: the ratio of within-class to class-mean mobility. `lam` decays the
    classifier, and its bias unless `decay_bias` is false; `lam_H` decays the features, lam_H/2 |h|^2 an example.

    `renormalize` starts from the image of the features under a matrix with Sigma_W + beta Sigma_B = I, beta = b for
    `unnormalized` and 0 else: by default for `riemannian` and `renormalized`, which live where Sigma_W = I. The global
    mean is taken away where it changes nothing. Where the bias decays, lam > 0, it stays: features of mean 0 are then
    an unstable set, which rounding would leave in a direction of its own. Without t_max the horizon is that of
    `horizon`.

    Example:
        >>> import numpy as np, central_path as cp
        >>> from central_path.simulation.general import simulate_general
        >>> cp.enable_x64()
        >>> y = np.repeat([0, 1], [5, 15])
        >>> h = np.eye(2, 3)[y] + np.random.default_rng(0).standard_normal((20, 3))
        >>> run = simulate_general(h, y, lam=1e-3, decay_bias=False, saves=20)
        >>> run.ys["omega"].shape
        (20, 1)

    Raises:
        ValueError: for input or options that have no such flow, with the remedy.
    """
    require_float64()
    if not isinstance(kernel, BlockKernel):
        kernel = BlockKernel(within=float(kernel))
    dynamics = Dynamics(flow, kernel, float(lam), decay_bias, float(lam_H))
    if renormalize is None:
        renormalize = flow != "unnormalized"
    begin = start_of_samples(features, labels, centred=dynamics.centred)
    if renormalize:
        begin = renormalized(begin, dynamics.beta)
    return run_general(
        begin, dynamics, level=level, t_max=t_max, saves=saves, rtol=rtol, atol=atol, keep_moments=keep_moments
    )


def run_general(
    begin: GeneralStart,
    dynamics: Dynamics,
    *,
    level: str,
    t_max: float | None,
    saves: int,
    rtol: float,
    atol: float,
    keep_moments: bool = False,
    ts: Float[np.ndarray, " T"] | None = None,
) -> GeneralRun:
    """`simulate_general` from a start; observed at the times `ts`, ascending, instead of `saves` ones, where given.

    Raises:
        ValueError: if there are directions without within-class variance that neither lam nor the kernel bounds, for
            an unknown level, `features` from a start without, or as `horizon`.
    """
    if level not in LEVELS:
        raise ValueError(f"Need level {' or '.join(LEVELS)}, got {level!r}: give one of them.")
    if saves < 2 or (t_max is not None and not 0 < t_max < np.inf):
        raise ValueError(f"Need t_max > 0 and saves >= 2, got {t_max} and {saves}: there is nothing to integrate.")
    if begin.infinite and dynamics.lam == 0 and dynamics.beta == 0:
        raise ValueError(
            f"Need within-class variance where class means differ, got {begin.infinite} of {len(begin.M)} directions "
            "without, where omega is infinite and no deviation moves: give lam > 0, or the unnormalized flow with "
            "b > 0, or drop those directions (--restrict-rank)."
        )
    chosen, turn = default_horizon(begin, dynamics, t_max if ts is None else float(ts[-1]))

    def until(chosen: Horizon) -> GeneralRun:
        clock, times = Clock(*map(np.float64, chosen)), jnp.asarray(chosen.times(saves) if ts is None else ts)
        solution = solve(level, begin, dynamics, turn, clock, times, (np.float64(rtol), np.float64(atol)), keep_moments)
        return _reported(solution, dynamics, level, begin, chosen.t_max)

    run = until(chosen)
    for _ in range(0 if t_max or ts is not None else MOST_CUTS):
        if (earlier := time_of_largest(run)) is None:
            break
        run = until(chosen._replace(t_max=earlier))
    return run


def time_of_largest(run: GeneralRun) -> float | None:
    """When omega_1 reaches the largest of a default horizon, between saved times; None if it need not be cut.

    It need not as long as rounding, eps omega^2/C of omega, is at most that of two classes at twice the largest omega.
    """
    omega = run.ys["omega"]
    largest = max(LARGEST_OMEGA, LEAST_GROWTH * omega[0, 0]) if omega.size else LARGEST_OMEGA
    most = 2 * largest * np.sqrt(len(run.start.pi) / 2)
    beyond = np.flatnonzero(omega[:, 0] > most) if omega.shape[1] else []
    if not len(beyond) or beyond[0] == 0:
        return None
    i = beyond[0]
    return float(np.interp(np.log(largest), np.log(omega[i - 1 : i + 1, 0]), run.ts[i - 1 : i + 1]))


def default_horizon(
    begin: GeneralStart, dynamics: Dynamics, t_max: float | None
) -> tuple[Any, Float[np.ndarray, "K K"]]:
    """The horizon, and the right singular vectors of the whitened class means, in descending order."""
    classes = classes_of(begin.pi)
    A = np.concatenate([begin.w, np.zeros(len(begin.M) - len(begin.w))]) + dynamics.lam
    rows = A > 0
    B = (begin.M @ classes.to_contrasts)[rows, :-1]
    B_white = B / np.sqrt(A[rows])[:, None]
    _, s, Vt = np.linalg.svd(B_white, full_matrices=len(B_white) < B.shape[1])
    seen = s > len(A) * np.finfo(float).eps * np.max(s, initial=0.0)
    x, V = s[seen] ** 2, Vt[: len(s)][seen].T
    y = np.sum((B / A[rows][:, None] @ V) ** 2, axis=0)
    tau = np.sum(V * (classes.targets[:-1, :-1] @ V), axis=0)
    within = x / y
    motion = dynamics.motion(begin.n)
    rates = float(motion.a), float(motion.moving), float(motion.oblique)
    scale = np.sqrt(x * len(begin.pi))  # omega of balanced classes
    found = horizon(scale, np.sqrt(x * within), within, tau / begin.n, lam=dynamics.lam, rates=rates, t_max=t_max)
    return found, Vt.T


def _reported(solution: Solution, dynamics: Dynamics, level: str, begin: GeneralStart, t_max: float) -> GeneralRun:
    ts, ys = np.asarray(solution.ts), {key: np.asarray(value) for key, value in solution.ys.items()}
    if not dynamics.conserves:
        ys.pop("drift", None)
    reached = np.isfinite(ys["loss"]) & np.isfinite(ys["omega"]).all(axis=1)
    steps = int(solution.stats["num_accepted_steps"])
    failed = diffrax.RESULTS[solution.result] != "" or not reached.all()
    ts, ys = ts[reached], {key: value[reached] for key, value in ys.items()}
    rejected = int(solution.stats["num_rejected_steps"])
    result = "successful"
    if failed:
        last = ts[-1] if len(ts) else 0.0
        result = f"stopped after t = {last:.3g}, {steps} steps and {rejected} rejected ones: raise rtol, or lower t_max"
    return GeneralRun(dynamics, level, begin, t_max, ts, ys, steps, result)
