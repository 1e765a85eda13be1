"""Work against precision at level `features`: central_path beside SciPy and torchdiffeq.

    python benchmarks/work_precision.py
    python benchmarks/work_precision.py --C 10 --N 50 --P 64 --repeats 5 --flow renormalized --t-max 1e8

Every solver integrates `features_field` of the one flow, compiled by XLA with the same options, on
one thread of one core, from the same start, and observes the same times with the same compiled observables.

    central_path      `solve.solve`: diffrax's Dopri8 in the variable s of `solve.Clock`
    scipy t, s        `scipy.integrate.solve_ivp`, DOP853, in t and in s
    torchdiffeq t, s  `torchdiffeq.odeint`, dopri8, in t and in s, the field through DLPack

Errors are the largest relative ones of any omega_j against the closed form, at the end and at all output times. Times
are medians of repetitions that alternate between the solvers, ratios are medians of ratios within a repetition.
"""

import argparse
import itertools
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from unittest.mock import patch

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import torch
from scipy.integrate import solve_ivp
from torchdiffeq import odeint

from central_path import flows
from central_path.simulation import aligned
from central_path.simulation.compiler import COMPILER_OPTIONS
from central_path.simulation.observables import OBSERVE
from central_path.simulation.solve import Clock, solve
from central_path.simulation.starts import renormalize
from central_path.theory.problem import class_means, contrasts, deviations, random_features

RTOLS = tuple(10.0**-digits for digits in range(3, 13))  # from 1e-3, so that most curves cross 1e-9
SAVES = (2, 200)  # the two ends alone, and what the program records
TARGET = 1e-9
GOAL = 3.0  # time of SciPy in t over time of central_path at TARGET
FLOOR = 1e-12  # errors below it are rounding, and say nothing about the order

Run = Callable[[float], tuple[int, np.ndarray]]  # rtol -> evaluations of the field, omega (T, C-1)


@dataclass
class Curve:
    """One solver over all tolerances."""

    name: str
    run: Run
    counts: list[int] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)  # at the end
    largest: list[float] = field(default_factory=list)  # at all output times
    seconds: list[list[float]] = field(default_factory=list)  # of each repetition
    notes: list[str] = field(default_factory=list)  # why there is no result


def central_path(X: np.ndarray, flow: flows.AbstractFlow, ts: np.ndarray, clock: Clock) -> Run:
    """The program's own solve; the evaluations are counted by a second compiled program, once per tolerance."""
    counts, calls, original = {}, [], aligned.features_field

    def counted(X, flow):
        jax.debug.callback(calls.append, 1)
        return original(X, flow)

    def compiled():
        def integrate(X, clock, rtol):
            return solve(X, flow, clock, level="features", N=X.shape[2], ts=jnp.asarray(ts), rtol=rtol, atol=rtol)

        program = jax.jit(integrate).lower(X, clock, np.float64(1)).compile(COMPILER_OPTIONS)
        return lambda rtol: jax.block_until_ready(program(X, clock, np.float64(rtol)))

    program = compiled()
    with patch.object(aligned, "features_field", counted):
        counting = compiled()

    def run(rtol: float) -> tuple[int, np.ndarray]:
        if rtol not in counts:
            calls.clear()
            counting(rtol)
            jax.effects_barrier()
            counts[rtol] = len(calls)
        trajectory = program(rtol)
        if trajectory.result != diffrax.RESULTS.successful:
            raise RuntimeError(diffrax.RESULTS[trajectory.result])
        return counts[rtol], np.asarray(trajectory.ys["omega"])

    return run


def peer(
    library: str, variable: str, X: np.ndarray, flow: flows.AbstractFlow, ts: np.ndarray, clock: Clock, limit: float
) -> Run:
    """SciPy's or torchdiffeq's method of order 8, in t or s.

    The latter is told to step onto the end: between its steps it interpolates by order 4.
    """
    compiled = jax.jit(flow.features_field).lower(X).compile(COMPILER_OPTIONS)
    R = np.concatenate([contrasts(X.shape[1]), np.full((X.shape[1], 1), X.shape[1] ** -0.5)], axis=1)

    def observed(X):
        return OBSERVE["features"](flows.Features(class_means(X) @ R, deviations(X)), flow, jnp.asarray(R))

    observe = jax.jit(observed).lower(X).compile(COMPILER_OPTIONS)
    times = ts if variable == "t" else np.asarray(clock.inverse(jnp.asarray(ts)))
    t_max, scale, power = (np.asarray(value).item() for value in (clock.t_max, clock.scale, clock.power))
    b = math.expm1(math.log1p(t_max / scale) / power)
    start, torch_times, state = torch.from_numpy(X.copy()), torch.from_numpy(times.copy()), {}

    def speed(s: float) -> float:
        return 1.0 if variable == "t" else scale * power * b * (1 + b * s) ** (power - 1)

    def call(s, y):
        state["count"] += 1
        if time.perf_counter() > state["deadline"]:
            raise TimeoutError
        if library == "scipy":
            return speed(s) * np.asarray(compiled(y.reshape(X.shape))).ravel()
        return speed(float(s)) * torch.from_dlpack(compiled(jax.dlpack.from_dlpack(y)))

    def run(rtol: float) -> tuple[int, np.ndarray]:
        state.update(count=0, deadline=time.perf_counter() + limit)
        if library == "scipy":
            solution = solve_ivp(call, (0.0, times[-1]), X.ravel(), "DOP853", times, rtol=rtol, atol=rtol)
            if not solution.success:
                raise RuntimeError(solution.message)
            states = [y.reshape(X.shape) for y in solution.y.T]
        else:
            options = {"step_t": torch_times[-1:]}
            states = odeint(call, start, torch_times, rtol=rtol, atol=rtol, method="dopri8", options=options)
            states = [jax.dlpack.from_dlpack(y) for y in states]
        return state["count"], np.array([observe(y)["omega"] for y in states])

    return run


def measure(curves: list[Curve], omega_law: np.ndarray, repeats: int) -> None:
    """Fill the curves: a first run for the errors, then timed repetitions that alternate between the solvers."""
    for rtol in RTOLS:
        for curve in curves:
            count, errors, note = 0, np.array([math.nan]), ""
            try:
                count, omega = curve.run(rtol)
                errors = np.max(np.abs(omega / omega_law - 1), axis=1)
            except TimeoutError:
                note = "timeout"
            except (RuntimeError, AssertionError) as failure:  # torchdiffeq asserts that dt has not underflowed
                note = f"failed: {failure}"
            curve.counts.append(count)
            curve.errors.append(float(errors[-1]))
            curve.largest.append(float(np.max(errors)))
            curve.notes.append(note)
            curve.seconds.append([])
        for curve in curves * repeats:
            begin = time.perf_counter()
            if not curve.notes[-1]:
                curve.run(rtol)
            curve.seconds[-1].append(math.nan if curve.notes[-1] else time.perf_counter() - begin)


def time_at(curve: Curve, error: float, repetition: int, *, anywhere: bool = False) -> float:
    """Seconds of a repetition at an error, on lines of log time against log error; NaN where the curve has no such."""
    seconds, errors = [row[repetition] for row in curve.seconds], curve.largest if anywhere else curve.errors
    for i in range(len(RTOLS) - 1):
        high, low = errors[i], errors[i + 1]
        if high >= error > low:
            share = math.log(high / error) / math.log(high / low)
            return seconds[i] ** (1 - share) * seconds[i + 1] ** share
    return math.nan


def report(curves: list[Curve], repeats: int) -> None:
    """The table, the ratios of time at TARGET, and the order of convergence in rtol."""
    ours = curves[0]
    print(f"{'solver':14}  rtol   fields  error at end  anywhere  median ms  time / central_path's at the same error")
    for curve in curves:
        for i, rtol in enumerate(RTOLS):
            ratio = np.median([curve.seconds[i][r] / time_at(ours, curve.errors[i], r) for r in range(repeats)])
            beside = "-" if curve is ours else f"{ratio:.2f}" if np.isfinite(ratio) else "beyond its curve"
            numbers = f"{curve.counts[i]:6d}  {curve.errors[i]:12.1e}  {curve.largest[i]:8.1e}"
            row = curve.notes[i] or f"{numbers}  {1e3 * np.median(curve.seconds[i]):9.1f}  {beside}"
            print(f"{curve.name:14}  {rtol:.0e}  {row}")
    places = ("at the end", "anywhere") if ours.errors != ours.largest else ("at the end",)
    for where, curve in itertools.product(places, curves[1:]):
        at = partial(time_at, error=TARGET, anywhere=where == "anywhere")
        ratios = [at(curve, repetition=r) / at(ours, repetition=r) for r in range(repeats)]
        spread = f"{np.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})"
        goal = "" if curve.name != "scipy t" else f"; goal {GOAL}: {'' if np.median(ratios) >= GOAL else 'not '}met"
        reached = spread + goal if np.all(np.isfinite(ratios)) else "no ratio, a curve does not cross it"
        print(f"time of {curve.name} / time of central_path at {TARGET:.0e} {where}: {reached}")
    kept = [i for i, error in enumerate(ours.errors) if error > FLOOR]
    slope = np.polyfit(np.log([RTOLS[i] for i in kept]), np.log([ours.errors[i] for i in kept]), 1)[0]
    print(f"central_path, log error at the end against log rtol, errors above {FLOOR:.0e}: slope {slope:.2f}")


def main() -> None:
    """Measure and print, for every horizon and number of output times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    for name, default in (("--C", 10), ("--N", 50), ("--P", 64), ("--repeats", 5), ("--seed", 0)):
        parser.add_argument(name, type=int, default=default, help="default: %(default)s")
    parser.add_argument("--flow", choices=("riemannian", "renormalized"), default="riemannian")
    parser.add_argument("--t-max", type=float, nargs="+", help="horizons; default: the law's own, and 1e8")
    parser.add_argument("--limit", type=float, default=5.0, help="seconds that a peer's solve may take")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    jax.config.update("jax_enable_x64", True)

    print(", ".join(f"{name} {version(name)}" for name in ("jax", "diffrax", "scipy", "torch", "torchdiffeq")))
    C, N, P, flow = args.C, args.N, args.P, flows.FLOWS[args.flow]
    law, begin = flow.law(C, N), renormalize(random_features(C, N, P, seed=args.seed), eps=float(np.finfo(float).eps))
    X, omega0 = np.asarray(begin.X), np.asarray(begin.omega0)
    for t_max in args.t_max or (None, 1e8):
        chosen = flow.horizon(omega0, t_max, C=C, N=N)
        clock = Clock(*map(np.float64, chosen))
        for saves in SAVES:
            print(
                f"\nC = {C}, N = {N}, P = {P}, {args.flow}, t_max = {chosen.t_max:.3g}, {saves} output times",
                flush=True,
            )
            ts = chosen.times(saves)
            curves = [Curve("central_path", central_path(X, flow, ts, clock))]
            for library, variable in (("scipy", "t"), ("scipy", "s"), ("torchdiffeq", "t"), ("torchdiffeq", "s")):
                curves.append(Curve(f"{library} {variable}", peer(library, variable, X, flow, ts, clock, args.limit)))
            measure(curves, np.asarray(law.omega(ts[:, None], omega0[None, :])), args.repeats)
            report(curves, args.repeats)


if __name__ == "__main__":
    main()
