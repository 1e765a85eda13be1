"""GNC2: class means spread uniformly over the sphere, also where C > P + 1 and there is no Simplex ETF."""

from typing import Any

from jaxtyping import Float

from central_path.metrics.collapse import gram
from central_path.metrics.namespace import namespace
from central_path.metrics.snr import Moments

ROUNDING = 16.0  # of 1 - cos, in eps


def gnc2_liu2023(m: Moments, tolerance: float = 0.0) -> Float[Any, ""]:
    """Logarithmic energy of the directions u_c of mu_c - mu_G, above that of a Simplex ETF; per pair of classes.

        Ave over c != c' of log 1/||u_c - u_c'||  -  1/2 log((C - 1)/(2C))

    By Jensen's inequality it is at least 0, with equality for a Simplex ETF only, hence for C <= P + 1 only; for more
    classes its minimum is the positive one of points on the sphere. For C = 2 it is always 0. The energy of Liu et al.
    sums over pairs without the constant.

    Unchanged by rotations, shifts and scaling of the features, by a positive factor of every single mu_c - mu_G, and by
    permutations of the classes. NaN where a mu_c - mu_G is 0 or two of them have the same direction (to which it
    diverges).

    Source: Liu, Yu, Weller & Scholkopf (2023), Generalizing and decoupling neural collapse via hyperspherical
    uniformity gap: hyperspherical energy with s = 0.
    """
    xp, (_, C) = namespace(m.M), m.M.shape
    norms = xp.linalg.vector_norm(m.Mbar, axis=0)
    alike = ~xp.all(norms > tolerance)
    total = 0.0
    for _, _, tile, pairs in gram(m.Mbar / xp.where(norms > tolerance, norms, 1.0)[None, :]):
        away = 1 - tile
        near = (away <= ROUNDING * float(xp.finfo(norms.dtype).eps)) & (pairs > 0)
        total = total - xp.sum(pairs * xp.log(xp.where(near | (pairs == 0), 1.0, away * (C - 1) / C))) / 2
        alike = alike | xp.any(near)
    return xp.where(alike, xp.nan, total / (C * (C - 1)))
