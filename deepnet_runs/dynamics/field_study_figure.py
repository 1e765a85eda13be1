"""The figure of the study: how freely features move under each condition, what the models add, and the width."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from central_path.cli.plots import STYLE
from deepnet_runs.dynamics.field_series import BLUE, VERMILLION
from deepnet_runs.dynamics.field_study import FREE, LEVEL, MOMENTS, Rows, chance_of, trend, values_of
from deepnet_runs.dynamics.law_of_run import t_interval

DRAWN = {"early": (VERMILLION, "s", -0.17), "late": (BLUE, "o", 0.17)}  # colour, mark, offset from the condition
CHANCE = "95 % of random velocities are below"
SHOWN = {
    "cos(V,-G)": "cos(V, \N{MINUS SIGN}G)",
    "free*": "free features, without the common factor",
    "sample*": "kernel of the examples, without the common factor",
}


def _condition(axis: Axes, values: Float[np.ndarray, " S"], y: int, moment: str, label: str | None) -> None:
    color, mark, offset = DRAWN[moment]
    if not len(values) or not np.isfinite(values).all():
        return
    limits, mean = t_interval(values.tolist(), LEVEL), float(np.mean(values))
    error = None if limits is None else [[mean - limits[0]], [limits[1] - mean]]
    drawn = {"color": color, "marker": mark, "markersize": 4, "capsize": 2, "linestyle": "none"}
    axis.errorbar([mean], [y + offset], xerr=error, label=label, **drawn)


def _conditions(axis: Axes, runs: Rows, quantity: str) -> None:
    for moment in MOMENTS:
        for i, (name, values) in enumerate(values_of(runs, moment, quantity).items()):
            _condition(axis, values, i, moment, None if i else moment)
            if quantity.endswith("*"):
                chance, offset = chance_of(runs[name], moment), DRAWN[moment][2]
                label = CHANCE if i == 0 and moment == MOMENTS[0] else None
                axis.plot([chance] * 2, [i + offset - 0.15, i + offset + 0.15], color="0.5", linewidth=1, label=label)
    axis.set_yticks(range(len(runs)), list(runs))
    axis.invert_yaxis()
    axis.set_xlabel(SHOWN[quantity])


def _width(axis: Axes, runs: Rows, widths: Mapping[str, float]) -> None:
    for moment in MOMENTS:
        color, mark, _ = DRAWN[moment]
        values = values_of({name: runs[name] for name in widths if name in runs}, moment, "cos(V,-G)")
        x = np.array([widths[name] for name, found in values.items() for _ in found])
        y = np.concatenate(list(values.values()))
        axis.plot(x, y, color=color, marker=mark, markersize=4, linestyle="none", fillstyle="none")
        line = trend(x, y, moment, "cos(V,-G)")
        if np.isfinite(line.slope):
            across = np.array([x.min(), x.max()])
            up = np.mean(y) + line.slope * (np.log2(across) - np.mean(np.log2(x)))
            axis.plot(across, up, color=color, linestyle="-" if moment == "late" else "--", linewidth=1)
    axis.axhline(FREE, color="0.5", linewidth=0.8, linestyle=":")
    axis.set_xscale("log", base=2)
    there = sorted(widths[name] for name in widths if name in runs)
    axis.set_xticks(there, [f"{width:g}" for width in there])
    axis.set_xlabel("width, in units of the base's")
    axis.set_ylabel(SHOWN["cos(V,-G)"])
    axis.set_ylim(0, 1)


def draw(runs: Rows, widths: Mapping[str, float]) -> Figure:
    """Four panels: three quantities by condition, with t intervals over the seeds, and cos(V, -G) over the width."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 1.6 + 0.52 * len(runs)), layout="constrained")
        (cosine, free), (sample, width) = figure.subplots(2, 2)
        for axis, quantity in zip((cosine, free, sample), SHOWN, strict=True):
            _conditions(axis, runs, quantity)
        cosine.axvline(FREE, color="0.5", linewidth=0.8, linestyle=":")
        cosine.annotate("free", (FREE, 0.98), xycoords=("data", "axes fraction"), fontsize=7, va="top", ha="left")
        cosine.set_xlim(0, 1)
        figure.legend(*free.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8)
        _width(width, runs, widths)
    return figure
