"""One experiment: integrate a flow from a start, and compare every omega_j(t) with the closed form from omega(0).

The laws start from the omega(0) that is measured on the starting features; nothing else is shared between a flow and
its law. `integrate` and `log_law` are for one start and for many; `central_path.simulation.ensemble` maps them over
groups of starts.
"""

import math
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array, Bool, Float, Int

from central_path.flows import FLOWS, AbstractFlow, OneOf, index_of, with_kernel
from central_path.simulation.programs import compiling, interruptible
from central_path.simulation.sharding import gather, place, replicated
from central_path.simulation.solve import Clock, Solution, solve
from central_path.simulation.starts import Start, renormalizing
from central_path.theory.law import AbstractLaw

LARGEST_LOGARITHM = math.log(np.finfo(float).max)


@dataclass(frozen=True)
class AgainstLaw:
    """A flow beside its own law at times `ts` (T,): numbers for one start, arrays (S,) for S of them."""

    name: str
    law: AbstractLaw
    kernel: float
    ts: Float[np.ndarray, " T"]
    max_relative_error: float | Float[np.ndarray, " S"]
    steps: int | Int[np.ndarray, " S"]
    successful: bool | Bool[np.ndarray, " S"]

    def agrees(self, tolerance: float) -> Any:
        """Whether the solver reached the horizon and every omega_j(t) is within the tolerance of the law."""
        return self.successful & (self.max_relative_error <= tolerance)


@dataclass(frozen=True)
class FlowResult(AgainstLaw):
    """A flow integrated over the times `ts` (T,) that it reached, beside its own law and the others."""

    max_relative_error: float
    steps: int
    successful: bool
    t_max: float
    ys: dict[str, Float[np.ndarray, "T ..."]]
    omega_law: Float[np.ndarray, "T K"]
    asymptote: Float[np.ndarray, " T"] | None
    error_against: dict[str, float]
    result: str

    @property
    def omega_beside(self) -> Float[np.ndarray, "T K"]:
        """What omega is compared with: its law."""
        return self.omega_law


def _integrate(
    X: Float[Array, "..."],
    index: Int[Array, ""],
    kernel: Float[Array, ""],
    clock: tuple[Array, Array, Array],
    ts: Float[Array, " T"],
    rtol: Float[Array, ""],
    atol: Float[Array, ""],
    **static: Any,
) -> Solution:
    """One program for all flows: their index and kernel, the clock's numbers, the times and tolerances are traced."""
    return solve(X, OneOf(index, kernel), Clock(*clock), ts=ts, rtol=rtol, atol=atol, **static)


@lru_cache(maxsize=16)
def solver(
    shape: tuple[int, ...],
    N: int,
    level: str,
    saves: int,
    many: bool,
    meter: diffrax.AbstractProgressMeter | None,
    how: NamedSharding | None,
) -> Future:
    """The compiled solve for a shape of `Start.X`, `how` the sharding of features; compiling begins at once."""
    whole = None if how is None else replicated(how)
    scalar, index = (jax.ShapeDtypeStruct((), kind, sharding=whole) for kind in (float, np.int32))
    times = jax.ShapeDtypeStruct((saves,), float, sharding=whole)
    X = jax.ShapeDtypeStruct(shape, float, sharding=how)
    program = jax.jit(partial(_integrate, N=N, level=level, many=many, progress_meter=meter), out_shardings=whole)
    return compiling(program.lower(X, index, scalar, (scalar, scalar, scalar), times, scalar, scalar))


def log_law(law: AbstractLaw, ts: Float[Any, " T"], omega0: Float[Any, "*S K"]) -> Float[Array, "*S T K"]:
    """Log omega(t) by a law, of one start or of many."""
    return jnp.log(omega0)[..., None, :] + law.growth(ts[:, None], omega0[..., None, :])


def largest_error(omega: Float[np.ndarray, "*S T K"], log_omega: Float[np.ndarray, "*S T K"]) -> np.ndarray:
    """The largest |omega/exp(log_omega) - 1| of each start (*S,); NaN if there is no time, or an omega is NaN."""
    if not omega.size:
        return np.full(omega.shape[:-2], math.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.max(np.abs(np.expm1(np.log(omega) - log_omega)), axis=(-2, -1)))


@partial(jax.jit, static_argnames=("C", "N", "kernel"))
def _closed_forms(
    ts: Float[Array, " T"], omega0: Float[Array, " K"], *, C: int, N: int, kernel: float
) -> tuple[dict[str, Float[Array, "T K"]], dict[str, Float[Array, " T"]]]:
    """By the flows' names the laws as log omega(t) from the same omega(0), and the asymptotes of the power laws."""
    laws = {name: with_kernel(name, kernel).law(C, N) for name in FLOWS}
    log_omega = {name: log_law(law, ts, omega0) for name, law in laws.items()}
    return log_omega, {name: law.asymptote(ts) for name, law in laws.items() if law.is_power_law}


@lru_cache(maxsize=16)
def closed_forms(C: int, N: int, saves: int, kernel: float) -> Future:
    """The compiled laws and asymptotes of all flows; compiling begins at once."""
    plain = jax.ShapeDtypeStruct((saves,), float), jax.ShapeDtypeStruct((C - 1,), float)
    return compiling(_closed_forms.lower(*plain, C=C, N=N, kernel=kernel))


def prepare(
    shape: tuple[int, ...],
    N: int,
    level: str,
    saves: int,
    *,
    kernel: float = 1.0,
    meter: diffrax.AbstractProgressMeter | None = None,
    how: NamedSharding | None = None,
) -> Future:
    """Begin to compile all that one start of a shape needs, side by side, and return the solve, the longest of them.

    Call it as soon as the sizes are known.
    """
    solving = solver(shape, N, level, saves, False, meter, how)
    if len(shape) == 3:
        renormalizing(*shape, how)
    closed_forms(shape[1], N, saves, kernel)
    return solving


def integrate(
    flow: AbstractFlow,
    begin: Start,
    ts: Float[np.ndarray, " T"],
    *,
    level: str,
    rtol: float,
    atol: float,
    meter: diffrax.AbstractProgressMeter | None = None,
    how: NamedSharding | None = None,
) -> Solution:
    """A flow from one start, or from many as one system, at times from 0 to the horizon; its arrays are NumPy's.

    Over the devices of a sharding, if there is one.
    """
    program = solver(begin.X.shape, begin.N, level, len(ts), begin.many, meter, how).result()
    clock = tuple(map(np.float64, flow.horizon(begin.omega0, float(ts[-1]), **begin.sizes)))
    X = begin.X if how is None else place(begin.X, how)
    arguments = (X, index_of(flow.name), np.float64(flow.kernel), clock, ts, np.float64(rtol), np.float64(atol))
    solution = interruptible(lambda: program(*arguments))
    return jax.tree.map(lambda x: gather(x) if isinstance(x, jax.Array) else x, solution)


def reached_end(solution: Solution) -> bool:
    """Whether the solver reports no failure."""
    return diffrax.RESULTS[solution.result] == ""


def run_flow(
    name: str,
    begin: Start,
    *,
    level: str,
    t_max: float | None,
    saves: int,
    rtol: float,
    atol: float,
    kernel: float = 1.0,
    meter: diffrax.AbstractProgressMeter | None = None,
    how: NamedSharding | None = None,
) -> FlowResult:
    """Integrate one flow with a kernel at a level, and compare it with the laws of all flows.

    To t_max, or to its default horizon.

    Over the devices of a sharding, if there is one.

    Raises:
        ValueError: as `AbstractFlow.horizon`.
    """
    flow, sizes = with_kernel(name, kernel), begin.sizes
    ts = flow.horizon(begin.omega0, t_max, **sizes).times(saves)
    solution = integrate(flow, begin, ts, level=level, rtol=rtol, atol=atol, meter=meter, how=how)
    by_law = closed_forms(sizes["C"], begin.N, saves, kernel).result()(ts, begin.omega0)
    return _compare(flow, flow.law(**sizes), ts, solution, *jax.tree.map(np.asarray, by_law))


def _why_stopped(solution: Solution, log_omega: np.ndarray) -> str:
    """What kept a solve from its horizon, from the steps that it counted and from the law."""
    if np.max(log_omega) > LARGEST_LOGARITHM:
        return "omega exceeds float64 before the horizon: give a shorter --t-max"
    steps, rejected = (int(solution.stats[key]) for key in ("num_steps", "num_rejected_steps"))
    if 2 * rejected > steps:
        return (
            f"{rejected} of {steps} steps had an error above --rtol and --atol, which rounding alone makes: raise them"
        )
    return f"{steps} steps did not suffice: raise --rtol and --atol, or give a shorter --t-max"


def _compare(
    flow: AbstractFlow,
    law: AbstractLaw,
    ts: Float[np.ndarray, " T"],
    solution: Solution,
    log_laws: dict[str, np.ndarray],
    asymptotes: dict[str, np.ndarray],
) -> FlowResult:
    name, t_max, ys = flow.name, float(ts[-1]), {key: np.asarray(value) for key, value in solution.ys.items()}
    reached = np.all(np.isfinite(ys["omega"]) & (ys["omega"] > 0), axis=1)
    successful = reached_end(solution) and bool(reached.all())
    why = "" if successful else _why_stopped(solution, log_laws[name])
    ts, ys = ts[reached], {key: value[reached] for key, value in ys.items()}
    others = {other: np.log(ys["omega"]) - log_laws[other][reached] for other in log_laws if other != name}
    with np.errstate(over="ignore"):
        omega_law = np.exp(log_laws[name][reached])  # infinite beyond float64
    return FlowResult(
        name=name,
        law=law,
        kernel=float(flow.kernel),
        ts=ts,
        max_relative_error=float(largest_error(ys["omega"], log_laws[name][reached])),
        steps=int(solution.stats["num_accepted_steps"]),
        successful=successful,
        t_max=t_max,
        ys=ys,
        omega_law=omega_law,
        asymptote=asymptotes[name][reached] if name in asymptotes else None,
        error_against={other: float(np.max(np.abs(x))) if x.size else math.nan for other, x in others.items()},
        result="successful" if successful else f"stopped after t = {ts[-1] if len(ts) else 0.0:.3g}: {why}",
    )
