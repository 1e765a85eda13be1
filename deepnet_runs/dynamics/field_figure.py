"""The figure of a run's field test: agreement whole and beyond the common factor, and the kernel, over the epochs.

Colours are colour-blind-safe; line styles and markers differ, so that the figure reads in grey too.
"""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from central_path.cli.plots import STYLE
from deepnet_runs.dynamics.field_records import FieldRow

LINES = {
    "free": ("free features", "#0072B2", "-", "o"),
    "class_means": ("class means only", "#D55E00", "--", "s"),
    "block": ("block kernel, measured b", "#009E73", "-.", "^"),
    "sample_kernel": ("sample kernel", "#CC79A7", (0, (5, 1, 1, 1)), "D"),
    "common_factor": ("common factor", "#000000", ":", "x"),
}


def _cosines(axis: Axes, rows: Sequence[FieldRow], part: str) -> None:
    x = [row.epoch for row in rows]
    for name, (label, color, style, mark) in LINES.items():
        matches = [getattr(row.field.models[name], part) for row in rows]
        y = np.array([found.cosine for found in matches])
        if np.all(np.isnan(y)):
            continue
        axis.plot(x, y, color=color, linestyle=style, marker=mark, markersize=3, label=label)
        error = np.array([found.cosine_error or 0.0 for found in matches])
        if error.any():
            axis.fill_between(x, y - error, y + error, color=color, alpha=0.2, linewidth=0)
    chance = np.array([row.field.random[part]["q95"] for row in rows])
    axis.fill_between(x, -chance, chance, color="0.8", label="95 % of random velocities", zorder=0)
    axis.set_ylim(-1.05, 1.05)


def draw(rows: Sequence[FieldRow], title: str) -> Figure:
    """Four panels."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 6.4), layout="constrained")
        (whole, rest), (kernel, slope) = figure.subplots(2, 2, sharex=True)
        x = [row.epoch for row in rows]
        _cosines(whole, rows, "whole")
        whole.set_title("cosine of A with each model's")
        whole.legend(fontsize=7)
        _cosines(rest, rows, "residual")
        rest.plot(
            x, [row.field.residual_share for row in rows], color="0.4", linewidth=1, label=r"share of $|A|^2$ left"
        )
        rest.set_title("the same without the common factor")
        rest.legend(fontsize=7)
        for label, style, mark, values in (
            ("cos(V, -G): 1 if features are free", "-", "o", [row.field.velocity_cosine for row in rows]),
            ("b: within-class over class-mean rate", "--", "s", [row.field.b for row in rows]),
            (r"share of $\Theta G_M$ within classes", "-.", "^", [row.field.leak_means for row in rows]),
            ("isotropy over feature directions", ":", "D", [row.kernel["isotropy"] for row in rows]),
        ):
            kernel.plot(x, values, linestyle=style, marker=mark, markersize=3, label=label)
        kernel.set_title("the kernel")
        kernel.legend(fontsize=7)
        k = np.array([row.field.mobility for row in rows])
        error = np.array([row.field.mobility_error for row in rows])
        slope.errorbar(x, k, yerr=error, color="black", marker="o", markersize=3, capsize=2)
        for law in (0, 1, 2):
            slope.axhline(law, color="0.6", linewidth=0.8, zorder=0)
        slope.set_title("mobility exponent k over the directions")
        for axis in (kernel, slope):
            axis.set_xlabel("epoch")
        figure.suptitle(title)
    return figure
