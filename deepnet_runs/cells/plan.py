"""The cells of a grid and their states, read from the records without PyTorch.

A cell is one run of `deepnet_runs.train`: data set, network, loss, seed, perhaps a condition or a learning rate, and
the folder that these name. The paper's grid is its fifteen pairs of data set and network; its sweep is 25 learning
rates, log-spaced from 1e-4 to 0.25, of which the best has the least test error at the last epoch. They are on the scale
of `torch.nn.MSELoss`, which is (2/C) L: training L takes 2/C of them. Those of the cross-entropy are as they are.

Source: Han, Papyan & Donoho (2022), Appendix A.3.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from central_path.cli.tables import aligned
from deepnet_runs.cells.conditions import CONDITIONS
from deepnet_runs.storage import records
from deepnet_runs.storage.runs import run_name
from deepnet_runs.training import options
from deepnet_runs.training.config import LOSSES, NAMED, SCALED, SMALL_NETWORKS, Execution, TrainConfig, takes
from deepnet_runs.training.recipes import CLASSES, PUBLISHED_MSE

DIGITS = (("digits", "vgg7"), ("digits", "resnet8"), ("digits", "densenet10"))
PAIRS = (*PUBLISHED_MSE, *DIGITS)
PAPER = tuple(dict.fromkeys(dataset for dataset, _ in PUBLISHED_MSE))
SWEEP = tuple(1e-4 * 2500 ** (i / 24) for i in range(25))  # 1e-4 to 0.25

FINISHED, RUNNING, QUEUED, INTERRUPTED = "finished", "running", "queued", "interrupted"
DIVERGED, OTHER, NOT_BEGUN = "diverged", "of other options", "not begun"
STATES = (FINISHED, RUNNING, QUEUED, INTERRUPTED, DIVERGED, OTHER, NOT_BEGUN)
BEGINS = (INTERRUPTED, NOT_BEGUN)  # those that a grid trains


class Cell(NamedTuple):
    """A run of a grid.

    Attributes:
        config: its configuration.
        execution: where its records are, and how it is carried out.
        variant: its condition or learning rate in the name of its folder, empty without one.
        rate: the published learning rate that it tries, in a sweep.
    """

    config: TrainConfig
    execution: Execution
    variant: str
    rate: float | None

    @property
    def folder(self) -> Path:
        """The folder of its records."""
        return self.execution.output

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name

    def continued(self) -> Execution:
        """How it is carried out now: from the checkpoint where there is one."""
        return replace(self.execution, resume=(self.folder / "checkpoint.pt").is_file())

    def command(self) -> list[str]:
        """The options of `deepnet_runs.train` that train it now."""
        return options.arguments(self.config, self.continued())


class CellState(NamedTuple):
    """The state of a cell: its last measured epoch and the number of epochs, the test error there, and a reason."""

    state: str
    epoch: int
    epochs: int
    test_error: float | None
    why: str


def pairs(datasets: Sequence[str], networks: Sequence[str] | None) -> list[tuple[str, str]]:
    """Data sets with the networks that go with them: the given ones, or the paper's, of other sets the small ones.

    Raises:
        ValueError: for a network that takes the images of none of the data sets.
    """
    if networks is None:
        own = {dataset: [network for known, network in PAIRS if known == dataset] for dataset in datasets}
        return [(dataset, network) for dataset in datasets for network in own[dataset] or SCALED]
    found = [(d, n) for d in datasets for n in networks if takes(n, d)]
    for network in networks:
        if network not in {n for _, n in found}:
            raise ValueError(
                f"Need networks that take the images of {', '.join(datasets)}, got {network}: digits (8 x 8) go with "
                f"{', '.join(SMALL_NETWORKS)}, the others with every network."
            )
    return found


def variants(loss: str, conditions: Sequence[str], sweep: bool) -> list[tuple[str, float | None, Mapping[str, Any]]]:
    """Name, published learning rate and fields of what a cell of this loss is varied by; one without, by default."""
    if sweep:
        return [_rate(loss, rate) for rate in SWEEP]
    return [(name, None, CONDITIONS[name]) for name in conditions] or [("", None, {})]


def _rate(loss: str, published: float) -> tuple[str, float | None, Mapping[str, Any]]:
    rate = trained_rate(loss, published)
    return f"lr{rate:.4g}", published, {"lr": rate}


def trained_rate(loss: str, published: float) -> float:
    """The learning rate of a published one: 2/C of it for `mse`, which is (C/2) torch.nn.MSELoss."""
    return published * 2 / CLASSES if loss == "mse" else published


def cells(
    chosen: Sequence[tuple[str, str]],
    losses: Sequence[str],
    seeds: Sequence[int],
    output: Path,
    *,
    conditions: Sequence[str] = (),
    sweep: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> list[Cell]:
    """Every cell of a grid, each once; a condition may bring its own network and loss.

    Arguments:
        chosen: data sets with their networks.
        losses: the losses of each.
        seeds: the seeds of each.
        output: folder of the grid, in which each cell has a folder of its own.
        conditions: names of `CONDITIONS`, of which each makes a cell.
        sweep: a cell for each published learning rate instead.
        extra: further fields of `TrainConfig` and `Execution` for every cell.

    Raises:
        ValueError: for fields that a cell cannot have, with its name.
    """
    found: dict[Path, Cell] = {}
    for dataset, network in chosen:
        for loss in losses:
            for variant, rate, more in variants(loss, conditions, sweep):
                for seed in seeds:
                    base = {"dataset": dataset, "network": network, "loss": loss, "seed": seed}
                    try:
                        config, execution = options.configured({**base, **more, **(extra or {})})
                    except ValueError as error:
                        raise ValueError(f"{_joined(*base.values(), variant)}: {error}") from error
                    folder = output / _joined(run_name(config.to_dict()), variant)
                    cell = found.setdefault(folder, Cell(config, replace(execution, output=folder), variant, rate))
                    if cell.config.dataset != dataset:
                        raise ValueError(
                            f"Need data sets with different names, got {cell.config.dataset} and {dataset}: give each "
                            "a grid with an --output of its own."
                        )
    return list(found.values())


def in_order_of_interest(found: Sequence[Cell]) -> list[Cell]:
    """Least squares before cross-entropy, and of each loss ResNet, VGG and DenseNet in turn: for a grid in pieces."""

    def rank(cell: Cell) -> tuple[int, int]:
        families = ("resnet", "vgg", "densenet")
        return LOSSES.index(cell.config.loss), families.index(cell.config.network.rstrip("0123456789"))

    return sorted(found, key=rank)


def _joined(*words: object) -> str:
    return "-".join(str(word) for word in words if word != "")


def state_of(cell: Cell, *, as_recorded: bool = False) -> CellState:
    """The state of a cell by its records alone.

    A run of other options is nothing to go on from once it has a checkpoint; before, it is begun anew. As it is
    recorded, a cell may have any options beside those that name it.
    """
    config = cell.config.to_dict()
    last, before = _last_row(cell.folder / "measurements.jsonl"), _json(cell.folder / "config.json")
    if as_recorded and before:
        config = {key: config[key] if key in NAMED else before.get(key, config[key]) for key in config}
    here = CellState(NOT_BEGUN, last.get("epoch", 0), config["epochs"], last.get("test_error"), "")
    if records.is_held(cell.folder):
        return here._replace(state=RUNNING)
    different = [key for key in config if before.get(key, config[key] if as_recorded else None) != config[key]]
    checkpoint = (cell.folder / "checkpoint.pt").is_file()
    if not checkpoint and different:
        return here._replace(epoch=0, test_error=None)
    if different:
        changes = ", ".join(f"{key} = {before.get(key)} for {config[key]}" for key in different)
        return here._replace(state=OTHER, why=f"its records have {changes}: give the same, or another --output")
    if here.epoch == here.epochs:
        return here._replace(state=FINISHED)
    failed = _json(cell.folder / "failed.json")
    if failed:
        return here._replace(state=DIVERGED, why=str(failed.get("failed")))
    return here._replace(state=INTERRUPTED if checkpoint else NOT_BEGUN)


def _json(path: Path) -> dict[str, Any]:
    """An object of a file, empty if there is none to be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _last_row(path: Path) -> dict[str, Any]:
    """The last whole row, empty if there is none."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        return json.loads(lines[-1]) if lines else {}
    except (OSError, ValueError):
        return {}


class Best(NamedTuple):
    """The best learning rate of a sweep: published scale, mean test error over seeds, how many tie and count."""

    rate: float
    test_error: float
    ties: int
    finished: int
    rates: int


def best_rates(found: Sequence[tuple[Cell, CellState]]) -> dict[tuple[str, str, str], Best]:
    """Of each data set, network and loss of a sweep the rate of the least test error at the last epoch, mean of seeds.

    Rates whose seeds have all finished count; of several that are equally good the lowest is given, and their number.
    """
    errors: dict[tuple[str, str, str], dict[float, list[float | None]]] = {}
    for cell, here in found:
        if cell.rate is not None:
            rates = errors.setdefault((cell.config.dataset, cell.config.network, cell.config.loss), {})
            rates.setdefault(cell.rate, []).append(here.test_error if here.state == FINISHED else None)
    best = {}
    for key, rates in errors.items():
        whole = {rate: seeds for rate, seeds in rates.items() if None not in seeds}
        means = {rate: sum(e for e in seeds if e is not None) / len(seeds) for rate, seeds in whole.items()}
        if means:
            least = min(means.values())
            tied = [rate for rate, mean in means.items() if mean == least]
            best[key] = Best(min(tied), least, len(tied), len(means), len(rates))
    return best


def table(found: Sequence[tuple[Cell, CellState]]) -> str:
    """A table with a line for each cell, the best learning rates of a sweep, and the number of cells in each state."""
    rows = [["cell", "state", "epoch", "test error", ""]]
    for cell, here in found:
        error = "-" if here.test_error is None else f"{here.test_error:.2%}"
        rows.append([cell.name, here.state, f"{here.epoch}/{here.epochs}", error, here.why])
    lines = aligned(rows)
    best = best_rates(found)
    if best:
        rows = [["sweep", "best lr*", "--lr", "test error", "as good", "finished"]]
        for (dataset, network, loss), b in best.items():
            rates = [f"{b.rate:.4g}", f"{trained_rate(loss, b.rate):.4g}"]
            name, share = f"{dataset}-{network}-{loss}", f"{b.finished} of {b.rates}"
            rows.append([name, *rates, f"{b.test_error:.2%}", str(b.ties), share])
        note = "* on the published scale, that of torch.nn.MSELoss for mse; the lowest if several are as good"
        lines += ["", *aligned(rows), note]
    states = [here.state for _, here in found]
    counts = ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)
    return "\n".join([*lines, "", f"{len(found)} cells: {counts}"])
