"""Many random starts at once (`python -m central_path.simulate --ensemble S`), and how their results spread.

Writes summary.json (quantiles over the starts), ensemble.npz (omega of every start at every time) and ensemble.png.
"""

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from central_path.cli import inputs
from central_path.cli.config import SimulateConfig
from central_path.cli.program import on_terminal, set_up_jax, ticking
from central_path.cli.tables import aligned

if TYPE_CHECKING:
    from central_path.simulation.ensemble import EnsembleResult

QUANTILES = {"min": 0.0, "q05": 0.05, "median": 0.5, "q95": 0.95, "max": 1.0}


def quantiles(values: Float[np.ndarray, " S"]) -> dict[str, float] | None:
    """By their names; None where a value does not exist."""
    if not np.all(np.isfinite(values)):
        return None
    return {name: float(np.quantile(values, q)) for name, q in QUANTILES.items()}


def flow_summary(flow: "EnsembleResult", *, tolerance: float, seed: int) -> dict[str, Any]:
    """`flows.<name>` of summary.json."""
    from central_path.cli.report import law_constants

    agrees = flow.agrees(tolerance)
    return {
        "t_max": float(flow.ts[-1]),
        "law": law_constants(flow),
        "kernel": flow.kernel,
        "lam": 0.0,
        "max_relative_error": quantiles(flow.max_relative_error),
        "time_to_collapse": quantiles(flow.time_to_collapse),
        "time_to_collapse_law": quantiles(flow.time_to_collapse_law),
        "steps": quantiles(flow.steps.astype(float)),
        "disagreeing_seeds": [seed + int(i) for i in np.flatnonzero(~agrees)],
        "verdict": "agrees" if agrees.all() else "disagrees",
    }


def flow_arrays(flow: "EnsembleResult") -> dict[str, np.ndarray]:
    """`<name>/...` of ensemble.npz."""
    keys = ("omega", "max_relative_error", "time_to_collapse", "time_to_collapse_law", "steps")
    return {f"{flow.name}/t": flow.ts} | {f"{flow.name}/{key}": getattr(flow, key) for key in keys}


def table(flows: dict[str, dict[str, Any]], S: int) -> str:
    """The closing table: quantiles over the starts."""

    def three(values: dict[str, float] | None, names: tuple[str, ...], form: str) -> list[str]:
        return ["-"] * len(names) if values is None else [format(values[name], form) for name in names]

    rows = [["flow", "error: median", "q95", "max", "time to collapse*: q05", "median", "q95", "law's median", "agree"]]
    for name, flow in flows.items():
        errors = three(flow["max_relative_error"], ("median", "q95", "max"), ".1e")
        times = three(flow["time_to_collapse"], ("q05", "median", "q95"), ".3e")
        law = three(flow["time_to_collapse_law"], ("median",), ".3e")
        rows.append([name, *errors, *times, *law, f"{S - len(flow['disagreeing_seeds'])} of {S}"])
    return "\n".join([*aligned(rows), "*  until max omega/min omega <= 1.01"])


def simulate_many(config: SimulateConfig) -> tuple[int, str]:
    """Run and write; the exit code and the closing table.

    Raises:
        ValueError: for unusable sizes, before anything is written.
        OSError: if the results cannot be written; then none is.
    """
    # The settings of JAX come before anything that imports it
    started = time.perf_counter()
    from tqdm import tqdm

    set_up_jax()
    from central_path.cli import report
    from central_path.simulation import ensemble, starts

    # Starts are drawn one by one, as single runs with these seeds draw them, so that any of them can be run alone
    C, N, P = config.sizes
    number = len(config.seeds)
    sizes = {"C": C, "N": N, "P": P}
    inputs.say_what_is_not_made(**sizes, level=config.level)
    bar: dict[str, Any] = {"unit": "start", "file": sys.stderr, "leave": False}
    bar["disable"] = config.quiet or not on_terminal()
    seeds = tqdm(config.seeds, "drawn", **bar)
    drawn = (inputs.random_start(**sizes, level=config.level, seed=seed).start() for seed in seeds)
    begin = starts.stack(drawn, config.level)
    # Flow by flow, in groups that fit the cache; a group is one system of equations
    with ticking(tqdm(total=number * len(config.flow), desc="integrated", **bar)) as progress:
        flows = [ensemble.run_flow(name, begin, **config.integration, advance=progress.update) for name in config.flow]

    # Quantiles over the starts go into the summary, every start into the arrays
    found = {flow.name: flow_summary(flow, tolerance=config.tolerance, seed=config.seed) for flow in flows}
    arrays: dict[str, Any] = {"seeds": np.array(config.seeds)}
    for flow in flows:
        arrays |= flow_arrays(flow)
    # matplotlib is imported only where figures are drawn
    draw = None
    if not config.no_plots:
        from central_path.cli.ensemble_plots import draw
    report.write(config, sizes | {"ensemble": number}, found, arrays, draw=draw, started=started)
    good = all(flow.agrees(config.tolerance).all() for flow in flows)
    where = f"{number} starts, C = {C}, N = {N}, P = {P}, level {config.level}"
    return int(not good), f"{table(found, number)}\n\n{where}; results in {config.output}"
