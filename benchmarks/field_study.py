"""The study of the field test over conditions: early and late, with intervals over seeds, effects and trends.

    python benchmarks/field_study.py
    python benchmarks/field_study.py --measure runs/study
    python benchmarks/field_study.py --records docs/records/field_study runs/study
    python benchmarks/field_study.py --page

Reads runs of `python -m deepnet_runs.grid --conditions ...` with their field.jsonl, by default the committed records,
and prints the tables of docs/real_networks.md for each data set. With `--measure` it makes the field test instead,
where it is missing, from the saved weights, at the two epochs that are compared: the first with a training error of at
most a tenth, and the last. It takes up to 16 GiB. With `--records` what the tables need of the runs is written there,
with `--page` the tables into the page, and its figures.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from readme_tables import between
from real_networks_tables import PAGE, table

from central_path.cli import records
from central_path.cli.tables import aligned
from deepnet_runs import kernel
from deepnet_runs.cells.conditions import CONDITIONS
from deepnet_runs.dynamics import field_records, field_study, field_study_figure, field_study_tables
from deepnet_runs.dynamics.field_records import FieldRow
from deepnet_runs.dynamics.field_study import Course
from deepnet_runs.dynamics.field_study_tables import Table
from deepnet_runs.storage import runs
from deepnet_runs.storage.records import line
from deepnet_runs.storage.runs import RecordedRun

RECORDS = Path(__file__).parent.parent / "docs" / "records" / "field_study"
EFFORT = ("--no-plots", "--probes", "0", "--draws", "8", "--memory", "16")  # no traces, which the study does not use
WIDTHS = {field_study.BASE: 1.0} | {
    name: changes["width"] for name, changes in CONDITIONS.items() if set(changes) == {"width"}
}


def finished(folders: list[Path]) -> list[RecordedRun]:
    """The runs that are at their last epoch; how many are left out is said.

    Raises:
        ValueError: for a folder without runs, or if none is finished.
    """
    read = [runs.read(folder) for folder in runs.within(folders)]
    found = [run for run in read if run.rows[-1].epoch == run.config["epochs"]]
    if not found:
        raise ValueError(f"Need finished runs, got {len(read)} that are not: train on with the same command.")
    if len(found) < len(read):
        print(f"left out: {len(read) - len(found)} runs that are not finished", file=sys.stderr)
    return found


def epochs_of(run: RecordedRun) -> list[int]:
    """The epochs that are compared: none if the training error stays too high."""
    early = next((row.epoch for row in run.rows if row.train_error <= field_study.EARLY), None)
    return [] if early is None else sorted({early, run.rows[-1].epoch})


def measure(read: list[RecordedRun]) -> int:
    """The field tests that are missing; the exit code of the first that fails, else 0."""
    for run in read:
        epochs = epochs_of(run)
        if not {row.epoch for row in field_records.read(run.folder)} >= set(epochs):
            code = kernel.main([str(run.folder), *EFFORT, "--epochs", *map(str, epochs)])
            if code:
                return code
    return 0


def write_records(read: list[RecordedRun], root: Path) -> None:
    """Of every run its configuration, the first measured epoch, and the epochs that are compared with their tests."""
    for run in read:
        epochs = epochs_of(run)
        rows = [json.loads(text) for text in (run.folder / "measurements.jsonl").read_text("utf-8").splitlines()]
        kept = [row for row in rows if row["epoch"] in {rows[0]["epoch"], rows[-1]["epoch"], *epochs}]
        for row in kept:
            row.pop("snr_right", None)
        tests = [row for row in field_records.read(run.folder) if row.epoch in epochs]
        with records.staging(root / run.folder.name, last="config.json") as stage:
            (stage / "measurements.jsonl").write_bytes(b"".join(map(line, kept)))
            (stage / field_records.FILE).write_bytes(field_records.text(tests))
            (stage / "config.json").write_bytes((run.folder / "config.json").read_bytes())


def by_data_set(
    read: list[RecordedRun],
) -> Mapping[str, tuple[dict[str, list[Course]], dict[str, list[dict[str, FieldRow]]]]]:
    """By data set and by condition, in the order of the grid, the course of every run, and its early and late rows."""
    found: dict[str, tuple[dict[str, list[Course]], dict[str, list[dict[str, FieldRow]]]]] = {}
    groups = runs.repetitions(read)
    named = [(label.rpartition(", ")[2], group) for label, group in zip(runs.labels(groups), groups, strict=True)]
    for condition, group in sorted(named, key=lambda pair: _place(pair[0])):
        courses, tests = found.setdefault(group[0].config["dataset"], ({}, {}))
        courses[condition] = [field_study.course_of(run) for run in group]
        tests[condition] = [field_study.moments_of(run, field_records.read(run.folder)) for run in group]
    return found


def _place(condition: str) -> int:
    """In the order of the conditions; others at the end."""
    return list(CONDITIONS).index(condition) if condition in CONDITIONS else len(CONDITIONS)


def tables(read: list[RecordedRun]) -> dict[str, dict[str, Table]]:
    """By data set, its tables by name.

    Raises:
        ValueError: for a data set without runs of the base.
    """
    return {name: field_study_tables.tables(*found, WIDTHS) for name, found in by_data_set(read).items()}


def printed(made: dict[str, dict[str, Table]]) -> str:
    """For a terminal."""
    return "\n\n".join("\n".join([name, *aligned(rows)]) for of_set in made.values() for name, rows in of_set.items())


def updated(page: str, made: dict[str, dict[str, Table]]) -> str:
    """The page with the tables between `<!-- DATASET NAME -->` and `<!-- end of DATASET NAME -->`."""
    for dataset, of_set in made.items():
        for name, (head, *rows) in of_set.items():
            page = between(page, f"{dataset} {name}", table(head, rows))
    return page


def main() -> int:
    """Measure and write where asked, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="RUN", default=[RECORDS], help="folders of runs, or above them"
    )
    parser.add_argument("--measure", action="store_true", help="make the field test where it is missing, no tables")
    parser.add_argument("--page", action="store_true", help="write tables and figures of docs/real_networks.md")
    parser.add_argument("--records", type=Path, metavar="DIR", help="write there what the tables need")
    args = parser.parse_args()
    try:
        read = finished(args.folders)
        if args.measure:
            return measure(read)
        if args.records:
            write_records(read, args.records)
        made = tables(read)
        print(printed(made))
        if args.page:
            PAGE.write_text(updated(PAGE.read_text("utf-8"), made), encoding="utf-8")
            for name, (_, tests) in by_data_set(read).items():
                figure = field_study_figure.draw(tests, WIDTHS)
                figure.savefig(PAGE.parent / "figures" / f"field_study_{name}.png", dpi=160)
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
