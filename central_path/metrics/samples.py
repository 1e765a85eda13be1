"""From labelled samples to balanced features of full rank: what real input needs before the theory applies.

NumPy only. Samples are rows: `features` (n, P) and `labels` (n,), classes in sorted order of their labels. Every
function that refuses its input raises `ValueError` with what is wrong, the value and the remedy in one sentence.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from central_path.metrics.arrays import read_features, read_labels
from central_path.metrics.resolved import DOUBLE, Rounding
from central_path.metrics.snr import Moments


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


def check_lengths(features: Float[np.ndarray, "n P"], labels: Shaped[np.ndarray, " m"]) -> None:
    """Refuse features and labels of different numbers of examples."""
    if len(features) != len(labels):
        raise ValueError(
            f"Need one label per row, got {len(features)} rows and {len(labels)} labels: "
            "save both for the same examples."
        )


def check_samples(features: Any, labels: Any) -> Samples:
    """Features and labels in any form that `arrays` reads, as `Samples`.

    Raises:
        ValueError: unless features (n, P) are real and finite, labels (n,) integers or strings, and there are two
            classes or more with two examples or more each.
    """
    (wide, eps), names_of_rows = read_features(features), read_labels(labels)
    check_lengths(wide, names_of_rows)
    names, counts = np.unique(names_of_rows, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"Need at least 2 classes, got {len(names)}: neural collapse compares classes.")
    if counts.min() < 2:
        name = names[counts.argmin()]
        raise ValueError(
            f"Need at least 2 examples in every class, got {counts.min()} in class {name}: "
            "add examples or drop the class."
        )
    exponent = np.frexp(np.max(np.abs(wide)))[1]
    return Samples(np.ldexp(wide, -exponent), names_of_rows, eps)


def balanced_rows(samples: Samples, *, seed: int) -> Int[np.ndarray, " m"]:
    """The rows of a random subsample of every class to the size of the smallest, in order."""
    rng = np.random.default_rng(seed)
    codes, smallest = samples.codes, samples.counts.min()
    keep = [rng.choice(np.flatnonzero(codes == c), smallest, replace=False) for c in range(len(samples.counts))]
    return np.sort(np.concatenate(keep))


def balance(samples: Samples, *, seed: int) -> Samples:
    """A random subsample of every class to the size of the smallest, rows kept in order."""
    rows = balanced_rows(samples, seed=seed)
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
class WithinRange:
    """The range of Sigma_W: its rank, an orthonormal basis (P, rank), and the share of |Mbar|^2 outside it.

    Up to `rounding` of that share is rounding. `unresolved` directions are left out because they vary by less than the
    rounding of the features as they were stored; in float64 they would count.
    """

    rank: int
    basis: Float[np.ndarray, "P rank"]
    signal_lost: float
    rounding: float
    unresolved: int

    @property
    def loses_nothing(self) -> bool:
        """Whether all that class means and examples do is within the range, as far as the features resolve it."""
        return self.rank > 0 and self.unresolved == 0 and self.signal_lost <= self.rounding


def moments_of_rows(features: Float[np.ndarray, "n P"], codes: Int[np.ndarray, " n"], C: int) -> Moments:
    """Moments of n examples with labels 0..C-1, each of which occurs, in float64.

    Sums are taken about the global mean, and class means of what is left once more: constant features have deviations
    of exactly 0, and an offset costs no digits but those that the features lose beside it when they are stored.
    """
    counts = np.bincount(codes, minlength=C)
    order = np.argsort(codes, kind="stable")
    E = features[order]
    first, n = np.cumsum(counts) - counts, len(E)
    middle = E.mean(axis=0)
    E -= middle
    M = np.zeros((C, E.shape[1]))
    for _ in range(2):
        step = np.add.reduceat(E, first) / counts[:, None]
        E -= np.repeat(step, counts, axis=0)
        M += step
    return Moments((M + middle).T, E.T @ E / n, counts / n)


def variances_of_rows(
    features: Float[np.ndarray, "n P"], codes: Int[np.ndarray, " n"], m: Moments
) -> Float[np.ndarray, " C"]:
    """Ave_i ||h_i - mu_c||^2 of each class, of the rows that have the moments m."""
    away = features - m.M.T[codes]
    return np.bincount(codes, np.einsum("np,np->n", away, away)) / np.bincount(codes)


def range_of_within_covariance(samples: Samples) -> WithinRange:
    """Range of Sigma_W: of its eigenvectors those that the features resolve (`resolved`), in their own coordinates.

    Without a change of the units of the coordinates, as the renormalization is then computed in float64.
    """
    m = moments_of_rows(samples.features, samples.codes, len(samples.counts))
    rounding = Rounding.of(m, samples.eps)
    w, U = np.linalg.eigh(m.Sigma_W)
    arithmetic = len(w) * DOUBLE * w[-1]
    kept = w > rounding.along(U) + arithmetic
    in_float64 = w > Rounding.of(m, DOUBLE).along(U) + arithmetic
    signal, lost = np.sum(m.Mbar**2), np.sum((U[:, ~kept].T @ m.Mbar) ** 2)
    share = (lambda part: float(part / signal)) if signal > 0 else lambda _: 0.0
    least = max(share(len(m.pi) * rounding.total.sum()), len(w) * DOUBLE)
    rank = int(kept.sum())
    return WithinRange(rank, U[:, kept], share(lost), least, int(in_float64.sum()) - rank)


def check_rank(samples: Samples, within: WithinRange) -> None:
    """Refuse a rank-deficient Sigma_W: its inverse root does not exist."""
    n, P = samples.features.shape
    C = len(samples.counts)
    if within.rank == 0:
        raise ValueError(COLLAPSED)
    if within.rank < P:
        raise ValueError(
            f"Need a within-class covariance of full rank P = {P}, got rank {within.rank} from {n} examples of {C} "
            f"classes (at most n - C = {n - C}; constant and dependent features lower it): "
            + ("give more examples, or " if n - C < P else "give ")
            + "--restrict-rank to keep its range only."
        )


def restrict(samples: Samples, within: WithinRange) -> Samples:
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
