"""Changes of a small network: its width, its depth, and whether it has batch normalization."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Shift(nn.Module):
    """The shift of BatchNorm alone: x + beta, with a beta for each channel, initially 0."""

    def __init__(self, channels: int):
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n channels height width"]:
        """Images (n, channels, height, width), shifted."""
        return x + self.beta[:, None, None]


class Variant(NamedTuple):
    """Channels times `width`; `depth` times as many layers at each resolution; shifts in the place of BatchNorm."""

    width: float = 1.0
    depth: int = 1
    batchnorm: bool = True

    def channels(self, own: int) -> int:
        """The number of channels of a layer that has `own` by default, at least 1."""
        return max(1, round(own * self.width))

    @property
    def normalization(self) -> Callable[[int], nn.Module]:
        """The layer after a convolution: BatchNorm, or a shift without it."""
        return nn.BatchNorm2d if self.batchnorm else Shift


AS_IT_IS = Variant()
