"""NC5: features of other data are orthogonal to the class means."""

from typing import Any

from jaxtyping import Float

from central_path.metrics.namespace import namespace


def nc5_benammar2024(M: Float[Any, "P C"], mu_out: Float[Any, " P"]) -> Float[Any, ""]:
    """Ave_c |cos(mu_c, mu_out)| of the class means and the mean mu_out of features of another data set.

    Between 0, where NC5 holds, and 1. Nothing is centred: unchanged by rotations and scaling of the features and by
    permutations of the classes, but not by shifts. NaN where a class mean or mu_out is 0.

    Source: Ben Ammar, Belkhir, Popescu, Manzanera & Franchi (2024), NECO, Eq. 5.

    Example:
        >>> import numpy as np
        >>> from central_path.metrics import nc5_benammar2024
        >>> M = np.eye(4)[:, :3]  # class means (P, C)
        >>> float(nc5_benammar2024(M, np.array([0.0, 0.0, 0.0, 2.0])))  # orthogonal to all of them
        0.0
        >>> round(float(nc5_benammar2024(M, np.ones(4))), 6)
        0.5
    """
    xp = namespace(M)
    norms = xp.linalg.vector_norm(M, axis=0) * xp.linalg.vector_norm(mu_out)
    exists = xp.all(norms > 0)
    return xp.where(exists, xp.mean(abs(mu_out @ M) / xp.where(norms > 0, norms, 1.0)), xp.nan)
