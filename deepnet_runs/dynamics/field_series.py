"""What is plotted of a run's field test over its epochs: numbers of a row, their labels and styles.

The figure of `deepnet_runs.kernel` and the page of `deepnet_runs.figures` draw the same. Colours are
colour-blind-safe; line styles and markers differ, so that the plots read in grey too.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from deepnet_runs.dynamics.field_records import FieldRow

BLACK, BLUE, VERMILLION, GREEN, PURPLE = "#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # Okabe and Ito's
PARTS = {"whole": "cosine of A with each model's", "residual": "the same cosine without the common factor"}
CHANCE = "95 % of random velocities"
LAWS = (0, 1, 2)  # exponents at which the plot of k has a line


class FieldSeries(NamedTuple):
    """A number of each row of field.jsonl, and how it is drawn; `error` is its standard error, or None.

    A number that a row does not have is NaN.
    """

    label: str
    color: str
    style: str | tuple[int, tuple[int, ...]]
    mark: str
    of: Callable[[FieldRow], float]
    error: Callable[[FieldRow], float] | None = None


def _cosine(model: str, label: str, color: str, style: str | tuple[int, tuple[int, ...]], mark: str, part: str):
    def of(row: FieldRow) -> float:
        return getattr(row.field.models[model], part).cosine if model in row.field.models else math.nan

    def error(row: FieldRow) -> float:
        found = getattr(row.field.models[model], part).cosine_error if model in row.field.models else None
        return 0.0 if found is None else found

    return FieldSeries(label, color, style, mark, of, error)


def cosines(part: str) -> tuple[FieldSeries, ...]:
    """Agreement of A with that of the models, `whole` or `residual`: without the common factor."""
    return (
        _cosine("free", "free features", BLUE, "-", "o", part),
        _cosine("class_means", "class means only", VERMILLION, "--", "s", part),
        _cosine("block", "block kernel, measured b", GREEN, "-.", "^", part),
        _cosine("sample_kernel", "sample kernel", PURPLE, (0, (5, 1, 1, 1)), "D", part),
        _cosine("common_factor", "common factor", BLACK, ":", "x", part),
    )


def chance(part: str) -> Callable[[FieldRow], float]:
    """The absolute cosine below which 95 % of random velocities are."""
    return lambda row: row.field.random[part]["q95"]


LEFT = FieldSeries(r"share of $|A|^2$ left", "#666666", "-", "", lambda row: row.field.residual_share)
KERNEL = (
    FieldSeries("cos(V, -G): 1 if features are free", BLUE, "-", "o", lambda row: row.field.velocity_cosine),
    FieldSeries("b: within-class over class-mean rate", VERMILLION, "--", "s", lambda row: row.field.b),
    FieldSeries(r"share of $\Theta G_M$ within classes", GREEN, "-.", "^", lambda row: row.field.leak_means),
    FieldSeries("isotropy over feature directions", PURPLE, ":", "D", lambda row: row.kernel.get("isotropy", math.nan)),
)
MOBILITY = FieldSeries(
    "mobility exponent k over the directions",
    BLACK,
    "-",
    "o",
    lambda row: row.field.mobility,
    lambda row: row.field.mobility_error,
)
