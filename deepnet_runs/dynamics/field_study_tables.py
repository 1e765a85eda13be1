"""The tables of the study of the field test, as rows of which the first names the columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from deepnet_runs.dynamics.field_study import (
    FREE,
    LEVEL,
    MOMENTS,
    QUANTITIES,
    Course,
    Effect,
    Rows,
    chance_of,
    effects,
    freedom,
    trend,
    values_of,
)
from deepnet_runs.dynamics.law_of_run import t_interval

Table = list[list[str]]
OF_FEATURES, OF_GROWTH = ("cos(V,-G)", "b", "mobility"), ("free*", "block*", "sample*")
OF_WHOLE, OF_LAWS = ("free", "common factor"), ("law 0*", "law 1*")


def _with_interval(values: Sequence[float]) -> str:
    limits = t_interval(values, LEVEL)
    if not len(values) or not np.isfinite(values).all():
        return "-"
    mean = f"{np.mean(values):.2f}"
    return mean if limits is None else f"{mean} ({limits[0]:.2f} to {limits[1]:.2f})"


def courses_table(courses: Mapping[str, Sequence[Course]]) -> Table:
    """How long the runs of each condition are, how far omega grow, how near the central path is, and core hours."""
    paths = [f"L_LS_perp/L_LS {moment}" for moment in MOMENTS]
    lines = [["condition", "runs", "epochs", "omega grown by", *paths, "core hours"]]
    for name, of_runs in courses.items():
        epochs = sorted({run.epochs for run in of_runs})
        hours = sum(run.seconds for run in of_runs) / 3600
        grown = _with_interval([run.growth for run in of_runs])
        off = [_with_interval([run.off_path[at] for run in of_runs if at in run.off_path]) for at in MOMENTS]
        lines.append([name, str(len(of_runs)), ", ".join(map(str, epochs)), grown, *off, f"{hours:.2f}"])
    return lines


def conditions_table(runs: Rows, quantities: Sequence[str], last: Mapping[str, Callable[[Any, str], str]]) -> Table:
    """Means of quantities over the runs of each condition at both moments, with intervals, and other columns."""
    lines = [["condition", "moment", "runs", *quantities, *last]]
    for name, rows in runs.items():
        for moment in MOMENTS:
            values = [values_of({name: rows}, moment, quantity)[name].tolist() for quantity in quantities]
            more = [of(rows, moment) for of in last.values()]
            lines.append([name, moment, f"{len(values[0])} of {len(rows)}", *map(_with_interval, values), *more])
    return lines


def features_table(runs: Rows) -> Table:
    """How features move: cos(V, -G) and whether they are free, b of the kernel, the mobility exponent."""

    def free(rows: Any, moment: str) -> str:
        return freedom([QUANTITIES["cos(V,-G)"](row[moment]) for row in rows if moment in row])

    return conditions_table(runs, OF_FEATURES, {"features": free})


def growth_table(runs: Rows) -> Table:
    """What models say beyond a common factor, beside what chance does."""
    return conditions_table(runs, OF_GROWTH, {"by chance*": _chance("residual")})


def whole_table(runs: Rows) -> Table:
    """Free features with the common factor, beside this factor alone."""
    return conditions_table(runs, OF_WHOLE, {"by chance": _chance("whole")})


def laws_table(runs: Rows) -> Table:
    """The laws k = 0 and 1 beyond a common factor, which k = 2 is."""
    return conditions_table(runs, OF_LAWS, {"by chance*": _chance("residual")})


def _chance(part: str) -> Callable[[Any, str], str]:
    def of(rows: Any, moment: str) -> str:
        found = chance_of(rows, moment, part)
        return f"{found:.2f}" if np.isfinite(found) else "-"

    return of


def effects_table(made: Sequence[Effect]) -> Table:
    """The effects that are there, and of how many comparisons: those that have two runs on both sides."""
    known = sum(np.isfinite(effect.p) for effect in made)
    lines = [["condition", "moment", "quantity", "difference from base", f"p corrected for {known}"]]
    for e in (e for e in made if e.found):
        difference = f"{e.difference:.2f} ({e.interval[0]:.2f} to {e.interval[1]:.2f})"
        lines.append([e.condition, e.moment, e.quantity, difference, f"{e.p_holm:.2g}"])
    return lines


def trends_table(runs: Rows, widths: Mapping[str, float]) -> Table:
    """Slopes with the width, of the conditions that differ from the base in the width alone, and the base."""
    lines = [["quantity", "moment", "runs", "slope for twice the width", f"width with {FREE:g}"]]
    for quantity in QUANTITIES:
        for moment in MOMENTS:
            values = {name: values_of(runs, moment, quantity)[name] for name in widths if name in runs}
            pairs = [(widths[name], value) for name, found in values.items() for value in found]
            t = trend([w for w, _ in pairs], [v for _, v in pairs], moment, quantity)
            limits = f"{t.slope:.3f} ({t.interval[0]:.3f} to {t.interval[1]:.3f})" if np.isfinite(t.slope) else "-"
            reaches = f"{t.reaches:.3g}" if np.isfinite(t.reaches) else "-"
            lines.append([quantity, moment, str(t.runs), limits, reaches])
    return lines


def tables(courses: Mapping[str, Sequence[Course]], runs: Rows, widths: Mapping[str, float]) -> dict[str, Table]:
    """All of a data set, by name; `widths` are those of the conditions that differ from the base in the width alone.

    Raises:
        ValueError: without runs of the base.
    """
    return {
        "courses": courses_table(courses),
        "features": features_table(runs),
        "growth": growth_table(runs),
        "whole": whole_table(runs),
        "laws": laws_table(runs),
        "effects": effects_table(effects(runs)),
        "trends": trends_table(runs, widths),
    }
