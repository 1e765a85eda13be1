"""The page that `deepnet_runs.figures --html` writes: one file, without requests to a network.

Axes and arrangements are chosen by the style sheet, so that the page works without a script. The script of the page
reads the tables of values, to show those of a chosen epoch in the legends.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from deepnet_runs.report import charts, drawing, reading, tables
from deepnet_runs.report.charts import CONFIGURATIONS, QUANTITIES, Chart, Panel
from deepnet_runs.report.elements import add, document, element, text_of
from deepnet_runs.report.formulas import formula
from deepnet_runs.report.reading import Found

PAPER = "https://openreview.net/forum?id=w1UbdvWH_R3"
SCALES = {"linear": "linear", "log": "logarithmic"}
INTRODUCTION = (
    "Measurements at the last layer of trained networks, from config.json, measurements.jsonl and field.jsonl of each "
    "run. Curves of several seeds are medians, and shades go from the smallest to the largest value; in the field test "
    "a shade or a bar is the standard error. The red line is at the first measured epoch without a training error. A "
    "gap in a curve, and a dash in a table, is a number that does not exist or was not recorded."
)
COLLAPSE = (
    "NC1: the variability within classes vanishes. NC2: class means become equinorm and equiangular, with the maximal "
    "angle. NC3: the classifier and the class means are dual. NC4: the network decides for the nearest class mean."
)
FIELD = (
    "The velocity V of the features under gradient flow on the network's parameters, beside that of models at the same "
    "features. G is the gradient of the loss with respect to the features, and A the rate of change of the SNR matrix "
    "in the frame of its singular vectors."
)


def page(folders: Sequence[Path], *, versions: Mapping[str, str], log_epochs: bool) -> tuple[str, list[str]]:
    """The page of all runs in and below the folders, and the sentences about what is missing in it.

    Raises:
        ValueError: if there is no run, or none can be read.
    """
    found = reading.read(folders)
    count = len(found.runs)
    title = f"Neural collapse in {found.runs[0].name}" if count == 1 else f"Neural collapse in {count} runs"
    main = element("main", *_sections(found))
    body = element("body", _header(title), _controls(found, log_epochs), main, _footer(versions))
    beside = files("deepnet_runs.report")
    style, script = (beside.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return document(title, style, body, script), found.missing


def _header(title: str) -> Element:
    links = [("#loss", "loss"), ("#collapse", "NC1 to NC4"), ("#omega", "omega"), ("#field", "field test")]
    links += [("#recipe", "recipe and versions")]
    sections = element("nav", *(element("a", words, href=link) for link, words in links), aria_label="Sections")
    return element("header", element("h1", title), element("p", INTRODUCTION), sections)


def _controls(found: Found, log_epochs: bool) -> Element:
    """What holds for all charts: the axis of epochs, the arrangement of panels, and the epoch of the legends."""
    choices = [_choice("Epochs", "epochs", SCALES, "log" if log_epochs else "linear")]
    if len(found.configurations) > 1:
        names = {CONFIGURATIONS: "configuration", QUANTITIES: "quantity"}
        choices.append(_choice("A panel for each", "panels", names, CONFIGURATIONS))
    slider = element("input", type="range", id="epoch", min=0, max=0, step=1, aria_label="epoch of the values")
    label = element("label", "Values at epoch ", element("output", id="epoch-shown"), " ", slider, class_="slider")
    label.set("hidden", "hidden")  # until the script is there to use it
    return element("div", *choices, label, class_="controls")


def _choice(legend: str, name: str, values: Mapping[str, str], checked: str) -> Element:
    """Radio buttons NAME-VALUE, which the style sheet asks for."""
    made = element("fieldset", element("legend", legend))
    for value, words in values.items():
        button = element("input", type="radio", name=name, id=f"{name}-{value}", class_=f"choose-{value}")
        if value == checked:
            button.set("checked", "checked")
        made.append(element("label", button, f" {words} "))
    return made


def _sections(found: Found) -> Iterator[Element]:
    named = len(found.runs) > 1
    said = list(found.missing)
    if len(found.configurations) > charts.PAIRS:
        said.append(f"Panels of a quantity repeat their line styles after {charts.PAIRS} configurations.")
    notes = [element("ul", *(element("li", text) for text in said), class_="remarks")] if said else []
    yield _section("runs", "Runs", tables.runs_table(found), *notes)
    loss, *collapse = charts.of_paper(found.configurations)
    yield _section("loss", "The loss and its parts", _grid([loss], named))
    yield _section("collapse", "NC1 to NC4", element("p", COLLAPSE), _grid(collapse, named))
    yield _section("omega", "Singular values omega", _grid([charts.of_omega(found.runs)], named))
    without = [element("li", f"{run.name}: {run.without_field}.") for run in found.runs if run.without_field]
    of_field = charts.of_field(found.runs) if any(run.field for run in found.runs) else []
    notes = [element("ul", *without, class_="remarks")] if without else []
    yield _section("field", "Field test", element("p", FIELD), *notes, _grid(of_field, named))
    yield _section("recipe", "Recipe and versions", *tables.fields_tables(found))


def _section(name: str, title: str, *pieces: Element) -> Element:
    return element("section", element("h2", title), *pieces, id=name)


def _grid(found: Sequence[Chart], named: bool) -> Element:
    return element("div", *(_chart(chart, named) for chart in found), class_="charts")


def _chart(chart: Chart, named: bool) -> Element:
    """A heading, the choice of the axis, panels in each arrangement, and what is missing in them."""
    wide = " wide" if any(len(panels) > 1 for panels in chart.arrangements.values()) else ""
    label = formula(chart.label, "p", class_="axis-label")
    made = element("article", formula(chart.title, "h3"), label, class_=f"chart{wide}", id=f"chart-{chart.name}")
    groups, scales = [], set()
    for by, panels in chart.arrangements.items():
        several = len(chart.arrangements) > 1
        group = element("div", class_=f"panels{f' by-{by}' if several else ''}")
        for panel in panels:
            plots = list(drawing.drawings(chart, panel))
            scales |= {plot.get("class", "").split()[1] for plot in plots}
            if plots:
                group.append(_panel(chart, panel, plots, named=named))
        groups.append(group)
    if len(scales) > 1:
        made.append(_choice("Values", f"y-{chart.name}", SCALES, chart.scale))
    add(made, groups)
    if chart.remarks:
        made.append(element("ul", *(element("li", text) for text in chart.remarks), class_="remarks"))
    return made


def _panel(chart: Chart, panel: Panel, plots: Sequence[Element], *, named: bool) -> Element:
    """Plots, one of which is shown, the legend with the values of an epoch, and the table of all values."""
    epochs = drawing.epochs_of(panel).tolist()
    last = epochs[-1]
    usual = [plot for plot in plots if plot.get("class") == f"x-linear y-{chart.scale}"] or plots
    for plot in plots:  # the usual one is all that a browser without the selector :has shows
        plot.set("class", f"plot {plot.get('class')}{' usual' if plot is usual[0] else ''}")
    entries = []
    for j, curve in enumerate(panel.curves):
        if curve.listed:
            value = element("span", tables.cell(curve, last), class_="value", data_column=j)
            entries.append(element("li", drawing.sample(curve), formula(curve.label, class_="label"), " ", value))
    if np.isfinite(panel.zero_error):
        words = f"no training error from epoch {panel.zero_error:g}"
        entries.append(element("li", drawing.zero_error_sample(), element("span", words, class_="label")))
    name = text_of(formula(f"{chart.title}, {panel.title}"))
    return element(
        "figure",
        *([element("figcaption", formula(panel.title))] if named else []),
        element("div", *plots, class_="plots", role="img", aria_label=f"{name}: {_in_words(panel, epochs)}"),
        element("p", "values at epoch ", element("span", f"{last:g}", class_="shown"), class_="at"),
        element("ul", *entries, class_="legend"),
        element("details", element("summary", "All values"), tables.values_table(name, panel, epochs)),
    )


def _in_words(panel: Panel, epochs: Sequence[float]) -> str:
    """First and last values of the curves of a legend."""
    first, last = epochs[0], epochs[-1]
    said = [
        f"{text_of(formula(curve.label))}: {tables.cell(curve, first)}, at last {tables.cell(curve, last)}"
        for curve in panel.curves
        if curve.listed
    ]
    return f"epoch {first:g} to {last:g}. {'; '.join(said)}."


def _footer(versions: Mapping[str, str]) -> Element:
    made_with = ", ".join(f"{name} {number}" for name, number in versions.items())
    return element(
        "footer",
        element(
            "p",
            "Quantities as in ",
            element("a", "Han, Papyan & Donoho (2022), Neural Collapse Under MSE Loss", href=PAPER),
            "; their keys in measurements.jsonl are those of the tables of the protocol. Page made with ",
            f"{made_with}.",
        ),
    )
