"""The records of finished or unfinished runs, read without PyTorch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deepnet_runs.storage.row import Row

NAMED = ("dataset", "network", "loss")
OF_A_FOLDER = (*NAMED, "seed")  # fields that name the folder of a run
IMAGES = ("train_images", "test_images")  # how many were trained on, and measured on beside them
APART = ("seed", "versions", "device", "robustness", "data")  # in what the configurations of repetitions may differ


def run_name(config: Mapping[str, Any]) -> str:
    """DATASET-NETWORK-LOSS-SEED, the name of a run's folder: of folder:PATH its last part, and no colon."""
    words = (str(config[name]) for name in OF_A_FOLDER)
    return "-".join(Path(word).name if word.startswith("folder:") else word.replace(":", "-") for word in words)


class RecordedRun(NamedTuple):
    """A run's folder, its config.json, and its measured epochs in order."""

    folder: Path
    config: dict[str, Any]
    rows: list[Row]

    def key(self, *apart: str) -> str:
        """The configuration but for some fields: runs of one key are repetitions of one another.

        A field that is null is as one that an earlier version did not record.
        """
        known = {name: v for name, v in self.config.items() if name not in apart and v is not None}
        return json.dumps(known, sort_keys=True)

    @property
    def images(self) -> tuple[int | None, int | None]:
        """How many images the run trained on, and how many test images it measured on; None if it did not record it."""
        train, test = (self.config.get(name) for name in IMAGES)
        return train, test

    @property
    def first_clean(self) -> int | None:
        """The first measured epoch without a training error."""
        return next((row.epoch for row in self.rows if row.train_error == 0), None)


def read(folder: Path) -> RecordedRun:
    """A run of `deepnet_runs.train`.

    Raises:
        ValueError: if the folder does not hold its configuration and a measured epoch.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        lines = (folder / "measurements.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [Row.from_dict(json.loads(line)) for line in lines]
    except (OSError, ValueError) as error:
        raise ValueError(f"Need a run of deepnet_runs.train, got {folder}: {error}.") from error
    if not rows:
        raise ValueError(f"Need a run with measured epochs, got none in {folder}.")
    return RecordedRun(folder, config, rows)


def repetitions(runs: Sequence[RecordedRun]) -> list[list[RecordedRun]]:
    """The runs in groups whose configurations differ in the seed (or in what decides no number of training) alone.

    Runs that have not recorded how many images they saw belong to those that have, if these are of one number.
    """
    groups: dict[str, list[RecordedRun]] = {}
    for run in runs:
        groups.setdefault(run.key(*APART, *IMAGES), []).append(run)
    return [part for group in groups.values() for part in _by_images(group)]


def _by_images(group: Sequence[RecordedRun]) -> list[list[RecordedRun]]:
    sizes = dict.fromkeys(run.images for run in group)
    known = [size for size in sizes if size != (None, None)]
    parts: dict[tuple[int | None, int | None], list[RecordedRun]] = {}
    for run in group:
        parts.setdefault(known[0] if len(known) == 1 else run.images, []).append(run)
    return list(parts.values())


def labels(groups: Sequence[Sequence[RecordedRun]]) -> list[str]:
    """A name for each group: data set, network, loss, and its condition in a grid if the folders name one.

    Otherwise what of its configuration few of the groups have.
    """
    names = []
    configs = [group[0].config for group in groups]
    for group, config in zip(groups, configs, strict=True):
        said = [str(config[name]) for name in NAMED]
        variants = {_variant(run) for run in group}
        if len(variants) == 1 and "" not in variants:
            names.append(f"{' '.join(said)}, {variants.pop()}")
            continue
        for field in config:
            values = [json.dumps(other.get(field)) for other in configs]
            own = json.dumps(config[field])
            usual = max(values, key=values.count)
            if field not in (*NAMED, *APART) and own != usual and not _follows(field, config):
                said.append(f"{field}={config[field]}")
        names.append(" ".join(said))
    return names


def _variant(run: RecordedRun) -> str:
    """The condition or learning rate that `deepnet_runs.grid` adds to the name of a folder, or nothing."""
    start = f"{run_name(run.config)}-"
    return run.folder.name.removeprefix(start) if run.folder.name.startswith(start) else ""


def _follows(field: str, config: dict[str, Any]) -> bool:
    """Whether a field follows from another one: by default lambda is the weight decay."""
    return field == "lam" and config["lam"] == config.get("weight_decay")


def within(folders: Sequence[Path]) -> list[Path]:
    """The runs among folders and in them, at any depth.

    Raises:
        ValueError: for a folder that is not, and does not hold, a run.
    """
    found: list[Path] = []
    for folder in folders:
        inside = sorted(path.parent for path in folder.rglob("measurements.jsonl")) if folder.is_dir() else []
        if not inside:
            raise ValueError(f"Need a run of deepnet_runs.train or a folder that holds some, got {folder}.")
        found += [path for path in inside if path not in found]
    return found
