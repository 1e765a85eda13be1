"""The nearest-class-center rule, exact, at the price of a matrix product in float32.

For features h and class means mu_c = m + d_c about their centre m the nearest mean is that of the largest <h, d_c> -
||d_c||^2/2 - <m, d_c>. These scores are taken in float32 first. Where another comes as near to the best one as rounding
could move them, they are taken again in float64, about the centre.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

ROWS = 4096  # at a time


def _nearest(h: Float[Tensor, "n P"], d: Float[Tensor, "C P"], centre: Float[Tensor, " P"]) -> Int[Tensor, " n"]:
    half = d.square().sum(dim=1) / 2
    bias = half + d @ centre
    scores = torch.addmm(-bias.float(), h.float(), d.float().T)
    best, nearest = scores.max(dim=1)
    longest = torch.linalg.vector_norm(h, dim=1).double() * d.norm(dim=1).max() + bias.abs().max()
    rounding = (h.shape[1] + 4) * torch.finfo(torch.float32).eps * longest  # of a sum of P + 1 terms, at the worst
    near = scores >= (best.double() - 2 * rounding).float()[:, None]
    unsure = ~torch.isfinite(best) | (near.sum(dim=1) > 1)
    if unsure.any():
        nearest[unsure] = ((h[unsure].double() - centre) @ d.T - half).argmax(dim=1)
    return nearest


def nearest_center(features: Float[Tensor, "n P"], means: Float[Tensor, "C P"]) -> Int[Tensor, " n"]:
    """The class whose mean (float64) is nearest, of every row."""
    centre = means.mean(dim=0)
    return torch.cat([_nearest(h, means - centre, centre) for h in features.split(ROWS)])
