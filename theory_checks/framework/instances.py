"""Instances that claims are tried on: random ones, and hard ones.

Shapes are few, so that each compiled program serves many checks.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from theory_checks.framework.registry import Draw

GENERIC = (4, 6, 8)  # C, N, P
TWO_CLASSES = (2, 5, 3)
JUST_FULL_RANK = (3, 3, 6)  # P = C (N - 1)
WIDE = (3, 20, 40)  # P much larger than C
NARROW = (4, 6, 3)  # P = C - 1
MANY = (10, 20, 20)


class Instance(NamedTuple):
    """Features (P, C, N), their name, and the condition number of Sigma_W."""

    name: str
    H: Float[np.ndarray, "P C N"]
    condition: float


def orthogonal(rng: np.random.Generator, n: int) -> Float[np.ndarray, "{n} {n}"]:
    """A random orthogonal matrix (n, n)."""
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def invertible(rng: np.random.Generator, n: int, *, symmetric: bool = False) -> Float[np.ndarray, "{n} {n}"]:
    """A random matrix (n, n) with singular values from 1/2 to 2; the symmetric one is indefinite."""
    left, spread = orthogonal(rng, n), np.geomspace(0.5, 2.0, n)
    if symmetric:
        return left * (spread * (-1.0) ** np.arange(n)) @ left.T
    return left * spread @ orthogonal(rng, n)


def simplex_vertices(C: int) -> Float[np.ndarray, "{C}-1 {C}"]:
    """C unit vectors in C - 1 dimensions with cosines -1/(C-1), each placed beside the ones before it."""
    vertices = np.zeros((C - 1, C))
    for j in range(C - 1):
        vertices[j, j] = np.sqrt(1 - np.sum(vertices[:j, j] ** 2))
        for c in range(j + 1, C):
            vertices[j, c] = (-1 / (C - 1) - vertices[:j, j] @ vertices[:j, c]) / vertices[j, j]
    return vertices


def placed(vectors: Float[np.ndarray, "Q C"], P: int, rng: np.random.Generator) -> Float[np.ndarray, "P C"]:
    """The same vectors in P dimensions, turned at random."""
    return np.linalg.qr(rng.standard_normal((P, len(vectors))))[0] @ vectors


def simplex_etf(C: int, P: int, rng: np.random.Generator) -> Float[np.ndarray, "{P} {C}"]:
    """A Simplex ETF of unit columns by its cosines, turned at random."""
    return placed(simplex_vertices(C), P, rng)


def _instance(name: str, H: Float[np.ndarray, "P C N"]) -> Instance:
    E = (H - H.mean(axis=2, keepdims=True)).reshape(len(H), -1)
    return Instance(name, H, float(np.linalg.cond(E) ** 2))


def random_features(
    rng: np.random.Generator, shape: tuple[int, int, int], *, signal: float = 1.0, offset: float = 1.0
) -> Float[np.ndarray, "P C N"]:
    """Gaussian class means of a size, a global mean of a size, Gaussian deviations with a generic covariance."""
    C, N, P = shape
    means = signal * rng.standard_normal((P, C, 1)) + offset * rng.standard_normal((P, 1, 1))
    mix = orthogonal(rng, P) * np.geomspace(0.5, 2.0, P)[None, :]
    return means + np.einsum("pq,qcn->pcn", mix, rng.standard_normal((P, C, N)))


def with_snr(
    rng: np.random.Generator, shape: tuple[int, int, int], omega: Float[np.ndarray, " K"]
) -> Float[np.ndarray, "P C N"]:
    """Renormalized features with given omega (C-1,): Sigma_W = I, global mean 0, random singular vectors."""
    C, N, P = shape
    E = rng.standard_normal((P, C, N))
    E -= E.mean(axis=2, keepdims=True)
    flat = E.reshape(P, -1)
    w, Q = np.linalg.eigh(flat @ flat.T / flat.shape[1])
    E = (Q / np.sqrt(w)[None, :] @ Q.T @ flat).reshape(P, C, N)
    contrasts = np.linalg.qr(np.column_stack([np.ones(C), rng.standard_normal((C, C - 1))]))[0][:, 1:]
    M = orthogonal(rng, P)[:, : C - 1] * omega[None, :] @ contrasts.T
    return M[:, :, None] + E


def mixed(
    rng: np.random.Generator, shape: tuple[int, int, int], omega: Float[np.ndarray, " K"]
) -> Float[np.ndarray, "P C N"]:
    """Features with given omega (C-1,), a well-conditioned generic Sigma_W, and a global mean."""
    P = shape[2]
    return np.einsum("pq,qcn->pcn", invertible(rng, P), with_snr(rng, shape, omega)) + rng.standard_normal((P, 1, 1))


def ordinary(draw: Draw) -> Iterator[Instance]:
    """Random features of every shape.

    Where P = C(N-1), Gaussian deviations may lie anywhere near a singular Sigma_W: there they are brought to a
    well-conditioned one.
    """
    for _ in range(draw.repeats):
        yield _instance("generic", random_features(draw.rng, GENERIC))
        yield _instance("C = 2", random_features(draw.rng, TWO_CLASSES))
        omega = np.sort(np.exp(draw.rng.uniform(0.0, 3.0, JUST_FULL_RANK[0] - 1)))[::-1]
        yield _instance("P = C(N-1)", mixed(draw.rng, JUST_FULL_RANK, omega))
        yield _instance("P much larger than C", random_features(draw.rng, WIDE))


def hard(draw: Draw) -> Iterator[Instance]:
    """Ill-conditioned, nearly coinciding omega, class means of noise alone, small, and large ones.

    What is compared on them can be computed to three digits at least: beyond that they would test nothing.
    """
    C, _, P = GENERIC
    for _ in range(draw.repeats):
        stretch = orthogonal(draw.rng, P) * np.geomspace(1.0, 3e3, P)[None, :]
        ill = np.einsum("pq,qcn->pcn", stretch @ orthogonal(draw.rng, P), random_features(draw.rng, GENERIC))
        yield _instance("condition number 1e7", ill)
        yield _instance("nearly equal omega", mixed(draw.rng, GENERIC, 2.0 + 1e-7 * np.arange(C - 1, 0, -1)))
        yield _instance("class means of noise alone", random_features(draw.rng, GENERIC, signal=0.0, offset=0.0))
        yield _instance("small class means", mixed(draw.rng, GENERIC, 1e-3 * np.arange(C - 1, 0, -1)))
        yield _instance("large class means", random_features(draw.rng, GENERIC, signal=20.0))


def everything(draw: Draw) -> Iterator[Instance]:
    """Ordinary and hard instances."""
    yield from ordinary(draw)
    yield from hard(draw)


def narrow(draw: Draw) -> Iterator[Instance]:
    """P = C - 1, the least in which C class means can be affinely independent."""
    for _ in range(draw.repeats):
        yield _instance("P = C - 1", random_features(draw.rng, NARROW))


def with_narrow(draw: Draw) -> Iterator[Instance]:
    """Everything, and P = C - 1, which the paper excludes by P > C, but on which much of it is true."""
    yield from everything(draw)
    yield from narrow(draw)


class UnbalancedExamples(NamedTuple):
    """Unbalanced examples: columns F (P, n), labels (n,), C classes."""

    F: Float[np.ndarray, "P n"]
    labels: Int[np.ndarray, " n"]
    C: int


def unbalanced(draw: Draw) -> Iterator[UnbalancedExamples]:
    """Classes of different sizes, in mixed order."""
    for _ in range(draw.repeats):
        labels = draw.rng.permutation(np.repeat(np.arange(4), [3, 5, 11, 7]))
        means = draw.rng.standard_normal((6, 4))
        yield UnbalancedExamples(means[:, labels] + draw.rng.standard_normal((6, len(labels))) + 0.5, labels, 4)
