"""Features without a closed form: each flow at the levels `moments` and `features`, and how far the two agree.

Where classes are unbalanced, weights decay, or Sigma_W is singular, omega follows no law. The state (M, Sigma_W) is
closed all the same. It is integrated by its own vector field, and beside it all features by the gradient of the loss;
nothing but the start is shared. `--level moments` of features that have a law is compared with the law.
"""

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from central_path.cli.config import SimulateConfig
from central_path.cli.inputs import GivenSamples
from central_path.cli.program import on_terminal, set_up_jax, ticking
from central_path.cli.tables import aligned

if TYPE_CHECKING:
    from central_path.simulation.general import GeneralRun


@dataclass(frozen=True)
class GeneralFlow:
    """A flow's closed state beside what it is compared with: all features (`features`), or its law (`law`).

    `difference` is the largest relative one of omega, and beside features of the parts of L_LS too.
    """

    name: str
    run: "GeneralRun"
    beside: str
    omega_beside: np.ndarray
    difference: float
    drift: float | None
    complaint: str | None

    def agrees(self, tolerance: float) -> bool:
        """Whether the solver reached the horizon at both levels, and omega and what is conserved are as they should."""
        return self.complaint is None and self.difference <= tolerance and (self.drift or 0.0) <= tolerance


def follow(name: str, given: GivenSamples, config: SimulateConfig) -> GeneralFlow:
    """Integrate one flow, at the horizon of the law or of the initial rates.

    Raises:
        ValueError: as `simulate_general`.
    """
    from central_path.flows import with_kernel
    from central_path.metrics.measurement import measure
    from central_path.simulation.experiment import largest_error, log_law
    from central_path.simulation.general import agreement, simulate_general

    # Features with a law start from Sigma_W = I, where it holds, and run to the law's horizon
    options: dict[str, Any] = {"flow": name, "kernel": config.kernel, "lam": config.lam}
    options |= {name: getattr(config, name) for name in ("saves", "rtol", "atol")}
    if given.why is None:
        flow, sizes = with_kernel(name, config.kernel), {"C": len(given.counts), "N": int(given.counts[0])}
        omega0 = measure(given.features, given.labels).omega
        t_max = flow.horizon(omega0, config.t_max, **sizes).t_max
        run = simulate_general(given.features, given.labels, renormalize=True, t_max=t_max, **options)
        log_omega = np.asarray(log_law(flow.law(**sizes), run.ts, omega0))
        difference = float(largest_error(run.ys["omega"], log_omega))
        return GeneralFlow(name, run, "law", np.exp(log_omega), difference, None, _complaint(run))
    # Without a law all features are integrated as well, to the horizon that the moments chose
    run = simulate_general(given.features, given.labels, t_max=config.t_max, **options)
    whole = simulate_general(given.features, given.labels, t_max=run.t_max, level="features", **options)
    drift = float(np.max(whole.ys["drift"])) if run.dynamics.conserves and run.dynamics.moves else None
    apart = max(agreement(run, whole).values())
    complaint = _complaint(run) or _complaint(whole)
    return GeneralFlow(name, run, "features", whole.ys["omega"], apart, drift, complaint)


def _complaint(run: "GeneralRun") -> str | None:
    return None if run.successful else f"level {run.level}: {run.result}"


def flow_summary(flow: GeneralFlow, config: SimulateConfig) -> dict[str, Any]:
    """`flows.<name>` of summary.json."""
    ys = flow.run.ys
    return {
        "t_max": flow.run.t_max,
        "law": None,
        "kernel": config.kernel,
        "lam": config.lam,
        "compared_with": flow.beside,
        "max_relative_error": flow.difference,
        "error_against": {},
        "max_drift": flow.drift,
        "max_global_mean": float(np.max(ys["global_mean"])),
        "steps": flow.run.steps,
        "omega_first": ys["omega"][0],
        "omega_last": ys["omega"][-1],
        "growth_exponent": None,
        "result": flow.complaint or "successful",
        "verdict": "agrees" if flow.agrees(config.tolerance) else "disagrees",
    }


def flow_arrays(flow: GeneralFlow) -> dict[str, np.ndarray]:
    """`<name>/...` of trajectory.npz: what the level `moments` observes, and omega of the other computation."""
    other = "omega_law" if flow.beside == "law" else "omega_features"
    arrays = {"t": flow.run.ts, **flow.run.ys, other: flow.omega_beside[: len(flow.run.ts)]}
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


def simulate_general(config: SimulateConfig, given: GivenSamples) -> tuple[int, str]:
    """Run and write; the exit code and the closing table.

    Raises:
        ValueError: for input or options that have no such flow, before anything is written.
        OSError: if the results cannot be written; then none is.
    """
    from tqdm import tqdm

    started = time.perf_counter()
    set_up_jax()
    from central_path.cli import report

    if given.why:
        print(f"{given.why}: no closed form; the levels moments and features are compared", file=sys.stderr)
    # Each flow at both levels
    bar: dict[str, Any] = {"desc": "flows", "unit": "flow", "file": sys.stderr, "leave": False}
    with ticking(tqdm(config.flow, disable=config.quiet or not on_terminal(), **bar)) as flows:
        done = [follow(name, given, config) for name in flows]
    # Sizes and ranks belong to the start, which all flows share
    begin = done[0].run.start
    heading = {"C": len(given.counts), "N": given.N, "P": len(begin.M), "P_input": begin.P_input}
    heading |= {"rank": len(begin.w), "signal_lost": 0.0, "class_sizes": given.counts}
    infinite = min(begin.infinite, len(given.counts) - 1)
    heading |= {"infinite_omega": infinite, "infinite_share": begin.infinite_share, "start": "features"}
    # The files, and the line below the table
    found = {flow.name: flow_summary(flow, config) for flow in done}
    arrays: dict[str, Any] = {"features": given.features, "labels": given.labels}
    for flow in done:
        arrays |= flow_arrays(flow)
    draw = None
    if not config.no_plots:
        from central_path.cli.plots import draw
    report.write(config, heading, found, arrays, draw=draw, started=started)
    where = f"C = {len(given.counts)}, {len(given.labels)} examples, P = {len(begin.M)} of {begin.P_input} dimensions"
    if infinite:
        where += f", {infinite} omega infinite with {begin.infinite_share:.3g} of |Mbar|^2"
    code = 0 if all(flow.agrees(config.tolerance) for flow in done) else 1
    return code, f"{table(found)}\n\n{where}; results in {config.output}"
