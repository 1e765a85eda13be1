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

Array-namespace code, for NumPy and for tensors of PyTorch, which stay on their device; `snr` ends in NumPy, once what
is left is small. Source: Han, Papyan & Donoho (2022), Definition 2; the limit is derived here.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from central_path.metrics.namespace import namespace
from central_path.metrics.snr import Moments, between_factor, contrasts_of, singular_values, weighted_factor

DOUBLE = float(np.finfo(np.float64).eps)
SINGLE = float(np.finfo(np.float32).eps)
COMPUTED = 64.0  # variance of the rounding of a network's last steps, in eps'^2: eight rounding errors


class Rounding(NamedTuple):
    """Variances of the rounding of features, by coordinate: of each on its own, and of what all may share."""

    own: Float[Any, " P"]
    shared: Float[Any, " P"]

    @classmethod
    def of(cls, m: Moments, eps: float) -> "Rounding":
        """Of features with moments m that came with the precision eps."""
        square = namespace(m.M).linalg.diagonal(m.Sigma_W) + m.M**2 @ m.pi
        return cls(square * eps**2 / 4, square * COMPUTED * min(eps, SINGLE) ** 2)

    @property
    def total(self) -> Float[Any, " P"]:
        """Both, of single coordinates."""
        return self.own + self.shared

    def along(self, U: Float[Any, "P r"]) -> Float[Any, " r"]:
        """The most along each column of U."""
        return (self.own + len(U) * self.shared) @ U**2

    def scaled(self, scale: Float[Any, " L"], live: Bool[Any, " P"]) -> "Rounding":
        """Of the coordinates `live` of features over their scale."""
        return Rounding(self.own[live] / scale**2, self.shared[live] / scale**2)


class ResolvedRange(NamedTuple):
    """Range of a covariance S: coordinates `live`, their `scale`, and eigenpairs of the correlations that resolve it.

    S = diag(scale) V diag(w) V^T diag(scale) on the live coordinates, which are all but those that do not vary.
    """

    live: Bool[Any, " P"]
    scale: Float[Any, " L"]
    w: Float[Any, " r"]
    V: Float[Any, "L r"]
    rounding: Rounding  # of the live coordinates, scaled
    arithmetic: float  # variance of the rounding of the correlations

    @property
    def rank(self) -> int:
        """Dimension of the range."""
        return len(self.w)

    def whiten(self, A: Float[Any, "P k"]) -> Float[Any, "r k"]:
        """T A with T^T T the pseudo-inverse of S (as far as A lies in the range)."""
        return (self.V / self.w**0.5).T @ (A[self.live] / self.scale[:, None])

    def solve(self, B: Float[Any, "P k"]) -> Float[Any, "P k"]:
        """The X of least norm in the range of S with S X = B, for B in the range."""
        xp = namespace(B)
        X = xp.zeros_like(B)
        X[self.live] = self.V @ (self.whiten(B) / self.w[:, None] ** 0.5) / self.scale[:, None]
        if self.rank < len(B):
            basis = xp.linalg.qr(self.scale[:, None] * self.V)[0]
            X[self.live] = basis @ (basis.T @ X[self.live])
        return X

    def outside(self, A: Float[Any, "P k"], rounding: Rounding) -> Float[Any, "P k"]:
        """What of A lies outside the range, each coordinate in standard deviations of its rounding."""
        xp = namespace(A)
        z = A[self.live] / self.scale[:, None]
        size = _largest(xp.linalg.norm(z, axis=0))
        spread = _largest(self.w) / float(self.w.min()) if self.rank else 0.0
        turned = self.arithmetic * spread * size  # rounding turns the range a little, and A seems to leave it
        variance = self.rounding.own + len(z) * self.rounding.shared + self.arithmetic + turned**2
        rest = xp.zeros_like(A)
        rest[self.live] = (z - self.V @ (self.V.T @ z)) / variance[:, None] ** 0.5
        dead = ~self.live & (rounding.total > 0)
        rest[dead] = A[dead] / rounding.total[dead][:, None] ** 0.5
        return rest


def _largest(values: Float[Any, " k"]) -> float:
    """The largest of values that are not negative, 0 of none."""
    return float(values.max()) if len(values) else 0.0


def resolved_range(S: Float[Any, "P P"], rounding: Rounding, *, n: int | None = None) -> ResolvedRange:
    """The range of a covariance S at the precision of the features; n, the number of examples, may spare work."""
    variance = namespace(S).linalg.diagonal(S)
    live = variance > rounding.total
    scale = variance[live] ** 0.5
    scaled = rounding.scaled(scale, live)
    w, V = _eigh(S[live][:, live] / (scale[:, None] * scale[None, :]), n)
    arithmetic = len(scale) * DOUBLE * _largest(w)
    kept = w > scaled.along(V) + arithmetic
    return ResolvedRange(live, scale, w[kept], V[:, kept], scaled, arithmetic)


def _eigh(S: Float[Any, "P P"], n: int | None) -> tuple[Float[Any, " r"], Float[Any, "P r"]]:
    """Eigenvalues and eigenvectors of a covariance, of n < P examples by pivoted Cholesky: S = F F^T, F (P, r).

    They are those of the small F^T F = V diag(w) V^T, as F V / sqrt(w). Torch has no pivoted Cholesky.
    """
    if n is None or n >= len(S) or not isinstance(S, np.ndarray):
        return namespace(S).linalg.eigh(S)
    from scipy.linalg import get_lapack_funcs  # the import takes longer than most measurements

    (pstrf,) = get_lapack_funcs(("pstrf",), (S,))
    lower, pivots, r, _ = pstrf(S, lower=1)
    F = np.zeros((len(S), r))
    F[pivots - 1] = np.tril(lower)[:, :r]
    w, V = np.linalg.eigh(F.T @ F)
    positive = w > 0
    return w[positive], F @ V[:, positive] / np.sqrt(w[positive])


class Between(NamedTuple):
    """Singular values s, K = min(P, C - 1), and left vectors U of Mbar diag(pi)^(1/2), and how many are resolved.

    They are of `moments`, whose class means are without what is rounding.
    """

    moments: Moments
    s: Float[Any, " K"]
    U: Float[Any, "P K"]
    rank: int
    tolerance: float  # the length of the rounding of a feature

    @property
    def condition(self) -> float:
        """Condition number of Sigma_B on a space of dimension min(P, C - 1): infinite if its rank is lower."""
        return float((self.s[0] / self.s[-1]) ** 2) if self.rank == len(self.s) else np.inf


def between(m: Moments, rounding: Rounding) -> Between:
    """The spectrum of Sigma_B: what of Mbar diag(pi)^(1/2) is longer than rounding, with that of each coordinate as 1.

    Rounding is then of length P^(1/2) at most. Directions are judged so before lengths are compared: a coordinate of
    large scale may have a rounding that is larger than all of another one. Coordinates in which class means differ by
    less than their rounding are left out first.
    """
    xp, (P, C) = namespace(m.M), m.M.shape
    U, s = between_factor(m)
    scale, arithmetic = rounding.total**0.5, max(P, C) * DOUBLE
    tolerance = float(xp.linalg.norm(scale)) + arithmetic * _largest(s)
    if float(s.min()) > _largest(scale) * P**0.5 + arithmetic * _largest(s):
        return Between(m, s, U, len(s), tolerance)  # above the coarsest rounding of all
    live = m.Mbar**2 @ m.pi > rounding.total
    Mbar, kept = m.Mbar[live], s[:0] > 0
    if len(Mbar):
        z = Mbar / scale[live][:, None]
        V, lengths = weighted_factor(z, m.pi)
        kept = lengths > P**0.5 + arithmetic * _largest(lengths)
        if not bool(kept.all()):
            Mbar = scale[live][:, None] * (V[:, kept] @ (V[:, kept].T @ z))
    M = xp.zeros_like(m.M) + m.mu_G[:, None]
    M[live] += Mbar
    m = m._replace(M=M)
    U, s = between_factor(m)
    return Between(m, s, U, int(kept.sum()), tolerance)


class SNR(NamedTuple):
    """The SNR matrix Sigma_W^(-1/2) Mbar = U diag(omega) V^T, in the limit where Sigma_W is singular.

    omega has K = min(P, C - 1) values, descending: `infinite` times infinity, and zeros beyond the rank of Mbar.
    """

    omega: Float[np.ndarray, " K"]
    V: Float[np.ndarray, "C K"] | None
    rank: int  # of Sigma_W
    infinite: int


def _in_numpy(array: Any) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def snr(spread: Between, rounding: Rounding, *, n: int | None = None, vectors: bool = False) -> SNR:
    """The singular values, and if asked for the right singular vectors, the entry of largest size of each positive.

    Of moments in NumPy or in PyTorch; the values are NumPy's.

    Vectors of singular values that are zero are zero.
    """
    m, rank = spread.moments, spread.rank
    P, C = m.M.shape
    K = min(P, C - 1)
    within = resolved_range(m.Sigma_W, rounding, n=n)
    A, pi, infinite, null = _in_numpy(within.whiten(m.Mbar)), _in_numpy(m.pi), 0, np.eye(C - 1)
    basis = contrasts_of(pi)
    lost = np.zeros((0, C - 1))
    if within.rank < P:
        _, s, Vt = np.linalg.svd(_in_numpy(within.outside(m.Mbar, rounding)) @ basis)
        infinite = min(int(np.count_nonzero(s > np.sqrt(P) + np.sqrt(C))), P - within.rank)
        lost, null = Vt[:infinite], Vt[infinite:].T
    omega = np.zeros(K)
    finite = min(within.rank, max(rank - infinite, 0), null.shape[1])
    omega[:infinite] = np.inf
    omega[infinite : infinite + finite] = singular_values(A, pi, null)[:finite]
    if not vectors:
        return SNR(omega, None, within.rank, infinite)
    V = np.zeros((C, K))
    found = np.linalg.svd(A @ basis @ null, full_matrices=False)[2][:finite] @ null.T
    V[:, : infinite + finite] = basis @ np.concatenate([lost, found]).T
    largest = np.take_along_axis(V, np.abs(V).argmax(axis=0)[None, :], axis=0)
    return SNR(omega, V * np.where(largest < 0, -1.0, 1.0), within.rank, infinite)
