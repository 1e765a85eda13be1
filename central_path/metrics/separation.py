"""He & Su's law of data separation: every layer separates the classes by the same factor.

    D = tr(SS_W SS_B^+)        separation fuzziness of the features of a layer
    D_l = rho^l D_0            over the layers l

Source: He & Su (2023), A law of data separation in deep learning.
"""

from typing import Any, NamedTuple

from jaxtyping import Float

from central_path.metrics.collapse import nc1
from central_path.metrics.namespace import namespace
from central_path.metrics.snr import Moments


def separation_fuzziness_he2023(m: Moments, rank: int | None = None) -> Float[Any, ""]:
    """tr(SS_W SS_B^+), SS_B and SS_W the covariances between and within classes, weighted by their sizes.

    It is C times `collapse.nc1`, with the same `rank`. Unchanged by shifts, rotations and scaling of the features
    and by permutations of the classes. NaN where all class means coincide.

    Example:
        >>> import numpy as np
        >>> from central_path.metrics import separation_fuzziness_he2023
        >>> from central_path.metrics.samples import moments_of_rows
        >>> h = np.array([[1.0, 0.0], [1.0, 2.0], [-1.0, 0.0], [-1.0, 2.0]])
        >>> m = moments_of_rows(h + 0.5 * np.array([[1, 0], [-1, 0], [1, 0], [-1, 0]]), np.array([0, 0, 1, 1]), 2)
        >>> round(float(separation_fuzziness_he2023(m)), 6)  # 0.25 within over 1 between, along the means
        0.25
    """
    return m.M.shape[1] * nc1(m, rank=rank)


class SeparationLaw(NamedTuple):
    """The line of least squares through log D_l: the rate rho of a layer, D_0, and Pearson's correlation with l."""

    rate: Float[Any, ""]
    D_0: Float[Any, ""]
    correlation: Float[Any, ""]


def separation_law_he2023(D: Float[Any, " L"]) -> SeparationLaw:
    """The law fitted to the fuzziness D_1, ..., D_L of layers in their order, l = 1, ..., L.

    The law is exact where the correlation is -1 (for rho < 1). The rate and the correlation are unchanged by a common
    factor of all D. NaN for fewer than two layers, or where a D is 0, infinite or NaN; the correlation also where all D
    are equal.

    Example:
        >>> import numpy as np
        >>> from central_path.metrics import separation_law_he2023
        >>> law = separation_law_he2023(8.0 * 0.5 ** np.arange(1, 5))
        >>> [round(float(number), 6) for number in law]
        [0.5, 8.0, -1.0]
    """
    xp, L = namespace(D), D.shape[0]
    exists = xp.all((D > 0) & xp.isfinite(D)) & (L > 1)
    logs = xp.log(xp.where(exists, D, 1.0))
    layers = xp.cumulative_sum(xp.ones_like(D)) - (L + 1) / 2
    off = logs - xp.mean(logs)
    spread = max(L * (L * L - 1) / 12, 1.0)
    slope = xp.sum(layers * off) / spread
    size = xp.sqrt(xp.sum(off**2) * spread)
    correlation = slope * spread / xp.where(size > 0, size, 1.0)
    return SeparationLaw(
        rate=xp.where(exists, xp.exp(slope), xp.nan),
        D_0=xp.where(exists, xp.exp(xp.mean(logs) - slope * (L + 1) / 2), xp.nan),
        correlation=xp.where(exists & (size > 0), correlation, xp.nan),
    )
