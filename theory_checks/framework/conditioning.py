"""By how much the arithmetic of a comparison may amplify rounding, and the reasons that state it."""

import numpy as np
from jaxtyping import Float

from theory_checks.framework import definitions
from theory_checks.framework.registry import largest

LEAST_SQUARES_REASON = (
    "200 eps, times the condition of the second moment about the mean, or of [h; 1] at equal scales, plus lambda"
)
INVARIANCE_REASON = (
    "200 eps, times the largest condition of Sigma_W, Sigma_T, and the second moment of [h; 1] at equal scales"
)
WITHIN_REASON = "200 eps, times the condition of Sigma_W and, for covariances, the size of the class means beside it"
CENTRED_REASON = (
    "200 eps, times the condition of Sigma_W, and what cancels in the centred class means or in products of features"
)


def condition(F: Float[np.ndarray, "P n"], lam: float) -> float:
    """Condition of the least squares: that of the second moment about the mean, and of [h; 1] at equal scales."""
    F_ext, mu_G = definitions.extend(F), np.mean(F, axis=1)
    F_bar = F - mu_G[:, None]
    about_mean = F_bar @ F_bar.T / F.shape[1] + lam / (1 + lam) * np.outer(mu_G, mu_G) + lam * np.eye(len(F))
    second = F_ext @ F_ext.T / F.shape[1] + lam * np.eye(len(F_ext))
    scales = np.sqrt(np.diag(second))
    return max(_on_range(about_mean), _on_range(second / np.outer(scales, scales)))


def _on_range(A: Float[np.ndarray, "P P"]) -> float:
    """Condition of a positive semidefinite matrix on its range."""
    w = np.linalg.eigvalsh(A)
    return float(w[-1] / w[w > 1e-13 * w[-1]][0])


def cancelled(H: Float[np.ndarray, "P C N"]) -> float:
    """How much larger the features' entries are than what remains of the class means after centring; at least 1."""
    M = H.mean(axis=2)
    return max(1.0, largest(H) / largest(M - M.mean(axis=1, keepdims=True)))
