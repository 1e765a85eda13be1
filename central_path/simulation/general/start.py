"""From labelled features of any class sizes and any rank, or from moments, to a start of the general central path.

The features are turned into an orthonormal basis of the range of Sigma_T (of all second moments where the global mean
counts), in which Sigma_W is diagonal. Directions in which nothing varies cost nothing. Directions in which class means
differ and no example differs from its class mean are counted: there omega is infinite.

NumPy only.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from central_path.metrics.resolved import DOUBLE, Rounding
from central_path.metrics.samples import check_samples, moments_of_rows
from central_path.metrics.snr import singular_values


@dataclass(frozen=True)
class GeneralStart:
    """Features (n, P), class by class, in an orthonormal `basis` of their range, and their class means M (P, C).

    Where only moments are known `features` is None. Sigma_W = diag(w, 0), w (r,) in descending order. `infinite` is the
    number of directions with class-mean signal and no within-class variance, which is that of infinite omega, and
    `infinite_share` what of |Mbar|^2 lies in them. `P_input` are the dimensions as given, `order` the input rows, and
    `basis` @ M the class means in the coordinates as given.
    """

    features: Float[np.ndarray, "n P"] | None
    labels: Int[np.ndarray, " n"]
    order: Int[np.ndarray, " n"]
    M: Float[np.ndarray, "P C"]
    w: Float[np.ndarray, " r"]
    pi: Float[np.ndarray, " C"]
    P_input: int
    infinite: int
    infinite_share: float
    basis: Float[np.ndarray, "Q P"]

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.labels)

    @property
    def Mbar(self) -> Float[np.ndarray, "P C"]:
        """Class means about the global mean."""
        return self.M - (self.M @ self.pi)[:, None]

    @property
    def omega(self) -> Float[np.ndarray, " K"]:
        """Omega, descending, where none is infinite."""
        return singular_values(self.Mbar[: len(self.w)] / np.sqrt(self.w)[:, None], self.pi)


def _axes(rows: Float[np.ndarray, "n P"]) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, "P K"]]:
    """Variances rows^T rows/n along principal axes, and the axes, from singular values, which keep small ones."""
    n, P = rows.shape
    _, s, Vt = np.linalg.svd(np.linalg.qr(rows, mode="r") if n > P else rows, full_matrices=False)
    return s**2 / n, Vt.T


def start_of_samples(features: Any, labels: Any, *, centred: bool = True) -> GeneralStart:
    """Read features (n, P) and labels (n,) as `check_samples` does, and turn them into their range.

    `centred` takes the global mean away, which changes no velocity where the bias does not decay.

    Raises:
        ValueError: as `check_samples`, or if all class means coincide or no example differs from its class mean.
    """
    read = check_samples(features, labels)
    largest = np.max(np.abs(np.asarray(features, dtype=np.float64)))
    order = np.argsort(read.codes, kind="stable")
    codes, counts = read.codes[order], read.counts
    rows = read.features[order]
    m = moments_of_rows(rows, codes, len(counts))
    rows = rows - m.mu_G[None, :] if centred else rows
    M = m.Mbar if centred else m.M
    rounding = Rounding.of(m, read.eps)
    variance, axes = _axes(rows)
    axes = axes[:, _resolved(variance, axes, rounding)]
    E = (rows - M.T[codes]) @ axes
    w, turn = _axes(E)
    kept = _resolved(w, axes @ turn, rounding) & (w > len(w) * DOUBLE * np.max(variance))
    if not kept.any():
        raise ValueError("Need within-class variability, got none: every example equals its class mean.")
    w, turn = w[kept], turn[:, kept]
    rest, infinite = _without_variance(M, axes, turn, m.pi, rounding)
    scale = largest / np.max(np.abs(read.features))
    basis = axes @ np.concatenate([turn, rest], axis=1)
    M = basis.T @ M
    H = M.T[codes]
    H[:, : len(w)] += E @ turn
    signal = np.sum((M - (M @ m.pi)[:, None]) ** 2, axis=1)
    share = float(np.sum(signal[len(w) : len(w) + infinite]) / np.sum(signal)) if infinite else 0.0
    P_input = read.features.shape[1]
    return GeneralStart(scale * H, codes, order, scale * M, scale**2 * w, m.pi, P_input, infinite, share, basis)


def start_of_moments(
    M: Float[np.ndarray, "P C"], root: Float[np.ndarray, "P P"], counts: Int[np.ndarray, " C"]
) -> GeneralStart:
    """From class means M, a factor of Sigma_W = root root^T of full rank, and class sizes: of mean 0, no features.

    Raises:
        ValueError: if Sigma_W is singular.
    """
    U, s, _ = np.linalg.svd(root)
    if s[-1] <= len(s) * DOUBLE * s[0]:
        raise ValueError(f"Need a within-class covariance of full rank, got singular values {s[0]:.3g} to {s[-1]:.3g}.")
    pi, labels = counts / counts.sum(), np.repeat(np.arange(len(counts)), counts)
    Mbar = U.T @ (M - (M @ pi)[:, None])
    return GeneralStart(None, labels, np.arange(len(labels)), Mbar, s**2, pi, len(M), 0, 0.0, U)


def _without_variance(
    M: Float[np.ndarray, "Q C"],
    axes: Float[np.ndarray, "Q P"],
    turn: Float[np.ndarray, "P r"],
    pi: Float[np.ndarray, " C"],
    rounding: Rounding,
) -> tuple[Float[np.ndarray, "P k"], int]:
    """Directions orthogonal to all deviations from class means: q of Mbar, then that of mu_G; and q.

    As in `metrics.resolved`, the class means' part outside is measured in units of the rounding of each coordinate.
    """
    rest = np.linalg.svd(turn, full_matrices=True)[0][:, turn.shape[1] :]
    outside = rest.T @ (axes.T @ M)
    mean = outside @ pi
    A = (outside - mean[:, None]) * np.sqrt(pi)
    unit = np.sqrt(rounding.own + len(M) * rounding.shared) + max(M.shape) * DOUBLE * np.max(np.abs(M))
    _, s, Vt = np.linalg.svd(axes @ (rest @ A) / unit[:, None], full_matrices=False)
    q = int(np.count_nonzero(s > np.sqrt(len(M)) + np.sqrt(len(pi))))
    U = np.linalg.qr(A @ Vt[:q].T)[0]
    mean = mean - U @ (U.T @ mean)
    size = np.linalg.norm(axes @ (rest @ mean) / unit)
    more = mean[:, None] / np.linalg.norm(mean) if size > np.sqrt(len(M)) else np.zeros((len(mean), 0))
    return rest @ np.concatenate([U, more], axis=1), q


def _resolved(w: np.ndarray, axes: np.ndarray, rounding: Rounding) -> np.ndarray:
    return w > rounding.along(axes) + len(axes) * DOUBLE * np.max(w, initial=0.0)


def renormalized(start: GeneralStart, beta: float) -> GeneralStart:
    """The start with Sigma_W + beta Sigma_B = I, which has the same omega, in the range of Sigma_T.

    Raises:
        ValueError: if that matrix is singular.
    """
    Mbar = start.Mbar[: len(start.w) + start.infinite]
    root = np.zeros((len(Mbar), len(start.w)))
    np.fill_diagonal(root, np.sqrt(start.w))
    U, s, _ = np.linalg.svd(np.concatenate([root, np.sqrt(beta * start.pi) * Mbar], axis=1), full_matrices=False)
    if s[-1] <= len(s) * DOUBLE * s[0]:
        raise ValueError(
            f"Need within-class variance in every direction in which class means differ, got {start.infinite} of "
            f"{len(Mbar)} directions without: Sigma_W^(-1/2) does not exist; give the unnormalized flow with b > 0, "
            "or drop those directions (--restrict-rank)."
        )
    change, r, features = U / s, len(start.w), None
    M, rows = change.T @ start.M[: len(Mbar)], root.T @ change
    if start.features is not None:  # their own moments, so that both have the same rounding
        features = start.features[:, : len(Mbar)] @ change
        M = moments_of_rows(features, start.labels, len(start.pi)).M
        rows = np.linalg.qr(features - M.T[start.labels], mode="r") / np.sqrt(start.n)
    _, roots, turn = np.linalg.svd(rows, full_matrices=r < rows.shape[1])
    features = None if features is None else features @ turn.T
    basis = start.basis[:, : len(Mbar)] @ U @ turn.T
    return replace(start, features=features, M=turn @ M, w=roots[:r] ** 2, basis=basis)
