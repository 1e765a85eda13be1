"""Training ResNet18 on 32 x 32 images: images a second, beside what the device's matrix products would allow.

    python benchmarks/deepnet_device.py
    python benchmarks/deepnet_device.py --device cpu --batch 32 --steps 3

A step is forward, backward and optimiser step on a batch that is on the device. The ratio is the floating-point rate of
the step (three times the forward pass's multiplications and additions, counted by PyTorch) over the rate of one large
square matrix product in the same precision, measured in the same run. Without a CUDA device, and without --device cpu,
it says so and measures nothing.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from deepnet_runs.networks import Network, build, with_layout
from deepnet_runs.trainer import data_loss

SIZE = {"cuda": 8192, "cpu": 2048}  # of the matrix product


def median_seconds(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median time of a call, the device's queue emptied before and after."""
    seconds = []
    for _ in range(repeats):
        if device.type == "cuda":
            torch.cuda.synchronize()
        begin = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a square matrix product."""
    n = SIZE[device.type]
    A = torch.randn(n, n, device=device, dtype=dtype)
    torch.mm(A, A)
    return 2 * n**3 / median_seconds(lambda: A @ A, device, 5)


def operations(network: Network, images: torch.Tensor) -> float:
    """Multiplications and additions of a training step: three times the forward pass's."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(images[:1])
    return 3.0 * counter.get_total_flops() * len(images)


def main() -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=512, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=20, help="default: %(default)s")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: nothing measured; --device cpu measures the processor")
        return 0
    device = torch.device(args.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "the processor"
    print(f"torch {torch.__version__}, {name}, ResNet18, batches of {args.batch} images of 3 x 32 x 32")
    print("precision  layout             images/s   of the product's rate")
    for dtype in (torch.float32, torch.bfloat16):
        rate = product_rate(device, dtype)
        for layout in (torch.contiguous_format, torch.channels_last):
            network = with_layout(build("resnet18", channels=3, size=32, classes=10).to(device), layout)
            images = torch.randn(args.batch, 3, 32, 32, device=device).to(memory_format=layout)
            labels = torch.randint(10, (args.batch,), device=device)
            optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)

            def step(network=network, images=images, labels=labels, optimizer=optimizer, dtype=dtype) -> None:
                with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                    outputs = network(images)[1]
                optimizer.zero_grad(set_to_none=True)
                (data_loss(outputs.float(), labels, "mse") / len(labels)).backward()
                optimizer.step()

            work = operations(network, images)
            step()
            seconds = median_seconds(step, device, args.steps)
            precision, form = str(dtype).removeprefix("torch."), str(layout).removeprefix("torch.")
            share = work / seconds / rate
            print(f"{precision:9}  {form:17}  {args.batch / seconds:8.0f}   {share:.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
