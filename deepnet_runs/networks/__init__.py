"""The networks of the paper, small ones, and torchvision's classification models by name.

Each is a body that maps images to last-layer features and a head, the linear classifier [W, b] on them; calling the
network gives both, so that one forward pass serves training and measuring. Constructors are torchvision's where they
fit; images of 32 x 32 and below have a 3 x 3 stem of stride 1 and no pooling in it.

    name                                         last-layer features
    vgg11, vgg13                                 4096
    resnet18, resnet34, resnet50                 512, 512, 2048
    densenet40, densenet100, densenet250         456, 342, 1734
    densenet201                                  1920
    vgg7, resnet8, densenet10, plain7 (small)    64, 64, 18, 64
    torchvision:NAME                             those of torchvision's model NAME

Source: Papyan, Han & Donoho (2020); Han, Papyan & Donoho (2022), Appendix A.2.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from deepnet_runs.networks import densenet, library, resnet, vgg
from deepnet_runs.networks.variant import AS_IT_IS, Variant
from deepnet_runs.training.config import SMALLEST, SMALLEST_FULL_SIZE, TORCHVISION

BODIES: dict[str, Callable[..., nn.Module]] = {  # of channels and size; the variable ones of a variant too
    "vgg11": vgg.vgg11,
    "vgg13": vgg.vgg13,
    "resnet18": resnet.resnet18,
    "resnet34": resnet.resnet34,
    "resnet50": resnet.resnet50,
    "densenet40": densenet.densenet40,
    "densenet100": densenet.densenet100,
    "densenet201": densenet.densenet201,
    "densenet250": densenet.densenet250,
    "vgg7": vgg.vgg7,
    "resnet8": resnet.resnet8,
    "densenet10": densenet.densenet10,
    "plain7": vgg.plain7,
}
SMALL = ("vgg7", "resnet8", "densenet10", "plain7")
VARIABLE = ("vgg7", "resnet8", "densenet10")
NORMALISED_INSIDE = ("densenet10",)  # by torchvision's layers, which always do
HOMOGENEOUS = ("plain7",)  # without any bias


class Network(nn.Module):
    """A body and its last layer `head`, with the weights W (C, P) and the bias b (C,) of the decomposition."""

    def __init__(self, body: nn.Module, width: int, classes: int, head: nn.Linear | None = None):
        super().__init__()
        self.body, self.head = body, nn.Linear(width, classes) if head is None else head

    def forward(
        self, images: Float[Tensor, "n channels height width"]
    ) -> tuple[Float[Tensor, "n P"], Float[Tensor, "n C"]]:
        """Last-layer features and outputs W h + b."""
        features = self.body(images)
        return features, self.head(features)


def build(name: str, *, channels: int, size: int, classes: int, variant: Variant = AS_IT_IS) -> Network:
    """The network `name` for images of `channels` x `size` x `size`, with PyTorch's initial weights.

    Raises:
        ValueError: for an unknown name, images too small for the network, or a variant that it does not have.
    """
    if name.startswith(TORCHVISION):
        _variants(name, variant)
        sizes = {"channels": channels, "size": size, "classes": classes}
        body, head = library.parts(name.removeprefix(TORCHVISION), **sizes)
        return Network(body, head.in_features, classes, head)
    if name not in BODIES:
        raise ValueError(f"Need a network among {', '.join(BODIES)}, or {TORCHVISION}NAME, got {name!r}.")
    smallest = SMALLEST if name in SMALL else SMALLEST_FULL_SIZE
    if size < smallest:
        raise ValueError(f"Need images of at least {smallest} x {smallest} for {name}, got {size} x {size}.")
    body = BODIES[name](channels, size, *_variants(name, variant))
    with torch.no_grad():
        body.eval()
        width = body(torch.zeros(1, channels, size, size)).shape[1]
        body.train()
    network = Network(body, width, classes)
    if name in HOMOGENEOUS:
        nn.init.zeros_(network.head.bias).requires_grad_(False)  # kept, at zero, for whoever reads [W, b]
    return network


def _variants(name: str, variant: Variant) -> tuple[Variant, ...]:
    if name in VARIABLE and (variant.batchnorm or name not in NORMALISED_INSIDE):
        return (variant,)
    if variant == AS_IT_IS:
        return ()
    raise ValueError(
        f"Need vgg7 or resnet8 for another width or depth or no batch normalization (densenet10 for the first two), "
        f"got {name} with {variant.width:g}, {variant.depth}, {'with' if variant.batchnorm else 'without'} it."
    )


def with_layout(network: Network, layout: torch.memory_format) -> Network:
    """The same network, its weights in a memory format (which the annotations of `Module.to` leave out)."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return network
