"""Densely connected networks (Huang et al. 2017).

DenseNet100, 250 and 10 are the -BC variant (bottlenecks, compression 1/2) and torchvision's own class with a 3 x 3
stem of stride 1; DenseNet201 is torchvision's as it is. DenseNet40 has neither bottlenecks nor compression, which
torchvision lacks.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, relu
from torchvision.models import densenet as torchvision_densenet
from torchvision.models.densenet import DenseNet

from deepnet_runs.networks.variant import AS_IT_IS, Variant


class _Pooled(nn.Module):
    """torchvision's dense blocks, followed by its last activation and pooling."""

    def __init__(self, features: nn.Module):
        super().__init__()
        self.features = features

    def forward(self, images: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n P"]:
        return adaptive_avg_pool2d(relu(self.features(images)), 1).flatten(1)


def _bottlenecked(channels: int, *, growth: int, layers: int) -> nn.Module:
    blocks = (layers, layers, layers)
    features = DenseNet(growth, blocks, 2 * growth, num_classes=1).features  # type: ignore[arg-type]  # any length
    features.conv0 = nn.Conv2d(channels, 2 * growth, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(features.conv0.weight)
    for name in ("norm0", "relu0", "pool0"):
        delattr(features, name)
    return _Pooled(features)


def densenet100(channels: int, size: int) -> nn.Module:
    """Growth 12, three blocks of 16 bottlenecked layers; 342 features."""
    del size
    return _bottlenecked(channels, growth=12, layers=16)


def densenet250(channels: int, size: int) -> nn.Module:
    """Growth 24, three blocks of 41 bottlenecked layers; 1734 features."""
    del size
    return _bottlenecked(channels, growth=24, layers=41)


def densenet10(channels: int, size: int, variant: Variant = AS_IT_IS) -> nn.Module:
    """Growth 8, three blocks of one bottlenecked layer; 18 features."""
    del size
    return _bottlenecked(channels, growth=variant.channels(8), layers=variant.depth)


def densenet201(channels: int, size: int) -> nn.Module:
    """torchvision's; 1920 features. Below 64 x 64 with a 3 x 3 stem of stride 1 and no pooling in it."""
    features = torchvision_densenet.densenet201(num_classes=1).features
    if size < 64:
        features.conv0 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        delattr(features, "pool0")
    elif channels != 3:
        features.conv0 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return _Pooled(features)


class _Layer(nn.Module):
    """BN - ReLU - 3 x 3 convolution, whose output joins its input."""

    def __init__(self, inputs: int, growth: int):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, growth, 3, padding=1, bias=False)

    def forward(self, x: Float[Tensor, "n inputs height width"]) -> Float[Tensor, "n outputs height width"]:
        return torch.cat([x, self.conv(relu(self.norm(x)))], dim=1)


def densenet40(channels: int, size: int) -> nn.Module:
    """Growth 12, three blocks of 12 layers, no bottlenecks, no compression; 456 features."""
    del size
    growth, width = 12, 24
    modules: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1, bias=False)]
    for block in range(3):
        for _ in range(12):
            modules.append(_Layer(width, growth))
            width += growth
        modules += [nn.BatchNorm2d(width)]
        if block < 2:
            modules += [nn.ReLU(inplace=True), nn.Conv2d(width, width, 1, bias=False), nn.AvgPool2d(2)]
    body = nn.Sequential(*modules)
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return _Pooled(body)
