"""The assumptions of the laws, measured at every epoch, beside the values for unrelated epochs.

    A1          L_LS_perp / L_LS: 0 on the central path
    A2          |W mu_G + b - pi| / |pi|: 0 where the bias is that of least squares and lambda = 0
    V turns     the singular vectors of the SNR matrix are constant under every law: mean over j of |v_j . v_j(t_0)|,
                paired by rank, 1 if none turns, sqrt(2/(pi (C - 1))) or so by chance; largest principal angle between
                the spans of the first half of the v_j
    U turns     the largest principal angle between the spans, in feature space, of all left singular vectors
    E frozen    mean squared cosine of the principal angles between the row spaces of the within-class part E (P, n) of
                the features at t_0 and t, a measure that no linear map of the features changes: 1 if frozen,
                rank/(n - C) by chance

t_0 is the first epoch of the window. The first three come from the rows of a run; U and E need its saved features.

Source: Han, Papyan & Donoho (2022), (A1), (A2) of Section 3.1; Lemmas 3 and 5.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import subspace_angles
from scipy.special import gammaln

from deepnet_runs.storage.row import Row

KEYS = (
    "loss_ls_perp_over_loss_ls",
    "mean_output_gap",
    "overlap_V",
    "chance_V",
    "angle_V",
    "angle_U",
    "overlap_E",
    "chance_E",
)
RANK = 1e-5  # of the largest singular value: what float32 features can tell from 0


def within_class(features: Float[np.ndarray, "n P"], labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n P"]:
    """Features less their class means, in float64."""
    E = features.astype(np.float64)
    for c in np.unique(labels):
        E[labels == c] -= E[labels == c].mean(axis=0)
    return E


def overlap(Q: Float[np.ndarray, "n r"], Q0: Float[np.ndarray, "n r0"]) -> float:
    """Mean squared cosine of the principal angles between two row spaces."""
    return float(np.sum((Q.T @ Q0) ** 2) / min(Q.shape[1], Q0.shape[1]))


def chance_overlap(n: int) -> float:
    """E|cos| of the angle between independent, uniformly distributed unit vectors in R^n: 0.273 for n = 9.

    Gamma(n/2) / (sqrt(pi) Gamma((n + 1)/2)), for n >= 1.
    """
    return float(np.exp(gammaln(n / 2) - gammaln((n + 1) / 2)) / np.sqrt(np.pi))


class Frame(NamedTuple):
    """Left singular vectors U (P, K) of Sigma_W^(-1/2) Mbar, and an orthonormal basis Q (n, r) of E's row space."""

    U: Float[np.ndarray, "P K"]
    Q: Float[np.ndarray, "n r"]


def frame(features: Float[np.ndarray, "n P"], labels: Int[np.ndarray, " n"]) -> Frame:
    """U and Q from one decomposition of E, on the range of Sigma_W."""
    E = within_class(features, labels)
    M = np.stack([features[labels == c].astype(np.float64).mean(axis=0) for c in np.unique(labels)], axis=1)
    Q, s, Vt = np.linalg.svd(E, full_matrices=False)
    kept = s > RANK * s[0]
    root = (Vt[kept].T * (np.sqrt(len(E)) / s[kept])) @ Vt[kept]
    U = np.linalg.svd(root @ (M - M.mean(axis=1, keepdims=True)), full_matrices=False)[0]
    return Frame(U[:, : min(M.shape[1] - 1, int(kept.sum()))], Q[:, kept])


def largest_angle(A: Float[np.ndarray, "m r"], B: Float[np.ndarray, "m r"]) -> float:
    """The largest principal angle between two spans, in degrees."""
    return float(np.degrees(np.max(subspace_angles(A, B))))


def of_rows(rows: Sequence[Row]) -> dict[str, list[float]]:
    """A1, A2, and how far V has turned, of every row of a window."""
    Vs = [np.array(row.snr_right).T for row in rows]
    half = Vs[0].shape[1] // 2
    return {
        "loss_ls_perp_over_loss_ls": [row.loss_ls_perp / (row.loss_nc1 + row.loss_nc23) for row in rows],
        "mean_output_gap": [row.mean_output_gap for row in rows],
        "overlap_V": [float(np.mean(np.abs(np.sum(V * Vs[0], axis=0)))) for V in Vs],
        "chance_V": [chance_overlap(Vs[0].shape[1])] * len(Vs),
        "angle_V": [largest_angle(V[:, :half], Vs[0][:, :half]) for V in Vs],
    }


def _file(folder: Path, epoch: int) -> Path:
    return folder / "features" / f"epoch_{epoch:04d}.npz"


def _load(file: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(file) as arrays:
            return arrays["features"], arrays["labels"]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"Need features of a run, got {file}: {error}.") from error


def saved_dimension(folder: Path, epoch: int) -> int | None:
    """P of the features that a run has saved at an epoch, or None if it has saved none.

    Raises:
        ValueError: if the file cannot be read.
    """
    file = _file(folder, epoch)
    return _load(file)[0].shape[1] if file.is_file() else None


def of_features(folder: Path, epochs: list[int]) -> dict[str, list[float]]:
    """How far U has turned and how frozen E is, of a run's saved features; empty if one of the epochs is not saved.

    Raises:
        ValueError: if a file cannot be read, or the examples are not the same at every epoch.
    """
    files = [_file(folder, epoch) for epoch in epochs]
    if not all(file.is_file() for file in files):
        return {}
    first: tuple[np.ndarray, Frame] | None = None
    found: dict[str, list[float]] = {"angle_U": [], "overlap_E": [], "chance_E": []}
    for file in files:
        features, labels = _load(file)
        now = frame(features, labels)
        first = first or (labels, now)
        if not np.array_equal(labels, first[0]):
            raise ValueError(
                f"Need the same examples at every epoch, got other labels in {file}: measure the run anew."
            )
        found["angle_U"].append(largest_angle(now.U, first[1].U))
        found["overlap_E"].append(overlap(now.Q, first[1].Q))
        rank = max(now.Q.shape[1], first[1].Q.shape[1])
        found["chance_E"].append(rank / (len(labels) - len(np.unique(labels))))
    return found
