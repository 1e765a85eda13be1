"""Simulate the central path: features to collapse, compared with the closed form.

    python -m central_path.simulate --C 10 --N 50
    python -m central_path.simulate --features FILE.npz

Takes random or given features, renormalizes them (Sigma_W = I), integrates renormalized gradient flow on them and
compares every singular value omega_j(t) of the SNR matrix with the closed form c1 log w + c2 w^2 + c3 w^4 = a + t that
starts from the same omega(0). Writes summary.json, trajectory.npz and three figures; `--help` says the rest.

JAX and matplotlib are imported only when the options are known to be good.
"""

import sys
import time
from typing import TYPE_CHECKING, Any

from central_path.cli import records
from central_path.cli.config import FILES_OF_MANY, FILES_OF_ONE, SimulateConfig
from central_path.cli.given import Given, GivenMeans
from central_path.cli.inputs import LONG_LINEAR_ALGEBRA, read_input
from central_path.cli.options import PROGRAM, parse
from central_path.cli.program import (
    answer,
    is_first_process,
    join_processes,
    on_terminal,
    run_program,
    set_up_jax,
    shown,
    ticking,
)
from central_path.cli.simulate_general import simulate_general
from central_path.cli.simulate_many import simulate_many
from central_path.names import LEVEL_NAMES

if TYPE_CHECKING:
    from central_path.simulation.experiment import FlowResult
    from central_path.simulation.starts import Start

LONG_WORK = 2e7  # P^2 C N beyond which a solve takes long enough for a progress bar of its own


def warn_of_rounding(config: SimulateConfig, begin: "Start") -> None:
    """Say on stderr where float64 has not the digits for the tolerance, before a flow is integrated."""
    from central_path.flows import with_kernel

    for name in config.flow:
        flow, sizes = with_kernel(name, config.kernel), begin.sizes
        t_max = flow.horizon(begin.omega0, config.t_max, **sizes).t_max
        left = {level: flow.rounding(begin.omega0, t_max, level=level, **sizes) for level in LEVEL_NAMES}
        if left[config.level] > config.tolerance:
            better = [level for level in LEVEL_NAMES if left[level] <= config.tolerance]
            remedy = f"give --level {better[0]}" if better else "the start itself is known no better"
            print(
                f"{name} at level {config.level}: float64 leaves a relative error of about {left[config.level]:.1g} of "
                f"omega, and --tolerance is {config.tolerance:g}: {remedy}",
                file=sys.stderr,
            )


def progress_meter(config: SimulateConfig, C: int, N: int, P: int) -> Any:
    """Diffrax's bar for a long solve on a terminal, else None.

    It is a host callback, and such a program is compiled anew each time, which long work does not notice.
    """
    if config.quiet or not on_terminal() or config.level != "features" or P * P * C * N < LONG_WORK:
        return None
    import diffrax

    return diffrax.TqdmProgressMeter(refresh_steps=1)


def integrate(config: SimulateConfig, begin: "Start", meter: Any, how: Any) -> "list[FlowResult]":
    """Integrate the flows asked for, with a progress bar on a terminal."""
    from tqdm import tqdm

    from central_path.simulation.experiment import run_flow

    silent = config.quiet or not on_terminal() or meter is not None
    flows = tqdm(config.flow, desc="flows", unit="flow", file=sys.stderr, leave=False, disable=silent)
    with ticking(flows):
        return [run_flow(name, begin, meter=meter, how=how, **config.integration) for name in flows]


def spread_over(devices: int, C: int, N: int) -> Any:
    """The sharding of features over devices, None for one.

    Raises:
        ValueError: as `sharding.spread`.
    """
    if devices == 1:
        return None
    import jax

    from central_path.simulation.sharding import spread

    return spread(C, N, devices or jax.device_count())


def simulate(config: SimulateConfig, given: Given | GivenMeans) -> tuple[int, str]:
    """Run and write; the exit code and the closing table. Of several processes the first alone writes.

    Raises:
        ValueError: for unusable input, before anything is written.
        OSError: if the results cannot be written; then none is.
    """
    # The settings of JAX come before anything that imports it
    started = time.perf_counter()
    set_up_jax(blas_threads=None if given.values.size > LONG_LINEAR_ALGEBRA else 1)
    if config.distributed:
        join_processes()
    from central_path.cli import report
    from central_path.simulation import experiment, starts

    # Programs depend on sizes and options alone: XLA compiles in threads while the start is computed
    C, N, P = given.sizes
    meter = progress_meter(config, C, N, P)
    how = spread_over(config.devices, C, N)
    with shown("compiling", silent=config.quiet):
        options = {"kernel": config.kernel, "meter": meter, "how": how}
        compiled = experiment.prepare(given.values.shape, N, config.level, config.saves, **options)
        draw = None
        if not config.no_plots:  # matplotlib is imported while XLA compiles in its threads
            from central_path.cli.plots import draw
        begin = given.start(how)
    # What cannot be integrated is refused or warned of before the first flow
    starts.check_horizons(config.flow, begin, config.t_max, kernel=config.kernel)
    warn_of_rounding(config, begin)
    # Every flow runs in the one compiled program
    with shown("compiling", silent=config.quiet):
        compiled.result()
    flows = integrate(config, begin, meter, how)

    # The verdicts, which each process has; files are written by the first alone
    code = 0 if all(flow.agrees(config.tolerance) for flow in flows) else 1
    if config.distributed and not is_first_process():
        return code, ""
    heading = {"C": C, "N": N, "P": P, "P_input": given.P_input, "rank": given.rank, "signal_lost": given.signal_lost}
    heading["start"] = given.kind
    found = {flow.name: report.flow_summary(flow, tolerance=config.tolerance) for flow in flows}
    arrays = given.arrays(begin)
    for flow in flows:
        arrays |= report.flow_arrays(flow)
    report.write(config, heading, found, arrays, draw=draw, started=started)
    table = report.table(found, C=C, N=N)
    return code, f"{table}\n\nC = {C}, N = {N}, P = {P}, level {config.level}; results in {config.output}"


def run(config: SimulateConfig) -> tuple[int, str]:
    """One start or many; the exit code and the table."""
    records.check_destination(config.output, ("summary.json", *FILES_OF_ONE, *FILES_OF_MANY))
    if config.ensemble:
        code, table = simulate_many(config)
    elif isinstance(given := read_input(config), Given | GivenMeans):
        code, table = simulate(config, given)
    else:
        code, table = simulate_general(config, given)
    return code, "" if config.quiet else table


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    config = parse(argv)
    return answer(PROGRAM, lambda: run(config), (ValueError, OSError, MemoryError, RuntimeError))


if __name__ == "__main__":
    run_program(main)
