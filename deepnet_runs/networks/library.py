"""torchvision's classification models by name, without trained weights: torchvision:NAME.

The last linear layer, found by `central_path.torch.watch`, becomes the head, and what is before it the body, dropout
and stochastic depth as torchvision has them. Grey images are given as three equal channels. Models whose constructor
depends on the size of the images get that of the data.
"""

from difflib import get_close_matches
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision import models

from central_path.torch.watching import watch


class _InColour(nn.Module):
    """A model of images with three channels, for grey ones."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, images: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n P"]:
        return self.model(images.expand(-1, 3, -1, -1))


def check_name(name: str) -> None:
    """Refuse what is no classification model of torchvision.

    Raises:
        ValueError: with the nearest names.
    """
    known = models.list_models(module=models)
    if name not in known:
        near = get_close_matches(name.lower(), known, n=3, cutoff=0.5) or ["resnet18"]
        raise ValueError(f"need a classification model of torchvision, got {name}: for example {', '.join(near)}")


def _options(name: str, size: int) -> dict[str, Any]:
    """What a constructor needs beside the number of classes."""
    if name.startswith("vit"):
        return {"image_size": size}
    if name.startswith("maxvit"):
        return {"input_size": (size, size)}
    if name in ("googlenet", "inception_v3"):  # their further classifiers would be trained beside the last layer
        return {"aux_logits": False, "init_weights": True}
    return {}


def parts(name: str, *, channels: int, size: int, classes: int) -> tuple[nn.Module, nn.Linear]:
    """The body and the last linear layer of a model for images of `channels` x `size` x `size`.

    Raises:
        ValueError: for an unknown name, a model that does not take such images, or one whose outputs are not those of
            a linear layer.
    """
    check_name(name)
    images = torch.zeros(2, channels, size, size)
    try:
        model = models.get_model(name, weights=None, num_classes=classes, **_options(name, size))
        whole = _InColour(model) if channels == 1 else model
        with torch.no_grad():
            outputs = whole.eval()(images)
    except Exception as error:  # each model fails in its own way
        said = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise ValueError(
            f"Need images that torchvision's {name} takes, got {channels} x {size} x {size} ({said}): give another "
            "--image-size, or another network."
        ) from error
    head = _head(model, whole, images, outputs, classes)
    if head is None:
        raise ValueError(f"Need a model that ends with a linear layer, got torchvision's {name}: give another network.")
    _replace(model, head)
    return whole.train(), head


def _head(model: nn.Module, whole: nn.Module, images: Tensor, outputs: Tensor, classes: int) -> nn.Linear | None:
    """The linear layer whose outputs are the model's, if there is one."""
    try:
        with torch.no_grad(), watch(model, num_classes=classes) as tap:
            whole(images)
            last = tap.features.ndim == 2 and torch.equal(outputs, tap.outputs)
    except ValueError:
        return None
    return tap.head if last and isinstance(tap.head, nn.Linear) else None


def _replace(model: nn.Module, head: nn.Module) -> None:
    """Let the model return the input of its last layer."""
    place = next(name for name, module in model.named_modules() if module is head)
    setattr(model.get_submodule(place.rpartition(".")[0]), place.rpartition(".")[2], nn.Identity())
