"""The nearest-class-center rule in float32 with a second look decides as exact arithmetic does."""

from fractions import Fraction

import pytest
import torch

from central_path.torch import nearest


def exactly(h, means):
    """Indices of the nearest means, by rational numbers."""

    def squared(row, mean):
        return sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(row, mean, strict=True))

    return [min(range(len(means)), key=lambda c: squared(row, means[c])) for row in h.tolist()]


def near_ties(seed, n=60, C=6, P=7):
    """Examples halfway between two class means but for 1e-12 to 1e-2 of their distance."""
    generator = torch.Generator().manual_seed(seed)
    means = torch.randn(C, P, generator=generator, dtype=torch.float64)
    pairs = torch.stack([torch.randperm(C, generator=generator)[:2] for _ in range(n)])
    shift = 10.0 ** -torch.linspace(2, 12, n, dtype=torch.float64)
    first, second = means[pairs[:, 0]], means[pairs[:, 1]]
    return first + (0.5 + shift[:, None]) * (second - first), means


@pytest.mark.parametrize("far", [0.0, 1e3])
def test_decisions_are_those_of_exact_arithmetic_down_to_ties_of_1e_12(seed, far, monkeypatch):
    h, means = near_ties(seed)
    expected = exactly(h, means.tolist())
    assert nearest.nearest_center(h, means).tolist() == expected
    assert (
        nearest.nearest_center(h + far, means + far).tolist()[:40] == expected[:40]
    )  # what far away leaves of the ties
    one_look = torch.cdist(h.float(), means.float()).argmin(dim=1)
    assert one_look.tolist() != expected  # planted: no second look
    monkeypatch.setattr(nearest, "ROWS", 7)
    assert nearest.nearest_center(h, means).tolist() == expected


def test_features_beyond_float32_are_decided_too():
    means = torch.tensor([[1e200, 0.0], [0.0, 1e200]], dtype=torch.float64)
    assert nearest.nearest_center(torch.tensor([[0.4e200, 0.6e200]], dtype=torch.float64), means / 1e100).tolist() == [
        1
    ]
