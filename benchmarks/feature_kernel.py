"""A product with the kernel of the features, beside a forward and backward pass over the same images.

    python benchmarks/feature_kernel.py
    python benchmarks/feature_kernel.py --network vgg7 --repeats 20

Theta G of a network on the 1,400 training digits, in float64: a vector-Jacobian product, a Jacobian-vector product and
both, in units of a plain forward and backward pass of PyTorch in float64 over the same images in one batch. They take
turns, and the least of the repetitions counts. Exit code 1 if Theta G takes more than 4 passes.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from central_path.torch.feature_kernel import FeatureKernel
from deepnet_runs.datasets import data
from deepnet_runs.networks import Network, build

GOAL = 4.0


def fastest(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Least seconds of each, after a first call."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeats + 1):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            if number:
                seconds[name].append(time.perf_counter() - begin)
    return {name: min(found) for name, found in seconds.items()}


def forward_backward(network: Network, x: Tensor, G: Tensor) -> None:
    """The gradient of sum(G * H) by PyTorch, of one batch."""
    network.body(x).backward(G)
    network.zero_grad()


def main() -> int:
    """Measure and print; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--network", default="resnet8", help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=10, metavar="INT", help="default: %(default)s")
    args = parser.parse_args()
    torch.manual_seed(0)
    images = data.load("digits", Path("data"))
    x, y = images.train.batch()[:2]
    network = build(args.network, channels=x.shape[1], size=x.shape[2], classes=images.classes).double()
    worst = 0.0
    print(f"{args.network}, {len(x)} digits, float64, {torch.get_num_threads()} threads, best of {args.repeats}")
    print("batchnorm    pass, s   J^T G    J v   Theta G")
    for mode in ("training", "evaluation"):
        network.train(mode == "training")
        kernel = FeatureKernel(network, [(x, y)], images.classes, head=network.head, batchnorm=mode)
        G = torch.randn_like(kernel.features)

        calls = {
            "pass": partial(forward_backward, network, x.double(), G),
            "vjp": partial(kernel.vjp, G),
            "jvp": partial(kernel.jvp, kernel.vjp(G)),
            "both": partial(kernel.apply, G),
        }
        found = fastest(calls, args.repeats)
        vjp, jvp, both = (found[name] / found["pass"] for name in ("vjp", "jvp", "both"))
        print(f"{mode:11}  {found['pass']:7.3f}  {vjp:6.2f} {jvp:6.2f}  {both:8.2f}")
        worst = max(worst, both)
    print(f"goal: Theta G in at most {GOAL:g} passes: {'met' if worst <= GOAL else 'not met'}")
    return int(worst > GOAL)


if __name__ == "__main__":
    sys.exit(main())
