"""Figures of `which_law`: the exponent of every group beside null models in laws.png, and one figure for each group.

Colours are colour-blind-safe; line styles and markers differ, so that the figures read in grey too.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from central_path.cli.plots import DPI, STYLE
from deepnet_runs.dynamics import clock, judgement
from deepnet_runs.dynamics.common_growth import INDISTINCT, Null
from deepnet_runs.dynamics.judgement import Group
from deepnet_runs.dynamics.law_of_run import GRID, LAWS, LIMIT, distance, increments
from deepnet_runs.storage.runs import RecordedRun

COLORS = {"riemannian": "#0072B2", "renormalized": "#D55E00", "unnormalized": "#009E73", "own": "#000000"}
STYLES = {"riemannian": "-", "renormalized": "--", "unnormalized": "-.", "own": ":"}
MARKS = {"riemannian": "o", "renormalized": "s", "unnormalized": "^"}
NULLS = ("0.45", "0.65", "#CC79A7", "#56B4E9")  # colours of the null models


def draw(entries: Sequence[Group], found: list[RecordedRun], folder: Path) -> None:
    """laws.png, and law_LABEL.png for each group."""
    by_folder = {str(run.folder): run for run in found}
    with matplotlib.rc_context(STYLE):
        laws(entries).savefig(folder / "laws.png", dpi=DPI)
        for entry in entries:
            name = re.sub(r"[^a-z0-9.=_-]+", "-", entry.label.lower())
            group(entry, by_folder[entry.runs[0]]).savefig(folder / f"law_{name}.png", dpi=DPI)


def coloured(nulls: Sequence[Null]) -> list[tuple[str, Null]]:
    """Null models with their colours: the first is absent where no features are saved."""
    return list(zip(NULLS[-len(nulls) :], nulls, strict=True))


def laws(entries: Sequence[Group]) -> Figure:
    """The exponent of each group with its interval, and D, both beside those of the null models."""
    high = 1.7 + 0.4 * len(entries)
    figure = Figure(figsize=(7.2, high), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    y = np.arange(len(entries))[::-1]
    for name, k in LAWS.items():
        left.axvline(k, color=COLORS[name], linestyle=STYLES[name], linewidth=1, zorder=0)
        left.annotate(name, (k, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=7)
        D = [entry.finding.distances[name] for entry in entries]
        right.plot(D, y, MARKS[name], color=COLORS[name], markersize=4, fillstyle="none", label=f"at {name}")
    for at, entry in zip(y, entries, strict=True):
        known = not entry.verdict.startswith(INDISTINCT) and entry.finding.distance <= LIMIT
        if entry.finding.interval is not None:
            left.plot(entry.finding.interval, [at, at], color="black", linewidth=1.2)
        left.plot(entry.finding.k_by_run, [at] * len(entry.finding.k_by_run), "|", color="black", markersize=5)
        for i, (color, null) in enumerate(coloured(entry.nulls)):
            below, label = at - 0.14 * (i + 1), f"null: {null.name}" if at == y[0] else None
            left.plot(null.k_interval, [below, below], color=color, linewidth=2, label=label)
            right.plot(null.distance, below, "*", color=color, markersize=4)
        left.plot(entry.finding.k, at, "o", color="black", markersize=4, markerfacecolor="black" if known else "white")
        right.plot(entry.finding.distance, at, "k*", markersize=6, label="at k" if at == y[0] else None)
    right.axvline(LIMIT, color="0.4", linewidth=1, linestyle=(0, (1, 1)))
    left.set_yticks(y, [f"{entry.label} (n = {len(entry.runs)})" for entry in entries], fontsize=7)
    left.set_ylim(-0.7, len(entries) - 0.5)
    left.set_xlabel("exponent k, 95 %, runs\n(filled: no null model gives its description)", fontsize=8)
    right.set_xlabel("D, largest deviation\n(dotted: limit)", fontsize=8)
    right.set_xscale("log")
    figure.legend(loc="outside lower center", ncols=3, fontsize=7)
    return figure


def group(entry: Group, run: RecordedRun) -> Figure:
    """The first run of a group: omega and predictions, the three invariants, D(k), implied time, assumptions."""
    rows = judgement.window(run, entry.epochs[0][0], entry.epochs[0][-1])
    figure = Figure(figsize=(11, 5.4))
    figure.subplots_adjust(0.05, 0.09, 0.99, 0.9, wspace=0.24, hspace=0.36)  # a layout engine draws everything twice
    figure.suptitle(f"{entry.label}: {entry.verdict} (k = {entry.finding.k:.2f}, n = {len(entry.runs)})", fontsize=10)
    axes = figure.subplots(2, 4)
    epochs = np.array([row.epoch for row in rows])
    _omega(axes[0, 0], entry, rows, epochs)
    for axis, (name, k) in zip(axes[0, 1:], LAWS.items(), strict=True):
        _invariant(axis, name, k, judgement.omega_of(rows), epochs)
    top = max(float(np.abs(axis.get_ylim()).max()) for axis in axes[0, 1:])
    for axis in axes[0, 1:]:
        axis.set_ylim(-top, top)
    _distances(axes[1, 0], entry, judgement.omega_of(rows))
    _clocks(axes[1, 1], rows)
    _assumptions(axes[1, 2], entry.assumptions[0], epochs)
    _turning(axes[1, 3], entry.assumptions[0], epochs)
    for axis in (*axes[0], *axes[1, 1:]):
        _plain_ticks(axis, y=axis is axes[0, 0])
    return figure


def _plain_ticks(axis: Axes, *, y: bool) -> None:
    """Logarithmic axes of few decades with plain numbers at 1, 2, 5, 10, 20, ..."""
    for scale in (axis.xaxis, axis.yaxis) if y else (axis.xaxis,):
        scale.set_major_locator(LogLocator(subs=(1, 2, 5)))
        scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        scale.set_minor_locator(NullLocator())


def _omega(axis: Axes, entry: Group, rows: judgement.Rows, epochs: np.ndarray) -> None:
    omega = judgement.omega_of(rows)
    axis.loglog(epochs, omega, color="0.6", linewidth=1)
    axis.plot([], [], color="0.6", linewidth=1, label="measured")
    made = judgement.forecasts(rows, entry.finding.k)
    for name in LAWS:
        ahead = made.get(f"{name}, {judgement.AXES['lr_sum']}")
        if ahead:
            mean = np.exp(np.log(ahead.omega).mean(axis=1))
            axis.plot(epochs, mean, STYLES[name], color=COLORS[name], label=name)
            axis.axvline(epochs[ahead.fitted - 1], color="0.4", linewidth=0.8, linestyle=(0, (1, 1)))
    mean = np.exp(np.log(omega).mean(axis=1))
    axis.plot(epochs, mean, "k.", markersize=3, label="measured, mean")
    axis.set_ylim(omega.min() / 1.3, 3 * omega.max())
    axis.set_title("omega and predictions of its mean", fontsize=8)
    axis.set_xlabel("epoch (dotted: clock fitted up to here)")
    axis.legend(fontsize=6)


def _invariant(axis: Axes, name: str, k: float, omega: np.ndarray, epochs: np.ndarray) -> None:
    dF = increments(omega, np.array([k]))[0]
    mean = dF.mean(axis=1, keepdims=True)
    axis.semilogx(epochs, (dF - mean) / mean[-1], color=COLORS[name], linewidth=1)
    axis.axhspan(-LIMIT, LIMIT, color="0.9", zorder=0)
    axis.set_title(f"{name}: dF_j - mean, relative", fontsize=8)
    axis.set_xlabel("epoch (grey: within the limit)")


def _distances(axis: Axes, entry: Group, omega: np.ndarray) -> None:
    D = distance(increments(omega, GRID))
    axis.semilogy(GRID, D, color="black")
    axis.axhline(LIMIT, color="0.4", linewidth=1, linestyle=(0, (1, 1)))
    for name, k in LAWS.items():
        axis.axvline(k, color=COLORS[name], linestyle=STYLES[name], linewidth=1)
    for color, null in coloured(entry.nulls):
        axis.plot(list(LAWS.values()), list(null.distances.values()), "*", color=color)
    axis.set_title("D(k), largest deviation", fontsize=8)
    axis.set_xlabel("exponent k (stars: null models)")


def _clocks(axis: Axes, rows: judgement.Rows) -> None:
    x = judgement.elapsed_on("lr_sum", rows)
    omega = judgement.omega_of(rows)
    if x is None:
        x = judgement.elapsed_on("epoch", rows)
    assert x is not None  # every row has its epoch
    for name, k in LAWS.items():
        tau = clock.elapsed(omega, k)
        p = clock.power(tau, x).exponent
        label = name if np.isnan(p) else f"{name}, p = {p:.2f}"
        there = (tau > 0) & (x > 0)
        axis.loglog(x[there], tau[there] / tau[-1], STYLES[name], color=COLORS[name], label=label)
    axis.set_title("implied time, relative to its end", fontsize=8)
    axis.set_xlabel(
        "summed learning rate since the first epoch" if not np.isnan(rows[0].lr_sum) else "epochs since the first"
    )
    axis.legend(fontsize=6)


def _lines(
    axis: Axes, measured: dict[str, list[float] | None], epochs: np.ndarray, keys: dict[str, tuple[str, str, str]]
) -> None:
    for key, (label, color, style) in keys.items():
        if values := measured[key]:
            axis.plot(epochs, values, style, color=color, label=label)
    axis.set_xscale("log")
    axis.set_xlabel("epoch")
    if axis.lines:
        axis.legend(fontsize=6)


def _assumptions(axis: Axes, measured: dict[str, list[float] | None], epochs: np.ndarray) -> None:
    keys = {
        "loss_ls_perp_over_loss_ls": ("A1: L_LS_perp / L_LS", "#0072B2", "-"),
        "mean_output_gap": ("A2: |W mu_G + b - pi| / |pi|", "#D55E00", "--"),
    }
    _lines(axis, measured, epochs, keys)
    axis.set_yscale("log")
    axis.set_title("deviation from the assumptions", fontsize=8)


def _turning(axis: Axes, measured: dict[str, list[float] | None], epochs: np.ndarray) -> None:
    keys = {
        "overlap_V": ("right singular vectors, by rank", "#000000", "-"),
        "chance_V": ("the same by chance", "0.6", ":"),
        "overlap_E": ("row space of E", "#009E73", "-."),
        "chance_E": ("the same by chance", "#009E73", ":"),
    }
    _lines(axis, measured, epochs, keys)
    axis.set_ylim(0, 1.05)
    axis.set_title("overlap with the window's start", fontsize=8)
