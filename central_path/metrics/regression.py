"""NRC1 to NRC3: the collapse of networks that are trained for regression with K targets.

    NRC1    Ave_i || h~_i - proj(h~_i | first K principal components of the features) ||^2               -> 0
    NRC2    Ave_i || h~_i - proj(h~_i | rows of W) ||^2                                                  -> 0
    NRC3    min over gamma of || W W^T/|| . ||_F - (Sigma^(1/2) - gamma^(1/2) I)/|| . ||_F ||_F^2        -> 0

h~_i = h_i/||h_i||, Sigma is the covariance of the targets, and 0 <= gamma < its smallest eigenvalue.

Note: principal components are those of the features about their mean; h~_i is not centred, as in the public code of the
authors, so that NRC1 and NRC2 vanish only if the mean lies in the subspace. `centered` takes h_i - Ave h in its place.

Source: Andriopoulos, Dong, Guo, Zhao & Ross (2024), The prevalence of neural collapse in neural multivariate
regression.
"""

from typing import Any

from jaxtyping import Float

from central_path.metrics.namespace import eye_like, namespace


def _outside(H: Float[Any, "n P"], basis: Float[Any, "P K"], *, centered: bool) -> Float[Any, ""]:
    """Ave_i || h~_i - basis basis^T h~_i ||^2; NaN where an h_i is 0."""
    xp = namespace(H)
    H = H - xp.mean(H, axis=0)[None, :] if centered else H
    norms = xp.linalg.vector_norm(H, axis=1)
    unit = H / xp.where(norms > 0, norms, 1.0)[:, None]
    rest = xp.sum((unit - (unit @ basis) @ basis.T) ** 2, axis=1)
    return xp.where(xp.all(norms > 0), xp.mean(rest), xp.nan)


def nrc1_andriopoulos2024(H: Float[Any, "n P"], K: int, *, centered: bool = False) -> Float[Any, ""]:
    """The share of features outside their first K principal components, K the number of targets; between 0 and 1.

    Unchanged by rotations of the features, scaling and the order of the examples. For K >= P it is 0. NaN where a
    feature vector is 0, or the covariance of the features has a rank below K (the components are then not determined).

    Example:
        >>> import numpy as np
        >>> from central_path.metrics import nrc1_andriopoulos2024
        >>> t = np.linspace(-1, 1, 20)
        >>> H = np.stack([t, np.zeros(20), 0.1 * t**2], axis=1)  # near one direction
        >>> round(float(nrc1_andriopoulos2024(H, 1)), 4)
        0.0037
    """
    xp, (n, P) = namespace(H), H.shape
    if K >= P:
        return _outside(H, eye_like(H, P), centered=centered)
    _, s, Vt = xp.linalg.svd(H - xp.mean(H, axis=0)[None, :], full_matrices=False)
    if n < K:
        return xp.nan * s[0]
    exists = s[K - 1] > s[0] * max(n, P) * float(xp.finfo(s.dtype).eps)
    return xp.where(exists, _outside(H, Vt[:K, :].T, centered=centered), xp.nan)


def nrc2_andriopoulos2024(H: Float[Any, "n P"], W: Float[Any, "K P"], *, centered: bool = False) -> Float[Any, ""]:
    """The share of features outside the span of the rows of the last layer W; between 0 and 1.

    Rows may be dependent: their span is taken to the rounding of W. Unchanged by joint rotations, by scaling, and by
    every invertible map of the outputs. NaN where a feature vector is 0, or W = 0.

    Example:
        >>> import numpy as np
        >>> from central_path.metrics import nrc2_andriopoulos2024
        >>> H = np.array([[3.0, 4.0], [3.0, 0.0]])
        >>> round(float(nrc2_andriopoulos2024(H, np.array([[1.0, 0.0]]))), 6)  # (16/25 + 0)/2
        0.32
    """
    xp = namespace(H)
    _, s, Vt = xp.linalg.svd(W, full_matrices=False)
    kept = s > s[0] * max(W.shape) * float(xp.finfo(s.dtype).eps)
    basis = xp.where(kept[None, :], Vt.T, 0.0)
    return xp.where(s[0] > 0, _outside(H, basis, centered=centered), xp.nan)


def nrc3_andriopoulos2024(W: Float[Any, "K P"], Y: Float[Any, "n K"], *, gamma: float | None = None) -> Float[Any, ""]:
    """The squared distance of W W^T from Sigma^(1/2) - gamma^(1/2) I, each at norm 1; between 0 and 4.

    Without `gamma` it is the smallest over 0 <= gamma < lambda_min(Sigma), in closed form: the cosine of the two
    matrices has one stationary point in x = gamma^(1/2). For one target it is 0. Unchanged by rotations of the
    features, by shifts of the targets, and by a positive factor of W or, without `gamma`, of Y. NaN where W = 0, where
    all targets are equal, or, for a given gamma, where Sigma = gamma I.

    Example:
        >>> import numpy as np
        >>> from central_path.metrics import nrc3_andriopoulos2024
        >>> Y = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> W = np.diag([2.0, 1.0]) ** 0.5  # W W^T is a multiple of Sigma^(1/2)
        >>> bool(nrc3_andriopoulos2024(W, Y) < 1e-12), bool(nrc3_andriopoulos2024(W[::-1, ::-1], Y) > 0.1)
        (True, True)
    """
    xp, K = namespace(W), W.shape[0]
    G = W @ W.T
    size = xp.linalg.matrix_norm(G)
    G = G / xp.where(size > 0, size, 1.0)
    centred = Y - xp.mean(Y, axis=0)[None, :]
    _, s, Vt = xp.linalg.svd(centred / Y.shape[0] ** 0.5, full_matrices=False)
    root = (Vt.T * s[None, :]) @ Vt
    smallest = s[-1] if Y.shape[0] >= K else 0 * s[0]

    def squared(x: Any) -> Any:
        target = root - x * eye_like(W, K)
        length = xp.linalg.matrix_norm(target)
        exists = length > K * float(xp.finfo(s.dtype).eps) * s[0]
        return xp.where(exists, xp.sum((G - target / xp.where(exists, length, 1.0)) ** 2), xp.nan)

    if gamma is not None:
        found = squared(gamma**0.5)
    else:
        a, t, b, c = xp.sum(G * root), xp.linalg.trace(G), xp.sum(root**2), xp.linalg.trace(root)
        slope = c * t - a * K
        inner = (t * b - a * c) / xp.where(slope != 0, slope, 1.0)
        inner = xp.where((inner > 0) & (inner < smallest), inner, 0.0)
        found = squared(0 * smallest)
        for x in (inner, smallest):
            other = squared(x)
            found = xp.where(other < found, other, found)
    return xp.where((size > 0) & (s[0] > 0), found, xp.nan)
