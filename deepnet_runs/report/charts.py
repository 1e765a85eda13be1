"""What the page plots: charts of panels of curves, from the definitions of the paper's figures and of the field test.

A curve of several seeds is their median with a shade from the smallest to the largest, as in the figures; one with a
standard error has the shade of that error. Of several configurations the same curves are arranged in two ways: a panel
for each configuration, and a panel for each quantity.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.colors import to_hex

from central_path.cli.plots import Line
from deepnet_runs.dynamics import field_series
from deepnet_runs.dynamics.field_series import FieldSeries
from deepnet_runs.paper.definitions import BLACK, BLUE, FIGURES, GREEN, ORANGE, VERMILLION, PaperFigure
from deepnet_runs.paper.panels import middle_and_range
from deepnet_runs.report.elements import text_of
from deepnet_runs.report.formulas import formula, plain
from deepnet_runs.report.reading import Configuration, ReportedRun

Style = str | tuple[int, tuple[int, ...]]
COLORS = (BLUE, VERMILLION, BLACK, GREEN, ORANGE, "#CC79A7", "#56B4E9")  # of configurations, with the styles
STYLES: tuple[Style, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1)))  # as many pairs as a product of them
PAIRS = len(COLORS) * len(STYLES)
LISTED = 9  # curves that a legend has; of more, these many of them, evenly by rank
ERRORS = (Line("train_error", "training set", BLUE, "-"), Line("test_error", "test set", ORANGE, "--"))


class Curve(NamedTuple):
    """A quantity over the epochs: middle, low and high (3, T); NaN where it has no value."""

    label: str
    color: str
    style: Style
    mark: str
    epochs: Float[np.ndarray, " T"]
    values: Float[np.ndarray, "3 T"]
    listed: bool = True  # in the legend


class Panel(NamedTuple):
    """Curves on common axes, and the epoch of the red line, the first without a training error, or NaN."""

    title: str
    curves: list[Curve]
    zero_error: float = np.nan


class Chart(NamedTuple):
    """Panels with the same axes; what is missing in them is said in `remarks`."""

    name: str
    title: str
    label: str
    scale: Literal["log", "linear"]
    arrangements: dict[str, list[Panel]]
    remarks: list[str]
    limits: tuple[float, float] | None = None
    levels: tuple[float, ...] = ()

    @property
    def panels(self) -> list[Panel]:
        """Those of all arrangements."""
        return [panel for panels in self.arrangements.values() for panel in panels]


CONFIGURATIONS, QUANTITIES = "configuration", "quantity"


class _Quantities(NamedTuple):
    """What a chart is made of: the lines of one of the paper's figures, for a run with any loss."""

    name: str
    title: str
    label: str
    scale: Literal["log", "linear"]
    lines: Sequence[Line]
    remedy: str = ""


def _of_figure(figure: PaperFigure) -> _Quantities:
    lines = [curve.line for curve in figure.curves]
    return _Quantities(figure.subject, figure.title, figure.label, figure.scale, lines, figure.remedy)


def of_paper(found: Sequence[Configuration]) -> list[Chart]:
    """The quantities of Figures 2 to 9, NC1 of the test set, and the errors."""
    quantities = [_of_figure(figure) for figure in FIGURES if figure.losses == ["mse"]]
    by_name = {one.name: one for one in quantities}
    test = next(curve.line for curve in FIGURES[-1].curves)
    nc1 = by_name["variability_collapse"]
    collapse = nc1._replace(
        title="Variability collapse (NC1)",
        lines=[nc1.lines[0]._replace(label="training set"), test._replace(label="test set", color=ORANGE, style="--")],
    )
    errors = _Quantities("errors", "Share of wrong decisions", "share of images", "linear", ERRORS)
    rest = [one for one in quantities if one not in (by_name["decomposition"], nc1)]
    return [_chart(one, found) for one in (by_name["decomposition"], collapse, *rest, errors)]


def _chart(of: _Quantities, found: Sequence[Configuration]) -> Chart:
    table = [[_curve(one, line) for line in of.lines] for one in found]
    panels = [
        Panel(_counted(one), curves, one.experiment.median_zero_error())
        for one, curves in zip(found, table, strict=True)
    ]
    arrangements = {CONFIGURATIONS: panels}
    if len(found) > 1:
        arrangements[QUANTITIES] = [
            Panel(line.label, [_styled(row[j], i, _counted(found[i])) for i, row in enumerate(table)])
            for j, line in enumerate(of.lines)
        ]
    remarks = [text for line in of.lines for text in _absent(line, found, of.scale, of.remedy)]
    return Chart(of.name, of.title, of.label, of.scale, arrangements, remarks)


def _counted(one: Configuration) -> str:
    """Its name as a label, with the number of seeds."""
    return plain(one.name) if len(one.runs) == 1 else f"{plain(one.name)}, n = {len(one.runs)}"


def _curve(one: Configuration, line: Line) -> Curve:
    epochs, values = one.experiment.series(line.key)
    return Curve(line.label, line.color, line.style, "", epochs, middle_and_range(values))


def _styled(curve: Curve, i: int, label: str) -> Curve:
    return curve._replace(label=label, color=COLORS[i % len(COLORS)], style=STYLES[i % len(STYLES)])


def _absent(line: Line, found: Sequence[Configuration], scale: str, remedy: str) -> list[str]:
    """What the records do not have of a quantity, and what a log axis does not show, a sentence each."""
    said, nowhere = [], []
    for run in (run for one in found for run in one.runs):
        values = {row.epoch: float(getattr(row, line.key)) for row in run.record.rows}
        gaps = [epoch for epoch, value in values.items() if not np.isfinite(value)]
        if len(gaps) == len(values):
            nowhere.append(run.name)
        elif gaps:
            said.append(f"{line.key} has no value at {_epochs(gaps)} of {run.name}.")
        low = [epoch for epoch, value in values.items() if value <= 0]
        if low and scale == "log":
            said.append(f"{line.key} is 0 or less at {_epochs(low)} of {run.name}: not on a log axis.")
    if nowhere:
        said.append(f"{line.key} is not in the records of {', '.join(nowhere)}{f': {remedy}' if remedy else ''}.")
    return said


def _epochs(found: Sequence[int]) -> str:
    few = ", ".join(map(str, found[:6])) + (f", ... ({len(found)} epochs)" if len(found) > 6 else "")
    return f"epoch{'s' if len(found) > 1 else ''} {few}"


def of_omega(found: Sequence[ReportedRun]) -> Chart:
    """Every singular value of each run, dark to light from the largest to the smallest."""
    panels, without = [], []
    for run in found:
        rows = run.record.rows
        K = max(len(row.omega) for row in rows)
        omega = np.full((len(rows), K), np.nan)
        for values, row in zip(omega, rows, strict=True):
            values[: len(row.omega)] = row.omega
        if not np.isfinite(omega).any():
            without.append(run.name)
            continue
        colors = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.8, K))
        listed = set(np.unique(np.linspace(0, K - 1, LISTED).round().astype(int)).tolist())
        epochs = np.array([row.epoch for row in rows], dtype=float)
        curves = [
            Curve(rf"$\omega_{{{j + 1}}}$", to_hex(color), "-", "", epochs, np.tile(omega[:, j], (3, 1)), j in listed)
            for j, color in enumerate(colors)
        ]
        clean = run.record.first_clean
        panels.append(Panel(plain(run.name), curves, np.nan if clean is None else float(clean)))
    remarks = [f"omega is not in the records of {', '.join(without)}."] if without else []
    remarks += [f"omega has no value at {_epochs(gaps)} of {run.name}." for run, gaps in _gaps(found, without)]
    title = r"Singular values $\omega_1 \geq \ldots \geq \omega_{C-1}$ of the SNR matrix"
    return Chart("omega", title, r"$\omega_j$", "log", {CONFIGURATIONS: panels}, remarks)


def _gaps(found: Sequence[ReportedRun], without: Sequence[str]) -> list[tuple[ReportedRun, list[int]]]:
    """The epochs at which a run with omega has not all of them."""
    gaps = []
    for run in found:
        K = max(len(row.omega) for row in run.record.rows)
        absent = [row.epoch for row in run.record.rows if len(row.omega) < K or not np.isfinite(row.omega).all()]
        if absent and run.name not in without:
            gaps.append((run, absent))
    return gaps


def of_field(found: Sequence[ReportedRun]) -> list[Chart]:
    """The field test of each run that has one: agreement as a whole and beyond the common factor, the kernel, k."""
    measured = [run for run in found if run.field]
    charts = []
    for part, title in field_series.PARTS.items():
        series = [*field_series.cosines(part), *([field_series.LEFT] if part == "residual" else [])]
        chart = _field_chart(f"field_{part}", _sentence(title), "cosine", series, measured, limits=(-1.05, 1.05))
        for panel, run in zip(chart.panels, measured, strict=True):
            panel.curves.insert(0, _chance(run, field_series.chance(part)))
        charts.append(chart)
    label = field_series.MOBILITY.label
    charts.append(_field_chart("field_kernel", "The kernel of the features", "no units", field_series.KERNEL, measured))
    levels = tuple(map(float, field_series.LAWS))
    charts.append(_field_chart("field_k", _sentence(label), "k", [field_series.MOBILITY], measured, levels=levels))
    return charts


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _field_chart(
    name: str,
    title: str,
    label: str,
    series: Sequence[FieldSeries],
    found: Sequence[ReportedRun],
    *,
    limits: tuple[float, float] | None = None,
    levels: tuple[float, ...] = (),
) -> Chart:
    panels, remarks = [], []
    for run in found:
        curves = [_field_curve(run, one) for one in series]
        panels.append(Panel(plain(run.name), [curve for curve in curves if np.isfinite(curve.values).any()]))
        without = [text_of(formula(curve.label)) for curve in curves if not np.isfinite(curve.values).any()]
        remarks += [f"No value of {', '.join(without)} in the field test of {run.name}."] if without else []
    return Chart(name, title, label, "linear", {CONFIGURATIONS: panels}, remarks, limits, levels)


def _field_curve(run: ReportedRun, one: FieldSeries) -> Curve:
    values = np.array([one.of(row) for row in run.field], dtype=float)
    error = np.array([one.error(row) if one.error else 0.0 for row in run.field], dtype=float)
    error = np.where(np.isfinite(error), error, 0.0)
    band = np.stack([values, values - error, values + error])
    return Curve(one.label, one.color, one.style, one.mark, _field_epochs(run), band)


def _chance(run: ReportedRun, of: Callable[..., float]) -> Curve:
    q = np.array([of(row) for row in run.field], dtype=float)
    band = np.stack([np.full_like(q, np.nan), -q, q])
    return Curve(field_series.CHANCE, "#888888", "-", "", _field_epochs(run), band)


def _field_epochs(run: ReportedRun) -> Float[np.ndarray, " T"]:
    return np.array([row.epoch for row in run.field], dtype=float)
