"""Batch normalization as a formula of statistics that are given: what a derivative of the features needs.

    y = (x - mean) / (var + eps)^(1/2) * weight + bias

Where mean and var come from is one of three sources:

    Running     the running statistics of the layer, as in evaluation: constants
    OfBatch     the batch's own, as in training: of the whole set in one forward pass
    Given       stated values, one pair for each use of a layer in a forward pass. With the statistics of the whole
                set this is the same function of every example, in chunks of any size

Running statistics are read and never changed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class Statistics(NamedTuple):
    """Mean and (biased) variance of the channels over examples and places."""

    mean: Float[Tensor, " channels"]
    var: Float[Tensor, " channels"]


Source = Callable[[_BatchNorm, Tensor], Statistics]  # those by which the layer normalises x (n, channels, ...)


def _axes(x: Tensor) -> list[int]:
    return [0, *range(2, x.ndim)]


def _column(value: Tensor, x: Tensor) -> Tensor:
    return value.view([1, -1] + [1] * (x.ndim - 2))


def of_batch(x: Tensor) -> Statistics:
    """The statistics of x (n, channels, ...)."""
    mean = x.mean(_axes(x))
    return Statistics(mean, (x - _column(mean, x)).square().mean(_axes(x)))


class Running:
    """The running statistics of the layers."""

    def __call__(self, layer: _BatchNorm, x: Tensor) -> Statistics:
        """Those of the layer.

        Raises:
            ValueError: for a layer without running statistics.
        """
        del x
        if layer.running_mean is None or layer.running_var is None:
            raise ValueError(
                "Need running statistics of every batch normalization for batchnorm='evaluation', got a layer without: "
                "give batchnorm='training'."
            )
        return Statistics(layer.running_mean, layer.running_var)


class OfBatch:
    """The statistics of each batch."""

    def __call__(self, layer: _BatchNorm, x: Tensor) -> Statistics:
        """Those of x."""
        del layer
        return of_batch(x)


class Given:
    """Stated statistics in the order in which layers are used; what of a chunk each would be made from is kept.

    Arguments:
        statistics: one pair for each use.
        centers: constants about which the sums of `sums` are taken; the means of `statistics` at no derivative.
        total: the number of examples of which the chunk is a part.
    """

    def __init__(self, statistics: list[Statistics], centers: list[Tensor], total: int):
        self._given, self._centers, self._total = statistics, centers, total
        self.sums: list[Statistics] = []

    def __call__(self, layer: _BatchNorm, x: Tensor) -> Statistics:
        """The next pair. `sums` gains the chunk's share of mean - center and of the variance, to first order."""
        del layer
        k = len(self.sums)
        away = x - _column(self._centers[k], x)
        share = x.shape[0] / self._total
        self.sums.append(Statistics(share * away.mean(_axes(x)), share * away.square().mean(_axes(x))))
        return self._given[k]


class Counted:
    """Stated statistics for the first uses, the batch's own afterwards; the first of these is kept in `found`."""

    def __init__(self, statistics: list[Statistics]):
        self._given, self._uses = statistics, 0
        self.found: Statistics | None = None

    def __call__(self, layer: _BatchNorm, x: Tensor) -> Statistics:
        """The next pair."""
        del layer
        k, self._uses = self._uses, self._uses + 1
        if k < len(self._given):
            return self._given[k]
        own = of_batch(x)
        self.found = own if k == len(self._given) else self.found
        return own


def merged(parts: list[tuple[int, Statistics]]) -> Statistics:
    """The statistics of chunks of so many examples each, together."""
    total = sum(count for count, _ in parts)
    mean = torch.stack([count / total * part.mean for count, part in parts]).sum(dim=0)
    spread = [count / total * (part.var + (part.mean - mean).square()) for count, part in parts]
    return Statistics(mean, torch.stack(spread).sum(dim=0))


@contextmanager
def normalised_by(model: nn.Module, source: Source) -> Iterator[None]:
    """Every batch normalization of the network takes its statistics from the source within the block."""
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    before = [layer.__dict__.get("forward") for layer in layers]

    def forward_of(layer: _BatchNorm) -> Callable[[Tensor], Tensor]:
        def forward(input: Tensor) -> Tensor:
            mean, var = source(layer, input)
            y = (input - _column(mean, input)) * _column(torch.rsqrt(var + layer.eps), input)
            return y if layer.weight is None else y * _column(layer.weight, input) + _column(layer.bias, input)

        return forward

    try:
        for layer in layers:
            layer.__dict__["forward"] = forward_of(layer)
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.__dict__.pop("forward", None)
            if own is not None:
                layer.__dict__["forward"] = own
