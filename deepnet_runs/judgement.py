"""Runs judged: which law their omega follow, what time it implies, what it foresees, how near they are to its premises.

An entry for each group of repetitions, from records alone; lists are by run, in the order of `runs`. What a run has not
recorded (the summed learning rate, singular vectors, features) is null.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from deepnet_runs import assumptions, clock, forecast, law_of_run
from deepnet_runs.law_of_run import LAWS
from deepnet_runs.runs import Run, labels, repetitions

Rows = list[dict[str, Any]]
AXES = {"lr_sum": "summed learning rate", "epoch": "epochs"}  # of time in training, counted from the window's first


def window(run: Run, first: int | None, last: int | None) -> Rows:
    """The rows of a window.

    Raises:
        ValueError: if none is without a training error, and no first epoch is given.
    """
    first = run.first_clean if first is None else first
    if first is None:
        raise ValueError("Need an epoch without a training error, got none: give --from an epoch.")
    return [row for row in run.rows if row["epoch"] >= first and (last is None or row["epoch"] <= last)]


def omega_of(rows: Rows) -> np.ndarray:
    """omega (T, C - 1) of a window."""
    return np.array([row["omega"] for row in rows], dtype=np.float64)


def elapsed_on(axis: str, rows: Rows) -> np.ndarray | None:
    """Time (T,) since the window's first epoch, or None if the run has not recorded it."""
    if any(axis not in row for row in rows):
        return None
    return np.array([row[axis] - rows[0][axis] for row in rows], dtype=np.float64)


def clocks(windows: Sequence[Rows], k: float) -> dict[str, Any]:
    """By law, the run's own k included, and time axis: exponent and R^2 of the time that the law implies, by run."""
    found: dict[str, Any] = {}
    for name, exponent in (LAWS | {"own": k}).items():
        found[name] = {}
        for axis in AXES:
            powers = [
                None if x is None else clock.power(clock.elapsed(omega_of(rows), exponent), x)._asdict()
                for rows, x in ((rows, elapsed_on(axis, rows)) for rows in windows)
            ]
            found[name][axis] = powers
    return found


def forecasts(rows: Rows, k: float) -> dict[str, forecast.Forecast]:
    """Every forecast that can be made of a window, by its name; none if the window is too short for one."""
    omega = omega_of(rows)
    try:
        forecast.few(len(rows))
    except ValueError:
        return {}
    epochs = np.array([row["epoch"] for row in rows], dtype=np.float64)
    made = {"constant": forecast.constant(omega), "log-log line": forecast.line(omega, epochs)}
    for axis, words in AXES.items():
        x = elapsed_on(axis, rows)
        if x is None:
            continue
        for name, exponent in (LAWS | {"own": k}).items():
            made[f"{name}, {words}"] = forecast.by_law(omega, x, exponent, free_power=False)
            made[f"{name}, power of {words}"] = forecast.by_law(omega, x, exponent, free_power=True)
    return made


def premises(run: Run, rows: Rows) -> dict[str, list[float] | None]:
    """`assumptions` of a window."""
    recorded = all(row.get("snr_right") is not None and "mean_output_gap" in row for row in rows)
    found: dict[str, list[float] | None] = dict.fromkeys(assumptions.KEYS)
    if recorded:
        found |= assumptions.of_rows(rows)
    return found | assumptions.of_features(run.folder, [row["epoch"] for row in rows])


def judge(
    runs: Sequence[Run],
    first: int | None = None,
    last: int | None = None,
    *,
    progress: Callable[[Sequence[Any]], Any] = iter,
) -> tuple[list[dict[str, Any]], list[str]]:
    """An entry for each group of repetitions, and why there is none for the others.

    A run whose window holds too little is left out of its group, and the entry says of how many.
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


def entry(label: str, group: Sequence[Run], windows: Sequence[Rows], *, left_out: int) -> dict[str, Any]:
    """What is said of a group."""
    found = law_of_run.find([omega_of(rows) for rows in windows])
    ahead = [forecasts(rows, found.k) for rows in windows]
    return {
        "label": label,
        "runs": [str(run.folder) for run in group],
        **{name: group[0].config[name] for name in ("dataset", "network", "loss")},
        "epochs": [[row["epoch"] for row in rows] for rows in windows],
        "k": found.k,
        "interval": list(found.interval),
        "resampled": found.resampled,
        "distance": found.distance,
        "distances": found.distances,
        "k_by_run": found.k_by_run,
        "distance_by_run": found.distance_by_run,
        "follow_alone": sum(D <= law_of_run.FOLLOWS for D in found.distance_by_run),
        "largest_omega2_over_C": found.largest,
        "left_out": left_out,
        "verdict": found.verdict,
        "clocks": clocks(windows, found.k),
        "forecast_errors": {
            name: [made[name].error if name in made else None for made in ahead]
            for name in dict.fromkeys(chain(*ahead))
        },
        "forecast_from": [forecast.few(len(rows)) if made else None for rows, made in zip(windows, ahead, strict=True)],
        "premises": [premises(run, rows) for run, rows in zip(group, windows, strict=True)],
    }
