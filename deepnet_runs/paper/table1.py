"""Table 1 of the paper beside its numbers: test accuracy when the training error is first zero, and at the end.

For each data set, network and loss the mean over the seeds and their sample standard deviation, in percent. A seed
without an epoch of zero training error, or without its last epoch, is left out of the column that it lacks, and the
entry states the number of seeds. Below the table stands what training beyond zero error gains, the last epoch minus the
first without an error: median and mean over the MSE experiments, as the paper gives it.

Source: Han, Papyan & Donoho (2022), Table 1.
"""

import csv
import io
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from deepnet_runs.datasets.registry import title as title_of
from deepnet_runs.paper import robustness_gain
from deepnet_runs.paper.experiments import LOSSES, Experiment, finished
from deepnet_runs.paper.published import ACCURACY_GAIN, ROBUSTNESS_GAIN, TABLE1, Improvements
from deepnet_runs.storage.row import Row
from deepnet_runs.storage.runs import RecordedRun

HEADS: tuple[str, ...] = (
    "data set",
    "network",
    "loss",
    "seeds",
    "at zero error",
    "published",
    "at the end",
    "published",
)
CSV_HEADS: tuple[str, ...] = (
    *("dataset", "network", "loss", "seeds", "seeds_at_zero_error", "at_zero_error_mean", "at_zero_error_std"),
    *("at_zero_error_published", "seeds_at_end", "at_end_mean", "at_end_std", "at_end_published"),
)


def at_zero_error(run: RecordedRun) -> float | None:
    """Test accuracy in percent at the first measured epoch without a training error, if there is one."""
    return next((100 * (1 - row.test_error) for row in run.rows if row.epoch == run.first_clean), None)


def at_end(run: RecordedRun) -> float | None:
    """Test accuracy in percent at the last epoch; None if the run is not finished."""
    return 100 * (1 - run.rows[-1].test_error) if finished(run) else None


def accuracy_gain(run: RecordedRun) -> float | None:
    """Percentage points from the first epoch without a training error to the last."""
    before, after = at_zero_error(run), at_end(run)
    return None if before is None or after is None else after - before


class Gain(NamedTuple):
    """A quantity whose gain since the first epoch with zero training error is reported, and the paper's numbers."""

    name: str
    of: Callable[[RecordedRun], float | None]
    published: Improvements
    images: Callable[[Row], int | None]  # of how many test images a row speaks, if not of all


def robustness_difference(run: RecordedRun) -> float | None:
    """Gain of Ave ||r(x)||/||x|| from the first epoch with zero training error to the last; None if not measured."""
    try:
        return robustness_gain.gain(run).difference if finished(run) else None
    except ValueError:
        return None


GAINS = (
    Gain("test accuracy, percentage points", accuracy_gain, ACCURACY_GAIN, lambda row: None),
    Gain("robustness, Ave ||r(x)||/||x||", robustness_difference, ROBUSTNESS_GAIN, lambda row: row.robustness_images),
)


class Spread(NamedTuple):
    """Mean and sample standard deviation over the n seeds with a value; None for too few seeds."""

    n: int
    mean: float | None
    std: float | None


def spread(values: Sequence[float | None]) -> Spread:
    """Mean and standard deviation of the values that are not None."""
    there = [value for value in values if value is not None]
    mean = statistics.fmean(there) if there else None
    return Spread(len(there), mean, statistics.stdev(there) if len(there) > 1 else None)


class Entry(NamedTuple):
    """A line of the table."""

    experiment: Experiment
    before: Spread
    after: Spread
    published: tuple[float | None, float | None]


def entries(experiments: Sequence[Experiment]) -> list[Entry]:
    """A line for each experiment; published numbers for the paper's own pairs trained with MSE loss."""
    made = []
    for experiment in experiments:
        known = (
            TABLE1.get((experiment.dataset, experiment.runs[0].config["network"])) if experiment.loss == "mse" else None
        )
        before, after = (spread([of(run) for run in experiment.runs]) for of in (at_zero_error, at_end))
        made.append(Entry(experiment, before, after, known or (None, None)))
    return made


def _percent(found: Spread, seeds: int, missing: str) -> str:
    if found.mean is None:
        return missing
    deviation = "" if found.std is None else f" ± {found.std:.2f}"
    return f"{found.mean:.2f}{deviation}" + ("" if found.n == seeds else f" ({found.n} of {seeds} seeds)")


def markdown(experiments: Sequence[Experiment]) -> str:
    """The table, and under it the gains."""
    lines: list[list[str]] = [list(HEADS)]
    for experiment, before, after, published in entries(experiments):
        n = len(experiment.runs)
        first, last = ("-" if number is None else f"{number:.2f}" for number in published)
        name = [title_of(experiment.dataset), experiment.network, LOSSES[experiment.loss], str(n)]
        reached = _percent(before, n, "no zero-error epoch")
        lines.append([*name, reached, first, _percent(after, n, "not finished"), last])
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
    lines.insert(1, ["-" * width for width in widths])
    rows = [" | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
    title = (
        "Table 1. Test accuracy in percent: mean ± sample standard deviation over the seeds; published: the paper's."
    )
    return "\n".join([title, "", *(f"| {row} |" for row in rows), "", gains(experiments)])


def gains(experiments: Sequence[Experiment]) -> str:
    """A line for each gain: median and mean over the MSE cells, each the mean of its seeds."""
    lines = []
    for name, of, published, images_of in GAINS:
        mse = [experiment for experiment in experiments if experiment.loss == "mse"]
        by_cell = [spread([of(run) for run in experiment.runs]) for experiment in mse]
        found = [one.mean for one in by_cell if one.mean is not None]
        runs = sum(one.n for one in by_cell)
        numbers = f"median {statistics.median(found):.4g}, mean {statistics.fmean(found):.4g}" if found else "none"
        counts = {images_of(run.rows[-1]) for experiment in mse for run in experiment.runs}
        images = sorted(count for count in counts if count is not None)
        of_images = f", {' or '.join(map(str, images))} images each" if images else ""
        over = f"{len(found)} MSE cells, {runs} runs{of_images}" if found else "no MSE run has both epochs"
        paper = f"published: median {published.median:g}, mean {published.mean:g} over 15"
        lines.append(f"Gain from the first zero-error epoch to the last, {name}: {numbers} ({over}; {paper}).")
    return "\n".join(lines)


def comma_separated(experiments: Sequence[Experiment]) -> str:
    """The same numbers with all digits as CSV; empty fields where there is no number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEADS)
    for experiment, before, after, (first, last) in entries(experiments):
        name = [experiment.dataset, experiment.runs[0].config["network"], experiment.loss, len(experiment.runs)]
        writer.writerow([*name, *before, first, *after, last])
    return text.getvalue()
