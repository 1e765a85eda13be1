"""From class statistics to what a row says: everything by `central_path`, in float64.

    decomposition   `central_path.loss.decompose` of the network's own last layer, with the optimiser's own lambda
    NC1 to NC3      `central_path.collapse`, of the training and of the test features
    SNR matrix      singular values omega and right singular vectors V of Sigma_W^(-1/2) Mbar on the range of Sigma_W
                    (dead units carry nothing)
    A2              how far from the mean label the last layer maps the global mean: |W mu_G + b - pi| / |pi|

For unbalanced sets omega is of the class means about the example mean, and descriptive: the laws need balance.
"""

import math
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.linalg import get_lapack_funcs

from central_path import collapse, loss, rescaled
from central_path.problem import Moments, require_float64

FEW_CLASSES = 100  # of which a row records singular vectors: C^2 numbers, and most of a row's work for 1000
ROUNDING = 1e-12  # of the size of the class means: what features differ by less is not there


@partial(jax.jit, static_argnames="lam")
def _decomposition(W, b, m: Moments, *, lam: float):
    parts = loss.decompose(W, b, m, lam=lam)
    return {
        "loss_nc1": parts.loss_nc1,
        "loss_nc23": parts.loss_nc23,
        "loss_ls_perp": parts.loss_ls_perp,
    }


@jax.jit
def _collapse(W, m: Moments):
    return {
        "nc1": collapse.nc1(m),
        "equinorm_means": collapse.equinorm(m.Mbar),
        "equiangularity_means": collapse.equiangularity(m.Mbar),
        "max_angle_means": collapse.max_angle(m.Mbar),
        "self_duality": collapse.self_duality(W, m.Mbar),
    }


@jax.jit
def _classifier(W):
    return {
        "equinorm_classifier": collapse.equinorm(W.T),
        "equiangularity_classifier": collapse.equiangularity(W.T),
        "max_angle_classifier": collapse.max_angle(W.T),
    }


def moments(arrays: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Moments:
    """`ClassStatistics.arrays` as the moments of `central_path`.

    Raises:
        ValueError: unless JAX computes in float64.
    """
    require_float64()
    return Moments(*(jnp.asarray(a) for a in arrays))


def _floats(values: dict) -> dict[str, float]:
    return {key: float(value) for key, value in values.items()}


def decomposition(
    W: Float[np.ndarray, "C P"],
    b: Float[np.ndarray, " C"],
    m: Moments,
    *,
    lam: float,
    k: float = 1.0,
    M: float = 1.0,
    covariances: Iterable[np.ndarray] = (),
) -> dict[str, float]:
    """`loss_nc1`, `loss_nc23`, `loss_ls_perp`, whose sum is the loss; the rescaled one needs all class covariances."""
    if k == 1 and M == 1:
        return _floats(_decomposition(jnp.asarray(W), jnp.asarray(b), m, lam=lam))
    parts = rescaled.decompose(jnp.asarray(W), jnp.asarray(b), m, covariances, k=k, M=M, lam=lam)
    return _floats({name: getattr(parts, name) for name in ("loss_nc1", "loss_nc23", "loss_ls_perp")})


def collapse_metrics(W: Float[np.ndarray, "C P"], m: Moments, *, rank: int) -> dict[str, float]:
    """NC1 to NC3 of class means and features, whose rank is `between`'s.

    NC1 is infinite where a class is lost, all are NaN where all are.
    """
    metrics = _floats(_collapse(jnp.asarray(W), m))
    if rank == 0:
        return dict.fromkeys(metrics, math.nan)
    return metrics if rank == m.M.shape[1] - 1 else metrics | {"nc1": math.inf}


def classifier_metrics(W: Float[np.ndarray, "C P"]) -> dict[str, float]:
    """NC2 of the classifier."""
    return _floats(_classifier(jnp.asarray(W)))


def between(m: Moments) -> tuple[int, float]:
    """Rank of Sigma_B and its condition number on its range of dimension C - 1 (infinite where a class is lost)."""
    s = np.linalg.svd(np.asarray(m.Mbar) * np.sqrt(np.asarray(m.pi)), compute_uv=False)[: m.M.shape[1] - 1]
    rank = int(np.count_nonzero(s > _rounding(m)))
    return rank, float((s[0] / s[-1]) ** 2) if rank == m.M.shape[1] - 1 else math.inf


def _rounding(m: Moments) -> float:
    return ROUNDING * float(np.linalg.norm(np.asarray(m.M) * np.sqrt(np.asarray(m.pi))))


def mean_output_gap(W: Float[np.ndarray, "C P"], b: Float[np.ndarray, " C"], m: Moments) -> float:
    """|W mu_G + b - pi| / |pi|: 0 for the least-squares bias with lambda = 0 (assumption A2 of the paper)."""
    pi = np.asarray(m.pi)
    return float(np.linalg.norm(W @ (np.asarray(m.M) @ pi) + b - pi) / np.linalg.norm(pi))


class SNR(NamedTuple):
    """The SNR matrix Sigma_W^(-1/2) Mbar = U diag(omega) V^T, and the rank of Sigma_W on whose range it is taken."""

    omega: Float[np.ndarray, " K"]
    V: Float[np.ndarray, "C K"] | None  # of up to FEW_CLASSES
    rank: int


def snr(m: Moments, *, n: int, eps: float) -> SNR:
    """K = C - 1 singular values, descending, and right singular vectors, of the SNR matrix.

    Of each vector the entry of largest size is positive. There are none of more than FEW_CLASSES classes.
    n is the number of examples, eps the precision of the features: eigenvalues of Sigma_W up to P eps times the largest
    are taken for zero. A zero omega, or vector, stands for what is not there: a lost class, or nothing within classes.
    """
    w, U = _eigh(np.asarray(m.Sigma_W), n)
    kept = w > max(len(U) * eps * w.max(initial=0), _rounding(m) ** 2)
    matrix = (U[:, kept] / np.sqrt(w[kept])).T @ np.asarray(m.Mbar)
    C = m.M.shape[1]
    values, V = np.zeros(C - 1), np.zeros((C, C - 1)) if C <= FEW_CLASSES else None
    if kept.any() and V is None:
        found = np.linalg.svd(matrix, compute_uv=False)[: C - 1]
        values[: len(found)] = found
    elif kept.any() and V is not None:
        _, found, Vt = np.linalg.svd(matrix, full_matrices=False)
        K = min(len(found), C - 1)
        largest = np.take_along_axis(Vt[:K], np.abs(Vt[:K]).argmax(axis=1)[:, None], axis=1)
        values[:K], V[:, :K] = found[:K], (Vt[:K] * np.sign(largest)).T
    return SNR(values, V, int(np.count_nonzero(kept)))


def _eigh(S: Float[np.ndarray, "P P"], n: int) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, "P r"]]:
    """Eigenvalues and eigenvectors of a covariance, of n < P examples by pivoted Cholesky: S = F F^T, F (P, r).

    They are those of the small F^T F = V diag(w) V^T, as F V / sqrt(w).
    """
    if n >= len(S):
        return np.linalg.eigh(S)
    (pstrf,) = get_lapack_funcs(("pstrf",), (S,))
    lower, pivots, r, _ = pstrf(S, lower=1)
    F = np.zeros((len(S), r))
    F[pivots - 1] = np.tril(lower)[:, :r]
    w, V = np.linalg.eigh(F.T @ F)
    return w, F @ V / np.sqrt(w)
