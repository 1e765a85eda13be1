"""Training ResNet18 on 32 x 32 images: images a second, beside what the device's matrix products would allow.

    python benchmarks/deepnet_device.py
    python benchmarks/deepnet_device.py --compile
    python benchmarks/deepnet_device.py --device cpu --batch 32 --steps 3

A step is forward, backward and optimiser step on a batch that is on the device. The ratio is the floating-point rate of
the step (three times the forward pass's multiplications and additions, counted by PyTorch) over the rate of one large
square matrix product in the same precision, measured in the same run: "tensorfloat32" is what PyTorch's convolutions
compute float32 in unless told otherwise, "float32" what they do when told. Without a CUDA device, and without
--device cpu, it says so and measures nothing.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from deepnet_runs.networks import Network, build, with_layout
from deepnet_runs.training.trainer import data_loss

SIZE = {"cuda": 8192, "cpu": 2048}  # of the matrix product
PRECISIONS = {"cuda": ("float32", "tensorfloat32", "bfloat16"), "cpu": ("float32", "bfloat16")}


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


def compute_in(precision: str) -> None:
    """Let CUDA's products and convolutions of float32 round to TensorFloat32, or not."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tensorfloat32"


def product_rate(device: torch.device, precision: str) -> float:
    """Floating-point operations a second of a square matrix product."""
    n = SIZE[device.type]
    A = torch.randn(n, n, device=device, dtype=torch.bfloat16 if precision == "bfloat16" else torch.float32)
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
    parser.add_argument("--compile", action="store_true", help="the network compiled by torch.compile")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: nothing measured; --device cpu measures the processor")
        return 0
    device = torch.device(args.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "the processor"
    how = "compiled, " if args.compile else ""
    print(f"torch {torch.__version__}, {name}, ResNet18, {how}batches of {args.batch} images of 3 x 32 x 32")
    print("precision      layout             images/s   of the product's rate")
    for precision in PRECISIONS[device.type]:
        compute_in(precision)
        rate = product_rate(device, precision)
        for layout in (torch.contiguous_format, torch.channels_last):
            network = with_layout(build("resnet18", channels=3, size=32, classes=10).to(device), layout)
            images = torch.randn(args.batch, 3, 32, 32, device=device).to(memory_format=layout)
            labels = torch.randint(10, (args.batch,), device=device)
            optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
            forward = torch.compile(network) if args.compile else network
            half = precision == "bfloat16"

            def step(forward=forward, images=images, labels=labels, optimizer=optimizer, half=half) -> None:
                with torch.autocast(device.type, torch.bfloat16, enabled=half):
                    outputs = forward(images)[1]
                optimizer.zero_grad(set_to_none=True)
                (data_loss(outputs.float(), labels, "mse") / len(labels)).backward()
                optimizer.step()

            work = operations(network, images)
            step()
            seconds = median_seconds(step, device, args.steps)
            form, share = str(layout).removeprefix("torch."), work / seconds / rate
            print(f"{precision:13}  {form:17}  {args.batch / seconds:8.0f}   {share:.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
