"""One figure as a grid of panels: data sets from left to right, network families from top to bottom.

A curve is the median over the seeds that have a value at that epoch, its shade goes from their smallest to their
largest; a value that does not exist, or is not positive on a log axis, leaves a gap. The red line stands at the median
over all seeds of the first epoch without a training error, its shade at their first to last; where half of the seeds
or more have none, the panel says so instead. All panels of a figure share both axes. The figure is as wide as a
printed page, and its letters as high as they are then.
"""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from central_path.cli.plots import STYLE, decades_only
from deepnet_runs.datasets.registry import title as title_of
from deepnet_runs.paper.definitions import Curve, PaperFigure
from deepnet_runs.paper.experiments import LOSSES, Experiment, datasets, families, family_title

RED = "#CC0000"
MOMENT = {"mse": (0, (5, 4)), "ce": (0, (1, 2))}  # how the red line is dashed; two on one another show both
PAGE = 7.0  # inches
LEFT, RIGHT, ACROSS, DOWN, BOTTOM = 0.88, 0.12, 0.16, 0.26, 0.42  # inches, of margins and between panels
LINE, WIDEST = 0.15, 3.6  # inches, of a line of text, and a panel
SMALL = 7  # points, in print
PRINT: dict[Any, Any] = STYLE | {
    "font.size": SMALL,
    "axes.titlesize": SMALL,
    "axes.titlepad": 2.5,
    "legend.fontsize": SMALL,
    "lines.linewidth": 1.1,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "mathtext.fontset": "dejavusans",
    "pdf.fonttype": 42,  # letters as letters
    "svg.hashsalt": "deepnet_runs",  # the same records give the same bytes
}


def middle_and_range(values: Float[np.ndarray, "S T"]) -> Float[np.ndarray, "3 T"]:
    """Median, smallest and largest of the seeds that have a value; NaN where none has."""
    found = np.full((3, values.shape[1]), np.nan)
    some = np.isfinite(values).any(axis=0)
    if some.any():
        seen = values[:, some]
        found[:, some] = np.nanmedian(seen, axis=0), np.nanmin(seen, axis=0), np.nanmax(seen, axis=0)
    return found


def measured(figure: PaperFigure, experiments: Iterable[Experiment]) -> set[str]:
    """The losses of a figure for which some run has a value to draw."""
    of_loss = {curve.loss: [] for curve in figure.curves}
    for experiment in experiments:
        for curve in figure.curves:
            if experiment.loss == curve.loss:
                of_loss[curve.loss].append(_visible(experiment, curve, figure.scale)[1])
    return {loss for loss, shown in of_loss.items() if any(np.isfinite(values).any() for values in shown)}


def _visible(
    experiment: Experiment, curve: Curve, scale: str
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, "S T"]]:
    epochs, values = experiment.series(curve.line.key)
    return epochs, np.where(values > 0, values, np.nan) if scale == "log" else values


def _draw_curve(axis: Axes, experiment: Experiment, curve: Curve, scale: str) -> bool:
    """Draw median and range of a quantity, isolated points as dots; whether anything was drawn."""
    epochs, values = _visible(experiment, curve, scale)
    middle, low, high = middle_and_range(values)
    key, _, color, style = curve.line
    if len(values) > 1:
        axis.fill_between(epochs, low, high, color=color, alpha=0.22, linewidth=0)
    axis.plot(epochs, middle, color=color, linestyle=style, gid=f"{curve.loss}:{key}")
    there = np.pad(np.isfinite(middle), 1)
    alone = there[1:-1] & ~there[:-2] & ~there[2:]
    axis.plot(epochs[alone], middle[alone], color=color, linestyle="none", marker=".", markersize=3)
    return bool(there.any())


def _draw_zero_error(axis: Axes, experiment: Experiment) -> bool:
    """Draw the red line at zero training error and its range; whether there is one."""
    moments, middle = experiment.zero_error(), experiment.median_zero_error()
    if np.isnan(middle):
        return False
    low, high = float(moments.min()), float(moments.max())
    if high > low:
        high = min(high, float(max(row.epoch for run in experiment.runs for row in run.rows)))
        axis.axvspan(low, high, color=RED, alpha=0.1, linewidth=0)
    axis.axvline(
        middle, color=RED, linestyle=MOMENT[experiment.loss], linewidth=0.9, gid=f"{experiment.loss}:zero error"
    )
    return True


def _seeds(experiments: Sequence[Experiment], losses: Sequence[str]) -> str:
    """`n = 3`, or `n = 3+2` of the two losses of a figure."""
    counts = {experiment.loss: len(experiment.runs) for experiment in experiments}
    return "n = " + "+".join(str(counts.get(loss, 0)) for loss in losses)


def _draw_panel(axis: Axes, figure: PaperFigure, experiments: Sequence[Experiment]) -> None:
    """Every curve of the experiments at one place, one for each loss."""
    shown, without = False, []
    for experiment in experiments:
        of_cell = [
            _draw_curve(axis, experiment, curve, figure.scale)
            for curve in figure.curves
            if curve.loss == experiment.loss
        ]
        shown |= any(of_cell)
        if not _draw_zero_error(axis, experiment):
            without.append(LOSSES[experiment.loss])
    networks = " / ".join(dict.fromkeys(experiment.network for experiment in experiments))
    axis.set_title(f"{networks}, {_seeds(experiments, figure.losses)}")
    if not shown:
        axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center", va="center")
    elif without:
        losses = f" ({', '.join(without)})" if len(figure.losses) > 1 else ""
        where = {"ha": "right", "va": "top", "transform": axis.transAxes, "color": RED}
        axis.text(0.98, 0.97, f"no zero\nerror{losses}", **where)


def _legend(figure: PaperFigure) -> list[Line2D]:
    entries = []
    for _, (_, label, color, style) in figure.curves:
        drawn: Any = style
        entries.append(Line2D([], [], color=color, linestyle=drawn, label=label))
    for loss in figure.losses:
        label = "zero training error" + (f" ({LOSSES[loss]})" if len(figure.losses) > 1 else "")
        entries.append(Line2D([], [], color=RED, linestyle=MOMENT[loss], linewidth=0.9, label=label))
    return entries


def draw(figure: PaperFigure, experiments: Sequence[Experiment], *, log_epochs: bool = False) -> Figure:
    """The panels that the experiments fill; the data sets and families without one get no column and no row.

    Raises:
        ValueError: if no experiment is of a loss of the figure.
    """
    experiments = [experiment for experiment in experiments if experiment.loss in figure.losses]
    if not experiments:
        raise ValueError(f"Need runs with loss {' or '.join(figure.losses)} for Figure {figure.number}, got none.")
    with matplotlib.rc_context(PRINT):
        return _draw_grid(figure, experiments, log_epochs)


def save(drawn: Figure, path: Path, *, dpi: int) -> None:
    """Write a figure in the format of the path's suffix, without a time stamp."""
    moment = {".png": None, ".pdf": "CreationDate", ".svg": "Date"}[path.suffix]
    with matplotlib.rc_context(PRINT):
        drawn.savefig(path, dpi=dpi, metadata={moment: None} if moment else None)


def _draw_grid(figure: PaperFigure, experiments: Sequence[Experiment], log_epochs: bool) -> Figure:
    # Sizes in inches: as many panels as there are data sets and families, on a page's width.
    columns, rows = datasets(experiments), families(experiments)
    wide = min(WIDEST, (PAGE - LEFT - RIGHT - (len(columns) - 1) * ACROSS) / len(columns))
    high = min(1.6, max(1.0, 0.7 * wide))
    W = LEFT + len(columns) * wide + (len(columns) - 1) * ACROSS + RIGHT
    title = textwrap.wrap(f"Figure {figure.number}. {figure.title}", int(13.5 * W))
    entries, noted = (
        _legend(figure),
        len(figure.losses) > 1 or any(len(one.runs) > 1 for one in experiments),
    )
    across = min(len(entries), max(2, int(W / 1.25)))
    below = BOTTOM + LINE * (-(-len(entries) // across) + noted)
    above = 0.47 + LINE * (len(title) - 1) + 0.06
    H = above + len(rows) * high + (len(rows) - 1) * DOWN + below
    drawn = Figure(figsize=(W, H))
    axes = drawn.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    drawn.subplots_adjust(LEFT / W, below / H, 1 - RIGHT / W, 1 - above / H, ACROSS / wide, DOWN / high)
    # A panel for each pair that was trained; tick labels at the outer ones alone.
    filled = {(experiment.family, experiment.dataset) for experiment in experiments}
    last = max(row.epoch for experiment in experiments for run in experiment.runs for row in run.rows)
    for i, family in enumerate(rows):
        box = axes[i, 0].get_position()
        drawn.text(
            0.34 / W,
            (box.y0 + box.y1) / 2,
            _fitted(family_title(family), high),
            rotation=90,
            va="center",
            weight="bold",
        )
        for j, dataset in enumerate(columns):
            axis = axes[i, j]
            if (family, dataset) not in filled:
                axis.set_axis_off()
                continue
            _draw_panel(
                axis,
                figure,
                [
                    experiment
                    for experiment in experiments
                    if (experiment.family, experiment.dataset) == (family, dataset)
                ],
            )
            first = dataset == next(name for name in columns if (family, name) in filled)
            lowest = family == [name for name in rows if (name, dataset) in filled][-1]
            axis.tick_params(labelleft=first, labelbottom=lowest, pad=2)
    # Titles of columns, scales and the texts around the panels.
    for j, dataset in enumerate(columns):
        box = axes[0, j].get_position()
        drawn.text(
            (box.x0 + box.x1) / 2, box.y1 + 0.17 / H, _fitted(title_of(dataset), wide), ha="center", weight="bold"
        )
    _scales(axes[0, 0], figure, last, log_epochs)
    decades_only(list(axes.flat))
    centre = (LEFT / W + 1 - RIGHT / W) / 2
    middle = (below + H - above) / 2 / H
    drawn.text(0.08 / W, middle, figure.label, rotation=90, va="center")
    drawn.text(centre, (below - 0.33) / H, "epoch", ha="center")
    drawn.suptitle("\n".join(title), x=0.08 / W, y=1 - 0.06 / H, ha="left", va="top", size=8, weight="bold")
    if noted:
        n = " + ".join(LOSSES[loss] for loss in figure.losses)
        of = f" ({n})" if len(figure.losses) > 1 else ""
        drawn.text(0.08 / W, 0.05 / H, f"curves: medians of n{of} seeds; shades: smallest to largest")
    drawn.legend(
        handles=entries,
        loc="lower center",
        ncols=across,
        bbox_to_anchor=(0.5, (0.02 + LINE * noted) / H),
        borderaxespad=0,
        borderpad=0.2,
        labelspacing=0.3,
    )
    return drawn


def _fitted(name: str, inches: float) -> str:
    """A name in bold that is no longer than its panel; a longer one ends with an ellipsis."""
    most = max(8, int(14 * inches))
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _scales(axis: Axes, figure: PaperFigure, last: int, log_epochs: bool) -> None:
    """Format the axes that all panels share."""
    axis.set_yscale(figure.scale)
    if log_epochs:
        axis.set_xscale("log")
        axis.set_xlim(0.9, last * 1.1)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if last < 100 else (1, 3)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(NullLocator())
    else:
        axis.set_xlim(0, last * 1.03)
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
    if figure.scale == "linear":
        axis.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axis.set_ylim(bottom=-0.03 * axis.get_ylim()[1])  # to where collapse is, and a curve there is not cut in half
