"""The rescaled square loss: weight k on the true class, target M for it.

    L = 1/2 Ave_n sum_j v_jn (w~_j h~_n - M y_jn)^2 + lambda/2 ||W~||_F^2,     v_jn = k if j is the true class, else 1

(k, M) = (1, 1) is the MSE loss of `theory.loss`. Each output row is a least-squares problem of its own, in which
class j counts k times: with s_j = 1 + (k - 1) pi_j it is s_j times the MSE problem of `loss` for the priors and the
within-class covariance

    q_c = pi_c/s_j (c != j),  k pi_j/s_j (c = j);      Sigma_W + (k - 1) pi_j Sigma_j, over s_j;      lambda/s_j

with the target M on class j. So W~_LS and the exact decomposition L = L_NC1 + L_NC2/3 + L_LS_perp are those of `loss`,
row by row. They need the covariance Sigma_j of every class: for k != 1 the SNR singular values do not determine L_LS.

M only scales: W~_LS(k, M) = M W~_LS(k, 1), and the loss of it by M^2.

Source: Hui & Belkin (2020), arXiv 2006.07322; Demirkaya, Chen & Oymak (2020); the decomposition is derived here.
"""

from collections.abc import Iterable, Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from central_path.theory import loss
from central_path.theory.loss import Decomposition
from central_path.theory.problem import Moments

Covariances = Iterable[Float[ArrayLike, "P P"]]  # of the classes, in their order; taken one at a time


def rescaled_loss(
    W: Float[Array, "C P"],
    b: Float[Array, " C"],
    features: Float[Array, "n P"],
    labels: Int[Array, " n"],
    *,
    k: float,
    M: float,
    lam: float,
) -> Float[Array, ""]:
    """L, example by example."""
    y = jnp.eye(len(b), dtype=features.dtype)[labels]
    squares = (features @ W.T + b[None, :] - M * y) ** 2 * (1 + (k - 1) * y)
    return 0.5 * jnp.mean(jnp.sum(squares, axis=1)) + 0.5 * lam * (jnp.sum(W**2) + jnp.sum(b**2))


def class_covariances(
    features: Float[ArrayLike, "n P"], labels: Int[ArrayLike, " n"], *, C: int
) -> Iterator[Float[Array, "P P"]]:
    """Sigma_1, ..., Sigma_C about the class means, each averaged over its class."""
    features, labels = np.asarray(features), np.asarray(labels)
    for j in range(C):
        E = features[labels == j] - features[labels == j].mean(axis=0)[None, :]
        yield jnp.asarray(E.T @ E / len(E))


def _rows(m: Moments, covariances: Covariances, k: float, M: float) -> Iterator[tuple[Moments, float, Array]]:
    """For each output row the moments in which its class counts k times, s_j, and its targets (1, C)."""
    if not (k > 0 and M > 0):
        raise ValueError(f"Need k > 0 and M > 0 for the rescaled loss, got k = {k}, M = {M}.")
    C = m.M.shape[1]
    classes = np.eye(C)
    for j, Sigma_j in zip(range(C), covariances, strict=True):
        pi_j = float(m.pi[j])
        s = 1 + (k - 1) * pi_j
        Sigma = (m.Sigma_W + (k - 1) * pi_j * jnp.asarray(Sigma_j)) / s
        yield Moments(m.M, Sigma, m.pi * (1 + (k - 1) * classes[j]) / s), s, jnp.asarray(M * classes[j : j + 1])


def least_squares(
    m: Moments, covariances: Covariances, *, k: float, M: float, lam: float
) -> tuple[Float[Array, "C P"], Float[Array, " C"]]:
    """W_LS (C, P) and b_LS (C,) for any class priors.

    Raises:
        ValueError: if k, M are not positive, or lam < 0.
    """
    rows = [
        loss.least_squares(moments, lam=lam / s, targets=targets) for moments, s, targets in _rows(m, covariances, k, M)
    ]
    return jnp.concatenate([W for W, _ in rows]), jnp.concatenate([b for _, b in rows])


def decompose(
    W: Float[Array, "C P"],
    b: Float[Array, " C"],
    m: Moments,
    covariances: Covariances,
    *,
    k: float,
    M: float,
    lam: float,
) -> Decomposition:
    """L of the classifier (W, b) in its three parts, for any priors, any k, M > 0 and lam >= 0; an identity.

    Raises:
        ValueError: if k, M are not positive, or lam < 0.
    """
    parts = np.zeros(3)
    for j, (moments, s, targets) in enumerate(_rows(m, covariances, k, M)):
        row = loss.decompose(W[j : j + 1], b[j : j + 1], moments, lam=lam / s, targets=targets)
        parts += s * np.array([row.loss_nc1, row.loss_nc23, row.loss_ls_perp])
    return Decomposition(*(jnp.asarray(part) for part in parts))
