"""From labelled features of any class sizes and any rank to a start of the general central path.

The features are turned into an orthonormal basis of the range of Sigma_T (of all second moments where the global mean
counts), in which Sigma_W is diagonal. Directions in which nothing varies cost nothing. Directions in which class means
differ and no example differs from its class mean are counted: there omega is infinite.

NumPy only.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from central_path.metrics.resolved import DOUBLE, Rounding
from central_path.metrics.samples import check_samples, moments_of_rows
from central_path.metrics.snr import Moments


@dataclass(frozen=True)
class GeneralStart:
    """Features (n, P), class by class, in a basis of their range, and their class means M (P, C).

    Sigma_W = diag(w, 0), w (r,) in descending order. `infinite` is P - r, the number of infinite omega;
    `infinite_share` what of |Mbar|^2 lies in those directions. `P_input` are the dimensions as given, `order` the rows
    of the input.
    """

    features: Float[np.ndarray, "n P"]
    labels: Int[np.ndarray, " n"]
    order: Int[np.ndarray, " n"]
    M: Float[np.ndarray, "P C"]
    w: Float[np.ndarray, " r"]
    pi: Float[np.ndarray, " C"]
    P_input: int
    infinite_share: float

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.labels)

    @property
    def infinite(self) -> int:
        """Number of directions with class-mean signal and no within-class variance."""
        return len(self.M) - len(self.w)

    @property
    def Mbar(self) -> Float[np.ndarray, "P C"]:
        """Class means about the global mean."""
        return self.M - (self.M @ self.pi)[:, None]


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
    rest = np.linalg.svd(turn, full_matrices=True)[0][:, turn.shape[1] :]
    spread = rest.T @ axes.T @ M
    U, s, _ = np.linalg.svd(spread, full_matrices=False)
    rest = rest @ U[:, s > np.sqrt(rounding.total.sum()) + max(M.shape) * DOUBLE * np.max(np.abs(M))]
    E, scale = E @ turn, largest / np.max(np.abs(read.features))
    axes_M = axes.T @ M
    M = np.concatenate([turn.T @ axes_M, rest.T @ axes_M])
    Mbar = M - (M @ m.pi)[:, None]
    share = float(np.sum(Mbar[len(w) :] ** 2) / np.sum(Mbar**2)) if Mbar.any() else 0.0
    H = M.T[codes]
    H[:, : len(w)] += E
    return GeneralStart(scale * H, codes, order, scale * M, scale**2 * w, m.pi, read.features.shape[1], share)


def _resolved(w: np.ndarray, axes: np.ndarray, rounding: Rounding) -> np.ndarray:
    return w > rounding.along(axes) + len(axes) * DOUBLE * np.max(w, initial=0.0)


def renormalized(start: GeneralStart, beta: float) -> GeneralStart:
    """The start with Sigma_W + beta Sigma_B = I, which has the same omega.

    Raises:
        ValueError: if that matrix is singular.
    """
    Mbar = start.Mbar
    root = np.zeros((len(Mbar), len(start.w)))
    np.fill_diagonal(root, np.sqrt(start.w))
    U, s, _ = np.linalg.svd(np.concatenate([root, np.sqrt(beta * start.pi) * Mbar], axis=1), full_matrices=False)
    if s[-1] <= len(s) * DOUBLE * s[0]:
        raise ValueError(
            f"Need within-class variance in every direction in which class means differ, got {start.infinite} of "
            f"{len(Mbar)} directions without: Sigma_W^(-1/2) does not exist; give the unnormalized flow with b > 0, "
            "or drop those directions."
        )
    features = start.features @ (U / s)
    return replace_features(start, features)


def replace_features(start: GeneralStart, features: Float[np.ndarray, "n P"]) -> GeneralStart:
    """Other features of the same examples, turned so that Sigma_W is diagonal."""
    m = moments_of_rows(features, start.labels, len(start.pi))
    w, turn = _axes(features - m.M.T[start.labels])
    r = len(start.w)
    if turn.shape[1] < len(turn) or r < len(turn):
        turn = np.concatenate([turn[:, :r], np.linalg.svd(turn[:, :r])[0][:, r:]], axis=1)
    moments = Moments(turn.T @ m.M, np.diag(w), m.pi)
    return GeneralStart(
        features @ turn,
        start.labels,
        start.order,
        moments.M,
        w[:r],
        m.pi,
        start.P_input,
        start.infinite_share,
    )
