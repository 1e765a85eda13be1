"""Forecasts of runs: the records, the table and the figure."""

from collections.abc import Sequence
from math import exp, inf, log

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from central_path.cli.plots import STYLE
from central_path.cli.tables import aligned
from deepnet_runs.dynamics.field_series import BLACK, BLUE, GREEN, PURPLE, VERMILLION
from deepnet_runs.dynamics.field_tables import number
from deepnet_runs.dynamics.kernel_forecast import NEAR, KernelForecast, Prediction
from deepnet_runs.storage.records import line

FILE, FIGURE = "forecast.jsonl", "forecast.png"
MOST = 11.0  # a larger factor is printed as more than that
SHOWN = {  # models, their labels, colours, lines and marks
    "kernel": ("measured kernel, nothing fitted", BLUE, "-", "o"),
    "kernel_fitted": ("measured kernel, fitted clock", VERMILLION, "--", "s"),
    "free_fitted": ("free features, fitted clock", GREEN, "-.", "^"),
    "common_factor": ("common factor", BLACK, ":", "x"),
    "line": ("line in log epoch", PURPLE, (0, (5, 1, 1, 1)), "D"),
    "constant": ("constant", "#666666", (0, (1, 3)), ""),
}
HEAD = ["run", "from", "model", "clock", "holds until", "growth then", "omega error", "NC1 error", "U", "V"]


def text(forecasts: Sequence[KernelForecast]) -> bytes:
    """forecast.jsonl: a line for each checkpoint."""
    return b"".join(line(found.to_dict()) for found in forecasts)


def _percent(log_error: float) -> str:
    if not np.isfinite(log_error):
        return "-"
    return f"{100 * (exp(log_error) - 1):.0f} %" if log_error < log(MOST) else f"> {100 * (MOST - 1):.0f} %"


def _cells(label: str, found: KernelForecast, name: str, made: Prediction) -> list[str]:
    clock = "-" if made.clock is None else f"{made.clock:.3g}"
    until, growth = ("-", "-") if not made.lasts else (str(found.epochs[made.lasts - 1]), f"{_at(found, made):.2f}")
    overlaps = [number(None if values is None else values[-1]) for values in (made.U, made.V)]
    nc1 = abs(made.nc1_error[-1])
    return [
        label,
        str(found.epoch),
        name,
        clock,
        until,
        growth,
        _percent(made.omega_error[-1]),
        _percent(nc1),
        *overlaps,
    ]


def _at(found: KernelForecast, made: Prediction) -> float:
    return found.growth[made.lasts - 1]


def table(runs: dict[str, list[KernelForecast]]) -> str:
    """Each model from each checkpoint of each run: how long it holds, and its errors at the last epoch."""
    lines = [
        _cells(label, found, name, found.models[name])
        for label, forecasts in runs.items()
        for found in forecasts
        for name in SHOWN
    ]
    return "\n".join(aligned([HEAD, *lines]))


def draw(forecasts: Sequence[KernelForecast], title: str) -> Figure:
    """The error of omega over the later epochs, a panel for each checkpoint."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.2 * len(forecasts), 3.6), layout="constrained")
        panels = figure.subplots(1, len(forecasts), squeeze=False, sharey=True)[0]
        for axis, found in zip(panels, forecasts, strict=True):
            for name, (label, color, style, mark) in SHOWN.items():
                error = np.array(found.models[name].omega_error)
                y = 100 * np.expm1(np.where(error < inf, error, np.nan))
                axis.plot(found.epochs, y, color=color, linestyle=style, marker=mark, markersize=3, label=label)
            axis.axhline(100 * NEAR, color="0.6", linewidth=0.8, zorder=0)
            axis.axvspan(found.epochs[0], found.epochs[found.fitted - 1], color="0.92", zorder=-1, linewidth=0)
            axis.set(xlabel="epoch", yscale="log", title=f"from epoch {found.epoch}")
        panels[0].set_ylabel(r"error of $\omega$ (%, root mean square)")
        panels[-1].legend(fontsize=7)
        figure.suptitle(title)
    return figure
