"""What a run reports: its files, and of one start `summary.json`, `trajectory.npz` and the closing table."""

import platform
import time
from collections.abc import Callable
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from central_path import __version__
from central_path.cli import records
from central_path.cli.config import FILES_OF_MANY, FILES_OF_ONE, SimulateConfig
from central_path.cli.tables import aligned
from central_path.flows import FLOWS
from central_path.simulation.experiment import AgainstLaw, FlowResult

LIBRARIES = ("jax", "jaxlib", "diffrax", "equinox", "numpy")


def growth_exponent(ts: Float[np.ndarray, " T"], omega: Float[np.ndarray, "T K"]) -> float | None:
    """Slope of the mean log omega against log t over the last decade of t; None with fewer than two times there."""
    last = (ts > 0) & (ts >= ts[-1] / 10) if len(ts) else np.zeros(0, dtype=bool)
    if np.count_nonzero(last) < 2:
        return None
    return float(np.polyfit(np.log(ts[last]), np.mean(np.log(omega[last]), axis=1), 1)[0])


def versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries that make the numbers."""
    return {"python": platform.python_version(), "central_path": __version__} | {
        name: version(name) for name in LIBRARIES
    }


def write(
    config: SimulateConfig,
    heading: dict[str, Any],
    flows: dict[str, Any],
    arrays: dict[str, Any],
    *,
    draw: Callable[[Path], None] | None,
    started: float,
) -> None:
    """Write the files of one start or of many; those of an earlier run that this one does not write are removed.

    `draw` writes the figures into a folder that holds the arrays; None is no figures.

    Raises:
        OSError: if they cannot be written; then none is.
    """
    summary = heading | config.recorded() | {"seconds": time.perf_counter() - started, "versions": versions()}
    kept = config.files if draw else config.files[:1]
    stale = tuple(name for name in (*FILES_OF_ONE, *FILES_OF_MANY) if name not in kept)
    with records.staging(config.output, last="summary.json", stale=stale) as stage:
        np.savez(stage / config.files[0], **arrays)
        if draw:
            draw(stage)
        records.write_json(stage / "summary.json", summary | {"flows": flows})


def law_constants(flow: AgainstLaw) -> dict[str, int | float] | None:
    """c1, c2 and c3 of its law; None where it is not of that form."""
    return flow.law.constants._asdict() if flow.law.is_polynomial else None


def flow_summary(flow: FlowResult, *, tolerance: float) -> dict[str, Any]:
    """`flows.<name>` of summary.json. The growth exponent of a flow that grows exponentially does not exist."""
    power_law = flow.law.is_power_law
    extreme = {
        key: float(np.max(flow.ys[key])) if key in flow.ys and len(flow.ts) else None
        for key in ("drift", "global_mean")
    }
    return {
        "t_max": flow.t_max,
        "law": law_constants(flow),
        "kernel": flow.kernel,
        "lam": 0.0,
        "max_relative_error": flow.max_relative_error,
        "error_against": flow.error_against,
        "max_drift": extreme["drift"],
        "max_global_mean": extreme["global_mean"],
        "steps": flow.steps,
        "omega_first": flow.ys["omega"][0] if len(flow.ts) else None,
        "omega_last": flow.ys["omega"][-1] if len(flow.ts) else None,
        "growth_exponent": growth_exponent(flow.ts, flow.ys["omega"]) if power_law else None,
        "growth_exponent_law": growth_exponent(flow.ts, flow.omega_law) if power_law else None,
        "growth_exponent_limit": flow.law.exponent if power_law else None,
        "result": flow.result,
        "verdict": "agrees" if flow.agrees(tolerance) else "disagrees",
    }


def flow_arrays(flow: FlowResult) -> dict[str, np.ndarray]:
    """`<name>/...` of trajectory.npz."""
    arrays = {"t": flow.ts, "omega_law": flow.omega_law, **flow.ys}
    if flow.asymptote is not None:
        arrays["asymptote"] = flow.asymptote
    return {f"{flow.name}/{key}": value for key, value in arrays.items()}


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or not np.isfinite(value) else format(value, form)


def _law(flow: dict[str, Any]) -> str:
    if flow["law"] is None:
        return f"of kernel b = {flow['kernel']:g}"
    c1, c2, c3 = flow["law"].values()
    powers = [f"{c:g} {power}" for c, power in ((c2, "w^2"), (c3, "w^4")) if c]
    return f"{' + '.join([f'{c1:g} log w', *powers])} = a + t"


def _growth(flow: dict[str, Any], *, C: int, N: int) -> str:
    limit = flow["growth_exponent_limit"]
    if limit is None:
        return f"exp(t/{C * C * N / flow['kernel'] ** 2:g})"
    fitted, law = (_number(flow[key], ".4f") for key in ("growth_exponent", "growth_exponent_law"))
    return f"{fitted} / {law} / {Fraction(limit)}"


def table(flows: dict[str, dict[str, Any]], *, C: int, N: int) -> str:
    """The closing table: each flow against its own law, then against the laws of the others."""
    rows = [["flow", "its law", "growth exponent*", "largest error**", "drift", "steps", "verdict"]]
    for name, flow in flows.items():
        error, drift = _number(flow["max_relative_error"], ".1e"), _number(flow["max_drift"], ".1e")
        verdict = flow["verdict"] if flow["result"] == "successful" else f"{flow['verdict']} ({flow['result']})"
        rows.append([name, _law(flow), _growth(flow, C=C, N=N), error, drift, str(flow["steps"]), verdict])
    laws = [name for name in FLOWS if any(name in flow["error_against"] or name in flows for flow in flows.values())]
    cross = [["flow", *(f"law of {name}" for name in laws)]]
    for name, flow in flows.items():
        cross.append(
            [name, *(_number(flow["error_against"].get(law, flow["max_relative_error"]), ".1e") for law in laws)]
        )
    notes = "*  fitted over the last decade of t / predicted there / asymptotic    ** of every omega_j(t), relative"
    return "\n".join([*aligned(rows), notes, "", "largest |log omega - log law|:", *aligned(cross)])
