"""Statistics of batch normalization, estimated anew, and the same on every process.

The running statistics of a network in training lag behind its weights: with ten steps an epoch, early L_LS_perp comes
out 11 times too large. Before a measurement they are estimated from one pass over the training set.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from central_path.torch.ranks import rank_and_size, summed


def layers(network: nn.Module) -> list[_BatchNorm]:
    """Batch normalizations with running statistics."""
    found = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    return [layer for layer in found if layer.running_mean is not None]


@torch.no_grad()
def average_over_ranks(network: nn.Module) -> None:
    """Make running statistics the same on every rank: the averages over the ranks of those that are not synchronised.

    DistributedDataParallel lets each rank normalise, and measure, by its own.
    """
    size = rank_and_size()[1]
    if size == 1:
        return
    for layer in layers(network):
        if not isinstance(layer, nn.SyncBatchNorm) and not getattr(layer, "synchronised", False):
            for value in (layer.running_mean, layer.running_var):
                if value is not None:
                    value.copy_(summed(value) / size)


@torch.no_grad()
def estimate(
    network: nn.Module, batches: Iterable[Any], call: Callable[[nn.Module, Any], Any] = lambda network, x: network(x)
) -> None:
    """Running means and variances as plain averages over the batches of all ranks, the same on each.

    Of one batch they are the statistics of the whole set; of several, batches should be of one size, or a short one
    counts too much. Every other part of the network, dropout for instance, is in evaluation meanwhile.
    """
    found = layers(network)
    if not found:
        return
    momenta = [layer.momentum for layer in found]
    training = {part: part.training for part in network.modules()}
    network.eval()
    for layer in found:
        layer.reset_running_stats()
        layer.momentum = None  # a cumulative average
        layer.training = True
    try:
        for batch in batches:
            call(network, batch)
    finally:
        for layer, momentum in zip(found, momenta, strict=True):
            layer.momentum = momentum
        for part, was in training.items():
            part.training = was
    average_over_ranks(network)


@contextmanager
def kept(network: nn.Module) -> Iterator[None]:
    """The running statistics are afterwards what they were before."""
    buffers = [(buffer, buffer.clone()) for layer in layers(network) for buffer in layer.buffers()]
    try:
        yield
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
