"""The figure of a run's field test: agreement whole and beyond the common factor, and the kernel, over the epochs."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from central_path.cli.plots import STYLE
from deepnet_runs.dynamics import field_series
from deepnet_runs.dynamics.field_records import FieldRow
from deepnet_runs.dynamics.field_series import FieldSeries


def _draw(axis: Axes, rows: Sequence[FieldRow], series: FieldSeries) -> None:
    x = [row.epoch for row in rows]
    y = np.array([series.of(row) for row in rows])
    if np.all(np.isnan(y)):
        return
    drawn = {"color": series.color, "linestyle": series.style, "marker": series.mark, "markersize": 3}
    error = np.array([series.error(row) for row in rows]) if series.error else None
    axis.errorbar(x, y, error if error is not None and error.any() else None, capsize=2, label=series.label, **drawn)


def _cosines(axis: Axes, rows: Sequence[FieldRow], part: str) -> None:
    for series in field_series.cosines(part):
        _draw(axis, rows, series)
    chance = np.array([field_series.chance(part)(row) for row in rows])
    axis.fill_between([row.epoch for row in rows], -chance, chance, color="0.8", label=field_series.CHANCE, zorder=0)
    axis.set_ylim(-1.05, 1.05)
    axis.set_title(field_series.PARTS[part])


def draw(rows: Sequence[FieldRow], title: str) -> Figure:
    """Four panels."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 6.4), layout="constrained")
        (whole, rest), (kernel, slope) = figure.subplots(2, 2, sharex=True)
        _cosines(whole, rows, "whole")
        _cosines(rest, rows, "residual")
        _draw(rest, rows, field_series.LEFT)
        for series in field_series.KERNEL:
            _draw(kernel, rows, series)
        kernel.set_title("the kernel")
        _draw(slope, rows, field_series.MOBILITY)
        for law in field_series.LAWS:
            slope.axhline(law, color="0.6", linewidth=0.8, zorder=0)
        slope.set_title(field_series.MOBILITY.label)
        for axis in (whole, rest, kernel):
            axis.legend(fontsize=7)
        for axis in (kernel, slope):
            axis.set_xlabel("epoch")
        figure.suptitle(title)
    return figure
