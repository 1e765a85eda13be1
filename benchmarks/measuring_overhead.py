"""What measuring adds to a forward pass: `watch` and `NeuralCollapse.update` beside the bare pass of ResNet18, 32 x 32.

    python benchmarks/measuring_overhead.py [--batches 10] [--device cuda]

One line for each: seconds a batch (the median; on a CPU of processor time, so that other programs do not count), the
share that measuring adds, and `compute` once. Exit code 1 if measuring adds more than the goal of 10 %.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torchvision

from central_path.torch import NeuralCollapse, watch

GOAL, BATCH, CLASSES = 0.10, 128, 10


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the work, once it is done."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    begin = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - begin


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(argv)
    device = torch.device(options.device)
    torch.manual_seed(0)
    model: Any = torchvision.models.resnet18(num_classes=CLASSES)
    model.conv1, model.maxpool = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False), torch.nn.Identity()
    model = model.to(device).eval()
    images = torch.randn(BATCH, 3, 32, 32, device=device)
    targets = torch.arange(BATCH, device=device) % CLASSES
    metric = NeuralCollapse(num_classes=CLASSES)

    def measured() -> None:
        with watch(model) as tap:
            model(images)
            metric.update(tap.features, targets)

    with torch.no_grad():
        for work in (lambda: model(images), measured):
            work()
        pairs = [(timed(lambda: model(images), device), timed(measured, device)) for _ in range(options.batches)]
    bare, whole = (statistics.median(times) for times in zip(*pairs, strict=True))
    added = statistics.median(w - b for b, w in pairs) / bare
    once = timed(lambda: metric.compute(model.fc.weight, model.fc.bias, 5e-4), device)
    print(f"{'forward pass':<24}{bare:10.4f} s a batch of {BATCH}, {torch.get_num_threads()} threads, {device.type}")
    print(f"{'and measuring':<24}{whole:10.4f} s, {added:+.1%} (goal: at most {GOAL:.0%})")
    print(f"{'compute':<24}{once:10.4f} s")
    return int(added > GOAL)


if __name__ == "__main__":
    sys.exit(main())
