"""Features of made-up classes, and a `NeuralCollapse` that has seen them batch by batch."""

import numpy as np
import torch

from central_path.torch import NeuralCollapse


def draw(seed, n=200, C=4, P=12, dtype=torch.float32, priors=None, dead=0):
    """Features, labels, and a last layer."""
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(C), rng.choice(C, n - C, p=priors)]
    rng.shuffle(labels)
    h = 1 + rng.normal(size=(C, P))[labels] + 0.3 * rng.normal(size=(n, P))
    h[:, :dead] = 0
    head = torch.nn.Linear(P, C)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return torch.from_numpy(h).to(dtype), torch.from_numpy(labels), head


def collected(features, labels, C, size=37, **options):
    metric = NeuralCollapse(num_classes=C, **options)
    for h, y in zip(features.split(size), labels.split(size), strict=True):
        metric.update(h, y)
    return metric
