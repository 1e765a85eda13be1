"""Variability within classes beside that between them, by definitions other than `collapse.nc1`.

    nc1_zhu2021         tr(Sigma_W Sigma_B^+) / C,  Sigma_B = 1/C sum_c (mu_c - mu_G)(mu_c - mu_G)^T
    nc1_tirer2023       tr(Sigma_W) / tr(Sigma_B)
    cdnv_galanti2022    Ave over c != c' of (Var_c + Var_c') / (2 ||mu_c - mu_c'||^2)

All are 0 at collapse, and unchanged by shifts, rotations and scaling of the features and by permutations of the
classes; `nc1_zhu2021` also, for C - 1 >= P, by every invertible linear map of the features.
"""

from typing import Any

from jaxtyping import Float

from central_path.metrics.collapse import gram, nc1
from central_path.metrics.namespace import namespace
from central_path.metrics.snr import Moments, between_factor

ROUNDING = 16.0  # of a squared distance from a Gram matrix, in eps times the squared norms


def nc1_zhu2021(m: Moments, rank: int | None = None) -> Float[Any, ""]:
    """tr(Sigma_W Sigma_B^+)/C where every class counts alike in Sigma_B, and every example in Sigma_W and mu_G.

    For balanced classes it is `collapse.nc1`, whose Sigma_B is weighted by the sizes of the classes. NaN where all
    class means coincide; `rank` as in `collapse.nc1`.

    Source: Zhu, Ding, Zhou, Li, You, Sulam & Qu (2021), A geometric analysis of neural collapse with unconstrained
    features, NC1.
    """
    xp, C = namespace(m.M), m.M.shape[1]
    return nc1(m, rank=rank, factor=between_factor(m, weights=xp.ones_like(m.pi) / C))


def nc1_tirer2023(m: Moments, tolerance: float = 0.0) -> Float[Any, ""]:
    """tr(Sigma_W)/tr(Sigma_B), with Sigma_B weighted by the sizes of the classes. NaN where all class means coincide.

    Source: Tirer, Huang & Niles-Weed (2023), Perturbation analysis of neural collapse, NC1.
    """
    xp = namespace(m.M)
    between = xp.sum(m.pi * xp.sum(m.Mbar**2, axis=0))
    exists = between > tolerance**2
    return xp.where(exists, xp.linalg.trace(m.Sigma_W) / xp.where(exists, between, 1.0), xp.nan)


def cdnv_galanti2022(m: Moments, variances: Float[Any, " C"], tolerance: float = 0.0) -> Float[Any, ""]:
    """Class-distance normalized variance, averaged over pairs of classes; Var_c = Ave_i ||h_i - mu_c||^2.

    A class of one example has the variance 0. NaN where two class means coincide, to which it diverges. Distances come
    from a Gram matrix, to a relative error of eps (||mu_c - mu_G||^2 + ||mu_c' - mu_G||^2)/||mu_c - mu_c'||^2.

    Source: Galanti, Gyorgy & Hutter (2022), On the role of neural collapse in transfer learning.
    """
    xp, (_, C) = namespace(m.M), m.M.shape
    norms2 = xp.sum(m.Mbar**2, axis=0)
    total, together = 0.0, False
    for rows, columns, tile, pairs in gram(m.Mbar):
        size = norms2[rows, None] + norms2[None, columns]
        distance2 = size - 2 * tile
        same = (distance2 <= tolerance**2 + ROUNDING * float(xp.finfo(size.dtype).eps) * size) & (pairs > 0)
        apart = xp.where(same | (pairs == 0), 1.0, distance2)
        total = total + xp.sum(pairs * (variances[rows, None] + variances[None, columns]) / (2 * apart))
        together = together | xp.any(same)
    return xp.where(together, xp.nan, total / (C * (C - 1)))
