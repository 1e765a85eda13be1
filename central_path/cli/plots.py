"""Figures of a run, from its trajectory.npz alone: omega.png, loss.png, collapse.png.

    python -m central_path.plots FOLDER [FIGURE ...]    draw the figures of a finished run again

Colours are colour-blind-safe and line styles differ, so that the figures read in grey too.
"""

import io
import math
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from central_path.cli.options import Parser
from central_path.cli.program import answer, run_program

PROGRAM = "python -m central_path.plots"

DPI = 160
ROUNDING = 1e-17  # what is below it is rounding, and would take the room of the rest
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.5,
}


class Line(NamedTuple):
    """How one observable is drawn."""

    key: str
    label: str
    color: str
    style: str | tuple[int, tuple[int, ...]]


LOSSES = (
    Line("loss", r"$\mathcal{L}_{LS}$", "#000000", "-"),
    Line("loss_nc1", r"$\mathcal{L}_{NC1}$", "#0072B2", "--"),
    Line("loss_nc23", r"$\mathcal{L}_{NC2/3}$", "#D55E00", "-."),
)
COLLAPSE = (
    Line("nc1", r"NC1: tr$(\Sigma_W\Sigma_B^+)/C$", "#000000", "-"),
    Line("equinorm", "NC2: equinorm, std/mean of norms", "#E69F00", "--"),
    Line("equiangularity", "NC2: equiangularity, std of cosines", "#0072B2", "-."),
    Line("max_angle", r"NC2: max. angle, mean |cos + 1/(C$-$1)|", "#D55E00", ":"),
    Line("self_duality", "NC3: self-duality, squared distance", "#009E73", (0, (5, 1, 1, 1, 1, 1))),
    Line("ncc_mismatch", "NC4: nearest center decides otherwise", "#CC79A7", (0, (1, 1))),
)


class Curves(NamedTuple):
    """The arrays of one flow, by their keys in trajectory.npz without the flow's name."""

    name: str
    arrays: dict[str, np.ndarray]

    @property
    def t(self) -> np.ndarray:
        """Times (T,)."""
        return self.arrays["t"]

    @property
    def power_law(self) -> bool:
        """Whether omega grows as a power of t (drawn over log t) or exponentially (over t)."""
        return "asymptote" in self.arrays

    @property
    def log_time(self) -> bool:
        """Whether its times are spaced evenly in their logarithm."""
        return len(self.t) > 2 and float(np.ptp(np.diff(self.t))) > 1e-6 * float(self.t[-1])


def read_runs(path: Path) -> list[Curves]:
    """Flows of a trajectory.npz, in the order in which they were written."""
    with np.load(path) as archive:
        names = dict.fromkeys(key.split("/")[0] for key in archive.files if "/" in key)
        return [
            Curves(name, {key.split("/")[1]: archive[key] for key in archive.files if key.startswith(f"{name}/")})
            for name in names
        ]


PANEL, LEFT, RIGHT, BETWEEN, TOP, BOTTOM = (3.5, 2.6), 0.8, 0.2, 0.5, 0.3, 0.5  # inches


def _axes(runs: list[Curves], ylabel: str, *, below: float = 0.0) -> tuple[Figure, list[Axes]]:
    """One panel a flow, with room for a legend below; fixed margins, since a layout engine draws everything twice."""
    n, (wide, high) = len(runs), PANEL
    W, H = LEFT + n * wide + (n - 1) * BETWEEN + RIGHT, TOP + high + BOTTOM + below
    figure = Figure(figsize=(W, H))
    axes = list(figure.subplots(1, n, sharey=True, squeeze=False)[0])
    figure.subplots_adjust(LEFT / W, (BOTTOM + below) / H, 1 - RIGHT / W, 1 - TOP / H, wspace=BETWEEN / wide)
    axes[0].set_ylabel(ylabel)
    for axis, run in zip(axes, runs, strict=True):
        axis.set_title(f"{run.name} flow", fontsize=9, y=1.0)
        axis.set_yscale("log")
        axis.set_xlabel("time $t$ (units of the gradient flow)")
        if run.log_time:
            axis.set_xscale("log")
        axis.tick_params(labelleft=True)
    return figure, axes


def decades_only(axes: list[Axes]) -> None:
    """No minor ticks where the axis spans three decades or more: most of a log plot's time, and they say nothing."""
    for scale in (scale for axis in axes for scale in (axis.xaxis, axis.yaxis)):
        low, high = scale.get_view_interval()
        if scale.get_scale() == "log" and high >= 1e3 * low:
            scale.set_minor_locator(NullLocator())
        if scale.get_scale() == "log" and high > 1e200:  # matplotlib's own ticks can lie beyond float64
            first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
            scale.set_major_locator(FixedLocator([10.0 ** round(x) for x in np.linspace(first, last, 5)]))


def draw_omega(runs: list[Curves]) -> Figure:
    """Every omega_j(t): simulated (coloured), its own law (dashed, on top), and the law's asymptote (dotted)."""
    figure, axes = _axes(runs, r"singular values $\omega_j$ of the SNR matrix")
    for axis, run in zip(axes, runs, strict=True):
        omega = run.arrays["omega"]
        beside, label = (
            ("omega_law", "its law") if "omega_law" in run.arrays else ("omega_features", "from all features")
        )
        law = run.arrays[beside]
        colors = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.9, omega.shape[1]))
        for j, color in enumerate(colors):
            axis.plot(
                run.t,
                omega[:, j],
                color=color,
                linewidth=2.6,
                label="simulated, $j = 1$ (dark) to $C-1$ (light)" if j == 0 else None,
            )
        for j in range(omega.shape[1]):
            axis.plot(
                run.t,
                law[:, j],
                color="black",
                linestyle=(0, (4, 4)),
                linewidth=0.9,
                label=label if j == 0 else None,
            )
        if run.power_law:
            reached = run.arrays["asymptote"] > 0.3 * omega.min()
            axis.plot(
                run.t[reached],
                run.arrays["asymptote"][reached],
                color="#D55E00",
                linestyle=":",
                label="asymptote of the law",
            )
        axis.legend(loc="upper left")
    decades_only(axes)
    return figure


def _draw_lines(runs: list[Curves], lines: tuple[Line, ...], ylabel: str) -> Figure:
    columns = min(len(runs) + 1, 3)
    present = [line for line in lines if any(line.key in run.arrays for run in runs)]
    figure, axes = _axes(runs, ylabel, below=0.08 + 0.2 * -(-len(present) // columns))
    for axis, run in zip(axes, runs, strict=True):
        for line in present:
            if line.key in run.arrays:
                values = np.where(run.arrays[line.key] > 0, run.arrays[line.key], np.nan)  # a log axis has no zero
                axis.plot(run.t, values, color=line.color, linestyle=line.style, label=line.label)
    shown = np.concatenate([run.arrays[line.key] for run in runs for line in present if line.key in run.arrays])
    if np.any(shown > ROUNDING):
        axes[0].set_ylim(bottom=max(axes[0].get_ylim()[0], 0.5 * np.min(shown[shown > ROUNDING])))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncols=columns)
    decades_only(axes)
    return figure


def draw_loss(runs: list[Curves]) -> Figure:
    """The loss on the central path and its two parts (Theorem 2)."""
    return _draw_lines(runs, LOSSES, "loss (half the squared error, summed over classes)")


def draw_collapse(runs: list[Curves]) -> Figure:
    """NC1-NC4 of the flow's own features; zeros are left out."""
    return _draw_lines(runs, COLLAPSE, "distance from collapse (no units)")


DRAW = {"omega.png": draw_omega, "loss.png": draw_loss, "collapse.png": draw_collapse}


def styled(runs: list[Curves], name: str) -> Figure:
    """One of the figures, by its file name, in the house's style."""
    with matplotlib.rc_context(STYLE):
        return DRAW[name](runs)


def draw(folder: Path, names: Iterable[str] = tuple(DRAW)) -> None:
    """Write the named figures beside the folder's trajectory.npz."""
    runs = read_runs(folder / "trajectory.npz")
    for name in names:
        save(styled(runs, name), folder / name)


def save(figure: Figure, where: Path | io.BytesIO) -> None:
    """Write a figure as PNG, in the house's style: texts are laid out when they are drawn."""
    with matplotlib.rc_context(STYLE):
        figure.savefig(where, format="png", dpi=DPI)


def redraw(folder: Path, names: Iterable[str]) -> tuple[int, str]:
    """Draw the named figures of a finished run.

    Raises:
        ValueError: without a whole trajectory.npz.
    """
    if not (folder / "trajectory.npz").is_file():
        raise ValueError(
            f"Need a folder with a trajectory.npz, got {folder}: run python -m central_path.simulate first."
        )
    try:
        draw(folder, names)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"Need a whole trajectory.npz in {folder}, got {error}: run the simulation again.") from error
    return 0, ""


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    p = Parser(PROGRAM, "Draw the figures of a finished run again, from its trajectory.npz.", "")
    p.add_argument("folder", type=Path, metavar="FOLDER", help="results of python -m central_path.simulate")
    p.add_argument("figures", nargs="*", metavar="FIGURE", help=f"among {', '.join(DRAW)} (default all)")
    args = p.parse_args(argv)
    unknown = [name for name in args.figures if name not in DRAW]
    if unknown:
        p.error(f"need figures among {', '.join(DRAW)}, got {', '.join(unknown)}")
    return answer(PROGRAM, lambda: redraw(args.folder, args.figures or DRAW))


if __name__ == "__main__":
    run_program(main)
