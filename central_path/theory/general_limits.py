"""Where the general central path ends: the geometry of class means for any priors, with and without decay.

All Gram matrices here are of class means weighted by the roots of the priors, D^(1/2) Mbar^T Mbar D^(1/2), (C, C). With
P_s = I - s s^T, s = pi^(1/2), and T = P_s D P_s, for P >= C - 1:

    decays lambda of W and lambda_H of the features, bias not decayed: the minimum over W, H and b. With the eigenvalues
    tau_j of T, W M D^(1/2) is soft-thresholded,

        z_j = (tau_j^(1/2) - (n lambda lambda_H)^(1/2))_+        Gram = (lambda/(n lambda_H))^(1/2) V diag(z) V^T

    so a direction of small classes is lost for ever once n lambda lambda_H >= tau_j (balanced: C c >= 1, as for all of
    them); as lambda lambda_H -> 0 the Gram is proportional to T^(1/2)

    no decay, Sigma_W = I kept:      riemannian      Gram -> (4 t T/n)^(1/2)
                                     renormalized    Gram -> 2 b t T/n
    lambda > 0 alone, the classifier's, bias not decayed, unnormalized with b > 0: Sigma_W -> 0 in the directions of the
    class means, Gram -> (4 lambda t T/n)^(1/2): no finite end

For equal priors T = (I - 11^T/C)/C, and every one of them is a Simplex ETF. The SELI geometry of Thrampoulidis et al.
(2022), the end state of cross-entropy without bias as decay vanishes, is ((I - 11^T/C) D (I - 11^T/C)) taken from the
side of the examples: Gram = (D^(1/2) (I - 11^T/C) D^(1/2))^(1/2). With squared error and a bias the one-hot targets are
centred by the priors instead, which for unequal priors is another geometry.

NumPy only. Source: derived here; Thrampoulidis, Kini, Vakilian & Behnia (2022), arXiv 2208.05512, for SELI.
"""

import numpy as np
from jaxtyping import Float


def centred_targets(pi: Float[np.ndarray, " C"]) -> Float[np.ndarray, "C C"]:
    """T = P_s D P_s."""
    s = np.sqrt(pi)
    P_s = np.eye(len(pi)) - np.outer(s, s)
    return P_s @ (pi[:, None] * P_s)


def power(A: Float[np.ndarray, "C C"], exponent: float) -> Float[np.ndarray, "C C"]:
    """A power of a symmetric matrix >= 0."""
    w, V = np.linalg.eigh(A)
    return (V * np.maximum(w, 0.0) ** exponent) @ V.T


def late_gram(
    pi: Float[np.ndarray, " C"], t: float, *, n: int, flow: str, b: float = 1.0, lam: float = 0.0
) -> Float[np.ndarray, "C C"]:
    """The Gram matrix at a late time t: of the flows that keep Sigma_W = I at lam = 0, of `unnormalized` at lam > 0.

    Raises:
        ValueError: for another flow, or `unnormalized` at lam = 0, whose end depends on its start.
    """
    T = centred_targets(pi)
    if flow == "renormalized":
        return 2 * b * t / n * T
    if flow not in ("riemannian", "unnormalized") or (flow == "unnormalized" and lam == 0):
        raise ValueError(f"Need riemannian, renormalized, or unnormalized with lam > 0, got {flow!r}, lam = {lam}.")
    return power(4 * (lam if flow == "unnormalized" else 1.0) * t / n * T, 0.5)


def decayed_gram(pi: Float[np.ndarray, " C"], *, n: int, lam: float, lam_H: float) -> Float[np.ndarray, "C C"]:
    """The Gram matrix at the minimum with decays lam of the classifier and lam_H of every example's features.

    Raises:
        ValueError: unless both decays are positive.
    """
    if not (lam > 0 and lam_H > 0):
        raise ValueError(f"Need lam > 0 and lam_H > 0, got {lam} and {lam_H}: without both there is no finite end.")
    tau, V = np.linalg.eigh(centred_targets(pi))
    z = np.maximum(np.sqrt(np.maximum(tau, 0.0)) - np.sqrt(n * lam * lam_H), 0.0)
    return np.sqrt(lam / (n * lam_H)) * (V * z) @ V.T


def seli_gram(pi: Float[np.ndarray, " C"]) -> Float[np.ndarray, "C C"]:
    """The SELI geometry of the means, up to a factor (means not centred)."""
    C, s = len(pi), np.sqrt(pi)
    return power(s[:, None] * (np.eye(C) - 1 / C) * s[None, :], 0.5)


def norms_and_cosines(
    gram: Float[np.ndarray, "C C"], pi: Float[np.ndarray, " C"]
) -> tuple[Float[np.ndarray, " C"], Float[np.ndarray, "C C"]]:
    """Norms of the class means, and cosines between them."""
    s = np.sqrt(pi)
    plain = gram / np.outer(s, s)
    norms = np.sqrt(np.diagonal(plain))
    return norms, plain / np.outer(norms, norms)
