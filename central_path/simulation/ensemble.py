"""Many starts of one size, integrated by one compiled program, each compared with its own law.

They go in groups of a size that fits the processor's cache. A group is one system for the solver: its field is that of
one start under `vmap`, and all take the same steps, as short as the start that needs the shortest. All groups are
observed at the same times, up to the common horizon of all starts (`AbstractFlow.horizon`), and omega is all that is
observed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from threadpoolctl import threadpool_limits

from central_path.flows import FLOWS, AbstractFlow, OneOf, index_of
from central_path.flows.horizon import Horizon, time_to_ratio
from central_path.simulation.ahead import one_ahead
from central_path.simulation.aligned import field, relative_error, start
from central_path.simulation.compiler import COMPILER_OPTIONS
from central_path.simulation.experiment import Start, interruptible
from central_path.simulation.observables import omega_of_features, omega_of_means
from central_path.simulation.solve import Clock, integrate
from central_path.theory.laws import Law

GROUP = 50  # starts at most
MEMORY = 2**29  # bytes that a group may take, if it has more than one start
STAGES = 20  # states that the solver holds
PIECE = 2**22  # bytes of states whose singular values are taken in one call
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
    same by the law, in closed form. `steps` and `successful` are those of a start's group, which is integrated as one.
    Infinite or NaN entries of omega belong to times that the solver did not reach.
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


def _largest(errors: Float[Array, " S"]) -> Float[Array, ""]:
    """Of the starts of a group, so that each keeps the tolerances."""
    return jnp.max(errors)


def _integrate(
    X: Float[Array, "S P C *N"],
    index: Int[Array, ""],
    ts: Float[Array, " T"],
    t_max: Float[Array, ""],
    scale: Float[Array, ""],
    power: Float[Array, ""],
    rtol: Float[Array, ""],
    atol: Float[Array, ""],
    *,
    N: int,
    level: str,
) -> tuple[Float[Array, "T S ..."], Int[Array, ""], Bool[Array, ""]]:
    """What is kept of a group (of features their omega, else the states), its steps, and whether it reached the end."""
    each, flow = partial(jax.vmap, in_axes=(0, None)), OneOf(index)
    keep = jax.vmap(omega_of_features) if level == "features" else lambda states: states

    def measure(states, errors, flow, rtol, atol):
        one = jax.vmap(lambda state, error: relative_error(state, error, flow, rtol, atol, level=level))
        return _largest(one(states, errors))

    seen = integrate(
        each(lambda state, flow: field(state, flow, level=level, N=N)),
        each(lambda X, flow: start(X, flow, level)[0])(X, flow),
        flow,
        Clock(t_max, scale, power),
        observe=lambda states, flow: {"kept": keep(states)},
        ts=ts,
        rtol=rtol,
        atol=atol,
        measure=measure,
    )
    return seen.ys["kept"], seen.stats["num_accepted_steps"], seen.result == diffrax.RESULTS.successful


@lru_cache(maxsize=16)
def _program(shape: tuple[int, ...], N: int, level: str, saves: int) -> jax.stages.Compiled:
    number, whole = jax.ShapeDtypeStruct((), float), jax.ShapeDtypeStruct((), np.int32)
    X, ts = (jax.ShapeDtypeStruct(sizes, float) for sizes in (shape, (saves,)))
    traced = X, whole, ts, *5 * [number]
    program = jax.jit(partial(_integrate, N=N, level=level))
    return interruptible(lambda: program.lower(*traced).compile(COMPILER_OPTIONS))


def groups(ensemble: Ensemble, saves: int) -> Int[np.ndarray, "groups size"]:
    """The numbers of the starts in groups of one size, the last filled up with the last start.

    In the order of their smallest omega, so that those that need short steps are together.
    """
    S = len(ensemble.X)
    each = ensemble.X[0].nbytes * (STAGES + saves)  # of means every state is kept, too
    number = -(-S // max(1, min(GROUP, MEMORY // each)))
    size = -(-S // number)
    order = np.argsort(-ensemble.omega0.min(axis=1), stable=True)
    return order[np.minimum(np.arange(number * size), S - 1)].reshape(number, size)


def _omega_of_kept(kept: np.ndarray, flow: AbstractFlow, level: str) -> Float[np.ndarray, "T S K"]:
    """From what `_integrate` keeps; piece by piece, between which Ctrl-C gets through."""
    if level != "means":
        return kept
    states = kept.reshape(-1, *kept.shape[2:])
    pieces = np.array_split(states, min(len(states), 1 + kept.nbytes // PIECE))
    return np.concatenate([omega_of_means(piece, flow) for piece in pieces]).reshape(*kept.shape[:2], -1)


def _follow(
    ensemble: Ensemble,
    flow: AbstractFlow,
    chosen: Horizon,
    ts: Float[np.ndarray, " T"],
    *,
    level: str,
    rtol: float,
    atol: float,
    advance: Callable[[int], object],
) -> tuple[Float[np.ndarray, "S T K"], Int[np.ndarray, " S"], Bool[np.ndarray, " S"]]:
    """omega, steps and success of every start.

    A group is integrated while the singular values of the one before are taken: by NumPy, for two of XLA's programs
    with batches of LAPACK calls wait for each other for ever; on one thread, for a second only waits.
    """
    S, K = ensemble.omega0.shape
    omega, steps, successful = np.empty((S, len(ts), K)), np.empty(S, int), np.empty(S, bool)
    members = groups(ensemble, len(ts))
    program = _program((members.shape[1], *ensemble.X.shape[1:]), ensemble.N, level, len(ts))

    def solve(group: Int[np.ndarray, " size"]) -> tuple[Array, ...]:
        omega0 = ensemble.omega0[group]
        clock = flow.horizon(omega0, chosen.t_max, C=K + 1, N=ensemble.N)
        numbers = map(np.float64, (*clock, rtol, atol))
        return jax.block_until_ready(program(ensemble.X[group], index_of(flow.name), ts, *numbers))

    with threadpool_limits(1, user_api="blas"):
        for group, (kept, *stats) in zip(members, one_ahead(solve, members), strict=True):
            omega[group] = np.swapaxes(_omega_of_kept(np.asarray(kept), flow, level), 0, 1)
            steps[group], successful[group] = stats
            advance(len(np.unique(group)))
    return omega, steps, successful


def run_flow(
    name: str,
    ensemble: Ensemble,
    *,
    level: str,
    t_max: float | None,
    saves: int,
    rtol: float,
    atol: float,
    advance: Callable[[int], object] = lambda number: None,
) -> EnsembleResult:
    """Integrate one flow of every start, and compare it with its law; `advance` is told how many more are integrated.

    Raises:
        ValueError: as `AbstractFlow.horizon`.
    """
    flow, sizes = FLOWS[name], {"C": ensemble.omega0.shape[1] + 1, "N": ensemble.N}
    law, chosen = flow.law(**sizes), flow.horizon(ensemble.omega0, t_max, **sizes)
    ts = chosen.times(saves)
    options = {"level": level, "rtol": rtol, "atol": atol, "advance": advance}
    omega, steps, successful = _follow(ensemble, flow, chosen, ts, **options)
    growth = np.asarray(law.growth(ts[None, :, None], ensemble.omega0[:, None, :]))
    log_law = np.log(ensemble.omega0)[:, None, :] + growth
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.max(np.abs(np.expm1(np.log(omega) - log_law)), axis=(1, 2))
    return EnsembleResult(
        name=name,
        law=law,
        ts=ts,
        omega=omega,
        max_relative_error=error,
        time_to_collapse=time_to_collapse(ts, omega),
        time_to_collapse_law=time_to_ratio(law, ensemble.omega0.min(axis=1), ensemble.omega0.max(axis=1), COLLAPSED),
        steps=steps,
        successful=successful & np.isfinite(error),
    )


def time_to_collapse(ts: Float[np.ndarray, " T"], omega: Float[np.ndarray, "S T K"]) -> Float[np.ndarray, " S"]:
    """When max omega/min omega falls to 1.01, between the times by a power law of its distance from 1.

    0 where it is so from the start, NaN where it does not fall so far.
    """
    with np.errstate(invalid="ignore"):
        distance = omega.max(axis=2) / omega.min(axis=2) - 1
    found = np.full(len(omega), np.nan)
    for i, apart in enumerate(distance):
        below = np.flatnonzero(apart <= COLLAPSED - 1)
        if not len(below):
            continue
        j = below[0]
        if j <= 1:  # before the first time that has a logarithm
            found[i] = ts[j]
            continue
        (x0, x1), (y0, y1) = np.log(ts[j - 1 : j + 1]), np.log(apart[j - 1 : j + 1])
        found[i] = np.exp(x0 + (x1 - x0) * (np.log(COLLAPSED - 1) - y0) / (y1 - y0))
    return found
