"""The paper's definitions, written out in NumPy as they are printed: what the checks hold `central_path` against.

Nothing here is shared with the package: features are stacked into P x CN matrices in i-then-c order, means are taken
label by label, classifiers come from an orthogonal factorisation of the data matrix instead of normal equations, and
roots from an eigendecomposition. Slow and plain on purpose.

Source: Han, Papyan & Donoho (2022), Section 1.1, Equations 1 to 3, 6, 8, 16 to 18 and 21, Definition 5.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


def stack(H: Float[np.ndarray, "P C N"]) -> Float[np.ndarray, "P C*N"]:
    """The P x CN matrix of features (P, C, N)."""
    return np.stack([H[:, c, i] for c in range(H.shape[1]) for i in range(H.shape[2])], axis=1)


def labels_of(H: Float[np.ndarray, "P C N"]) -> Int[np.ndarray, " C*N"]:
    """Labels of the columns of `stack(H)`."""
    return np.array([c for c in range(H.shape[1]) for _ in range(H.shape[2])])


def one_hot(labels: Int[np.ndarray, " n"], C: int) -> Float[np.ndarray, "{C} n"]:
    """Y, C x n."""
    Y = np.zeros((C, len(labels)))
    for column, label in enumerate(labels):
        Y[label, column] = 1.0
    return Y


def extend(F: Float[np.ndarray, "P n"]) -> Float[np.ndarray, "P+1 n"]:
    """Columns [h; 1]."""
    return np.vstack([F, np.ones((1, F.shape[1]))])


class Statistics(NamedTuple):
    """Means and covariances of columns F with labels, by their definitions."""

    mu_G: Float[np.ndarray, " P"]
    M: Float[np.ndarray, "P C"]
    Mbar: Float[np.ndarray, "P C"]
    Sigma_W: Float[np.ndarray, "P P"]
    Sigma_B: Float[np.ndarray, "P P"]
    Sigma_T: Float[np.ndarray, "P P"]
    pi: Float[np.ndarray, " C"]


def statistics(F: Float[np.ndarray, "P n"], labels: Int[np.ndarray, " n"], C: int) -> Statistics:
    """Equation 1 and its neighbours, for any class sizes (Ave is over examples)."""
    n = F.shape[1]
    mu_G = sum(F[:, i] for i in range(n)) / n
    M = np.stack([np.mean(F[:, labels == c], axis=1) for c in range(C)], axis=1)
    Sigma_W = sum(np.outer(F[:, i] - M[:, labels[i]], F[:, i] - M[:, labels[i]]) for i in range(n)) / n
    Sigma_B = sum(np.outer(M[:, label] - mu_G, M[:, label] - mu_G) for label in labels) / n
    Sigma_T = sum(np.outer(F[:, i] - mu_G, F[:, i] - mu_G) for i in range(n)) / n
    pi = np.array([np.mean(labels == c) for c in range(C)])
    return Statistics(mu_G, M, M - mu_G[:, None], np.asarray(Sigma_W), np.asarray(Sigma_B), np.asarray(Sigma_T), pi)


def statistics_of(H: Float[np.ndarray, "P C N"]) -> Statistics:
    """The same of features (P, C, N)."""
    return statistics(stack(H), labels_of(H), H.shape[1])


def mse(
    W_ext: Float[np.ndarray, "C P"], F_ext: Float[np.ndarray, "P n"], Y: Float[np.ndarray, "C n"], lam: float
) -> float:
    """Equation 3: half the mean over examples of the squared error, plus weight decay."""
    errors = [np.sum((W_ext @ F_ext[:, i] - Y[:, i]) ** 2) for i in range(F_ext.shape[1])]
    return 0.5 * float(np.mean(errors)) + 0.5 * lam * float(np.sum(W_ext**2))


def least_squares(F_ext: Float[np.ndarray, "P n"], Y: Float[np.ndarray, "C n"], lam: float) -> Float[np.ndarray, "C P"]:
    """W~_LS from the data matrix itself: a minimum of || [F~^T/sqrt(n); sqrt(lam) I] W^T - [Y^T/sqrt(n); 0] ||.

    Its columns are brought to norm 1 first, so that the scales of the features against the 1 of [h; 1] cost no digits.
    """
    n = F_ext.shape[1]
    A = np.vstack([F_ext.T / np.sqrt(n), np.sqrt(lam) * np.eye(len(F_ext))])
    B = np.vstack([Y.T / np.sqrt(n), np.zeros((len(F_ext), len(Y)))])
    norms = np.linalg.norm(A, axis=0)
    return (np.linalg.lstsq(A / norms[None, :], B, rcond=None)[0] / norms[:, None]).T


def root(Sigma: Float[np.ndarray, "P P"], power: float) -> Float[np.ndarray, "P P"]:
    """Symmetric power of a positive definite matrix."""
    w, U = np.linalg.eigh(Sigma)
    return U @ np.diag(w**power) @ U.T


def centre_classes(Z: Float[np.ndarray, "P n"], labels: Int[np.ndarray, " n"], C: int) -> Float[np.ndarray, "P n"]:
    """Z Gamma with the class-centring matrix of Equation 21, which is a class mean away from Z, over CN."""
    out = np.array(Z)
    for c in range(C):
        out[:, labels == c] -= np.mean(Z[:, labels == c], axis=1, keepdims=True)
    return out / Z.shape[1]


def simplex(C: int) -> Float[np.ndarray, "{C} {C}"]:
    """Phi = I - 11^T/C."""
    return np.eye(C) - np.ones((C, C)) / C


class Aligned(NamedTuple):
    """SNR matrix, its singular value decomposition with C columns, and the aligned features of Definition 5."""

    snr: Float[np.ndarray, "P C"]
    U: Float[np.ndarray, "P r"]
    omega: Float[np.ndarray, " C-1"]
    V: Float[np.ndarray, "C C"]
    X: Float[np.ndarray, "r C*N"]
    Y: Float[np.ndarray, "C C*N"]


def svd_of_snr(
    SNR: Float[np.ndarray, "P C"],
) -> tuple[Float[np.ndarray, "P r"], Float[np.ndarray, " K"], Float[np.ndarray, "C C"]]:
    """U (P, C), omega (C-1,), V (C, C) with the null vector 1/sqrt(C) last, as Definition 2 orders them; P >= C."""
    P, C = SNR.shape
    basis = np.linalg.qr(np.column_stack([np.ones(C), np.eye(C)[:, : C - 1]]))[0]
    U, omega, Vt = np.linalg.svd(SNR @ basis[:, 1:])
    return U[:, : min(C, P)], omega, np.column_stack([basis[:, 1:] @ Vt.T, basis[:, 0]])


def align(H: Float[np.ndarray, "P C N"]) -> Aligned:
    """U^T Sigma_W^(-1/2) Hbar (V kron I_N), Definition 5."""
    _, C, N = H.shape
    s = statistics_of(H)
    whiten = root(s.Sigma_W, -0.5)
    U, omega, V = svd_of_snr(whiten @ s.Mbar)
    X = U.T @ whiten @ (stack(H) - s.mu_G[:, None]) @ np.kron(V, np.eye(N))
    return Aligned(whiten @ s.Mbar, U, omega, V, X, one_hot(labels_of(H), C))


def targets_of(H: Float[np.ndarray, "P C N"]) -> Float[np.ndarray, "C C*N"]:
    """Y of features."""
    return one_hot(labels_of(H), H.shape[1])


def classifier_of(H: Float[np.ndarray, "P C N"]) -> Float[np.ndarray, "C P+1"]:
    """W~_LS of features at lambda = 0, from the data matrix."""
    return least_squares(extend(stack(H)), targets_of(H), 0.0)


def least_loss(F_ext: Float[np.ndarray, "P n"], Y: Float[np.ndarray, "C n"]) -> float:
    """L_LS at lambda = 0: the loss of W~_LS."""
    return mse(least_squares(F_ext, Y, 0.0), F_ext, Y, 0.0)


def collapse_metrics(
    M: Float[np.ndarray, "P C"], W: Float[np.ndarray, "C P"], b: Float[np.ndarray, " C"], h: Float[np.ndarray, "n P"]
) -> dict[str, float]:
    """NC2 to NC4 of Section 1.1, written out."""
    C = M.shape[1]
    Mbar = M - M.mean(axis=1, keepdims=True)
    norms = [np.linalg.norm(Mbar[:, c]) for c in range(C)]
    cosines = [Mbar[:, i] @ Mbar[:, j] / norms[i] / norms[j] for i in range(C) for j in range(C) if i != j]
    duality = np.linalg.norm(W.T / np.linalg.norm(W) - Mbar / np.linalg.norm(Mbar)) ** 2
    differ = [
        int(
            np.argmax([W[c] @ x + b[c] for c in range(C)]) != np.argmin([np.linalg.norm(x - M[:, c]) for c in range(C)])
        )
        for x in h
    ]
    return {
        "equinorm": float(np.std(norms) / np.mean(norms)),
        "equiangularity": float(np.std(cosines)),
        "max_angle": float(np.mean([abs(cosine + 1 / (C - 1)) for cosine in cosines])),
        "self_duality": float(duality),
        "ncc_mismatch": float(np.mean(differ)),
    }
