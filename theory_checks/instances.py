"""Instances that claims are tried on: random ones, and hard ones.

Shapes are few, so that each compiled program serves many checks.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from theory_checks.registry import Draw

GENERIC = (4, 6, 8)  # C, N, P
TWO_CLASSES = (2, 5, 3)
JUST_FULL_RANK = (3, 3, 6)  # P = C (N - 1)
WIDE = (3, 20, 40)  # P much larger than C
MANY = (10, 20, 20)


class Instance(NamedTuple):
    """Features (P, C, N), their name, and the condition number of Sigma_W."""

    name: str
    H: np.ndarray
    condition: float


def _orthogonal(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def _instance(name: str, H: np.ndarray) -> Instance:
    E = (H - H.mean(axis=2, keepdims=True)).reshape(len(H), -1)
    return Instance(name, H, float(np.linalg.cond(E) ** 2))


def random_features(
    rng: np.random.Generator, shape: tuple[int, int, int], *, signal: float = 1.0, offset: float = 1.0
) -> np.ndarray:
    """Gaussian class means of a size, a global mean of a size, Gaussian deviations with a generic covariance."""
    C, N, P = shape
    means = signal * rng.standard_normal((P, C, 1)) + offset * rng.standard_normal((P, 1, 1))
    mix = _orthogonal(rng, P) * np.geomspace(0.5, 2.0, P)[None, :]
    return means + np.einsum("pq,qcn->pcn", mix, rng.standard_normal((P, C, N)))


def with_snr(rng: np.random.Generator, shape: tuple[int, int, int], omega: np.ndarray) -> np.ndarray:
    """Renormalized features with given omega (C-1,): Sigma_W = I, global mean 0, random singular vectors."""
    C, N, P = shape
    E = rng.standard_normal((P, C, N))
    E -= E.mean(axis=2, keepdims=True)
    flat = E.reshape(P, -1)
    w, Q = np.linalg.eigh(flat @ flat.T / flat.shape[1])
    E = (Q / np.sqrt(w)[None, :] @ Q.T @ flat).reshape(P, C, N)
    contrasts = np.linalg.qr(np.column_stack([np.ones(C), rng.standard_normal((C, C - 1))]))[0][:, 1:]
    M = _orthogonal(rng, P)[:, : C - 1] * omega[None, :] @ contrasts.T
    return M[:, :, None] + E


def ordinary(draw: Draw) -> Iterator[Instance]:
    """Random features of every shape."""
    for _ in range(draw.repeats):
        for name, shape in (
            ("generic", GENERIC),
            ("C = 2", TWO_CLASSES),
            ("P = C(N-1)", JUST_FULL_RANK),
            ("P much larger than C", WIDE),
        ):
            yield _instance(name, random_features(draw.rng, shape))


def hard(draw: Draw) -> Iterator[Instance]:
    """Ill-conditioned, nearly coinciding omega, tiny and huge class means."""
    C, _, P = GENERIC
    for _ in range(draw.repeats):
        stretch = _orthogonal(draw.rng, P) * np.geomspace(1.0, 1e4, P)[None, :]
        ill = np.einsum("pq,qcn->pcn", stretch @ _orthogonal(draw.rng, P), random_features(draw.rng, GENERIC))
        yield _instance("condition number 1e8", ill)
        yield _instance("nearly equal omega", with_snr(draw.rng, GENERIC, 2.0 + 1e-7 * np.arange(C - 1, 0, -1)))
        yield _instance("tiny class means", random_features(draw.rng, GENERIC, signal=1e-5, offset=0.0))
        yield _instance("huge class means", random_features(draw.rng, GENERIC, signal=1e4))


def moderate(draw: Draw) -> Iterator[Instance]:
    """Ordinary and hard instances, with large class means for huge ones: velocities fall as omega^-3."""
    yield from ordinary(draw)
    for instance in hard(draw):
        if instance.name == "huge class means":
            yield _instance("large class means", random_features(draw.rng, GENERIC, signal=30.0))
        else:
            yield instance


def everything(draw: Draw) -> Iterator[Instance]:
    """Ordinary and hard instances."""
    yield from ordinary(draw)
    yield from hard(draw)


class Samples(NamedTuple):
    """Unbalanced examples: columns F (P, n), labels (n,), C classes."""

    F: np.ndarray
    labels: np.ndarray
    C: int


def unbalanced(draw: Draw) -> Iterator[Samples]:
    """Classes of different sizes, in mixed order."""
    for _ in range(draw.repeats):
        labels = draw.rng.permutation(np.repeat(np.arange(4), [3, 5, 11, 7]))
        means = draw.rng.standard_normal((6, 4))
        yield Samples(means[:, labels] + draw.rng.standard_normal((6, len(labels))) + 0.5, labels, 4)
