"""The figure of an ensemble, from its ensemble.npz alone: bands over the starts, ensemble.png."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from central_path.cli.plots import DPI, STYLE, Curves, decades_only, read_runs

BANDS = ((0.0, 1.0, 0.12), (0.05, 0.95, 0.25), (0.25, 0.75, 0.4))  # from, to, opacity
BLUE, ORANGE = "#0072B2", "#D55E00"


def _band(axis: Axes, t: np.ndarray, values: np.ndarray, color: str, style: str, label: str) -> None:
    """Quantiles of values (S, T): the median as a line, three nested bands."""
    for low, high, opacity in BANDS:
        edges = np.quantile(values, [low, high], axis=0)
        axis.fill_between(t, *edges, color=color, alpha=opacity, linewidth=0)
    axis.plot(t, np.median(values, axis=0), color=color, linestyle=style, label=label)


def _draw_flow(run: Curves, above: Axes, below: Axes) -> None:
    later = slice(1, None) if run.arrays["t"][1] < 1e-2 * run.t[-1] else slice(None)  # a log axis has no 0
    t, omega = run.t[later], run.arrays["omega"][:, later]
    largest, smallest = omega.max(axis=2), omega.min(axis=2)
    _band(above, t, largest, BLUE, "-", r"largest $\omega_j$")
    _band(above, t, smallest, ORANGE, "--", r"smallest $\omega_j$")
    above.set_title(f"{run.name} flow, {len(omega)} starts", fontsize=9)
    above.set_ylabel(r"singular values of the SNR matrix")
    _band(below, t, np.maximum(largest / smallest - 1, 1e-16), "#000000", "-", r"$\omega_{\max}/\omega_{\min} - 1$")
    below.axhline(0.01, color=ORANGE, linestyle=":", label="1 %")
    below.set_ylabel(r"$\omega_{\max}/\omega_{\min} - 1$")
    below.set_xlabel("time $t$ (units of the gradient flow)")
    for axis in (above, below):
        axis.set_yscale("log")
        if later.start:
            axis.set_xscale("log")
        axis.legend(loc="best")


def draw(folder: Path) -> None:
    """Write ensemble.png beside the folder's ensemble.npz: medians and bands of 50, 90 and 100 % of the starts."""
    runs = read_runs(folder / "ensemble.npz")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(0.6 + 3.6 * len(runs), 5.2), layout="constrained")
        axes = figure.subplots(2, len(runs), squeeze=False, sharex="col")
        for i, run in enumerate(runs):
            _draw_flow(run, axes[0, i], axes[1, i])
        decades_only(list(axes.flat))
        figure.supxlabel("lines: medians; bands: 50, 90 and 100 % of the starts", fontsize=8)
        figure.savefig(folder / "ensemble.png", dpi=DPI)
