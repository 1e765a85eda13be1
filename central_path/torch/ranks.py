"""What processes tell each other; nothing where there is one."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

Answer = TypeVar("Answer")


def rank_and_size(group: Any = None) -> tuple[int, int]:
    """Rank of this process, and the number of processes."""
    return (dist.get_rank(group), dist.get_world_size(group)) if dist.is_initialized() else (0, 1)


def device_of_messages(group: Any = None) -> torch.device:
    """Where a tensor must be that is sent to other processes."""
    if dist.is_initialized() and dist.get_backend(group) == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def gathered(value: Any, group: Any = None) -> list[Any]:
    """A small object of every rank, in the order of the ranks."""
    if not dist.is_initialized():
        return [value]
    found: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(found, value, group=group)
    return found


def summed(value: Tensor, group: Any = None) -> Tensor:
    """The sum over the ranks, on the device of the value."""
    if not dist.is_initialized():
        return value
    sent = value.to(device_of_messages(group)) if value.device.type == "cpu" else value.clone()
    dist.all_reduce(sent, group=group)
    return sent.to(value.device)


def computed_by_first(compute: Callable[[], Answer], group: Any = None) -> Answer:
    """What rank 0 computes, on every rank; so is its error, as the others wait for an answer."""
    if not dist.is_initialized():
        return compute()
    found: list[Any] = [None]
    if dist.get_rank(group) == 0:
        try:
            found = [compute()]
        except Exception as error:
            found = [error]
    dist.broadcast_object_list(found, src=0 if group is None else dist.get_global_rank(group, 0), group=group)
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def full(value: Any) -> Tensor:
    """A parameter, sharded over processes or not, in float64."""
    if hasattr(value, "full_tensor"):
        value = value.full_tensor()
    return torch.as_tensor(value).detach().double()
