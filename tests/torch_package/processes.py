"""What four gloo processes do, as one, two and four of them, with uneven shares; each returns what is compared."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from central_path.torch import NeuralCollapse, evaluate

SIZES = (1, 2, 4)
C, P, N = 4, 12, 203


def problem(dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.nn.Linear]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(N) % C
    h = 1 + torch.randn(C, P, generator=generator)[y] + 0.1 * torch.randn(N, P, generator=generator)
    torch.manual_seed(0)
    return h.to(dtype), y, torch.nn.Linear(P, C)


def uneven(rank: int, size: int) -> slice:
    """The last rank has all that the others, which have 3 more each than the one before, leave; rank 0 of four none."""
    ends = [0, *(3 * r * (r + 1) // 2 if size == 4 else 20 for r in range(size - 1)), N]
    return slice(ends[rank], ends[rank + 1])


def told(metric: NeuralCollapse, *head: Any) -> Any:
    try:
        found = metric.compute(*head, omega=True)
    except ValueError as error:
        return str(error)
    return dict(found), found.omega, found.certificate.n


def work(rank: int, size: int, group: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for dtype in (torch.float32, torch.bfloat16):
        h, y, head = problem(dtype)
        metric = NeuralCollapse(num_classes=C, group=group)
        share = uneven(rank, size)
        for hs, ys in zip(h[share].split(7), y[share].split(7), strict=True):
            if len(ys):
                metric.update(hs, ys)
        found[str(dtype)] = told(metric, head.weight, head.bias, 0.01)
        found[f"{dtype} again"] = told(metric, head.weight, head.bias, 0.01)
    h, y, head = problem()
    sampler = DistributedSampler(range(N), num_replicas=size, rank=rank, shuffle=True)
    padded, once = (NeuralCollapse(num_classes=C, group=group) for _ in range(2))
    for hs, ys, places in DataLoader(TensorDataset(h, y, torch.arange(N)), batch_size=16, sampler=sampler):
        padded.update(hs, ys)
        once.update(hs, ys, places)
        if len(hs) == 16:
            once.compute()  # in the middle: every rank does
    found["padded"], found["once"] = told(padded), told(once)
    broken = NeuralCollapse(num_classes=C, group=group)
    broken.update(h[:, : 12 - (rank == size - 1)], y)
    found["widths"] = told(broken)
    return found


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(P, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, C))


def evaluated(kind: str) -> dict[str, float]:
    """The report of the whole data set: by one process, by DistributedDataParallel, or by FSDP2."""
    model, data = network(), TensorDataset(*problem()[:2])
    options = {"lam": 0.01, "layers": ["0", "2"]}
    if kind == "alone":
        return evaluate(model, DataLoader(data, batch_size=16), C, **options).to_dict()
    if kind == "ddp":
        model = DistributedDataParallel(model)
    else:
        fully_shard(model)
    sampler = DistributedSampler(data, shuffle=True)
    return evaluate(model, DataLoader(data, batch_size=16, sampler=sampler), C, **options).to_dict()


def all_of_it(rank: int, groups: dict[int, Any], folder: Path) -> dict[Any, Any]:
    """`work` with one, two and four processes, and wrapped networks."""
    del folder
    found: dict[Any, Any] = {size: work(rank, size, group) for size, group in groups.items() if rank < size}
    return found | {kind: evaluated(kind) for kind in ("ddp", "fsdp")}


def shared(rank: int, groups: dict[int, Any], folder: Path) -> dict[Any, Any]:
    """The numbers of each case in features.pt, of which every process has an uneven share."""
    cases = torch.load(folder / "features.pt", weights_only=False)
    return {size: _of_shares(cases, rank, size, group) for size, group in groups.items() if rank < size}


def _of_shares(cases: dict[Any, Any], rank: int, size: int, group: Any) -> dict[Any, dict[str, float]]:
    found = {}
    for case, (h, y, W, b) in cases.items():
        ends = [*(5 * r for r in range(size)), len(y)]  # each but the last has 5
        share = slice(ends[rank], ends[rank + 1])
        metric = NeuralCollapse(num_classes=len(W), group=group)
        for hs, ys in zip(h[share].split(7), y[share].split(7), strict=True):
            metric.update(hs, ys)
        found[case] = dict(metric.compute(W, b, 0.01))
    return found


def _process(rank: int, port: int, folder: Path, job: Callable[[int, dict[int, Any], Path], dict[Any, Any]]) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": "4"}
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    groups = {size: dist.new_group(list(range(size))) for size in SIZES}
    found = job(rank, groups, folder)
    torch.save(found, folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def of_four(folder: Path, job: Callable[..., dict[Any, Any]] = all_of_it) -> list[dict[Any, dict[str, Any]]]:
    """For every rank what its job returns, by the number of processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(_process, (port, folder, job), nprocs=4)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(4)]
