"""Simulate the central path: features to collapse, held against the closed form.

    python -m central_path.simulate --C 10 --N 50
    python -m central_path.simulate --features FILE.npz

Takes random or given features, renormalizes them (Sigma_W = I), integrates renormalized gradient flow on them and
compares every singular value omega_j(t) of the SNR matrix with the closed form c1 log w + c2 w^2 + c3 w^4 = a + t that
starts from the same omega(0). Writes summary.json, trajectory.npz and three figures; `--help` says the rest.

JAX is imported only when the options are known to be good and matplotlib is loading beside it.
"""

import argparse
import gc
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from central_path import records
from central_path.inputs import Given, GivenMeans, read_input
from central_path.names import LEVEL_NAMES
from central_path.options import PROGRAM, parse
from central_path.painter import FIGURE_NAMES, Painter, painter
from central_path.program import (
    answer,
    is_first_process,
    join_processes,
    on_terminal,
    run_program,
    set_up_jax,
    shown,
    ticking,
)
from central_path.simulate_many import FILES as OF_MANY
from central_path.simulate_many import simulate_many

if TYPE_CHECKING:
    from central_path.experiment import FlowResult, Start

LONG_LINEAR_ALGEBRA = 1e5  # entries of the start beyond which LAPACK gains from more threads
LONG_WORK = 2e7  # P^2 C N beyond which a solve takes long enough for a progress bar of its own


def warn_of_rounding(args: argparse.Namespace, begin: "Start") -> None:
    """Say on stderr where float64 has not the digits for the tolerance, before a flow is integrated."""
    from central_path.flows import FLOWS

    for name in args.flow:
        flow, sizes = FLOWS[name], {"C": len(begin.omega0) + 1, "N": begin.N}
        t_max = flow.horizon(begin.omega0, args.t_max, **sizes).t_max
        left = {level: flow.rounding(begin.omega0, t_max, level=level, **sizes) for level in LEVEL_NAMES}
        if left[args.level] > args.tolerance:
            better = [level for level in LEVEL_NAMES if left[level] <= args.tolerance]
            remedy = f"give --level {better[0]}" if better else "the start itself is known no better"
            print(
                f"{name} at level {args.level}: float64 leaves a relative error of about {left[args.level]:.1g} of "
                f"omega, and --tolerance is {args.tolerance:g}: {remedy}",
                file=sys.stderr,
            )


def progress_meter(args: argparse.Namespace, C: int, N: int, P: int) -> Any:
    """Diffrax's bar for a long solve on a terminal, else None.

    It is a host callback, and such a program is compiled anew each time, which long work does not notice.
    """
    if args.quiet or not on_terminal() or args.level != "features" or P * P * C * N < LONG_WORK:
        return None
    import diffrax

    return diffrax.TqdmProgressMeter(refresh_steps=1)


def integrate(args: argparse.Namespace, begin: "Start", meter: Any, how: Any) -> "list[FlowResult]":
    """Integrate the flows asked for, with a progress bar on a terminal."""
    from tqdm import tqdm

    from central_path.experiment import run_flow

    options = {key: getattr(args, key) for key in ("level", "t_max", "saves", "rtol", "atol")}
    silent = args.quiet or not on_terminal() or meter is not None
    flows = tqdm(args.flow, desc="flows", unit="flow", file=sys.stderr, leave=False, disable=silent)
    with ticking(flows):
        return [run_flow(name, begin, meter=meter, how=how, **options) for name in flows]


def spread_over(devices: int, C: int, N: int) -> Any:
    """The sharding of features over devices, None for one.

    Raises:
        ValueError: as `sharding.spread`.
    """
    if devices == 1:
        return None
    import jax

    from central_path.sharding import spread

    return spread(C, N, devices or jax.device_count())


def simulate(args: argparse.Namespace, given: Given | GivenMeans, paint: Painter | None) -> tuple[int, str]:
    """Run and write; the exit code and the closing table. Of several processes the first alone writes.

    Raises:
        ValueError: for unusable input, before anything is written.
        OSError: if the results cannot be written; then none is.
    """
    started = time.perf_counter()
    set_up_jax(blas_threads=None if given.values.size > LONG_LINEAR_ALGEBRA else 1)
    if args.distributed:
        join_processes()
    from central_path import experiment, report

    C, N, P = given.sizes
    meter = progress_meter(args, C, N, P)
    how = spread_over(args.devices, C, N)
    with shown("compiling", silent=args.quiet):
        compiled = experiment.programs(given.values.shape, N, args.level, args.saves, meter, how)
        begin = given.start(how)
    experiment.check_horizons(args.flow, begin, args.t_max)
    warn_of_rounding(args, begin)
    with shown("compiling", silent=args.quiet):
        compiled.integrate.result()
    flows = integrate(args, begin, meter, how)

    code = 0 if all(flow.agrees(args.tolerance) for flow in flows) else 1
    if args.distributed and not is_first_process():
        return code, ""
    summary = {"C": C, "N": N, "P": P, "P_input": given.P_input, "rank": given.rank, "signal_lost": given.signal_lost}
    summary["start"] = given.kind
    summary |= {key: getattr(args, key) for key in ("seed", "level", "rtol", "atol", "t_max", "tolerance", "saves")}
    summary |= {"seconds": time.perf_counter() - started, "versions": report.versions()}
    summary["flows"] = {flow.name: report.flow_summary(flow, tolerance=args.tolerance) for flow in flows}
    arrays: dict[str, Any] = {**given.arrays(begin)}
    for flow in flows:
        arrays |= report.flow_arrays(flow)
    stale = OF_MANY if paint else (*OF_MANY, *FIGURE_NAMES)
    with records.staging(args.output, last="summary.json", stale=stale) as stage:
        np.savez(stage / "trajectory.npz", **arrays)
        if paint:
            paint.draw(stage)
        records.write_json(stage / "summary.json", summary)
    table = report.table(summary["flows"], C=C, N=N)
    return code, f"{table}\n\nC = {C}, N = {N}, P = {P}, level {args.level}; results in {args.output}"


def run(args: argparse.Namespace) -> tuple[int, str]:
    """One start or many; the exit code and the table."""
    records.check_destination(args.output, ("summary.json", "trajectory.npz", *FIGURE_NAMES, *OF_MANY))
    if args.ensemble:
        code, table = simulate_many(args)
    else:
        given = read_input(args)
        with painter(not args.no_plots) as paint:
            code, table = simulate(args, given, paint)
    return code, "" if args.quiet else table


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parse(argv)
    return answer(PROGRAM, lambda: run(args), (ValueError, OSError, MemoryError, RuntimeError))


if __name__ == "__main__":
    gc.disable()  # a process that lives for one run: collecting costs its imports and traces a tenth of their time
    run_program(main)
