"""The paper's experiments and others: each is a data set, a network family and a loss, and holds runs of several seeds.

Runs of an experiment have one configuration: they differ in the seed alone, and in versions and device.

Source: Han, Papyan & Donoho (2022), Appendices A.1, A.2.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from deepnet_runs.datasets.registry import SETS
from deepnet_runs.storage.runs import APART, RecordedRun, repetitions
from deepnet_runs.training.recipes import recipe

FAMILIES = {"vgg": "VGG", "resnet": "ResNet", "densenet": "DenseNet", "plain": "plain"}
LOSSES = {"mse": "MSE", "ce": "CE"}
OPTIONS = ("no_batchnorm", "weight_norm", "whole", "random_labels", "amp", "stale_batchnorm")  # off in every recipe
FIELDS = ("dataset", "network", "loss", "seed", "epochs")
KEYS = ("epoch", "train_error", "test_error")


class Experiment(NamedTuple):
    """The runs of one data set, network and loss, in the order of their seeds."""

    dataset: str
    family: str
    loss: str
    runs: list[RecordedRun]

    @property
    def network(self) -> str:
        """The network as the paper writes it: DenseNet40."""
        name = self.runs[0].config["network"]
        return family_title(self.family) + (name.removeprefix(self.family) if self.family in FAMILIES else "")

    def series(self, key: str) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, "S T"]]:
        """The measured epochs of all S runs, and a quantity there; NaN where a run does not have it."""
        epochs = sorted({row.epoch for run in self.runs for row in run.rows})
        values = np.full((len(self.runs), len(epochs)), np.nan)
        for one, run in zip(values, self.runs, strict=True):
            for row in run.rows:
                value: float = getattr(row, key)
                if np.isfinite(value):
                    one[epochs.index(row.epoch)] = value
        return np.array(epochs, dtype=float), values

    def zero_error(self) -> Float[np.ndarray, " S"]:
        """The first measured epoch without a training error of every run; infinite where there is none."""
        return np.array([np.inf if run.first_clean is None else float(run.first_clean) for run in self.runs])

    def median_zero_error(self) -> float:
        """Its median over the runs; NaN where half of them or more have none."""
        moments = np.sort(self.zero_error())
        return float(np.median(moments)) if np.isfinite(moments[len(moments) // 2]) else float("nan")


def family(network: str) -> str:
    """The family of a network: `vgg` of `vgg11`; of a network that is not of this project its own name."""
    prefix = network.rstrip("0123456789")
    return prefix if prefix in FAMILIES else network


def family_title(name: str) -> str:
    """The family as the paper writes it; of another network its name, without where it is from."""
    return FAMILIES.get(name, name.rpartition(":")[2])


def datasets(experiments: Sequence[Experiment]) -> list[str]:
    """The data sets of the experiments: the paper's in its order, then the others of the registry, then any."""
    return _ordered({experiment.dataset for experiment in experiments}, list(SETS))


def families(experiments: Sequence[Experiment]) -> list[str]:
    """The families of the experiments: the paper's in its order, then any."""
    return _ordered({experiment.family for experiment in experiments}, list(FAMILIES))


def _ordered(names: set[str], known: list[str]) -> list[str]:
    return [name for name in known if name in names] + sorted(names - set(known))


def finished(run: RecordedRun) -> bool:
    """Whether the last epoch of a run is measured."""
    return run.rows[-1].epoch == run.config["epochs"]


def departures(run: RecordedRun) -> dict[str, str]:
    """The fields in which a run of mse or ce departs from its recipe: `60 for 120`, by field."""
    config = run.config
    standard: dict[str, Any] = recipe(config["dataset"], config["network"], config["loss"])._asdict()
    known = SETS.get(config["dataset"])
    if known and known.classes and known.per_class and not config.get("whole", False):
        standard["train_images"] = known.classes * known.per_class
    standard |= {"lam": config.get("weight_decay")} | dict.fromkeys(OPTIONS, False) | {"width": 1.0, "depth": 1}
    return {name: f"{config[name]} for {value}" for name, value in standard.items() if config.get(name, value) != value}


def grouped(found: Sequence[RecordedRun]) -> tuple[list[Experiment], list[RecordedRun]]:
    """The experiments in the paper's order, and the runs of other losses, which belong to none.

    Raises:
        ValueError: if a run lacks a field, or those of an experiment are of two configurations or repeat a seed.
    """
    for run in found:
        _check(run)
    others = [run for run in found if run.config["loss"] not in LOSSES]
    places: dict[tuple[str, str, str], list[RecordedRun]] = {}
    for run in found:
        if run.config["loss"] in LOSSES:
            key = run.config["dataset"], family(run.config["network"]), run.config["loss"]
            places.setdefault(key, []).append(run)
    for runs in places.values():
        _check_repetitions(runs)
    made = [Experiment(*key, sorted(runs, key=lambda run: run.config["seed"])) for key, runs in places.items()]
    order = datasets(made), families(made), list(LOSSES)
    return sorted(made, key=lambda one: [names.index(name) for names, name in zip(order, one[:3], strict=True)]), others


def _check(run: RecordedRun) -> None:
    missing = [name for name in FIELDS if name not in run.config]
    missing += [key for key in KEYS if any(np.isnan(getattr(row, key)) for row in run.rows)]
    if missing:
        raise ValueError(f"Need {missing[0]} in the records of {run.folder}, got none: train it anew.")


def _check_repetitions(runs: Sequence[RecordedRun]) -> None:
    groups = repetitions(runs)
    if len(groups) > 1:
        one, other = groups[0][0], groups[1][0]
        names = [name for name in {**one.config, **other.config} if name not in APART]
        pairs = [(name, one.config.get(name, "absent"), other.config.get(name, "absent")) for name in names]
        different = ", ".join(f"{name} = {old} and {new}" for name, old, new in pairs if old != new)
        raise ValueError(
            f"Need runs that differ in the seed alone in the panel of {one.config['dataset']} "
            f"{family_title(family(one.config['network']))} {one.config['loss']}, got {different} in {one.folder} and "
            f"{other.folder}: give the runs of one configuration."
        )
    seen: dict[Any, RecordedRun] = {}
    for run in runs:
        seed = run.config["seed"]
        if seed in seen:
            raise ValueError(
                f"Need one run of each seed, got seed {seed} in {seen[seed].folder} and in {run.folder}: "
                "leave one of them out."
            )
        seen[seed] = run
