"""How fast the SNR matrix changes with a velocity of the features, in the frame of its present singular vectors.

    SNR   = Sigma_W^(-1/2) Mbar = U diag(omega) V^T
    A     = U^T (dSNR/dt) V     (K, K)          diagonal: d omega_j/dt; off the diagonal: the turning of U and V

for dH/dt given, with the derivative of the symmetric root in the eigenvectors q_i and eigenvalues s_i of Sigma_W,

    q_i^T d(Sigma_W^(-1/2)) q_j = -(q_i^T dSigma_W q_j) / (s_i^(1/2) s_j^(1/2) (s_i^(1/2) + s_j^(1/2)))

A is linear in the velocity, does not change with the scale of the features, and needs nothing but the present frame.
Where Sigma_W is singular everything is restricted to its range, and what of the class means lies outside is reported.

Source: Han, Papyan & Donoho (2022), Definition 2 and Lemma 3; the comparison in the frame is this project's.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from central_path.metrics import resolved
from central_path.metrics.resolved import DOUBLE, Rounding
from central_path.metrics.snr import Moments

Matrix = Float[np.ndarray, "r k"]
SMALLEST = 1e-9  # of the largest omega: what is smaller has no direction of its own


def moments_of(H: Float[np.ndarray, "n P"], labels: Int[np.ndarray, " n"]) -> Moments:
    """Class means (P, C), Sigma_W and priors of features with labels 0 to C - 1."""
    counts = np.bincount(labels)
    M = class_means(H, labels)
    E = H - M[labels]
    return Moments(M.T, E.T @ E / len(H), counts / len(H))


def class_means(X: Float[np.ndarray, "n P"], labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, "C P"]:
    """Class means of the rows."""
    counts = np.bincount(labels)
    sums = np.zeros((len(counts), X.shape[1]))
    np.add.at(sums, labels, X)
    return sums / counts[:, None]


class Singular(NamedTuple):
    """The singular values and vectors of the SNR matrix, restricted to the range of Sigma_W, of dimension r.

    Attributes: as those of `SNRFrame`.
    """

    omega: Float[np.ndarray, " K"]
    U: Float[np.ndarray, "r K"]
    V: Float[np.ndarray, "C K"]
    basis: Float[np.ndarray, "P r"]
    s: Float[np.ndarray, " r"]
    Q: Float[np.ndarray, "r r"]
    signal_lost: float

    @classmethod
    def of(cls, m: Moments, n: int | None = None) -> "Singular":
        """Of moments in float64; n, the number of examples, may spare work.

        Raises:
            ValueError: if no direction has both within-class variance and differing class means.
        """
        within = resolved.resolved_range(m.Sigma_W, Rounding.of(m, DOUBLE), n=n)
        spread = np.zeros((len(m.M), within.rank))
        spread[within.live] = within.scale[:, None] * within.V
        basis = np.linalg.qr(spread)[0]
        Mbar = basis.T @ m.Mbar
        total = float(np.sum(m.Mbar**2 * m.pi))
        if within.rank == 0 or not np.any(Mbar):
            raise ValueError(
                "Need features that vary within classes and whose class means differ there, got none: no omega exists."
            )
        s, Q = np.linalg.eigh(basis.T @ m.Sigma_W @ basis)
        U, omega, Vt = np.linalg.svd((Q / np.sqrt(s)) @ Q.T @ Mbar, full_matrices=False)
        kept = omega[: len(m.pi) - 1] > SMALLEST * omega[0]
        K = int(np.count_nonzero(kept))
        lost = 1 - float(np.sum(Mbar**2 * m.pi)) / total
        return cls(omega[:K], U[:, :K], Vt[:K].T, basis, s, Q, max(lost, 0.0))


@dataclass(frozen=True)
class SNRFrame:
    """The singular frame of the SNR matrix of features H (n, P), restricted to the range of Sigma_W, of dimension r.

    Attributes:
        labels: (n,) from 0.
        pi: (C,) priors.
        omega: (K,) positive singular values, descending.
        U: (r, K) left singular vectors.
        V: (C, K) right singular vectors.
        basis: (P, r) orthonormal basis of the range of Sigma_W.
        E: (n, r) deviations from class means, in the eigenvectors of Sigma_W.
        s: (r,) eigenvalues of Sigma_W.
        Q: (r, r) its eigenvectors, in the basis.
        signal_lost: share of |Mbar|^2 outside the range, which no omega shows.
    """

    labels: Int[np.ndarray, " n"]
    pi: Float[np.ndarray, " C"]
    omega: Float[np.ndarray, " K"]
    U: Float[np.ndarray, "r K"]
    V: Float[np.ndarray, "C K"]
    basis: Float[np.ndarray, "P r"]
    E: Float[np.ndarray, "n r"]
    s: Float[np.ndarray, " r"]
    Q: Float[np.ndarray, "r r"]
    signal_lost: float

    @classmethod
    def of(cls, H: Float[np.ndarray, "n P"], labels: Int[np.ndarray, " n"]) -> "SNRFrame":
        """The frame of features in float64.

        Raises:
            ValueError: if no direction has both within-class variance and differing class means.
        """
        m = moments_of(H, labels)
        omega, U, V, basis, s, Q, lost = Singular.of(m, len(H))
        return cls(labels, m.pi, omega, U, V, basis, (H - m.M.T[labels]) @ basis @ Q, s, Q, lost)

    @property
    def N(self) -> int | None:
        """Examples in each class, or None if classes differ in size."""
        counts = np.bincount(self.labels)
        return int(counts[0]) if np.all(counts == counts[0]) else None

    @property
    def _weights(self) -> Float[np.ndarray, "r r"]:
        root = np.sqrt(self.s)
        return -1 / (root[:, None] * root[None, :] * (root[:, None] + root[None, :]))

    def change(self, velocity: Float[np.ndarray, "n P"]) -> Float[np.ndarray, "r K"]:
        """(dSNR/dt) V of dH/dt = velocity."""
        X = velocity @ self.basis @ self.Q
        cross = self.E.T @ X / len(X)
        Md = class_means(X, self.labels).T
        return self._change(cross, Md - (Md @ self.pi)[:, None])

    def _change(self, cross: np.ndarray, Md: np.ndarray) -> np.ndarray:
        """Of E^T dH/dt / n and the velocity of the centred class means, both in the eigenvectors; with leading axes."""
        turned = self._weights * (cross + np.swapaxes(cross, -1, -2))
        means = np.sqrt(self.s)[:, None] * (self.Q.T @ (self.U * self.omega))  # Q^T Mbar V
        return self.Q @ (turned @ means + (Md @ self.V) / np.sqrt(self.s)[:, None])

    def rates(self, velocity: Float[np.ndarray, "n P"]) -> Float[np.ndarray, "K K"]:
        """A = U^T (dSNR/dt) V of dH/dt = velocity."""
        return self.U.T @ self.change(velocity)

    def outside(self, velocity: Float[np.ndarray, "n P"]) -> float:
        """Share of |(dSNR/dt) V|^2 outside the span of U, where A does not see it."""
        change = self.change(velocity)
        return 1 - float(np.sum((self.U.T @ change) ** 2) / np.sum(change**2))

    def random_rates(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "count K K"]:
        """A of so many random velocities, independent standard normal in every feature of every example.

        E^T dH/dt and the class means' velocity are independent then, and are drawn themselves.
        """
        r, C, n = len(self.s), len(self.pi), len(self.labels)
        found = []
        for _ in range(count):
            cross = np.sqrt(self.s / n)[:, None] * rng.standard_normal((r, r))
            Md = rng.standard_normal((r, C)) / np.sqrt(self.pi * n)
            found.append(self.U.T @ self._change(cross, Md - (Md @ self.pi)[:, None]))
        return np.stack(found)
