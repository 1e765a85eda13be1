"""A figure a model: the loss and NC1 to NC4 along its first run, and the curves that the model brings."""

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from central_path.cli.plots import COLLAPSE, DPI, STYLE
from central_path.models.model import VALUE, Chart, Model
from central_path.models.outcome import ModelOutcome

COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
MARKS = ("o", "s", "^", "D", "v", "x")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1)))
ROUNDING = 1e-17  # what is below it is drawn there


def _legend(axis: Axes, columns: int) -> None:
    """Below the panel, where it hides nothing; equal labels once."""
    lines = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    where = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": columns}
    axis.legend(lines.values(), lines.keys(), fontsize=6.5, **where)


def _path(axis: Axes, below: Axes, outcome: ModelOutcome) -> None:
    """The first run: the loss above its predicted minimum, and the distances from collapse."""
    first = outcome.runs[0]
    path, least = first.path, float(np.asarray(first.model.predicted(first.path.point)[VALUE]))
    x = np.maximum(path.x, 0.5 * path.x[path.x > 0].min())  # a log axis has no zero
    axis.plot(x, np.maximum(path.ys["loss"] - least, ROUNDING), color="black")
    axis.set(title="Along the first run", ylabel="loss above its predicted minimum", yscale="log")
    for line in COLLAPSE:
        values = path.ys[line.key]
        if np.any(values > 0):
            shown = np.where(values > 0, np.maximum(values, ROUNDING), np.nan)
            below.plot(x, shown, color=line.color, linestyle=line.style, label=line.label.split(",")[0])
    below.set(title="Distance from collapse", ylabel="NC1 to NC4 (no units)", yscale="log")
    _legend(below, 2)
    for panel in (axis, below):
        panel.set_xlabel(path.axis if path.axis == "step" else "time $t$ (units of the gradient flow)")
        if path.axis == "step":
            panel.set_xscale("log")


def _curves(axis: Axes, panel: Chart) -> None:
    """Points for what is measured, or lines where they are many; thin grey lines for what is predicted."""
    for i, line in enumerate(panel.lines):
        x, y = np.asarray(line.x), np.asarray(line.y)
        color, label = COLORS[i % len(COLORS)], line.label
        if line.kind == "predicted":
            axis.plot(x, y, color="#666666", linewidth=1.0, linestyle=DASHES[i % len(DASHES)], label=label, zorder=1)
        elif len(x) > 40:
            axis.plot(x, y, color=color, linestyle=DASHES[i % len(DASHES)], label=label)
        else:
            axis.plot(x, y, MARKS[i % len(MARKS)], color=color, markersize=4, label=label)
    axis.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    axis.set_xscale("log" if panel.log_x else "linear")
    axis.set_yscale("log" if panel.log_y else "linear")
    _legend(axis, 2 if len(panel.lines) > 3 else len(panel.lines))


def figure(outcome: ModelOutcome, panels: list[Chart]) -> Figure:
    """Panels side by side."""
    n = 2 + len(panels)
    drawn = Figure(figsize=(3.6 * n, 3.7), layout="constrained")
    axes = list(drawn.subplots(1, n, squeeze=False)[0])
    _path(axes[0], axes[1], outcome)
    for axis, panel in zip(axes[2:], panels, strict=True):
        _curves(axis, panel)
    for axis in axes:
        axis.title.set_fontsize(9)
    model: type[Model] = outcome.model
    drawn.suptitle(f"{model.source}: {model.minimised}", fontsize=9)
    return drawn


def draw(outcome: ModelOutcome, folder: Path) -> None:
    """Write NAME.png of a model that has run."""
    with rc_context(STYLE):
        figure(outcome, outcome.model.panels()).savefig(folder / f"{outcome.model.name}.png", dpi=DPI)
