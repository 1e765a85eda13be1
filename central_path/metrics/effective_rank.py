"""The effective rank of a matrix: exp of the entropy of its singular values."""

from typing import Any

from jaxtyping import Float

from central_path.metrics.namespace import namespace
from central_path.metrics.snr import Moments


def effective_rank_roy2007(A: Float[Any, "a b"]) -> Float[Any, ""]:
    """exp(-sum_j p_j log p_j), p_j = s_j/sum_k s_k, of the singular values s of A: of features, centred or not, or W.

    Between 1 and the rank of A, which it is for equal singular values. Unchanged by rotations on both sides and by
    scaling; rows and columns of zeros (dead units) change nothing. NaN for A = 0.

    Source: Roy & Vetterli (2007), The effective rank: a measure of effective dimensionality.

    Example:
        >>> import numpy as np
        >>> from central_path.metrics import effective_rank_roy2007
        >>> round(float(effective_rank_roy2007(np.eye(5, 3))), 6)
        3.0
        >>> round(float(effective_rank_roy2007(np.diag([1.0, 0.1, 0.0]))), 4)
        1.3561
    """
    xp = namespace(A)
    s = xp.linalg.svdvals(A)
    total = xp.sum(s)
    p = s / xp.where(total > 0, total, 1.0)
    return xp.where(total > 0, xp.exp(-xp.sum(p * xp.log(xp.where(p > 0, p, 1.0)))), xp.nan)


def effective_rank_means_roy2007(m: Moments, tolerance: float = 0.0) -> Float[Any, ""]:
    """The same of the class means about the global mean, Mbar: C - 1 for a Simplex ETF. NaN where they coincide."""
    xp = namespace(m.M)
    return xp.where(
        xp.linalg.matrix_norm(m.Mbar) > tolerance * m.M.shape[1] ** 0.5, effective_rank_roy2007(m.Mbar), xp.nan
    )
