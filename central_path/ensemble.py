"""Many starts of one size, integrated by one compiled program, each held against its own law.

The starts are mapped over in groups that fit the processor's cache, `vmap` within a group. All are observed at the same
times, up to the longest horizon among them (the shortest for `unnormalized`, whose horizon float64 sets), and omega is
all that is observed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import diffrax
import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from central_path.compiler import COMPILER_OPTIONS
from central_path.experiment import Start, interruptible, state_tolerances
from central_path.flows import FLOWS, start
from central_path.horizon import Horizon, horizon, time_to_ratio
from central_path.laws import Law
from central_path.observables import OBSERVE_OMEGA
from central_path.solve import Clock, solve

GROUP = 50
COLLAPSED = 1.01  # max omega / min omega


@dataclass(frozen=True)
class Ensemble:
    """S starts of one size: features (S, P, C, N) or class means (S, r, C), and omega(0) (S, C-1), descending."""

    X: Float[np.ndarray, "S P C *N"]
    omega0: Float[np.ndarray, "S K"]
    N: int


@dataclass(frozen=True)
class EnsembleResult:
    """A flow of S starts over times `ts` (T,): omega (S, T, C-1), and for each start what is asked of it.

    `time_to_collapse` is when max omega/min omega falls to 1.01, NaN where it does not, and `time_to_collapse_law` the
    same by the law, in closed form. Infinite or NaN entries of omega belong to times that the solver did not reach.
    """

    name: str
    law: Law
    ts: Float[np.ndarray, " T"]
    omega: Float[np.ndarray, "S T K"]
    max_relative_error: Float[np.ndarray, " S"]
    time_to_collapse: Float[np.ndarray, " S"]
    time_to_collapse_law: Float[np.ndarray, " S"]
    steps: Int[np.ndarray, " S"]
    successful: np.ndarray

    def agrees(self, tolerance: float) -> np.ndarray:
        """Of each start, whether the solver succeeded and every omega_j(t) is within the tolerance of its law."""
        return self.successful & (self.max_relative_error <= tolerance)


def gather(starts: Iterable[Start], level: str) -> Ensemble:
    """Starts of one size, one by one, as an ensemble; of their features only what the level needs is kept."""

    def needed(begin: Start) -> np.ndarray:
        return begin.X.mean(axis=2) if level != "features" and begin.X.ndim == 3 else begin.X

    X, omega0, N = zip(*((needed(begin), begin.omega0, begin.N) for begin in starts), strict=True)
    return Ensemble(np.stack(X), np.stack(omega0), N[0])


@partial(jax.jit, static_argnames=("N", "level"), compiler_options=COMPILER_OPTIONS)
def _integrate(
    X: Float[Array, "S P C *N"],
    k: Int[Array, ""],
    t_max: Float[Array, ""],
    scales: Float[Array, " S"],
    power: Float[Array, ""],
    ts: Float[Array, " T"],
    rtol: Float[Array, " S"],
    atol: Float[Array, " S"],
    *,
    N: int,
    level: str,
) -> tuple[Float[Array, "S T K"], Int[Array, " S"], Bool[Array, " S"]]:
    """Omega, accepted steps, and whether the solver reached the end.

    Small states are kept and looked at afterwards: within the solver all starts of a group look where one does.
    """
    look = OBSERVE_OMEGA[level]

    def keep(state, k):
        return look(state, k) if level == "features" else {"state": state}

    def one(member):
        X, scale, rtol, atol = member
        options = {"level": level, "N": N, "ts": ts, "rtol": rtol, "atol": atol, "observe": keep}
        seen = solve(start(X, k, level), k, Clock(t_max, scale, power), **options)
        ys = seen.ys if level == "features" else jax.vmap(lambda state: look(state, k))(seen.ys["state"])
        return ys["omega"], seen.stats["num_accepted_steps"], seen.result == diffrax.RESULTS.successful

    return jax.lax.map(one, (X, scales, rtol, atol), batch_size=GROUP)


def horizons(law: Law, omega0: Float[np.ndarray, "S K"], t_max: float | None) -> tuple[Horizon, np.ndarray]:
    """The horizon of all, and the scales (S,) of the clocks.

    Raises:
        ValueError: as `horizon.horizon`.
    """
    each = [horizon(law, omega, t_max) for omega in omega0]
    scales = np.array([one.scale for one in each])
    longest = (min if law.k == 2 else max)(one.t_max for one in each)
    if law.k == 2:
        return Horizon(longest, longest, each[0].power), np.full(len(each), longest)
    return Horizon(longest, scales.min(), each[0].power), scales


def run_flow(
    name: str, ensemble: Ensemble, *, level: str, t_max: float | None, saves: int, rtol: float, atol: float
) -> EnsembleResult:
    """Integrate one flow of every start, and compare it with its law.

    Raises:
        ValueError: as `horizon.horizon`.
    """
    law = Law(FLOWS[name], ensemble.omega0.shape[1] + 1, ensemble.N)
    common, scales = horizons(law, ensemble.omega0, t_max)
    tolerances = np.array(
        [state_tolerances(rtol, atol, law, omega0, common.t_max, level=level) for omega0 in ensemble.omega0]
    )
    clocks = np.float64(common.t_max), scales, np.float64(common.power)
    ts = common.times(saves)
    arguments = ensemble.X, np.int32(law.k), *clocks, ts, *tolerances.T
    found = interruptible(lambda: _integrate(*arguments, N=ensemble.N, level=level))
    omega, steps, successful = map(np.asarray, found)
    log_law = np.log(ensemble.omega0)[:, None, :] + np.asarray(
        law.growth(ts[None, :, None], ensemble.omega0[:, None, :])
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.max(np.abs(np.expm1(np.log(omega) - log_law)), axis=(1, 2))
    return EnsembleResult(
        name=name,
        law=law,
        ts=ts,
        omega=omega,
        max_relative_error=error,
        time_to_collapse=time_to_collapse(ts, omega),
        time_to_collapse_law=np.array([time_to_ratio(law, o.min(), o.max(), COLLAPSED) for o in ensemble.omega0]),
        steps=steps,
        successful=successful & np.isfinite(error),
    )


def time_to_collapse(ts: Float[np.ndarray, " T"], omega: Float[np.ndarray, "S T K"]) -> Float[np.ndarray, " S"]:
    """When max omega/min omega falls to 1.01, between the times by a power law of its distance from 1.

    0 where it is so from the start, NaN where it does not fall so far.
    """
    apart = omega.max(axis=2) / omega.min(axis=2) - 1
    found = np.full(len(omega), np.nan)
    for i, distance in enumerate(apart):
        below = np.flatnonzero(distance <= COLLAPSED - 1)
        if not len(below):
            continue
        j = below[0]
        if j <= 1:  # before the first time that has a logarithm
            found[i] = ts[j]
            continue
        (x0, x1), (y0, y1) = np.log(ts[j - 1 : j + 1]), np.log(distance[j - 1 : j + 1])
        found[i] = np.exp(x0 + (x1 - x0) * (np.log(COLLAPSED - 1) - y0) / (y1 - y0))
    return found
