"""How a small network differs from itself: its width, its depth, and whether it normalises batches."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Shift(nn.Module):
    """What BatchNorm leaves without normalization and scale: x + beta, a beta for each channel, 0 at first."""

    def __init__(self, channels: int):
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, channels, height, width), shifted."""
        return x + self.beta[:, None, None]


class Variant(NamedTuple):
    """Channels times `width`; `depth` times as many layers at each resolution; shifts in the place of BatchNorm."""

    width: float = 1.0
    depth: int = 1
    batchnorm: bool = True

    def channels(self, own: int) -> int:
        """The number of channels in the place of `own`, at least 1."""
        return max(1, round(own * self.width))

    @property
    def normalization(self) -> Callable[[int], nn.Module]:
        """The layer after a convolution, of its number of channels."""
        return nn.BatchNorm2d if self.batchnorm else Shift


AS_IT_IS = Variant()
