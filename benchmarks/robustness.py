"""Our batched DeepFool beside foolbox's, on the same trained networks and the same test images.

    python benchmarks/robustness.py
    python benchmarks/robustness.py --epochs 120

Each small network trains on the digits first. Printed are Ave ||r(x)|| / ||x|| of both, the relative difference of the
averages, the largest of an image's, how many images each flips, the average length along r, found by bisection, that
would have done over the average length of r, and the median over repeats that alternate of foolbox's time over ours;
foolbox gets a copy whose weights ask for no gradients. One thread, wall time. Exit code 1 if the averages differ by
more than 1e-3.
"""

import argparse
import copy
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from central_path.cli.program import set_up_jax
from deepnet_runs.datasets import data
from deepnet_runs.measuring import robustness
from deepnet_runs.measuring.measure import evaluating
from deepnet_runs.training.config import SMALL_NETWORKS, TrainConfig
from deepnet_runs.training.trainer import Trainer

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # what foolbox imports asks for git, which is not used here
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # foolbox reaches for old names of SciPy
    from foolbox.attacks.deepfool import L2DeepFoolAttack
    from foolbox.models.pytorch import PyTorchModel

GOAL = 1e-3


class Outputs(nn.Module):
    """The outputs of a network alone, as foolbox wants them."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, C)."""
        return self.network(x)[1]


def trained(network: str, epochs: int, images: int) -> Trainer:
    """After its last epoch, BatchNorm's statistics estimated anew."""
    config = TrainConfig.from_recipe(network=network, epochs=epochs, robustness=images)
    trainer = Trainer(config, data.load("digits", Path("data")), torch.device("cpu"))
    for _ in range(epochs):
        trainer.train_epoch()
    trainer.measure()
    trainer.network.eval()
    return trainer


@torch.no_grad()
def enough(outputs: nn.Module, x: Tensor, r: Tensor, halvings: int = 20) -> np.ndarray:
    """A share s of each r, in (0, 1], such that x + s r is decided otherwise and a slightly smaller one is not."""
    own = outputs(x).argmax(dim=1)
    low, high = torch.zeros(len(x)), torch.ones(len(x))
    for _ in range(halvings):
        middle = (low + high) / 2
        flipped = outputs(x + middle[:, None, None, None] * r).argmax(dim=1) != own
        low, high = torch.where(flipped, low, middle), torch.where(flipped, middle, high)
    return high.numpy()


def side_by_side(trainer: Trainer, repeats: int) -> dict[str, Any]:
    """Ratios ||r|| / ||x||, how many flipped, and seconds, of ours and of foolbox's; what of ours would have done."""
    assert trainer.fooled is not None
    x, outputs = trainer.fooled.batch().x, Outputs(trainer.network).eval()
    frozen = copy.deepcopy(outputs).requires_grad_(False)  # or foolbox computes gradients of the weights too
    model = PyTorchModel(frozen, bounds=(-1e6, 1e6), device="cpu")  # its clipping does not act
    with torch.no_grad():
        decisions = outputs(x).argmax(dim=1)
    attack = L2DeepFoolAttack()

    def ours() -> tuple[Tensor, Tensor]:
        with evaluating(trainer.network):
            return robustness.deepfool(outputs, x)

    def theirs() -> tuple[Tensor, Tensor]:
        moved, _, flipped = attack(model, x, decisions, epsilons=None)
        return moved - x, flipped

    found: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {"ours": [], "foolbox": []}
    for i in range(repeats + 1):  # the first calls are not timed
        for name, call in (("ours", ours), ("foolbox", theirs)):
            begin = time.perf_counter()
            r, flipped = call()
            if i:
                seconds[name].append(time.perf_counter() - begin)
            ratios = r.flatten(1).double().norm(dim=1) / x.flatten(1).double().norm(dim=1)
            found[name] = ratios.numpy(), int(flipped.sum())
            if name == "ours":
                found["enough"] = enough(outputs, x, r)
    return found | {"time": float(np.median(np.array(seconds["foolbox"]) / np.array(seconds["ours"])))}


def main() -> int:
    """Train, measure and print; 1 if the averages differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--images", type=int, default=100, help="test images (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=15, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=5, help="default: %(default)s")
    args = parser.parse_args()
    set_up_jax()
    torch.set_num_threads(1)
    print(f"{args.images} test images of the digits, {args.epochs} epochs, {args.repeats} repeats")
    heads = "difference  of an image  flipped   enough / r  foolbox's time / ours"
    print(f"{'network':10}  {'ours':>8}  {'foolbox':>8}  {heads}")
    failed = False
    for network in SMALL_NETWORKS:
        found = side_by_side(trained(network, args.epochs, args.images), args.repeats)
        (ours, flipped), (theirs, their_flipped) = found["ours"], found["foolbox"]
        difference = abs(ours.mean() - theirs.mean()) / theirs.mean()
        largest = np.max(np.abs(ours - theirs) / theirs)
        failed |= not difference <= GOAL
        counts = f"{flipped}, {their_flipped}"
        print(
            f"{network:10}  {ours.mean():8.5f}  {theirs.mean():8.5f}  {difference:10.0e}  {largest:11.0e}  "
            f"{counts:8}  {(found['enough'] * ours).mean() / ours.mean():10.2f}  {found['time']:.1f}"
        )
    print(f"averages {'differ by more than' if failed else 'agree to'} {GOAL:g}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
