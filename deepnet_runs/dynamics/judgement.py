"""What `which_law` reports of each group of repetitions, from the records of the runs alone.

The exponent that describes omega best, and what null models give; the time that each law implies; predictions of later
epochs; how well the assumptions of the laws hold. Lists are by run, in the order of `runs`. What a run has not recorded
(the summed learning rate, singular vectors, features) is null.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float

from deepnet_runs.dynamics import assumptions, clock, common_growth, field_records, forecast, law_of_run
from deepnet_runs.dynamics.clock import Power
from deepnet_runs.dynamics.common_growth import Null
from deepnet_runs.dynamics.field_records import FieldRow
from deepnet_runs.dynamics.law_of_run import LAWS, Finding
from deepnet_runs.storage.row import Row
from deepnet_runs.storage.runs import RecordedRun, labels, repetitions

Rows = list[Row]
AXES = {"lr_sum": "summed learning rate", "epoch": "epochs"}  # of time in training, counted from the window's first


@dataclass(frozen=True)
class Group:
    """What is reported of the runs of one configuration; lists are by run. None or NaN is what does not exist.

    Attributes:
        label: name of the configuration.
        runs: their folders.
        dataset: as in their config.json.
        network: as in their config.json.
        loss: as in their config.json.
        epochs: the measured epochs of each window.
        finding: the exponent, and the deviations from it and from the laws.
        left_out: how many runs of the configuration have too short a window.
        verdict: the description, unless a null model gives it too.
        nulls: the null models.
        clocks: by law (the runs' own k included) and time axis, the power of it that the implied time is.
        forecast_errors: by prediction, its error; None where the window is too short.
        forecast_from: how many epochs the predictions are made from.
        assumptions: by key of `assumptions.KEYS`, its value at every epoch of the window; None where not recorded.
        field: the last row of the field test in the window; None where `deepnet_runs.kernel` has not measured one.
    """

    label: str
    runs: list[str]
    dataset: str
    network: str
    loss: str
    epochs: list[list[int]]
    finding: Finding
    left_out: int
    verdict: str
    nulls: list[Null]
    clocks: dict[str, dict[str, list[Power | None]]]
    forecast_errors: dict[str, list[float | None]]
    forecast_from: list[int | None]
    assumptions: list[dict[str, list[float] | None]]
    field: list[FieldRow | None]

    def to_dict(self) -> dict[str, Any]:
        """A group of which_law.json: the fields of the finding are keys of the group."""
        found = {name: getattr(self, name) for name in (field.name for field in fields(self))}
        head = {name: found.pop(name) for name in ("label", "runs", "dataset", "network", "loss", "epochs")}
        head |= asdict(found.pop("finding")) | {"left_out": found.pop("left_out")}
        powers = {
            law: {axis: [power and power._asdict() for power in known] for axis, known in axes.items()}
            for law, axes in self.clocks.items()
        }
        nulls = [asdict(null) for null in self.nulls]
        rows = [row and row.to_dict() for row in self.field]
        return (
            head | {"description": self.finding.description} | found | {"nulls": nulls, "clocks": powers, "field": rows}
        )

    @classmethod
    def from_dict(cls, group: Mapping[str, Any]) -> "Group":
        """A group of which_law.json; numbers that are null there are NaN."""
        own = {one.name: group[one.name] for one in fields(cls) if one.name not in ("finding", "field")}
        own["nulls"] = [Null(**_numbers(null)) for null in group["nulls"]]
        own["clocks"] = {
            law: {axis: [power and Power(**_numbers(power)) for power in known] for axis, known in axes.items()}
            for law, axes in group["clocks"].items()
        }
        own["field"] = [row and FieldRow.from_dict(row) for row in group.get("field") or [None] * len(group["runs"])]
        return cls(finding=Finding(**_numbers({field.name: group[field.name] for field in fields(Finding)})), **own)


OPTIONAL = ("interval", "P", "clock_exponents")  # None if there are none


def _numbers(found: Mapping[str, Any]) -> dict[str, Any]:
    """Fields from a file: null is NaN where a number belongs, intervals are tuples."""

    def number(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: number(one) for name, one in value.items()}
        if isinstance(value, list):
            return [number(one) for one in value]
        return np.nan if value is None else value

    made = {name: value if name in OPTIONAL else number(value) for name, value in found.items()}
    return made | {name: tuple(made[name]) for name in ("interval", "k_interval") if made.get(name) is not None}


def window(run: RecordedRun, first: int | None, last: int | None) -> Rows:
    """The rows of a window.

    Raises:
        ValueError: if none is without a training error, and no first epoch is given.
    """
    first = run.first_clean if first is None else first
    if first is None:
        raise ValueError("No measured epoch has zero training error: choose the first epoch with --from.")
    return [row for row in run.rows if row.epoch >= first and (last is None or row.epoch <= last)]


def omega_of(rows: Rows) -> Float[np.ndarray, "T K"]:
    """omega (T, C - 1) of a window."""
    return np.array([row.omega for row in rows], dtype=np.float64)


def elapsed_on(axis: str, rows: Rows) -> Float[np.ndarray, " T"] | None:
    """Time (T,) since the window's first epoch, or None if the run has not recorded it."""
    times = np.array([getattr(row, axis) for row in rows], dtype=np.float64)
    return None if np.isnan(times).any() else times - times[0]


def clocks(windows: Sequence[Rows], k: float) -> dict[str, dict[str, list[Power | None]]]:
    """By law, the run's own k included, and time axis: exponent and R^2 of the time that the law implies, by run."""
    found: dict[str, dict[str, list[Power | None]]] = {}
    for name, exponent in (LAWS | {"own": k}).items():
        found[name] = {}
        for axis in AXES:
            powers = [
                None if x is None else clock.power(clock.elapsed(omega_of(rows), exponent), x)
                for rows, x in ((rows, elapsed_on(axis, rows)) for rows in windows)
            ]
            found[name][axis] = powers
    return found


def forecasts(rows: Rows, k: float) -> dict[str, forecast.Forecast]:
    """All predictions of the later epochs of a window, by name; empty if the window is too short."""
    omega = omega_of(rows)
    try:
        forecast.few(len(rows))
    except ValueError:
        return {}
    epochs = np.array([row.epoch for row in rows], dtype=np.float64)
    exponents = LAWS if np.isnan(k) else LAWS | {"own": k}
    made = {"constant": forecast.constant(omega), "log-log line": forecast.line(omega, epochs)}
    for axis, words in AXES.items():
        x = elapsed_on(axis, rows)
        if x is None:
            continue
        for name, exponent in exponents.items():
            made[f"{name}, {words}"] = forecast.by_law(omega, x, exponent, free_power=False)
            made[f"{name}, power of {words}"] = forecast.by_law(omega, x, exponent, free_power=True)
    return made


def measured_assumptions(run: RecordedRun, rows: Rows) -> dict[str, list[float] | None]:
    """`assumptions.KEYS` at every epoch of a window."""
    recorded = all(row.snr_right is not None and not np.isnan(row.mean_output_gap) for row in rows)
    found: dict[str, list[float] | None] = dict.fromkeys(assumptions.KEYS)
    if recorded:
        found |= assumptions.of_rows(rows)
    return found | assumptions.of_features(run.folder, [row.epoch for row in rows])


def measured_field(run: RecordedRun, rows: Rows) -> FieldRow | None:
    """The last row of the field test in a window, if there is one.

    Raises:
        ValueError: if its file cannot be read.
    """
    within = [row for row in field_records.read(run.folder) if rows[0].epoch <= row.epoch <= rows[-1].epoch]
    return within[-1] if within else None


def judge(
    runs: Sequence[RecordedRun],
    first: int | None = None,
    last: int | None = None,
    *,
    progress: Callable[[Sequence[Any]], Any] = iter,
) -> tuple[list[Group], list[str]]:
    """An entry for each group of repetitions, and the reasons why other groups have none.

    A run whose window is too short is omitted from its group; the entry counts the omitted runs.
    """
    entries, groups, refusals = [], repetitions(runs), []
    for label, group in progress(list(zip(labels(groups), groups, strict=True))):
        kept, why = [], ""
        for run in group:
            try:
                rows = window(run, first, last)
                law_of_run.check(omega_of(rows))
                kept.append((run, rows))
            except ValueError as error:
                why = f"{run.folder}: {error}"
        if kept:
            runs_kept, windows = zip(*kept, strict=True)
            entries.append(entry(label, runs_kept, windows, left_out=len(group) - len(kept)))
        else:
            refusals.append(why)
    return entries, refusals


def entry(label: str, group: Sequence[RecordedRun], windows: Sequence[Rows], *, left_out: int) -> Group:
    """All that is reported of a group."""
    omegas = [omega_of(rows) for rows in windows]
    found = law_of_run.find(omegas)
    nulls = common_growth.nulls(
        found,
        omegas,
        [assumptions.saved_dimension(run.folder, rows[0].epoch) for run, rows in zip(group, windows, strict=True)],
        [elapsed_on("lr_sum", rows) for rows in windows],
    )
    predicted = [forecasts(rows, found.k) for rows in windows]
    return Group(
        label=label,
        runs=[str(run.folder) for run in group],
        dataset=group[0].config["dataset"],
        network=group[0].config["network"],
        loss=group[0].config["loss"],
        epochs=[[row.epoch for row in rows] for rows in windows],
        finding=found,
        left_out=left_out,
        verdict=common_growth.verdict(found, nulls),
        nulls=nulls,
        clocks=clocks(windows, found.k),
        forecast_errors={
            name: [made[name].error if name in made else None for made in predicted]
            for name in dict.fromkeys(chain(*predicted))
        },
        forecast_from=[
            forecast.few(len(rows)) if made else None for rows, made in zip(windows, predicted, strict=True)
        ],
        assumptions=[measured_assumptions(run, rows) for run, rows in zip(group, windows, strict=True)],
        field=[measured_field(run, rows) for run, rows in zip(group, windows, strict=True)],
    )
