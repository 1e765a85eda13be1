"""The study of the field test over conditions: early and late, with intervals over seeds, effects and trends.

    python benchmarks/field_study.py runs/study
    python benchmarks/field_study.py --measure runs/study

Reads the runs of `python -m deepnet_runs.grid --conditions ...` with their field.jsonl, and prints the tables of
docs/real_networks.md. With `--measure` the field test is first made where it is missing, at the two epochs that are
compared, from the saved weights: the first with a training error of at most a tenth, and the last.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from deepnet_runs import kernel
from deepnet_runs.cells.conditions import CONDITIONS
from deepnet_runs.dynamics import field_records, field_study
from deepnet_runs.dynamics.field_records import FieldRow
from deepnet_runs.storage import runs
from deepnet_runs.storage.runs import RecordedRun

WIDTHS = {field_study.BASE: 1.0} | {
    name: changes["width"] for name, changes in CONDITIONS.items() if set(changes) == {"width"}
}


def epochs_of(run: RecordedRun) -> list[int]:
    """The epochs that are compared: none if the training error stays too high."""
    early = next((row.epoch for row in run.rows if row.train_error <= field_study.EARLY), None)
    return [] if early is None else sorted({early, run.rows[-1].epoch})


def found_in(folders: list[Path]) -> Mapping[str, list[dict[str, FieldRow]]]:
    """By condition, the early and late rows of every run."""
    read = [runs.read(folder) for folder in runs.within(folders)]
    groups = runs.repetitions(read)
    return {
        label.rpartition(", ")[2]: [field_study.moments_of(run, field_records.read(run.folder)) for run in group]
        for label, group in zip(runs.labels(groups), groups, strict=True)
    }


def main() -> int:
    """Measure where asked, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN", help="folders of runs, or above them")
    parser.add_argument("--measure", action="store_true", help="make the field test where it is missing")
    args = parser.parse_args()
    for run in [runs.read(folder) for folder in runs.within(args.folders)] if args.measure else []:
        epochs = epochs_of(run)
        if epochs and not {row.epoch for row in field_records.read(run.folder)} >= set(epochs):
            code = kernel.main([str(run.folder), "--no-plots", "--epochs", *map(str, epochs)])
            if code:
                return code
    try:
        print(field_study.tables(found_in(args.folders), WIDTHS))
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
