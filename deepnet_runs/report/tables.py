"""The tables of the page: the runs side by side, every value of a panel, and the fields of the configurations."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from deepnet_runs.paper.experiments import LOSSES, departures
from deepnet_runs.paper.table1 import at_end, at_zero_error
from deepnet_runs.report.charts import Curve, Panel
from deepnet_runs.report.elements import Child, element
from deepnet_runs.report.formulas import formula
from deepnet_runs.report.reading import Configuration, Found, ReportedRun
from deepnet_runs.storage.row import Row

NONE = "\N{EN DASH}"


def number(value: float | None, form: str = ".4g") -> str:
    """A number, or a dash where there is none."""
    return NONE if value is None or not np.isfinite(value) else format(value, form).replace("-", "\N{MINUS SIGN}")


def table(
    name: str, heads: Sequence[Child], rows: Sequence[Sequence[Child]], *, classes: Sequence[str] = ()
) -> Element:
    """A table in a frame that scrolls; the first column names the rows, and each row may have a class."""
    head = element("tr", *(element("th", one, scope="col") for one in heads))
    body = element("tbody")
    for i, (first, *others) in enumerate(rows):
        row = element("tr", element("th", first, scope="row"), *(element("td", one) for one in others))
        if classes and classes[i]:
            row.set("class", classes[i])
        body.append(row)
    made = element("table", element("caption", name), element("thead", head), body)
    return element("div", made, class_="scroll", tabindex="0", role="region", aria_label=name)


def cell(curve: Curve, epoch: float) -> str:
    """The value at an epoch, with its range where it has one; a dash where there is none."""
    at = np.flatnonzero(curve.epochs == epoch)
    if not at.size:
        return NONE
    middle, low, high = curve.values[:, at[0]]
    span = f"{number(low)} to {number(high)}"
    if not np.isfinite(middle):
        return span if np.isfinite(low) else NONE
    return number(middle) if low == high else f"{number(middle)} ({span})"


def values_table(name: str, panel: Panel, epochs: Sequence[float]) -> Element:
    """Every value of a panel, a line for each epoch."""
    heads: list[Child] = ["epoch", *(formula(curve.label) for curve in panel.curves)]
    return table(name, heads, [[f"{epoch:g}", *(cell(curve, epoch) for curve in panel.curves)] for epoch in epochs])


LAST: dict[str, Callable[[Row], float]] = {
    "loss": lambda row: row.loss,
    "loss_ls_perp": lambda row: row.loss_ls_perp,
    "nc1_train": lambda row: row.nc1_train,
    "nc1_test": lambda row: row.nc1_test,
    "train_error": lambda row: row.train_error,
    "largest omega": lambda row: max(row.omega, default=np.nan),
    "smallest omega": lambda row: min(row.omega, default=np.nan),
}


def runs_table(found: Found) -> Element:
    """A column for each run: how far it came, and its numbers at its last epoch."""
    accuracy = ("test accuracy in % at zero error", "test accuracy in % at the end")
    names = ["configuration", "seed", "state", "zero training error from epoch", *accuracy]
    names += [*(f"{name} at the last epoch" for name in LAST), "cos(V, \N{MINUS SIGN}G) of the field test", "folder"]
    columns = [_run(one, run) for one in found.configurations for run in one.runs]
    rows = [list(row) for row in zip(names, *columns, strict=True)]
    return table("Runs", ["quantity", *(run.name for run in found.runs)], rows)


def _run(one: Configuration, run: ReportedRun) -> list[Child]:
    record = run.record
    clean = "none" if record.first_clean is None else str(record.first_clean)
    accuracy = [number(of(record), ".2f") for of in (at_zero_error, at_end)]
    measures = [number(of(record.rows[-1])) for of in LAST.values()]
    cosine = number(run.field[-1].field.velocity_cosine if run.field else None)
    return [one.name, str(record.config["seed"]), run.state, clean, *accuracy, *measures, cosine, str(record.folder)]


def flat(config: Mapping[str, Any], *, before: str = "") -> dict[str, str]:
    """Every field of a configuration as text, those of nested ones after a dot."""
    found: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, before=f"{before}{name}.")
        else:
            found[before + name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return found


def fields_tables(found: Found) -> list[Element]:
    """The configurations and the versions, a column for each configuration; lines with differences are marked."""
    columns = [_column(one) for one in found.configurations]
    names = list(dict.fromkeys(name for column in columns for name in column))
    made = []
    for caption, versions in (("Recipe: config.json", False), ("Versions that the runs were made with", True)):
        rows = [
            [name.removeprefix("versions."), *(column.get(name, NONE) for column in columns)]
            for name in names
            if name.startswith("versions.") == versions
        ]
        classes = ["differs" if len(set(row[1:])) > 1 else "" for row in rows]
        if rows:
            made.append(table(caption, ["field", *(one.name for one in found.configurations)], rows, classes=classes))
    return made


def _column(one: Configuration) -> dict[str, str]:
    """The fields of the runs of a configuration; several values beside one another, as the seeds are."""
    flats = [flat(run.record.config) for run in one.runs]
    names = dict.fromkeys(name for fields in flats for name in fields)
    column = {name: ", ".join(dict.fromkeys(fields.get(name, NONE) for fields in flats)) for name in names}
    record = one.runs[0].record
    changed = departures(record) if record.config["loss"] in LOSSES else {}
    said = ", ".join(f"{name} {change}" for name, change in changed.items())
    return {"departs from its recipe in": said or NONE} | column
