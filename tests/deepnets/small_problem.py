"""A small network on noisy images of two sizes of classes, its rows, and its moments by loops."""

import json
from dataclasses import asdict

import numpy as np
import torch
from torch import nn

from deepnet_runs.datasets.data import DataSet, Images
from deepnet_runs.measuring.measure import measure
from deepnet_runs.networks import Network
from deepnet_runs.storage.records import line

C, P, LAM = 4, 6, 0.03
COUNTS = {"balanced": [15, 15, 15, 15], "unbalanced": [31, 14, 10, 5]}


def images_of(counts, seed, device="cpu", dtype=torch.float64):
    """Images of 3 x 3 with two channels, noisy copies of one a class, in random order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    prototypes = torch.randn(len(counts), 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    noise = torch.randn(len(labels), 2, 3, 3, generator=generator, dtype=dtype)
    return Images((prototypes[labels] + noise).to(device), labels.to(device))


def network_of(seed, dtype=torch.float64, device="cpu", classes=C):
    torch.manual_seed(seed)
    convolution = [nn.Conv2d(2, 5, 2), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten()]
    body = nn.Sequential(*convolution, nn.Linear(20, P), nn.BatchNorm1d(P), nn.Tanh())
    network = Network(body, P, classes).to(device, dtype)
    with torch.no_grad():
        network.head.weight.mul_(3)
    return network


def problem_of(seed, sizes="balanced", **where):
    pair = (images_of(COUNTS[sizes], 10 * seed + 1, **where), images_of([7, 6, 5, 4], 10 * seed + 2, **where))
    return network_of(seed, **where), DataSet(*pair, C)


def row_of(network, data, lam=LAM, batch_size=16, fresh_batchnorm=True):
    row, seen = measure(network, data, lam=lam, batch_size=batch_size, fresh_batchnorm=fresh_batchnorm)
    found = asdict(row)
    return json.loads(line(found | found.pop("further"))), seen


def features_of(network, images):
    network.eval()
    with torch.no_grad():
        features, outputs = network(images.x)
    network.train()
    return features.double().cpu().numpy(), outputs.double().cpu().numpy(), images.y.cpu().numpy()


def moments_by_loops(features, labels):
    M = np.stack([features[labels == c].mean(axis=0) for c in range(C)], axis=1)
    E = features.T - M[:, labels]
    return M, E @ E.T / len(labels), np.bincount(labels, minlength=C) / len(labels)
