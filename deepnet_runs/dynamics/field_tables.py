"""Tables of the field test: every measured epoch of a run, and the last one over the seeds of a configuration."""

from collections.abc import Callable, Sequence

import numpy as np

from central_path.cli.tables import aligned
from deepnet_runs.dynamics.field_records import FieldRow
from deepnet_runs.dynamics.law_of_run import t_interval

SHOWN = {  # models of the table and the heads of their columns; the laws are in the file
    "free": "free",
    "class_means": "means",
    "block": "block",
    "block_best": "best b",
    "sample_kernel": "sample",
}
LONGEST = 8  # epochs of a run in the table


def number(value: float | None, form: str = ".2f") -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None or not np.isfinite(value) else format(value, form)


def epochs(label: str, rows: Sequence[FieldRow]) -> list[list[str]]:
    """Lines of the table for a run, eight at most."""
    count = min(LONGEST, len(rows))
    picked = sorted({round(j * (len(rows) - 1) / max(count - 1, 1)) for j in range(count)})
    return [cells(label, rows[i]) for i in picked]


def head() -> list[str]:
    """The columns: the network's numbers, whole cosines, the share beyond the common factor, and cosines there."""
    of_models = [*SHOWN.values(), "by chance"]
    return ["run", "epoch", "cos(V,-G)", "b", "k", "turning", *of_models, "left", *(f"{name}*" for name in of_models)]


def cells(label: str, row: FieldRow) -> list[str]:
    """One epoch of a run."""
    f = row.field
    whole = [number(f.models[name].whole.cosine) for name in SHOWN]
    rest = [number(f.models[name].residual.cosine) for name in SHOWN]
    chance = [number(f.random[part]["q95"]) for part in ("whole", "residual")]
    numbers = [number(f.velocity_cosine), number(f.b), number(f.mobility), number(f.turning)]
    return [label, str(row.epoch), *numbers, *whole, chance[0], number(f.residual_share), *rest, chance[1]]


QUANTITIES: dict[str, Callable[[FieldRow], float]] = {
    "cos(V,-G)": lambda row: row.field.velocity_cosine,
    "b": lambda row: row.field.b,
    "k": lambda row: row.field.mobility,
    "isotropy": lambda row: row.kernel["isotropy"],
} | {f"{head}*": lambda row, name=name: row.field.models[name].residual.cosine for name, head in SHOWN.items()}


def over_seeds(label: str, last: Sequence[FieldRow]) -> list[str]:
    """Means over the runs of a configuration at one epoch, with t intervals: the seeds are random effects."""
    found = []
    for of_row in QUANTITIES.values():
        values = [of_row(row) for row in last]
        limits = t_interval(values)
        if limits is None or not np.all(np.isfinite(values)):
            found.append("-")
        else:
            found.append(f"{np.mean(values):.2f} ({limits[0]:.2f} to {limits[1]:.2f})")
    return [label, str(last[0].epoch), str(len(last)), *found]


def tables(runs: dict[str, list[FieldRow]], groups: dict[str, list[list[FieldRow]]]) -> str:
    """What is printed: every run, then every configuration with two runs or more that end at one epoch."""
    parts = [aligned([head(), *(line for label, rows in runs.items() for line in epochs(label, rows))])]
    lines = []
    for label, of_runs in groups.items():
        common = set.intersection(*({row.epoch for row in rows} for rows in of_runs))
        if len(of_runs) > 1 and common:
            last = [next(row for row in rows if row.epoch == max(common)) for rows in of_runs]
            lines.append(over_seeds(label, last))
    if lines:
        parts.append(aligned([["mean (95 %)", "epoch", "seeds", *QUANTITIES], *lines]))
    return "\n\n".join("\n".join(part) for part in parts)
