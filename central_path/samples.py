"""From labelled samples to balanced features of full rank: what real input needs before the theory applies.

NumPy only. Samples are rows: `features` (n, P) and `labels` (n,), classes in sorted order of their labels. Every
function that refuses its input raises `ValueError` with what is wrong, the value and the remedy in one sentence.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped


def check_sizes(C: int, N: int, P: int) -> None:
    """Refuse sizes for which the renormalized features do not exist.

    Needs C >= 2 classes, N >= 2 examples each (one alone has no within-class covariance), P >= C - 1 (for C - 1
    positive singular values) and P <= C(N-1) (for a full-rank Sigma_W).

    Raises:
        ValueError: with the bound, the value and the remedy.
    """
    if C < 2:
        raise ValueError(f"Need C >= 2 classes, got C = {C}: neural collapse compares classes.")
    if N < 2:
        raise ValueError(f"Need N >= 2 examples per class, got N = {N}: one example has no within-class covariance.")
    if P < C - 1:
        raise ValueError(
            f"Need P >= C - 1 = {C - 1} for C - 1 positive singular values of the class means, got P = {P}: "
            "raise P or lower C."
        )
    if C * (N - 1) < P:
        raise ValueError(
            f"Need P <= C(N-1) = {C * (N - 1)} for a full-rank within-class covariance, got P = {P}: "
            "lower P or raise N."
        )


def random_features(C: int, N: int, P: int, *, seed: int) -> Float[np.ndarray, "P C N"]:
    """Standard normal class means plus standard normal deviations: omega_j of order 1, no class collapsed.

    From NumPy's generator: the same numbers on every device and with every release of JAX.

    Raises:
        ValueError: as `check_sizes`.
    """
    check_sizes(C, N, P)
    rng = np.random.default_rng(seed)
    return rng.standard_normal((P, C, 1)) + rng.standard_normal((P, C, N))


COLLAPSED = "Need within-class variability, got none: every example equals its class mean, so every omega is infinite."


@dataclass(frozen=True)
class Samples:
    """Rows of features with their labels, and the precision in which the features were stored.

    Features are scaled by a power of 2 to entries of at most 1, which changes no renormalized feature and lets no
    square overflow.
    """

    features: Float[np.ndarray, "n P"]
    labels: Shaped[np.ndarray, " n"]
    eps: float

    @property
    def codes(self) -> Int[np.ndarray, " n"]:
        """Labels as 0..C-1, in sorted order of the labels."""
        return np.unique(self.labels, return_inverse=True)[1]

    @property
    def counts(self) -> Int[np.ndarray, " C"]:
        """Examples per class."""
        return np.bincount(self.codes)


def check_samples(features: np.ndarray, labels: np.ndarray) -> Samples:
    """Raw arrays as `Samples`.

    Raises:
        ValueError: unless features (n, P) are real and finite, labels (n,) integers or strings, and there are two
            classes or more with two examples or more each.
    """
    if features.ndim != 2 or features.shape[1] == 0 or features.dtype.kind not in "fiub":
        raise ValueError(
            f"Need real features of shape (n, P), P > 0, got shape {features.shape} of {features.dtype}: "
            "flatten each example to one row of numbers."
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iubUS":
        raise ValueError(
            f"Need labels of shape (n,), integers or strings, got shape {labels.shape} of {labels.dtype}: "
            "give one class name per row."
        )
    if len(features) != len(labels):
        raise ValueError(
            f"Need one label per row, got {len(features)} rows and {len(labels)} labels: "
            "save both for the same examples."
        )
    with np.errstate(over="ignore"):
        wide = features.astype(np.float64)
    bad = wide.size - np.count_nonzero(np.isfinite(wide))
    if bad:
        raise ValueError(
            f"Need finite features, got {bad} NaN or infinite entries of {features.size}: repair or drop those rows."
        )
    names, counts = np.unique(labels, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"Need at least 2 classes, got {len(names)}: neural collapse compares classes.")
    if counts.min() < 2:
        name = names[counts.argmin()]
        raise ValueError(
            f"Need at least 2 examples in every class, got {counts.min()} in class {name}: "
            "add examples or drop the class."
        )
    exponent = np.frexp(np.max(np.abs(wide)))[1]
    eps = np.finfo(features.dtype).eps if features.dtype.kind == "f" else 0.0
    return Samples(np.ldexp(wide, -exponent), labels, float(max(eps, np.finfo(np.float64).eps)))


def balance(samples: Samples, *, seed: int) -> Samples:
    """A random subsample of every class to the size of the smallest, rows kept in order."""
    rng = np.random.default_rng(seed)
    codes, smallest = samples.codes, samples.counts.min()
    keep = [rng.choice(np.flatnonzero(codes == c), smallest, replace=False) for c in range(len(samples.counts))]
    rows = np.sort(np.concatenate(keep))
    return Samples(samples.features[rows], samples.labels[rows], samples.eps)


def check_balance(samples: Samples) -> None:
    """Refuse unbalanced classes: for them L_LS is not a function of omega."""
    counts = samples.counts
    if counts.min() != counts.max():
        raise ValueError(
            f"Need balanced classes, got {counts.min()} to {counts.max()} examples a class "
            f"({', '.join(map(str, counts[:20]))}{', ...' if len(counts) > 20 else ''}): "
            "the laws hold for balanced classes only; give --balance to subsample."
        )


@dataclass(frozen=True)
class Range:
    """The range of Sigma_W: its rank, an orthonormal basis (P, rank), and the share of |Mbar|^2 outside it."""

    rank: int
    basis: Float[np.ndarray, "P rank"]
    signal_lost: float
    rounding: float


def range_of_within_covariance(samples: Samples) -> Range:
    """Range of Sigma_W, from eigenvalues above P eps(input dtype) times the largest."""
    codes, counts = samples.codes, samples.counts
    centred = samples.features - samples.features.mean(axis=0)
    M = np.stack([centred[codes == c].mean(axis=0) for c in range(len(counts))], axis=1)
    E = centred - M.T[codes]
    P = E.shape[1]
    w, U = np.linalg.eigh(E.T @ E / len(E))
    threshold = P * samples.eps * w[-1]
    kept = w > threshold if w[-1] > 0 else np.zeros(P, dtype=bool)
    signal, lost = np.sum(M**2), np.sum((U[:, ~kept].T @ M) ** 2)
    return Range(int(kept.sum()), U[:, kept], float(lost / signal) if signal > 0 else 0.0, P * samples.eps)


def check_rank(samples: Samples, within: Range) -> None:
    """Refuse a rank-deficient Sigma_W: its inverse root does not exist."""
    n, P = samples.features.shape
    C = len(samples.counts)
    if within.rank == 0:
        raise ValueError(COLLAPSED)
    if within.rank < P:
        raise ValueError(
            f"Need a within-class covariance of full rank P = {P}, got rank {within.rank} from {n} examples of {C} "
            f"classes (at most n - C = {n - C}; constant and dependent features lower it): "
            "give --restrict-rank to keep its range only."
        )


def restrict(samples: Samples, within: Range) -> Samples:
    """Coordinates in the range of Sigma_W."""
    if within.rank == 0:
        raise ValueError(COLLAPSED)
    return Samples(samples.features @ within.basis, samples.labels, samples.eps)


def stack(samples: Samples) -> tuple[Float[np.ndarray, "P C N"], Int[np.ndarray, "C N"]]:
    """Balanced samples as H (P, C, N), and the row of each example: H[:, c, i] is row index[c, i].

    Raises:
        ValueError: as `check_balance` and `check_sizes`.
    """
    check_balance(samples)
    C, N = len(samples.counts), int(samples.counts[0])
    index = np.argsort(samples.codes, kind="stable").reshape(C, N)
    check_sizes(C, N, samples.features.shape[1])
    return np.moveaxis(samples.features[index], 2, 0), index


def unstack(X: Float[np.ndarray, "P C N"], index: Int[np.ndarray, "C N"]) -> Float[np.ndarray, "n P"]:
    """Rows in the input's order: the inverse of `stack`."""
    rows = np.empty((index.size, X.shape[0]))
    rows[index.ravel()] = X.reshape(X.shape[0], -1).T
    return rows
