"""Features without a closed form: each flow at the levels `moments` and `features`, and how far the two agree.

`--level moments` of features that have a law is compared with the law (`central_path.simulation.general.beside`).
"""

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from central_path.cli.config import SimulateConfig
from central_path.cli.given import GivenMoments, GivenSamples
from central_path.cli.inputs import LONG_LINEAR_ALGEBRA
from central_path.cli.program import on_terminal, set_up_jax, ticking
from central_path.cli.tables import aligned

if TYPE_CHECKING:
    from central_path.simulation.general import GeneralFlow


def flow_summary(flow: "GeneralFlow", config: SimulateConfig) -> dict[str, Any]:
    """`flows.<name>` of summary.json."""
    ys = flow.ys
    return {
        "t_max": flow.t_max,
        "law": None,
        "kernel": config.kernel,
        "lam": config.lam,
        "compared_with": flow.compared_with,
        "max_relative_error": flow.max_relative_error,
        "error_against": {},
        "max_drift": flow.drift,
        "max_global_mean": float(np.max(ys["global_mean"])),
        "steps": flow.steps,
        "omega_first": ys["omega"][0],
        "omega_last": ys["omega"][-1],
        "growth_exponent": None,
        "result": flow.result,
        "verdict": "agrees" if flow.agrees(config.tolerance) else "disagrees",
    }


def flow_arrays(flow: "GeneralFlow") -> dict[str, np.ndarray]:
    """`<name>/...` of trajectory.npz: what the level `moments` observes, and omega of the other computation."""
    arrays = {"t": flow.ts, **flow.ys, f"omega_{flow.compared_with}": flow.omega_beside}
    return {f"{flow.name}/{key}": value for key, value in arrays.items()}


def table(flows: dict[str, dict[str, Any]]) -> str:
    """The closing table."""
    rows = [["flow", "kernel", "lambda", "t_max", "compared with", "largest error*", "drift**", "steps", "verdict"]]
    for name, flow in flows.items():
        drift = "-" if flow["max_drift"] is None else format(flow["max_drift"], ".1e")
        numbers = [format(flow[key], "g") for key in ("kernel", "lam")] + [format(flow["t_max"], ".3g")]
        verdict = flow["verdict"] if flow["result"] == "successful" else f"{flow['verdict']} ({flow['result']})"
        error = format(flow["max_relative_error"], ".1e")
        rows.append([name, *numbers, f"its {flow['compared_with']}", error, drift, str(flow["steps"]), verdict])
    notes = "*  of omega_j(t) and of the parts of L_LS(t), relative    ** of Sigma_W + b Sigma_B, where it is conserved"
    return "\n".join([*aligned(rows), notes])


def simulate_general(config: SimulateConfig, given: GivenSamples | GivenMoments) -> tuple[int, str]:
    """Run and write; the exit code and the closing table.

    Raises:
        ValueError: for input or options that have no such flow, before anything is written.
        OSError: if the results cannot be written; then none is.
    """
    from tqdm import tqdm

    started = time.perf_counter()
    set_up_jax(blas_threads=None if given.size > LONG_LINEAR_ALGEBRA else 1)
    from central_path.cli import report

    if given.why:
        print(f"{given.why}: no closed form; the levels moments and features are compared", file=sys.stderr)
    # Each flow at both levels
    bar: dict[str, Any] = {"desc": "flows", "unit": "flow", "file": sys.stderr, "leave": False}
    with ticking(tqdm(config.flow, disable=config.quiet or not on_terminal(), **bar)) as flows:
        how = {"kernel": config.kernel, "lam": config.lam, "t_max": config.t_max}
        how |= {key: getattr(config, key) for key in ("saves", "rtol", "atol")}
        done = [given.follow(name, **how) for name in flows]
    # Sizes and ranks belong to the start, which all flows share
    begin = done[0].run.start
    heading = {"C": len(given.counts), "N": given.N, "P": len(begin.M), "P_input": begin.P_input}
    heading |= {"rank": len(begin.w), "signal_lost": 0.0, "class_sizes": given.counts}
    infinite = min(begin.infinite, len(given.counts) - 1)
    heading |= {"infinite_omega": infinite, "infinite_share": begin.infinite_share, "start": given.kind}
    # The files, and the line below the table
    found = {flow.name: flow_summary(flow, config) for flow in done}
    arrays: dict[str, Any] = given.arrays()
    for flow in done:
        arrays |= flow_arrays(flow)
    draw = None
    if not config.no_plots:
        from central_path.cli.plots import draw
    report.write(config, heading, found, arrays, draw=draw, started=started)
    where = f"C = {len(given.counts)}, {begin.n} examples, P = {len(begin.M)} of {begin.P_input} dimensions"
    if infinite:
        where += f", {infinite} omega infinite with {begin.infinite_share:.3g} of |Mbar|^2"
    code = 0 if all(flow.agrees(config.tolerance) for flow in done) else 1
    return code, f"{table(found)}\n\n{where}; results in {config.output}"
