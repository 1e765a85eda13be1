"""NC5: features of other data are orthogonal to the class means; NECO, the score of single examples that follows."""

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


def neco_benammar2024(H: Float[Any, "n P"], Sigma_T: Float[Any, "P P"], dimension: int) -> Float[Any, " n"]:
    """|Q^T h|/|h| of each row h of H, Q the leading eigenvectors of the training features' covariance Sigma_T.

    Between 0 and 1; a low score tells an example of other data, where NC5 holds. `dimension` is the number of columns
    of Q, C - 1 at neural collapse. The features are not centred: unchanged by rotations of H and Sigma_T together and
    by scaling of each, but not by shifts or by scaling of single coordinates. NaN where h = 0.

    Source: Ben Ammar, Belkhir, Popescu, Manzanera & Franchi (2024), NECO, without the factor of the
    largest logit.

    Raises:
        ValueError: for shapes that do not fit, or a dimension that is not from 1 to P.

    Example:
        >>> import numpy as np
        >>> from central_path.metrics import neco_benammar2024
        >>> Sigma_T = np.diag([2.0, 1.0, 0.1])  # of the training features (P, P)
        >>> H = np.array([[1.0, 1.0, 0.0], [3.0, 0.0, 4.0]])
        >>> neco_benammar2024(H, Sigma_T, 2).round(6).tolist()
        [1.0, 0.6]
    """
    if H.ndim != 2 or Sigma_T.shape != (H.shape[1], H.shape[1]):
        shapes = f"H {tuple(H.shape)} and Sigma_T {tuple(Sigma_T.shape)}"
        raise ValueError(f"Need features H (n, P) and their covariance Sigma_T (P, P), got {shapes}.")
    P = H.shape[1]
    if not 1 <= dimension <= P:
        raise ValueError(f"Need a dimension from 1 to P = {P}, got {dimension}: C - 1 for C classes is usual.")
    xp = namespace(H)
    Q = xp.linalg.eigh(Sigma_T)[1][:, P - dimension :]
    norms = xp.linalg.vector_norm(H, axis=1)
    scores = xp.linalg.vector_norm(H @ Q, axis=1) / xp.where(norms > 0, norms, 1.0)
    return xp.where(norms > 0, scores, xp.nan)
