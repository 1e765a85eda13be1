"""What several models end in or start from: the Simplex ETF's Gram matrix, and cross-entropy."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from central_path.theory.problem import contrasts


def centring(C: int) -> Float[np.ndarray, "C C"]:
    """Pi = I - 11^T/C: (C-1)/C times the Gram matrix of a Simplex ETF of radius 1."""
    return np.eye(C) - 1 / C


def simplex_etf(C: int, P: int) -> Float[np.ndarray, "P C"]:
    """Columns of radius 1 with cosines -1/(C-1), in P >= C - 1 dimensions."""
    return np.sqrt(C / (C - 1)) * np.eye(P, C - 1) @ contrasts(C).T


def labels_of(C: int, N: int) -> Int[np.ndarray, " n"]:
    """Labels of N examples of each of C classes, class by class."""
    return np.repeat(np.arange(C), N)


def cross_entropy(logits: Float[Array, "C n"], labels: Int[np.ndarray, " n"]) -> Float[Array, " n"]:
    """-log softmax of the true class, a value for each column."""
    return jax.scipy.special.logsumexp(logits, axis=0) - logits[labels, jnp.arange(len(labels))]
