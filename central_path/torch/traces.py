"""Traces of a positive semidefinite matrix that is known by products only, with standard errors (Hutch++).

    tr A = tr(Q^T A Q) + tr((I - QQ^T) A (I - QQ^T)),     Q an orthonormal basis of the range of A S, S random

The first term is computed exactly, one product for each column of Q; it takes in the largest eigenvalues. The second is
the mean of x^T A x over vectors x = (I - QQ^T) z with independent random signs z, whose standard error is known from
their spread. Without a sketch this is Hutchinson's estimator.

Source: Meyer, Musco, Musco & Woodruff (2021), Hutch++: Optimal stochastic trace estimation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, sqrt

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error over random probes (0 if it is exact)."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.4g} +- {self.error:.1g}"

    def __add__(self, other: "Estimate") -> "Estimate":
        """The sum of independent estimates."""
        return Estimate(self.value + other.value, sqrt(self.error**2 + other.error**2))

    def __sub__(self, other: "Estimate") -> "Estimate":
        """The difference of independent estimates."""
        return self + other * -1.0

    def __mul__(self, factor: int | float) -> "Estimate":
        """A multiple."""
        return Estimate(self.value * factor, self.error * abs(factor))

    def __truediv__(self, other: "Estimate") -> "Estimate":
        """The ratio of independent estimates, its error to first order; NaN over zero."""
        if other.value == 0:
            return Estimate(float("nan"), inf)
        relative = sqrt(other.error**2 * self.value**2 / other.value**2 + self.error**2)
        return Estimate(self.value / other.value, relative / abs(other.value))


def mean_of(values: list[float]) -> Estimate:
    """The mean of independent values; its error is infinite for a single one."""
    x = torch.tensor(values, dtype=torch.float64)
    return Estimate(float(x.mean()), float(x.std() / sqrt(len(x))) if len(x) > 1 else inf)


def random_signs(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Independent signs, +1 or -1, drawn on the CPU so that every device has the same."""
    return (2.0 * torch.randint(0, 2, shape, generator=generator) - 1).to(like)


def random_normal(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Independent standard normal numbers, drawn on the CPU in float64."""
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(like)


def trace(
    apply: Callable[[Float[Tensor, " d"]], Float[Tensor, " d"]],
    square: Callable[[Float[Tensor, " d"]], float],
    like: Float[Tensor, " d"],
    *,
    rank: int,
    sketch: int,
    probes: int,
    generator: torch.Generator,
) -> Estimate:
    """The trace of A on vectors like `like`.

    Arguments:
        apply: x -> A x.
        square: x -> x^T A x.
        like: gives size, type and device of the vectors.
        rank: the most that the rank of A can be; with a sketch of that size the trace is exact.
        sketch: columns of S.
        probes: number of vectors x.
        generator: of the random numbers.

    Raises:
        ValueError: unless sketch >= 0 and probes >= 2.
    """
    if sketch < 0 or probes < 2:
        raise ValueError(f"Need sketch >= 0 and probes >= 2, got {sketch} and {probes}: two probes show their spread.")
    if rank == 0:
        return Estimate(0.0, 0.0)
    Q = like.new_zeros(len(like), 0)
    if sketch:
        columns = [apply(random_normal(like.shape, like, generator)) for _ in range(min(sketch, rank))]
        Q, R = torch.linalg.qr(torch.stack(columns, dim=1))
        kept = R.diagonal().abs() > 1e-12 * R.diagonal().abs().max()  # what is left is rounding
        Q = Q[:, kept]
    exact = sum(square(q) for q in Q.T)
    if Q.shape[1] == rank:
        return Estimate(float(exact), 0.0)
    found = []
    for _ in range(probes):
        z = random_signs(like.shape, like, generator)
        found.append(square(z - Q @ (Q.T @ z)))
    rest = mean_of(found)
    return Estimate(float(exact) + rest.value, rest.error)
