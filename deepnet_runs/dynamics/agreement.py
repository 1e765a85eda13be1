"""How well one matrix of rates agrees with another, whole and without the common factor.

    cosine      <A, B>/(|A| |B|), Frobenius
    clock       the c >= 0 for which |A - c B| is smallest
    error       |A - c B|/|A|
    p           share of random velocities whose A agrees with B as well: small if chance does not explain the cosine

The singular values themselves agree with most models of their growth: diag(omega) is the A of a common factor, whatever
its cause. So every agreement is given twice, of the matrices and of what is left when diag(omega) is projected out of
both.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

NOTHING = 1e-9  # of a matrix's norm: what is left below it is rounding
Rates = Float[np.ndarray, "K K"]
Draws = Float[np.ndarray, "count K K"]
Values = np.ndarray | np.floating  # one, or one for each draw


@dataclass(frozen=True)
class Match:
    """Agreement of a model with the measured A; NaN where the model has no such part.

    Attributes:
        cosine: from -1 to 1.
        error: relative error after the best clock, 0 to 1.
        clock: the best clock.
        p: share of random velocities with as large a cosine.
        b: of the block kernel that agrees best: within-class over class-mean rate.
        cosine_error: standard error of the cosine, of a model that is estimated.
    """

    cosine: float = np.nan
    error: float = np.nan
    clock: float = np.nan
    p: float = np.nan
    b: float | None = None
    cosine_error: float | None = None


@dataclass(frozen=True)
class Agreement:
    """Of one model: with the whole of A, with what the common factor leaves, and the model's own share of turning."""

    whole: Match
    residual: Match
    turning: float

    def to_dict(self) -> dict[str, Any]:
        """Nested, without the fields that only other models have."""
        drop = ("b", "cosine_error")
        parts = {"whole": asdict(self.whole), "residual": asdict(self.residual)}
        kept = {k: {f: x for f, x in part.items() if f not in drop or x is not None} for k, part in parts.items()}
        return kept | {"turning": self.turning}


def cosine(A: np.ndarray, B: Rates) -> Values:
    """The cosine of B with A, or with each of several; NaN for a zero matrix."""
    norms = np.linalg.norm(A, axis=(-2, -1)) * np.linalg.norm(B)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sum(A * B, axis=(-2, -1)) / norms


def without(A: np.ndarray, factor: Rates) -> np.ndarray:
    """A, or each of several, with a matrix projected out; exactly 0 where nothing but rounding is left."""
    part = np.sum(A * factor, axis=(-2, -1), keepdims=True) / np.sum(factor**2)
    rest = A - part * factor
    there = np.linalg.norm(rest, axis=(-2, -1), keepdims=True) > NOTHING * np.linalg.norm(
        A, axis=(-2, -1), keepdims=True
    )
    return np.where(there, rest, 0.0)


def turning(A: Rates) -> float:
    """Share of |A|^2 off the diagonal; NaN for a zero matrix."""
    total = float(np.sum(A**2))
    return 1 - float(np.sum(np.diagonal(A) ** 2)) / total if total else np.nan


def match(A: Rates, B: Rates, random: Draws) -> Match:
    """Of the model B with the measured A; `random` are the A of random velocities."""
    found = float(cosine(A, B))
    if np.isnan(found):
        return Match()
    p = (1 + np.count_nonzero(cosine(random, B) >= found)) / (1 + len(random))
    clock = max(float(np.sum(A * B) / np.sum(B**2)), 0.0)
    return Match(found, np.sqrt(max(1 - found**2, 0.0)) if clock else 1.0, clock, p)


def best_mixture(A: np.ndarray, B: Rates, D: Rates) -> tuple[Values, Values, Values]:
    """The x, y >= 0 for which x B + y D has the largest cosine with A, or with each of several, and that cosine."""
    flat, b, d = A.reshape(*A.shape[:-2], -1), B.ravel(), D.ravel()
    size_b, size_d, size = np.linalg.norm(b), np.linalg.norm(d), np.linalg.norm(flat, axis=-1)
    if not size_b or not size_d:  # one of them alone
        x, y = flat @ b / max(size_b**2, 1e-300), flat @ d / max(size_d**2, 1e-300)
        cos = (flat @ b / max(size_b, 1e-300) + flat @ d / max(size_d, 1e-300)) / size
        return np.maximum(x, 0), np.maximum(y, 0), cos
    e, f = b / size_b, d / size_d
    g = float(e @ f)
    p, q, rest = flat @ e, flat @ f, max(1 - g**2, 1e-15)
    u, v = (p - g * q) / rest, (q - g * p) / rest  # of the unit vectors, if both are positive
    inside = (u > 0) & (v > 0)
    alone = p >= q
    u = np.where(inside, u, np.where(alone, np.maximum(p, 0), 0.0))
    v = np.where(inside, v, np.where(alone, 0.0, np.maximum(q, 0)))
    both = np.sqrt(np.maximum(u * p + v * q, 0.0))
    return u / size_b, v / size_d, np.where(inside, both, np.maximum(p, q)) / size


def match_mixture(A: Rates, B: Rates, D: Rates, random: Draws) -> Match:
    """Of the block kernel with the best b: x B + y D, whose b is y/x; the random velocities choose theirs, too."""
    x, y, found = (float(value) for value in best_mixture(A, B, D))
    if np.isnan(found):
        return Match()
    p = (1 + np.count_nonzero(best_mixture(random, B, D)[2] >= found)) / (1 + len(random))
    error = np.sqrt(max(1 - found**2, 0.0)) if x + y > 0 else 1.0
    return Match(found, error, x, p, b=y / x if x > 0 else np.inf if y > 0 else np.nan)


def mobility(A: Rates, omega: Float[np.ndarray, " K"], C: int, N: int) -> tuple[float, float, int]:
    """The exponent k of rate_j = const (1/N)(1 + omega_j^2/C)^k omega_j/(C + omega_j^2)^2 over the directions j.

    The slope of log(rate_j N (C + omega_j^2)^2/omega_j) in log(1 + omega_j^2/C), its standard error, and the number of
    directions that grow; the first two are NaN for fewer than 3.
    """
    rate = np.diagonal(A)
    grows = rate > 0
    K = int(np.count_nonzero(grows))
    if K < 3:
        return np.nan, np.nan, K
    w = omega[grows]
    x, y = np.log1p(w**2 / C), np.log(rate[grows] * N * (C + w**2) ** 2 / w)
    x = x - x.mean()
    if not np.sum(x**2) > NOTHING:
        return np.nan, np.nan, K
    slope = float(x @ y / (x @ x))
    rest = y - y.mean() - slope * x
    return slope, float(np.sqrt(rest @ rest / ((K - 2) * (x @ x)))), K
