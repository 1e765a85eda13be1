"""The nearest-class-center rule, exact, at the price of a matrix product in float32.

For features h and class means mu_c about their centre the nearest mean is that of the largest <h, mu_c> - ||mu_c||^2/2.
The scores are taken in float32 first. Where the two best are closer than its rounding could move them, they are taken
again in float64.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

ROWS = 8192  # at a time


def _scores(h: Float[Tensor, "n P"], centers: Float[Tensor, "C P"]) -> Float[Tensor, "n C"]:
    return h @ centers.T - centers.square().sum(dim=1) / 2


def _nearest(h: Float[Tensor, "n P"], centers: Float[Tensor, "C P"]) -> Int[Tensor, " n"]:
    """Of rows and centers in float64."""
    best, order = _scores(h.float(), centers.float()).topk(2, dim=1)
    largest = centers.square().sum(dim=1).max().sqrt()
    size = (h.square().sum(dim=1).sqrt() + largest) * largest
    rounding = (h.shape[1] + 4) * torch.finfo(torch.float32).eps * size  # of a sum of P products, at the worst
    unsure = ~(best[:, 0] - best[:, 1] > 2 * rounding)  # NaN and overflow too
    nearest = order[:, 0]
    if unsure.any():
        nearest[unsure] = _scores(h[unsure], centers).argmax(dim=1)
    return nearest


def nearest_center(features: Float[Tensor, "n P"], means: Float[Tensor, "C P"]) -> Int[Tensor, " n"]:
    """The class whose mean (float64) is nearest, of every row."""
    centre = means.mean(dim=0)
    return torch.cat([_nearest(h.double() - centre, means - centre) for h in features.split(ROWS)])
