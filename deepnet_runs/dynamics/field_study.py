"""What changes the field test: conditions beside the base over independent seeds, and the trend with the width.

The method is that of docs/real_networks.md, written before the runs that decide. A run is looked at twice: at the first
epoch of its field test with a training error of at most EARLY, and at the last. Quantities are compared between a
condition and the base by Welch's t interval of the difference of means. Holm's step-down procedure corrects the p
values for the number of all comparisons. The trend is the least-squares slope in log2 of the width over all runs that
differ from the base in the width alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log2, nan
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from deepnet_runs.dynamics.field_records import FieldRow
from deepnet_runs.dynamics.law_of_run import t_interval
from deepnet_runs.storage.runs import RecordedRun

EARLY = 0.1  # training error
FREE = 0.9  # cos(V, -G) from which features are called free
LEVEL = 0.95
MOMENTS = ("early", "late")
BASE = "base"
QUANTITIES: dict[str, Callable[[FieldRow], float]] = {
    "cos(V,-G)": lambda row: row.field.velocity_cosine,
    "b": lambda row: row.field.b,
    "mobility": lambda row: row.field.mobility,
    "free*": lambda row: row.field.models["free"].residual.cosine,
    "block*": lambda row: row.field.models["block"].residual.cosine,
    "sample*": lambda row: row.field.models["sample_kernel"].residual.cosine,
}
DESCRIBED: dict[
    str, Callable[[FieldRow], float]
] = {  # beside them, without comparisons; the laws are of balanced classes
    "free": lambda row: row.field.models["free"].whole.cosine,
    "common factor": lambda row: row.field.models["common_factor"].whole.cosine,
    "law 0*": lambda row: row.field.models["law_0"].residual.cosine if "law_0" in row.field.models else nan,
    "law 1*": lambda row: row.field.models["law_1"].residual.cosine if "law_1" in row.field.models else nan,
}
Interval = tuple[float, float]
Rows = Mapping[str, Sequence[dict[str, FieldRow]]]  # by condition, of every run its rows by moment


@dataclass(frozen=True)
class Effect:
    """A condition's mean less the base's, with its interval, and its p value alone and corrected for all."""

    condition: str
    moment: str
    quantity: str
    difference: float
    interval: Interval
    p: float
    p_holm: float = nan

    @property
    def found(self) -> bool:
        """Whether it is there at 5 % after the correction."""
        return self.p_holm < 1 - LEVEL


def moments_of(run: RecordedRun, field: Sequence[FieldRow]) -> dict[str, FieldRow]:
    """The rows of a run's field test that are early and late; no early one where the error stays above EARLY."""
    errors = {row.epoch: row.train_error for row in run.rows}
    early = next((row for row in field if errors.get(row.epoch, nan) <= EARLY), None)
    found = {} if early is None else {"early": early}
    return found | ({"late": field[-1]} if field and early is not None else {})


@dataclass(frozen=True)
class Course:
    """A run beside its field test: epochs, the growth of omega, its distance from the central path, and its seconds.

    The growth is that of the geometric mean from the first measured epoch to the last, NaN where omega are not all
    known. The distance is L_LS_perp/L_LS, by moment, for the moments that the run has.
    """

    epochs: int
    growth: float
    off_path: Mapping[str, float]
    seconds: float


def course_of(run: RecordedRun) -> Course:
    """Of a run."""
    first, last = (np.array(row.omega or [nan]) for row in (run.rows[0], run.rows[-1]))
    with np.errstate(all="ignore"):
        growth = float(np.exp(np.mean(np.log(last)) - np.mean(np.log(first))))
    at = next((row for row in run.rows if row.train_error <= EARLY), None)
    moments = {} if at is None else {"early": at, "late": run.rows[-1]}
    off_path = {name: row.loss_ls_perp / (row.loss - row.loss_ls_perp) for name, row in moments.items()}
    return Course(run.rows[-1].epoch, growth, off_path, run.rows[-1].seconds)


def values_of(runs: Rows, moment: str, quantity: str) -> dict[str, Float[np.ndarray, " S"]]:
    """By condition, a quantity of every run that has the moment."""
    of = (QUANTITIES | DESCRIBED)[quantity]
    return {name: np.array([of(row[moment]) for row in rows if moment in row]) for name, rows in runs.items()}


def holm(p: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Holm's corrected p values."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def welch(x: Float[np.ndarray, " a"], y: Float[np.ndarray, " b"]) -> tuple[float, Interval, float]:
    """The difference of the means of x and y, its interval and p value; NaN of fewer than two values."""
    if min(len(x), len(y)) < 2 or not np.isfinite([*x, *y]).all():
        return nan, (nan, nan), nan
    if np.ptp(x) == np.ptp(y) == 0:  # nothing is random
        apart = float(x[0] - y[0])
        return apart, (apart, apart), float(apart == 0)
    found: Any = stats.ttest_ind(x, y, equal_var=False)
    limits = found.confidence_interval(LEVEL)
    return float(np.mean(x) - np.mean(y)), (float(limits.low), float(limits.high)), float(found.pvalue)


def effects(runs: Rows) -> list[Effect]:
    """Of every condition on every quantity at both moments, corrected for their number.

    Raises:
        ValueError: without runs of the base.
    """
    if BASE not in runs:
        raise ValueError(f"Need runs of the condition {BASE}, got {', '.join(runs) or 'none'}: train them too.")
    found = []
    for moment in MOMENTS:
        for quantity in QUANTITIES:
            values = values_of(runs, moment, quantity)
            for name in runs:
                if name != BASE:
                    difference, interval, p = welch(values[name], values[BASE])
                    found.append(Effect(name, moment, quantity, difference, interval, p))
    known = [i for i, effect in enumerate(found) if np.isfinite(effect.p)]
    corrected = holm(np.array([found[i].p for i in known]))
    by_place = dict(zip(known, corrected.tolist(), strict=True))
    return [Effect(**vars(effect) | {"p_holm": by_place.get(i, nan)}) for i, effect in enumerate(found)]


@dataclass(frozen=True)
class Trend:
    """Of a quantity: slope for a doubling of the width, its interval, and the width at which the line reaches FREE."""

    moment: str
    quantity: str
    runs: int
    slope: float
    interval: Interval
    reaches: float

    @property
    def found(self) -> bool:
        """Whether the interval is on one side of 0."""
        return self.interval[0] > 0 or self.interval[1] < 0


def trend(
    width: Sequence[float] | np.ndarray, value: Sequence[float] | np.ndarray, moment: str, quantity: str
) -> Trend:
    """Over independent runs; NaN of fewer than three or of one width."""
    x, y = np.array([log2(w) for w in width]), np.array(value)
    if len(x) < 3 or len(set(x)) < 2 or not np.isfinite(y).all():
        return Trend(moment, quantity, len(x), nan, (nan, nan), nan)
    line: Any = stats.linregress(x, y)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(x) - 2) * line.stderr)
    slope, interval = float(line.slope), (float(line.slope) - half, float(line.slope) + half)
    reaches = 2 ** ((FREE - line.intercept) / slope) if quantity == "cos(V,-G)" and interval[0] > 0 else nan
    return Trend(moment, quantity, len(x), slope, interval, float(reaches))


def freedom(values: Sequence[float]) -> str:
    """Whether features are "free", "not free" or "open", by the interval of the mean of cos(V, -G)."""
    limits = t_interval(values, LEVEL)
    if limits is None:
        return "open"
    return "free" if limits[0] > FREE else "not free" if limits[1] < FREE else "open"


def chance_of(rows: Sequence[dict[str, FieldRow]], moment: str, part: str = "residual") -> float:
    """The mean over runs of the cosine that 95 % of random velocities stay below."""
    found = [row[moment].field.random[part]["q95"] for row in rows if moment in row]
    return float(np.mean(found)) if found else nan
