"""What measuring costs beside training, and what the training loop costs beside a bare one.

    python benchmarks/deepnet_training.py
    python benchmarks/deepnet_training.py --network vgg7 --epochs 30 --repeats 5

Three trainings of the same network on the same tensors go on side by side, epoch by epoch, in an order that changes:

    measured  the loop of `deepnet_runs.train`: measurements at the protocol's epochs, rows and checkpoints on disk
    loop      the same loop and nothing else
    bare      eight lines of torch: index, forward, loss, backward, the same optimiser at a constant rate

Printed are the ratios measured / loop of the whole trainings, loop / bare of the medians over the epochs, the share of
a measured epoch that is written to disk, and what a measurement takes in epochs. One thread, wall time. Exit code 1 if
a goal is missed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import one_hot

from central_path.cli.program import set_up_jax
from deepnet_runs.datasets import data
from deepnet_runs.storage import records
from deepnet_runs.training.config import SMALL_NETWORKS, TrainConfig
from deepnet_runs.training.recipes import measured_epochs
from deepnet_runs.training.trainer import Trainer

GOALS = {"measured / loop": 1.3, "loop / bare": 1.05}


def timed(call: Callable[[], object]) -> float:
    """Wall seconds."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def bare_epoch(trainer: Trainer) -> None:
    """An epoch without the trainer's loop: its tensors, network and optimiser alone."""
    x, y = trainer.data.train.batch()
    targets, size = one_hot(y, trainer.data.classes).float(), trainer.recipe.batch_size
    for batch in torch.randperm(len(y))[: trainer.steps_per_epoch * size].split(size):
        _, outputs = trainer.network(x[batch])
        loss = 0.5 * (outputs - targets[batch]).square().sum() / len(batch)
        trainer.optimizer.zero_grad()
        loss.backward()
        trainer.optimizer.step()


def side_by_side(new: Callable[[], Trainer], folder: Path, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Seconds of each epoch of the three trainings, of each measurement and of each writing to disk."""
    measured, loop, bare = new(), new(), new()
    bare.network.train()
    chosen = measured_epochs(measured.recipe.epochs)
    seconds: dict[str, list[float]] = {name: [] for name in ("train", "measure", "write", "loop", "bare")}

    def with_measurement() -> None:
        seconds["train"].append(timed(measured.train_epoch))
        if measured.epoch in chosen:
            seconds["measure"].append(timed(measured.measure))
            seconds["write"].append(timed(lambda: records.write_checkpoint(folder, measured.state())))
            seconds["write"][-1] += timed(lambda: records.append_row(folder, measured.rows[-1]))

    calls = [
        with_measurement,
        lambda: seconds["loop"].append(timed(loop.train_epoch)),
        lambda: seconds["bare"].append(timed(lambda: bare_epoch(bare))),
    ]
    for _ in range(measured.recipe.epochs):
        for i in rng.permutation(3):
            calls[i]()
    return {name: np.array(values) for name, values in seconds.items()}


def ratios(seconds: dict[str, np.ndarray]) -> dict[str, float]:
    """The ratios of one repeat; pairs of epochs that ran side by side are compared."""
    extra = seconds["measure"].sum() + seconds["write"].sum()
    return {
        "measured / loop": float(1 + extra / seconds["train"].sum()),
        "loop / bare": float(np.median(seconds["loop"] / seconds["bare"])),
        "measurement, in epochs": float(np.median(seconds["measure"]) / np.median(seconds["train"])),
        "written to disk, in epochs": float(np.median(seconds["write"]) / np.median(seconds["train"])),
    }


def main() -> int:
    """Measure and print; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--network", choices=SMALL_NETWORKS, default="resnet8", help="default: %(default)s")
    parser.add_argument("--epochs", type=int, help="default: the recipe's")
    parser.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    args = parser.parse_args()
    set_up_jax()
    torch.set_num_threads(1)
    given = {"network": args.network} | ({"epochs": args.epochs} if args.epochs else {})
    config = TrainConfig.from_recipe(**given)
    images = data.load("digits", Path("data"))
    rng = np.random.default_rng(0)

    def new() -> Trainer:
        return Trainer(config, images, torch.device("cpu"))

    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.repeats):
            for name, value in ratios(side_by_side(new, Path(folder), rng)).items():
                found.setdefault(name, []).append(value)
    epochs = len(measured_epochs(config.epochs))
    print(f"{args.network} on digits, {config.epochs} epochs, {epochs} of them measured; {args.repeats} repeats")
    print(f"{'ratio':27}  {'min':>6}  median  {'max':>6}  goal")
    missed = False
    for name, values in found.items():
        median, goal = float(np.median(values)), ""
        if name in GOALS:
            missed |= median > GOALS[name]
            goal = f"at most {GOALS[name]:g}: {'not met' if median > GOALS[name] else 'met'}"
        print(f"{name:27}  {min(values):6.3f}  {median:6.3f}  {max(values):6.3f}  {goal}".rstrip())
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
