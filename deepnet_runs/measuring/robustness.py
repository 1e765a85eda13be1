"""Adversarial robustness: the norm of DeepFool's perturbation that changes the decision, relative to the image's.

    robustness = Ave ||r(x)|| / ||x||

where r(x) is the DeepFool perturbation. In each of at most 50 steps the outputs f_k are taken as linear, and the image
moves to the nearest of the C - 1 hyperplanes that bound the region of its class l,

    p = |f_k - f_l| / ||w||^2 w,  w = grad f_k - grad f_l,  k the class of the smallest |f_k - f_l| / ||w||;

r is 1.02 times the sum of the steps, and the image is done when x + r is decided otherwise. All images of a batch move
at once; those that are done are left out of the next step.

Source: Moosavi-Dezfooli, Fawzi & Frossard (2016), Algorithm 2; Han, Papyan & Donoho (2022), Figures 9 and 11.

Note: constants and order of operations are those of foolbox's L2DeepFoolAttack with all classes as candidates and no
bounds on the pixels. l is the network's decision, right or wrong. Norms are of standardised pixels, as the network sees
them; the paper does not say whether its own are. ||r|| is an upper bound: once features have collapsed the outputs are
flat around an image, and a step that takes them as linear goes too far. After 120 epochs on the digits 0.4 to 0.8 of r
would do (`benchmarks/robustness.py --epochs 120`): part of the growth of this measure is DeepFool's, not the network's.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch import distributed as dist

from deepnet_runs.datasets.data import SPLIT_SEED, Images
from deepnet_runs.measuring.measure import evaluating, rank_and_size
from deepnet_runs.networks import Network

STEPS = 50
OVERSHOOT = 0.02
BEYOND = 1e-4  # added to each distance, in pixels' units: a step ends behind the hyperplane, not on it
TINY = 1e-8  # added to the norms that are divided by


class Fooled(NamedTuple):
    """Perturbations r of images (n, channels, height, width), and whether the network decides otherwise at x + r."""

    r: Float[Tensor, "n channels height width"]
    flipped: Bool[Tensor, " n"]


class Robustness(NamedTuple):
    """Ave ||r|| / ||x|| over the images that were flipped, or None where none was; of how many; and how many were not.

    What did not flip within the steps has no r(x), and no share in the average; an image of norm 0 has no ratio, and
    counts nowhere.
    """

    average: float | None
    images: int
    unflipped: int


def sample(images: Images, count: int) -> Images:
    """`count` of the images, drawn without replacement by one seed for all runs; a smaller sample is part of a larger.

    Raises:
        ValueError: for more than there are.
    """
    if count > len(images.y):
        raise ValueError(f"Need at most the {len(images.y)} test images for --robustness, got {count}: give fewer.")
    chosen = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(images.y))[:count]).to(images.y.device)
    return images.take(chosen)


def step(
    outputs_of: Callable[[Tensor], Tensor], x: Float[Tensor, "n channels height width"], own: Int[Tensor, " n"]
) -> Float[Tensor, "n channels height width"]:
    """The step to the nearest decision boundary of the class `own`, for linearised outputs."""
    x = x.detach().requires_grad_()
    outputs = outputs_of(x)
    C = outputs.shape[1]
    others = (own[:, None] + torch.arange(1, C, device=own.device)) % C
    margins = outputs.gather(1, others) - outputs.gather(1, own[:, None])
    # a class at a time: all at once, by is_grads_batched, is no faster and needs C - 1 times the memory
    gradients = [torch.autograd.grad(margin.sum(), x, retain_graph=True)[0] for margin in margins.unbind(dim=1)]
    w = torch.stack(gradients, dim=1)
    norms = w.flatten(2).norm(dim=2) + TINY
    distances = margins.detach().abs() / norms
    rows, nearest = torch.arange(len(x), device=own.device), distances.argmin(dim=1)
    lengths = (distances[rows, nearest] + BEYOND) / norms[rows, nearest]
    return lengths[:, None, None, None] * w[rows, nearest]


def deepfool(
    outputs_of: Callable[[Tensor], Tensor],
    x: Float[Tensor, "n channels height width"],
    *,
    steps: int = STEPS,
    overshoot: float = OVERSHOOT,
) -> Fooled:
    """The perturbation of every image against `outputs_of`, which maps images to outputs (n, C), each by itself.

    Outputs that are not finite decide nothing: such an image does not count as flipped.
    """
    with torch.no_grad():
        own = outputs_of(x).argmax(dim=1)
    total = torch.zeros_like(x)
    left = torch.arange(len(x), device=x.device)
    for _ in range(steps):
        total[left] += step(outputs_of, x[left] + (1 + overshoot) * total[left], own[left])
        with torch.no_grad():
            outputs = outputs_of(x[left] + (1 + overshoot) * total[left])
        left = left[(outputs.argmax(dim=1) == own[left]) | ~outputs.isfinite().all(dim=1)]
        if not len(left):
            break
    flipped = torch.ones(len(x), dtype=torch.bool, device=x.device)
    flipped[left] = False
    return Fooled((1 + overshoot) * total, flipped)


def measure(network: Network, images: Images, *, batch_size: int, steps: int = STEPS) -> Robustness:
    """Of the network as it decides in evaluation, in float32 and without TF32; of several ranks each does its share."""
    rank, world = rank_and_size()
    everyone = torch.arange(len(images), device=images.y.device).split(batch_size)
    sizes = torch.cat([images.batch(some).x.flatten(1).double().norm(dim=1) for some in everyone])
    ratios, flipped = torch.zeros_like(sizes), torch.zeros_like(sizes)
    with evaluating(network):
        network.eval()
        for own in torch.arange(len(images), device=images.y.device)[rank::world].split(batch_size):
            if len(own):
                found = deepfool(lambda x: network(x)[1], images.batch(own).x, steps=steps)
                ratios[own] = found.r.flatten(1).double().norm(dim=1) / sizes[own]
                flipped[own] = found.flipped.double()
    if dist.is_initialized():
        for values in (ratios, flipped):  # zero at the other ranks' images
            dist.all_reduce(values)
    real = sizes > 0
    counted = real & (flipped > 0)
    average = float(ratios[counted].mean()) if counted.any() else None
    return Robustness(average, int(real.sum()), int((real & ~counted).sum()))
