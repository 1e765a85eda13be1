"""What features resolve: ranks judged at the precision in which they came, and what follows from the ranges.

A stored number h carries a rounding of up to eps |h| / 2, of its own, and what a network computed in float32 or less
carries more, which may point the same way in all coordinates (a LayerNorm subtracts one rounded mean from all of them).
So along a unit vector u the features have a variance of rounding of at most

    sum_p u_p^2 r_p^2,    r_p^2 = Ave h_p^2 (eps^2/4 + 64 P eps'^2),    eps' = min(eps, eps of float32)

A direction is resolved if its variance is larger than that, and than P eps(float64) times the largest, the rounding of
the arithmetic here. Covariances are scaled to correlations before: no unit of a coordinate decides.

Where Sigma_W is singular, SNR stands for its limit as Sigma_W + delta I, delta -> 0+. With an orthonormal basis of the
range of Sigma_W and one of its orthogonal complement, SNR = [A; B/delta^(1/2)]: rank(B) singular values are infinite,
the others are those of A on the kernel of B. Any positive definite matrix in the place of I gives the same limit.

NumPy and SciPy only. Source: Han, Papyan & Donoho (2022), Definition 2; the limit is derived here.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from central_path.metrics.snr import Moments, contrasts_of, singular_values

DOUBLE = float(np.finfo(np.float64).eps)
SINGLE = float(np.finfo(np.float32).eps)
COMPUTED = 64.0  # variance of the rounding of a network's last steps, in eps'^2: eight rounding errors


class Rounding(NamedTuple):
    """Variances of the rounding of features, by coordinate: of each on its own, and of what all may share."""

    own: Float[np.ndarray, " P"]
    shared: Float[np.ndarray, " P"]

    @classmethod
    def of(cls, m: Moments, eps: float) -> "Rounding":
        """Of features with moments m that came with the precision eps."""
        square = np.diag(m.Sigma_W) + m.M**2 @ m.pi
        return cls(square * eps**2 / 4, square * COMPUTED * min(eps, SINGLE) ** 2)

    @property
    def total(self) -> Float[np.ndarray, " P"]:
        """Both, of single coordinates."""
        return self.own + self.shared

    def along(self, U: Float[np.ndarray, "P r"]) -> Float[np.ndarray, " r"]:
        """The most along each column of U."""
        return (self.own + len(U) * self.shared) @ U**2

    def scaled(self, scale: Float[np.ndarray, " L"], live: Bool[np.ndarray, " P"]) -> "Rounding":
        """Of the coordinates `live` of features over their scale."""
        return Rounding(self.own[live] / scale**2, self.shared[live] / scale**2)


class ResolvedRange(NamedTuple):
    """Range of a covariance S: coordinates `live`, their `scale`, and eigenpairs of the correlations that resolve it.

    S = diag(scale) V diag(w) V^T diag(scale) on the live coordinates, which are all but those that do not vary.
    """

    live: Bool[np.ndarray, " P"]
    scale: Float[np.ndarray, " L"]
    w: Float[np.ndarray, " r"]
    V: Float[np.ndarray, "L r"]
    rounding: Rounding  # of the live coordinates, scaled
    arithmetic: float  # variance of the rounding of the correlations

    @property
    def rank(self) -> int:
        """Dimension of the range."""
        return len(self.w)

    def whiten(self, A: Float[np.ndarray, "P k"]) -> Float[np.ndarray, "r k"]:
        """T A with T^T T the pseudo-inverse of S (as far as A lies in the range)."""
        return (self.V / np.sqrt(self.w)).T @ (A[self.live] / self.scale[:, None])

    def solve(self, B: Float[np.ndarray, "P k"]) -> Float[np.ndarray, "P k"]:
        """The X of least norm in the range of S with S X = B, for B in the range."""
        X = np.zeros_like(B)
        X[self.live] = self.V @ (self.whiten(B) / np.sqrt(self.w)[:, None]) / self.scale[:, None]
        if self.rank < len(B):
            basis = np.linalg.qr(self.scale[:, None] * self.V)[0]
            X[self.live] = basis @ (basis.T @ X[self.live])
        return X

    def outside(self, A: Float[np.ndarray, "P k"], rounding: Rounding) -> Float[np.ndarray, "P k"]:
        """What of A lies outside the range, each coordinate in standard deviations of its rounding."""
        z = A[self.live] / self.scale[:, None]
        size = np.linalg.norm(z, axis=0).max(initial=0)
        spread = self.w.max(initial=0) / self.w.min(initial=np.inf) if self.rank else 0.0
        turned = self.arithmetic * spread * size  # rounding turns the range a little, and A seems to leave it
        variance = self.rounding.own + len(z) * self.rounding.shared + self.arithmetic + turned**2
        rest = np.zeros_like(A)
        rest[self.live] = (z - self.V @ (self.V.T @ z)) / np.sqrt(variance)[:, None]
        dead = ~self.live & (rounding.total > 0)
        rest[dead] = A[dead] / np.sqrt(rounding.total[dead])[:, None]
        return rest


def resolved_range(S: Float[np.ndarray, "P P"], rounding: Rounding, *, n: int | None = None) -> ResolvedRange:
    """The range of a covariance S at the precision of the features; n, the number of examples, may spare work."""
    variance = np.diag(S)
    live = variance > rounding.total
    scale = np.sqrt(variance[live])
    scaled = rounding.scaled(scale, live)
    w, V = _eigh(S[np.ix_(live, live)] / np.outer(scale, scale), n)
    arithmetic = len(scale) * DOUBLE * float(w.max(initial=0))
    kept = w > scaled.along(V) + arithmetic
    return ResolvedRange(live, scale, w[kept], V[:, kept], scaled, arithmetic)


def _eigh(S: Float[np.ndarray, "P P"], n: int | None) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, "P r"]]:
    """Eigenvalues and eigenvectors of a covariance, of n < P examples by pivoted Cholesky: S = F F^T, F (P, r).

    They are those of the small F^T F = V diag(w) V^T, as F V / sqrt(w).
    """
    if n is None or n >= len(S):
        return np.linalg.eigh(S)
    from scipy.linalg import get_lapack_funcs  # the import takes longer than most measurements

    (pstrf,) = get_lapack_funcs(("pstrf",), (S,))
    lower, pivots, r, _ = pstrf(S, lower=1)
    F = np.zeros((len(S), r))
    F[pivots - 1] = np.tril(lower)[:, :r]
    w, V = np.linalg.eigh(F.T @ F)
    positive = w > 0
    return w[positive], F @ V[:, positive] / np.sqrt(w[positive])


class Between(NamedTuple):
    """Singular values s of Mbar diag(pi)^(1/2), min(P, C - 1) of them, and those below `tolerance` are rounding."""

    s: Float[np.ndarray, " K"]
    tolerance: float

    @property
    def rank(self) -> int:
        """Rank of Sigma_B."""
        return int(np.count_nonzero(self.s > self.tolerance))

    @property
    def condition(self) -> float:
        """Condition number of Sigma_B on a space of dimension min(P, C - 1): infinite if its rank is lower."""
        return float((self.s[0] / self.s[-1]) ** 2) if self.rank == len(self.s) else np.inf


def between(m: Moments, rounding: Rounding) -> Between:
    """The spectrum of Sigma_B."""
    s = np.linalg.svd(m.Mbar * np.sqrt(m.pi), compute_uv=False)[: len(m.pi) - 1]
    return Between(s, float(np.sqrt(rounding.total.sum()) + max(m.M.shape) * DOUBLE * s.max(initial=0)))


class SNR(NamedTuple):
    """The SNR matrix Sigma_W^(-1/2) Mbar = U diag(omega) V^T, in the limit where Sigma_W is singular.

    omega has K = min(P, C - 1) values, descending: `infinite` times infinity, and zeros beyond the rank of Mbar.
    """

    omega: Float[np.ndarray, " K"]
    V: Float[np.ndarray, "C K"] | None
    rank: int  # of Sigma_W
    infinite: int


def snr(m: Moments, rounding: Rounding, *, n: int | None = None, vectors: bool = False) -> SNR:
    """The singular values, and if asked for the right singular vectors, the entry of largest size of each positive.

    Vectors of singular values that are zero are zero.
    """
    P, C = m.M.shape
    K, rank = min(P, C - 1), between(m, rounding).rank
    within = resolved_range(m.Sigma_W, rounding, n=n)
    A, basis, infinite, null = within.whiten(m.Mbar), contrasts_of(m.pi), 0, np.eye(C - 1)
    lost = np.zeros((0, C - 1))
    if within.rank < P:
        _, s, Vt = np.linalg.svd(within.outside(m.Mbar, rounding) @ basis)
        infinite = min(int(np.count_nonzero(s > np.sqrt(P) + np.sqrt(C))), P - within.rank)
        lost, null = Vt[:infinite], Vt[infinite:].T
    omega = np.zeros(K)
    finite = min(within.rank, max(rank - infinite, 0), null.shape[1])
    omega[:infinite] = np.inf
    omega[infinite : infinite + finite] = singular_values(A, m.pi, null)[:finite]
    if not vectors:
        return SNR(omega, None, within.rank, infinite)
    V = np.zeros((C, K))
    found = np.linalg.svd(A @ basis @ null, full_matrices=False)[2][:finite] @ null.T
    V[:, : infinite + finite] = basis @ np.concatenate([lost, found]).T
    largest = np.take_along_axis(V, np.abs(V).argmax(axis=0)[None, :], axis=0)
    return SNR(omega, V * np.where(largest < 0, -1.0, 1.0), within.rank, infinite)
