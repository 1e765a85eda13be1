"""Self-duality, class by class: the cosines of w_c with mu_c - mu_G.

    nc3_self_duality_wu2024    1 - Ave_c cos_c                 0 where classifier and class means are parallel
    unc3_wu2024                Std_c(cos_c) / |Ave_c cos_c|    0 where all cosines are equal: uniform duality

Unchanged by rotations and shifts of the features, by permutations of the classes, and by a positive factor of every
single w_c and mu_c - mu_G. Std is the population one. NaN where a w_c or a mu_c - mu_G is 0: it has no direction.

Source: Wu & Papyan (2024), Linguistic collapse, Section 3.
"""

from typing import Any

from jaxtyping import Float

from central_path.metrics.namespace import namespace
from central_path.metrics.snr import Moments

ROUNDING = 16.0  # of a mean of cosines, in eps


def _away(m: Moments, W: Float[Any, "C P"], tolerance: float) -> Float[Any, " C"]:
    """1 - cos_c as half the squared distance of the unit vectors, so that nothing cancels; NaN where one is 0."""
    xp, means = namespace(m.M), m.Mbar.T
    w, mu = xp.linalg.vector_norm(W, axis=1), xp.linalg.vector_norm(means, axis=1)
    exists = (w > 0) & (mu > tolerance)
    unit = [A / xp.where(exists, norms, 1.0)[:, None] for A, norms in ((W, w), (means, mu))]
    return xp.where(exists, xp.sum((unit[0] - unit[1]) ** 2, axis=1) / 2, xp.nan)


def nc3_self_duality_wu2024(m: Moments, W: Float[Any, "C P"], tolerance: float = 0.0) -> Float[Any, ""]:
    """1 - Ave_c <w_c, mu_c - mu_G>/(||w_c|| ||mu_c - mu_G||), between 0 and 2."""
    return namespace(m.M).mean(_away(m, W, tolerance))


def unc3_wu2024(m: Moments, W: Float[Any, "C P"], tolerance: float = 0.0) -> Float[Any, ""]:
    """Coefficient of variation of the cosines over the classes. NaN also where their mean is 0 to rounding."""
    xp, away = namespace(m.M), _away(m, W, tolerance)
    mean = abs(1 - xp.mean(away))
    exists = mean > ROUNDING * float(xp.finfo(away.dtype).eps)
    return xp.where(exists, xp.std(away) / xp.where(exists, mean, 1.0), xp.nan)
