"""Distance of a Gram matrix from that of a Simplex ETF, both at norm 1.

    || G/||G||_F - (I - 11^T/C)/(C - 1)^(1/2) ||_F

    nc2_etf_classifier_zhu2021    G = W W^T
    nc2_etf_kothapalli2023        G = Mbar^T Mbar
    nc3_self_duality_zhu2021      G = W Mbar

Between 0, at collapse, and 2; unchanged by rotations of the features, by a positive factor of W or of the features, by
permutations of the classes, and those with Mbar by shifts of the features. For P < C - 1 there is no Simplex ETF, and
the first two are at least (2 - 2 (P/(C - 1))^(1/2))^(1/2).
"""

from typing import Any

from jaxtyping import Float

from central_path.metrics.namespace import eye_like, namespace
from central_path.metrics.snr import Moments


def _unit(A: Float[Any, "a b"]) -> Float[Any, "a b"]:
    """A at Frobenius norm 1, or 0."""
    xp = namespace(A)
    size = xp.linalg.matrix_norm(A)
    return A / xp.where(size > 0, size, 1.0)


def gram_distance(A: Float[Any, "C P"], B: Float[Any, "P C"]) -> Float[Any, ""]:
    """The distance of G = A B; NaN where G is 0 to rounding.

    Both norms are 1: squared it is 2 - 2 <G, I - 11^T/C>/(||G||_F (C - 1)^(1/2)). That needs no C x C matrix, and is
    used for C > P + 1 only, where the distance is not small and nothing cancels.
    """
    xp, (C, P) = namespace(A), A.shape
    A, B = _unit(A), _unit(B)
    least = max(C, P) * float(xp.finfo(A.dtype).eps)
    if C <= P + 1:
        G = A @ B
        size = xp.linalg.matrix_norm(G)
        away = G / xp.where(size > least, size, 1.0) - (eye_like(A, C) - 1 / C) / (C - 1) ** 0.5
        return xp.where(size > least, xp.linalg.matrix_norm(away), xp.nan)
    size = xp.sqrt(xp.sum((A.T @ A) * (B @ B.T)))
    inner = (xp.sum(A * B.T) - xp.sum(A, axis=0) @ xp.sum(B, axis=1) / C) / (C - 1) ** 0.5
    squared = 2 - 2 * inner / xp.where(size > least, size, 1.0)
    return xp.where(size > least, xp.sqrt(xp.where(squared > 0, squared, 0.0)), xp.nan)


def nc2_etf_classifier_zhu2021(W: Float[Any, "C P"]) -> Float[Any, ""]:
    """|| W W^T/||W W^T||_F - (I - 11^T/C)/(C - 1)^(1/2) ||_F. NaN for W = 0.

    Source: Zhu et al. (2021), NC2.
    """
    return gram_distance(W, W.T)


def nc2_etf_kothapalli2023(m: Moments, tolerance: float = 0.0) -> Float[Any, ""]:
    """The same of the class means about the global mean, Mbar^T Mbar. NaN where all class means coincide.

    Source: Kothapalli (2023), Neural collapse: a review on modelling principles and generalization.
    """
    xp = namespace(m.M)
    return xp.where(
        xp.linalg.matrix_norm(m.Mbar) > tolerance * m.M.shape[1] ** 0.5, gram_distance(m.Mbar.T, m.Mbar), xp.nan
    )


def nc3_self_duality_zhu2021(m: Moments, W: Float[Any, "C P"], tolerance: float = 0.0) -> Float[Any, ""]:
    """|| W Mbar/||W Mbar||_F - (I - 11^T/C)/(C - 1)^(1/2) ||_F. NaN where W Mbar = 0, as for W = 0 or equal means.

    It is also 0 for W = A^T B, Mbar = A^(-1) B with B an ETF and any invertible A: alone it does not show self-duality.

    Source: Zhu et al. (2021), NC3.
    """
    xp = namespace(m.M)
    return xp.where(xp.linalg.matrix_norm(m.Mbar) > tolerance * m.M.shape[1] ** 0.5, gram_distance(W, m.Mbar), xp.nan)
