"""Residual networks (He et al. 2016), torchvision's; below 64 x 64 with a 3 x 3 stem of stride 1 and no max-pooling."""

from torch import nn
from torchvision.models import resnet as torchvision_resnet
from torchvision.models.resnet import BasicBlock, ResNet


def _body(network: ResNet, channels: int, size: int) -> nn.Module:
    stem = network.conv1
    if size < 64:
        network.conv1 = nn.Conv2d(channels, stem.out_channels, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()  # type: ignore[assignment]
    elif channels != 3:
        network.conv1 = nn.Conv2d(channels, stem.out_channels, 7, stride=2, padding=3, bias=False)
    network.fc = nn.Identity()  # type: ignore[assignment]
    return network


def resnet18(channels: int, size: int) -> nn.Module:
    """512 features."""
    return _body(torchvision_resnet.resnet18(num_classes=1), channels, size)


def resnet34(channels: int, size: int) -> nn.Module:
    """512 features."""
    return _body(torchvision_resnet.resnet34(num_classes=1), channels, size)


def resnet50(channels: int, size: int) -> nn.Module:
    """2048 features."""
    return _body(torchvision_resnet.resnet50(num_classes=1), channels, size)


def resnet8(channels: int, size: int) -> nn.Module:
    """A 3 x 3 stem of 16 channels and one basic block each of 16, 32 and 64; 64 features."""
    del size
    stem = [nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    blocks = [BasicBlock(16, 16), *(_down(inputs, 2 * inputs) for inputs in (16, 32))]
    body = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return body


def _down(inputs: int, outputs: int) -> BasicBlock:
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride=2, downsample=shortcut)
