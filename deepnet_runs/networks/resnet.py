"""Residual networks (He et al. 2016), torchvision's; below 64 x 64 with a 3 x 3 stem of stride 1 and no max-pooling."""

from torch import nn
from torchvision.models import resnet as torchvision_resnet
from torchvision.models.resnet import BasicBlock, ResNet


def _body(network: ResNet, channels: int, size: int) -> nn.Module:
    """Torchvision's network without its classifier, with a stem for the images."""
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
