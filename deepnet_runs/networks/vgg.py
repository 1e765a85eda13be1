"""VGG with batch normalization (Simonyan & Zisserman 2014).

The full-size ones are torchvision's convolutions, initialised as there, and two hidden fully connected layers of 4096
with BatchNorm1d in place of dropout.
"""

from collections.abc import Callable

from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from deepnet_runs.networks.variant import AS_IT_IS, Variant

WIDE = 4096


def _hidden(inputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, WIDE, bias=False), nn.BatchNorm1d(WIDE), nn.ReLU(inplace=True)]


def _full_size(plan: str, channels: int, size: int) -> nn.Module:
    convolutions = make_layers(cfgs[plan], batch_norm=True)
    if channels != 3:
        convolutions[0] = nn.Conv2d(channels, 64, 3, padding=1)
    for module in convolutions:
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return nn.Sequential(convolutions, nn.Flatten(), *_hidden(512 * (size // 32) ** 2), *_hidden(WIDE))


def vgg11(channels: int, size: int) -> nn.Module:
    """Eight convolutions, 4096 features."""
    return _full_size("A", channels, size)


def vgg13(channels: int, size: int) -> nn.Module:
    """Ten convolutions, 4096 features."""
    return _full_size("B", channels, size)


def _small(channels: int, variant: Variant, normalization: Callable[[int], list[nn.Module]]) -> nn.Sequential:
    layers: list[nn.Module] = []
    inputs = channels
    for stage in (16, 32, 64):
        if layers:
            layers.append(nn.MaxPool2d(2))
        for _ in range(2 * variant.depth):
            width = variant.channels(stage)
            convolution = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
            layers += [convolution, *normalization(width), nn.ReLU(inplace=True)]
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _keep_variance(layers: nn.Sequential) -> nn.Sequential:
    for module in layers:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return layers


def vgg7(channels: int, size: int, variant: Variant = AS_IT_IS) -> nn.Module:
    """Convolutions of 16, 16, 32, 32, 64, 64 channels, average pooling, 64 features.

    Without batch normalization initialised by He's rule to keep the variance, as `plain7`.
    """
    del size
    layers = _small(channels, variant, lambda width: [variant.normalization(width)])
    return layers if variant.batchnorm else _keep_variance(layers)


def plain7(channels: int, size: int) -> nn.Module:
    """`vgg7` without batch normalization: homogeneous in every layer, initialised by He's rule to keep the variance."""
    del size
    return _keep_variance(_small(channels, AS_IT_IS, lambda _: []))
