"""One experiment: renormalize features, integrate the flows, compare each with the laws.

The laws start from the omega(0) that is measured on the starting features; nothing else is shared between a flow and
its law.
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array, Float

from central_path.flows import FLOWS, OneOf, index_of
from central_path.metrics.snr import singular_values
from central_path.simulation.compiler import COMPILER_OPTIONS
from central_path.simulation.sharding import gather, place, replicated
from central_path.simulation.solve import Clock, Solution, solve
from central_path.theory.laws import Law
from central_path.theory.manifold import inverse_root, retract
from central_path.theory.problem import (
    class_means,
    covariance,
    deviations,
    equal_priors,
    global_mean,
    snr_singular_values,
)

LARGEST_LOGARITHM = math.log(np.finfo(float).max)

_threads = ThreadPoolExecutor(max_workers=3, thread_name_prefix="compile")


@dataclass(frozen=True)
class Start:
    """Renormalized features X (P, C, N), or their class means (r, C) alone, and their omega(0) (C-1,), descending."""

    X: Float[np.ndarray, "P C *N"]
    omega0: Float[np.ndarray, " K"]
    N: int


@dataclass(frozen=True)
class FlowResult:
    """A flow integrated over the times `ts` (T,) that it reached, beside its own law and the others."""

    name: str
    law: Law
    t_max: float
    ts: Float[np.ndarray, " T"]
    ys: dict[str, Float[np.ndarray, "T ..."]]
    omega_law: Float[np.ndarray, "T K"]
    asymptote: Float[np.ndarray, " T"] | None
    max_relative_error: float
    error_against: dict[str, float]
    steps: int
    result: str

    @property
    def successful(self) -> bool:
        """Whether the solver reached the horizon."""
        return self.result == "successful"

    def agrees(self, tolerance: float) -> bool:
        """Whether the solver succeeded and every omega_j(t) is within the tolerance of the flow's own law."""
        return self.successful and bool(self.max_relative_error <= tolerance)


def _renormalize(H: Float[Array, "P C N"]) -> tuple[Array, Array, Array]:
    X = retract(retract(H))  # the second pass takes away the rounding that an ill-conditioned Sigma_W leaves
    M = class_means(X)
    offset = jnp.max(jnp.abs(inverse_root(covariance(deviations(H))) @ global_mean(H)))
    return X, snr_singular_values(M, covariance(deviations(X)), equal_priors(M.shape[1])), offset


def _integrate(
    X: Float[Array, "P C *N"],
    index: Array,
    clock: tuple[Array, Array, Array],
    ts: Float[Array, " T"],
    rtol: Array,
    atol: Array,
    *,
    N: int,
    level: str,
    meter: diffrax.AbstractProgressMeter,
) -> Solution:
    """One program for all flows: the flow's index, the clock's numbers, the times and the tolerances are traced."""
    return solve(X, OneOf(index), Clock(*clock), level=level, N=N, ts=ts, rtol=rtol, atol=atol, progress_meter=meter)


@partial(jax.jit, static_argnames=("C", "N"))
def _closed_forms(
    ts: Float[Array, " T"], omega0: Float[Array, " K"], *, C: int, N: int
) -> tuple[dict[str, Float[Array, "T K"]], dict[str, Float[Array, " T"]]]:
    """By the flows' names the laws as log omega(t) from the same omega(0), and the asymptotes of the power laws."""
    laws = {name: flow.law(C, N) for name, flow in FLOWS.items()}
    start = jnp.log(omega0)[None, :]
    log_omega = {name: start + law.growth(ts[:, None], omega0[None, :]) for name, law in laws.items()}
    return log_omega, {name: law.asymptote(ts) for name, law in laws.items() if law.is_power_law}


@dataclass(frozen=True)
class Programs:
    """The compiled programs of one problem size, each a promise: they are compiled side by side."""

    integrate: Future
    closed_forms: Future


def interruptible(call: Callable[[], Any]) -> Any:
    """The arrays that a compiled program computes, in a thread of its own, so that Ctrl-C gets through."""
    return _threads.submit(lambda: jax.block_until_ready(call())).result()


def _compiling(lowered: jax.stages.Lowered) -> Future:
    return _threads.submit(lowered.compile, COMPILER_OPTIONS)


@lru_cache(maxsize=16)
def _renormalize_program(C: int, N: int, P: int, how: NamedSharding | None) -> Future:
    out = None if how is None else (how, replicated(how), replicated(how))
    program = jax.jit(_renormalize, out_shardings=out)
    return _compiling(program.lower(jax.ShapeDtypeStruct((P, C, N), float, sharding=how)))


@lru_cache(maxsize=16)
def programs(
    shape: tuple[int, ...],
    N: int,
    level: str = "features",
    saves: int = 200,
    meter: diffrax.AbstractProgressMeter | None = None,
    how: NamedSharding | None = None,
) -> Programs:
    """Trace what a start of a shape needs and start to compile it, unless this process has done so before.

    The shape is that of `Start.X`, `how` the sharding of features. Call it as soon as the sizes are known.
    """
    C = shape[1]
    whole = None if how is None else replicated(how)
    scalar, index = (jax.ShapeDtypeStruct((), kind, sharding=whole) for kind in (float, np.int32))
    times = jax.ShapeDtypeStruct((saves,), float, sharding=whole)
    X = jax.ShapeDtypeStruct(shape, float, sharding=how)
    meter = diffrax.NoProgressMeter() if meter is None else meter
    clock = (scalar, scalar, scalar)
    program = jax.jit(_integrate, static_argnames=("N", "level", "meter"), out_shardings=whole)
    integrate = program.lower(X, index, clock, times, scalar, scalar, N=N, level=level, meter=meter)
    integrating = _compiling(integrate)  # the longest first
    if len(shape) == 3:
        _renormalize_program(C, N, shape[0], how)
    plain = jax.ShapeDtypeStruct((saves,), float), jax.ShapeDtypeStruct((C - 1,), float)
    return Programs(integrating, _compiling(_closed_forms.lower(*plain, C=C, N=N)))


def renormalize(H: Float[np.ndarray, "P C N"], *, eps: float, how: NamedSharding | None = None) -> Start:
    """Sigma_W^(-1/2) (H - mu_G), the start of every flow; eps is the precision in which the features were stored.

    Over the devices of a sharding, if there is one.

    Raises:
        ValueError: if Sigma_W is singular, or an omega_j is zero to that precision: coinciding or affinely dependent
            class means.
    """
    P, C, N = H.shape
    X, omega0, offset = map(gather, _renormalize_program(C, N, P, how).result()(H if how is None else place(H, how)))
    rounding = P * eps * max(1.0, float(offset), float(omega0[0]))
    if not (np.all(np.isfinite(X)) and np.all(np.isfinite(omega0))):
        raise ValueError(
            f"Need a within-class covariance of full rank P = {P} in float64, got one that is singular to rounding: "
            "lower P, or restrict the features to its range."
        )
    zeros = int(np.count_nonzero(omega0 <= rounding))
    if zeros:
        remedy = "drop or merge the classes whose means coincide"
        if offset > max(1.0, omega0[0]):
            remedy += ", or take the common offset of the features away before they are stored"
        raise ValueError(
            f"Need affinely independent class means, got {zeros} of {len(omega0)} singular values omega at zero to the "
            f"precision of the features (smallest {omega0[-1]:.2g}, rounding {rounding:.2g}): omega = 0 never grows; "
            f"{remedy}."
        )
    return Start(X, omega0, N)


def start_of_means(M: Float[np.ndarray, "r C"], N: int) -> Start:
    """A start of which the class means are known and no features: N examples each, Sigma_W = I, mean 0."""
    return Start(M, singular_values(M, equal_priors(M.shape[1])), N)


def check_horizons(names: Iterable[str], begin: Start, t_max: float | None) -> None:
    """Refuse a flow that has no horizon, before any is integrated.

    Raises:
        ValueError: as `AbstractFlow.horizon`.
    """
    for name in names:
        FLOWS[name].horizon(begin.omega0, t_max, C=len(begin.omega0) + 1, N=begin.N)


def run_flow(
    name: str,
    begin: Start,
    *,
    level: str,
    t_max: float | None,
    saves: int,
    rtol: float,
    atol: float,
    meter: diffrax.AbstractProgressMeter | None = None,
    how: NamedSharding | None = None,
) -> FlowResult:
    """Integrate one flow at a level, to t_max or its default horizon, and compare it with the laws of all flows.

    Over the devices of a sharding, if there is one.

    Raises:
        ValueError: as `AbstractFlow.horizon`.
    """
    sizes = {"C": begin.X.shape[1], "N": begin.N}
    t_max, scale, power = chosen = FLOWS[name].horizon(begin.omega0, t_max, **sizes)
    compiled = programs(begin.X.shape, begin.N, level, saves, meter, how)
    clock = np.float64(t_max), np.float64(scale), np.float64(power)
    X = begin.X if how is None else place(begin.X, how)
    arguments = (X, index_of(name), clock, chosen.times(saves), np.float64(rtol), np.float64(atol))
    integrate = compiled.integrate.result()
    solution = interruptible(lambda: integrate(*arguments))
    solution = jax.tree.map(lambda x: gather(x) if isinstance(x, jax.Array) else x, solution)
    closed_forms = jax.tree.map(np.asarray, compiled.closed_forms.result()(solution.ts, begin.omega0))
    return _compare(name, FLOWS[name].law(**sizes), t_max, solution, *closed_forms)


def _largest(errors: np.ndarray) -> float:
    return float(np.max(np.abs(errors))) if errors.size else math.nan


def _why_stopped(solution: Solution, log_law: np.ndarray) -> str:
    """What kept a solve from its horizon, from the steps that it counted and from the law."""
    if np.max(log_law) > LARGEST_LOGARITHM:
        return "omega exceeds float64 before the horizon: give a shorter --t-max"
    steps, rejected = (int(solution.stats[key]) for key in ("num_steps", "num_rejected_steps"))
    if 2 * rejected > steps:
        return (
            f"{rejected} of {steps} steps had an error above --rtol and --atol, which rounding alone makes: raise them"
        )
    return f"{steps} steps did not suffice: raise --rtol and --atol, or give a shorter --t-max"


def _compare(
    name: str,
    law: Law,
    t_max: float,
    solution: Solution,
    log_laws: dict[str, np.ndarray],
    asymptotes: dict[str, np.ndarray],
) -> FlowResult:
    ts = np.asarray(solution.ts)
    ys = {key: np.asarray(value) for key, value in solution.ys.items()}
    reached = np.all(np.isfinite(ys["omega"]) & (ys["omega"] > 0), axis=1)
    failed = diffrax.RESULTS[solution.result] != "" or not reached.all()
    why = _why_stopped(solution, log_laws[name]) if failed else ""
    ts, ys = ts[reached], {key: value[reached] for key, value in ys.items()}
    apart = {other: np.log(ys["omega"]) - log_law[reached] for other, log_law in log_laws.items()}
    with np.errstate(over="ignore"):
        omega_law = np.exp(log_laws[name][reached])  # infinite beyond float64
    message = f"stopped after t = {ts[-1] if len(ts) else 0.0:.3g}: {why}" if failed else "successful"
    return FlowResult(
        name=name,
        law=law,
        t_max=t_max,
        ts=ts,
        ys=ys,
        omega_law=omega_law,
        max_relative_error=_largest(np.expm1(apart[name])),
        error_against={other: _largest(deviation) for other, deviation in apart.items() if other != name},
        steps=int(solution.stats["num_accepted_steps"]),
        result=message,
        asymptote=asymptotes[name][reached] if name in asymptotes else None,
    )
