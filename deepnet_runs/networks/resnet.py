"""Residual networks (He et al. 2016), torchvision's; below 64 x 64 with a 3 x 3 stem of stride 1 and no max-pooling."""

from collections.abc import Callable

from torch import nn
from torchvision.models import resnet as torchvision_resnet
from torchvision.models.resnet import BasicBlock, ResNet

from deepnet_runs.networks.variant import AS_IT_IS, Variant


def _body(network: ResNet, channels: int, size: int) -> nn.Module:
    """torchvision's network without its classifier, with a stem for the size of the images."""
    width = network.conv1.out_channels
    small = size < 64
    kernel, stride, padding = (3, 1, 1) if small else (7, 2, 3)
    stem = (
        network.conv1
        if channels == 3 and not small
        else nn.Conv2d(channels, width, kernel, stride, padding, bias=False)
    )
    pooling = [] if small else [network.maxpool]
    stages = (network.layer1, network.layer2, network.layer3, network.layer4)
    return nn.Sequential(stem, network.bn1, network.relu, *pooling, *stages, network.avgpool, nn.Flatten())


def resnet18(channels: int, size: int) -> nn.Module:
    """512 features."""
    return _body(torchvision_resnet.resnet18(num_classes=1), channels, size)


def resnet34(channels: int, size: int) -> nn.Module:
    """512 features."""
    return _body(torchvision_resnet.resnet34(num_classes=1), channels, size)


def resnet50(channels: int, size: int) -> nn.Module:
    """2048 features."""
    return _body(torchvision_resnet.resnet50(num_classes=1), channels, size)


def resnet8(channels: int, size: int, variant: Variant = AS_IT_IS) -> nn.Module:
    """A 3 x 3 stem of 16 channels and one basic block each of 16, 32 and 64; 64 features."""
    del size
    normalization = variant.normalization
    inputs = variant.channels(16)
    stem = [nn.Conv2d(channels, inputs, 3, padding=1, bias=False), normalization(inputs), nn.ReLU(inplace=True)]
    blocks: list[BasicBlock] = []
    for outputs in (variant.channels(own) for own in (16, 32, 64)):
        blocks.append(_block(inputs, outputs, 2 if blocks else 1, normalization))
        blocks += [_block(outputs, outputs, 1, normalization) for _ in range(variant.depth - 1)]
        inputs = outputs
    body = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return body


def _block(inputs: int, outputs: int, stride: int, normalization: Callable[[int], nn.Module]) -> BasicBlock:
    shortcut = None
    if stride > 1:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), normalization(outputs))
    return BasicBlock(inputs, outputs, stride=stride, downsample=shortcut, norm_layer=normalization)
