"""The runs of a page: what was read of each, in which state it is, and which could not be read."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from deepnet_runs.dynamics import field_records
from deepnet_runs.dynamics.field_records import FieldRow
from deepnet_runs.paper.experiments import Experiment, family
from deepnet_runs.storage import records, runs
from deepnet_runs.storage.runs import RecordedRun

WITHOUT_FIELD = "no field test: python -m deepnet_runs.kernel measures it from the weights of --save-weights"


class ReportedRun(NamedTuple):
    """A run as the page shows it: its records, in words how far it came, and its field test or why there is none."""

    name: str  # its folder, from the one that holds all runs of the page
    record: RecordedRun
    state: str
    field: list[FieldRow]
    without_field: str  # empty where there is a field test


class Configuration(NamedTuple):
    """Runs that differ in the seed alone, and what they are called."""

    name: str
    runs: list[ReportedRun]

    @property
    def experiment(self) -> Experiment:
        """The same runs, with the values of a quantity over all their epochs and seeds."""
        config = self.runs[0].record.config
        records_of = [run.record for run in self.runs]
        return Experiment(config["dataset"], family(config["network"]), config["loss"], records_of)


class Found(NamedTuple):
    """The configurations of a page, and what of the given folders is not in them, a sentence each."""

    configurations: list[Configuration]
    missing: list[str]

    @property
    def runs(self) -> list[ReportedRun]:
        """All runs, configuration by configuration."""
        return [run for one in self.configurations for run in one.runs]


def read(folders: Sequence[Path]) -> Found:
    """All runs in and below the folders. One that cannot be read is a sentence of the page.

    Raises:
        ValueError: if there is none, or none can be read.
    """
    found, missing = [], []
    inside = runs.within(folders)
    above = os.path.commonpath([folder.absolute().parent for folder in inside])
    for folder in inside:
        try:
            found.append(_read(folder, os.path.relpath(folder.absolute(), above)))
        except ValueError as error:
            missing.append(" ".join(str(error).split()))
    missing += [f"{folder} has no measured epoch yet." for folder in _begun(folders)]
    if not found:
        raise ValueError(missing[0])
    groups = runs.repetitions([run.record for run in found])
    by_folder = {run.record.folder: run for run in found}
    names = runs.labels(groups)
    configurations = [
        Configuration(
            name if names.count(name) == 1 else f"{name} ({by_folder[group[0].folder].name})",
            [by_folder[record.folder] for record in sorted(group, key=lambda record: record.config["seed"])],
        )
        for name, group in zip(names, groups, strict=True)
    ]
    return Found(configurations, missing)


def _begun(folders: Sequence[Path]) -> list[Path]:
    """Folders with the configuration of a run and without a file of measurements."""
    configs = sorted({path for folder in folders for path in folder.rglob("config.json")})
    return [path.parent for path in configs if not (path.parent / "measurements.jsonl").exists() and _is_of_run(path)]


def _is_of_run(path: Path) -> bool:
    """Whether a config.json is of this project: data sets and models of others have files of that name."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and all(name in config for name in runs.NAMED)


def _read(folder: Path, name: str) -> ReportedRun:
    record = runs.read(folder)
    kinds = {**dict.fromkeys(runs.NAMED, str), "seed": int, "epochs": int}
    config = record.config if isinstance(record.config, dict) else {}
    wrong = [name for name, kind in kinds.items() if not isinstance(config.get(name), kind)]
    if wrong:
        raise ValueError(f"Need {', '.join(wrong)} in config.json of {folder}, got none of use: train it anew.")
    record = record._replace(rows=sorted(record.rows, key=lambda row: row.epoch))
    try:
        field = field_records.read(folder)
        without = "" if field else WITHOUT_FIELD
    except ValueError as error:
        field, without = [], " ".join(str(error).split())
    return ReportedRun(name, record, _state(record), field, without)


def _state(run: RecordedRun) -> str:
    """How far a run came, in words."""
    last, epochs = run.rows[-1].epoch, run.config["epochs"]
    if last >= epochs:
        return f"finished, {epochs} epochs"
    reached = f"epoch {last} of {epochs}"
    if records.is_held(run.folder):
        return f"in progress, {reached}"
    failure = run.folder / "failed.json"
    if failure.is_file():
        try:
            return f"failed after {reached}: {json.loads(failure.read_text(encoding='utf-8'))['failed']}"
        except (OSError, ValueError, KeyError, TypeError):
            return f"failed after {reached}, for a reason that {failure.name} does not say"
    return f"ended at {reached}; --resume continues it"
