"""Functions of two gloo processes on the CPU, each of which returns what a test compares."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from small_problem import images_of, network_of, problem_of, row_of
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn

from deepnet_runs.networks.batchnorm import synchronise

CPU = torch.device("cpu")


def _process(rank: int, works: list[Callable[[], Any]], port: int, folder: Path) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": "2"}
    import jax

    jax.config.update("jax_enable_x64", True)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    torch.save({work.__name__: work() for work in works}, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def in_two(works: list[Callable[[], Any]], folder: Path) -> list[dict[str, Any]]:
    """What the functions return on each of two ranks, by their names."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(_process, (works, port, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def share(values: torch.Tensor) -> torch.Tensor:
    return values[dist.get_rank() :: 2] if dist.is_initialized() else values


def step(amp: bool) -> dict[str, torch.Tensor]:
    """Outputs, gradients and buffers of one step on the own share of a batch of 31, of all ranks' sum of squares."""
    images = images_of([9, 8, 7, 7], 1, dtype=torch.float32)
    network = synchronise(network_of(0, dtype=torch.float32), CPU).train()
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        _, outputs = network(share(images.x))
    outputs.float().square().sum().backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    if dist.is_initialized():
        for gradient in gradients.values():
            dist.all_reduce(gradient)
    return {"outputs": outputs.detach().float(), **gradients, **dict(network.named_buffers())}


def float32_step() -> dict[str, torch.Tensor]:
    return step(amp=False)


def bfloat16_step() -> dict[str, torch.Tensor]:
    return step(amp=True)


def row_without_synchronise() -> tuple[dict[str, Any], dict[str, Any], dict[str, torch.Tensor]]:
    """Rows of a network whose batch normalization each rank keeps for itself, and its buffers."""
    network, data = problem_of(0)
    with torch.no_grad():
        network(share(data.train.x))  # a step in training: every rank has seen its own examples
    stale, _ = row_of(network, data, fresh_batchnorm=False)
    fresh, _ = row_of(network, data)
    return stale, fresh, dict(network.named_buffers())
