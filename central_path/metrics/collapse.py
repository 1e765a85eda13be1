"""Neural collapse, measured: NC1 to NC4, each with its normalisation.

    NC1   variability collapse      tr(Sigma_W Sigma_B^+) / C                                             -> 0
    NC2   equinorm                  Std_c / Ave_c of ||mu_c - mu_G||                                      -> 0
          equiangularity            Std over c != c' of cos(mu_c - mu_G, mu_c' - mu_G)                    -> 0
          max_angle                 Ave over c != c' of |cos + 1/(C-1)|                                   -> 0
    NC3   self_duality              ||W^T/||W||_F - Mbar/||Mbar||_F||_F^2                                 -> 0
    NC4   ncc_mismatch              share of examples where the classifier and the nearest class mean disagree -> 0

Std is the population one. A classifier's own equinorm, equiangularity and max_angle are those of its columns W^T.

Note: NC1 is normalised three ways in the literature: tr(Sigma_W Sigma_B^+), the same over C (Papyan, Han & Donoho
2020, Fig. 6; Zhu et al. 2021), and sums over j of 1/omega_j^2. This module divides by C; for balanced classes with
Sigma_W proportional to I it is then sum_j 1/omega_j^2. Wherever the range of Mbar is not Sigma_W-invariant it is
larger than that, so a measured NC1 is never computed from omega.

Array-namespace code: it takes arrays of NumPy, of JAX, traced or not, or tensors of PyTorch, and imports neither. What
is of C x C entries is computed in tiles of TILE classes.

Source: Papyan, Han & Donoho (2020), Figures 2 to 7; Han, Papyan & Donoho (2022), Section 1.1, Corollary 2.
"""

from collections.abc import Callable, Iterator
from typing import Any

from jaxtyping import Float, Int

from central_path.metrics.namespace import eye_like, namespace
from central_path.metrics.snr import Moments, between_factor

TILE = 1024  # classes at a time  # pragma: no mutate


def nc1(
    m: Moments,
    *,
    rank: int | None = None,
    factor: tuple[Float[Any, "P K"], Float[Any, " K"]] | None = None,
    inverse: Float[Any, "P L"] | None = None,
) -> Float[Any, ""]:
    """tr(Sigma_W Sigma_B^+)/C through a factor of Sigma_B: no P x P pseudo-inverse, never negative.

    With Mbar diag(pi)^(1/2) = U diag(s) V^T (`snr.between_factor`, unless given) it is 1/C sum_j u_j^T Sigma_W u_j /
    s_j^2 over the s_j above max(P, C) eps s_1, the rounding of the arithmetic, of which there are min(P, C - 1) unless
    class means are affinely dependent. NaN where all class means coincide. If the `rank` of Sigma_B is known it is over
    so many, and NaN unless all of them are above.

    With a matrix `inverse` V, V V^T = Sigma_B^+, it is tr(V^T Sigma_W V)/C.
    """
    C = m.M.shape[1]
    xp = namespace(m.M)
    if inverse is not None:
        return xp.sum(inverse * (m.Sigma_W @ inverse)) / C
    U, s = between_factor(m) if factor is None else factor
    kept = s > s[0] * max(m.M.shape) * float(xp.finfo(s.dtype).eps)
    exists = kept[0] if rank is None else xp.all(kept[: max(rank, 1)])
    terms = xp.where(kept, xp.sum(U * (m.Sigma_W @ U), axis=0) / xp.where(kept, s, 1.0) ** 2, 0.0)
    return xp.where(exists, xp.sum(terms[:rank]) / C, xp.nan)


def equinorm(A: Float[Any, "P C"]) -> Float[Any, ""]:
    """Std over mean of the norms of the columns of A (Mbar, or W^T)."""
    xp = namespace(A)
    norms = xp.linalg.norm(A, axis=0)
    return xp.std(norms) / xp.mean(norms)


def gram(A: Float[Any, "P C"]) -> Iterator[tuple[slice, slice, Float[Any, "c k"], Float[Any, "a k"]]]:
    """A^T A, a tile of its upper part at a time: its rows, its columns, its entries and how often each pair counts.

    Within a tile on the diagonal a pair c, c' stands twice and counts once each time, beside it once and counts twice.
    """
    xp, C = namespace(A), A.shape[1]
    for begin in range(0, C, TILE):
        rows = slice(begin, min(begin + TILE, C))
        part = A[:, rows].T
        yield rows, rows, part @ part.T, 1 - eye_like(A, len(part))
        if rows.stop < C:
            beside = slice(rows.stop, C)
            yield rows, beside, part @ A[:, beside], 2 * xp.ones_like(A[0, beside])[None, :]


def cosines(A: Float[Any, "P C"]) -> Iterator[tuple[Float[Any, "c k"], Float[Any, "a k"]]]:
    """Cosines between columns of A in the tiles of `gram`, and how often each counts."""
    unit = A / namespace(A).linalg.norm(A, axis=0)[None, :]
    for _, _, tile, pairs in gram(unit):
        yield tile, pairs


def _mean_over_pairs(of: Callable[[Any], Any], A: Float[Any, "P C"]) -> Float[Any, ""]:
    """Mean over c != c' of a function of the cosine."""
    xp, C = namespace(A), A.shape[1]
    return sum(xp.sum(of(tile) * pairs) for tile, pairs in cosines(A)) / (C * (C - 1))


def equiangularity(A: Float[Any, "P C"]) -> Float[Any, ""]:
    """Std of the cosines between different columns of A."""
    xp, C = namespace(A), A.shape[1]
    unit = A / xp.linalg.norm(A, axis=0)[None, :]
    mean = (xp.sum(xp.sum(unit, axis=1) ** 2) - C) / (C * (C - 1))
    return xp.sqrt(_mean_over_pairs(lambda cosine: (cosine - mean) ** 2, A))


def max_angle(A: Float[Any, "P C"]) -> Float[Any, ""]:
    """Mean distance of the cosines between different columns of A from -1/(C-1), a Simplex ETF's."""
    return _mean_over_pairs(lambda cosine: abs(cosine + 1 / (A.shape[1] - 1)), A)


def self_duality(W: Float[Any, "C P"], Mbar: Float[Any, "P C"]) -> Float[Any, ""]:
    """Squared Frobenius distance of the classifier from the centred class means, both at norm 1; at most 4."""
    xp = namespace(W)
    return xp.sum((W.T / xp.linalg.norm(W) - Mbar / xp.linalg.norm(Mbar)) ** 2)


def decide_by_classifier(W: Float[Any, "C P"], b: Float[Any, " C"], features: Float[Any, "n P"]) -> Int[Any, " n"]:
    """argmax_c <w_c, h> + b_c."""
    xp = namespace(features)
    return xp.argmax(W @ features.T + b[:, None], axis=0)


def decide_by_center(M: Float[Any, "P C"], features: Float[Any, "n P"]) -> Int[Any, " n"]:
    """argmin_c ||h - mu_c||, by its expansion <mu_c, h> - ||mu_c||^2/2 about the middle of the means."""
    xp = namespace(M)
    middle = xp.mean(M, axis=1)
    centers = M - middle[:, None]
    return xp.argmax(centers.T @ (features - middle[None, :]).T - xp.sum(centers**2, axis=0)[:, None] / 2, axis=0)


def ncc_mismatch(
    W: Float[Any, "C P"], b: Float[Any, " C"], M: Float[Any, "P C"], features: Float[Any, "n P"]
) -> Float[Any, ""]:
    """Share of the examples that the classifier and the nearest-class-center rule put in different classes."""
    xp = namespace(features)
    return xp.mean(decide_by_classifier(W, b, features) != decide_by_center(M, features), dtype=features.dtype)


def of_angles(A: Float[Any, "P C"]) -> dict[str, Float[Any, ""]]:
    """NC2 by its names, of the columns of A."""
    return {"equinorm": equinorm(A), "equiangularity": equiangularity(A), "max_angle": max_angle(A)}


def of_moments(W: Float[Any, "C P"], m: Moments, inverse: Float[Any, "P L"] | None = None) -> dict[str, Float[Any, ""]]:
    """NC1 to NC3 by their names, of a classifier and the moments of the features; `inverse` as in `nc1`."""
    return {"nc1": nc1(m, inverse=inverse), **of_angles(m.Mbar), "self_duality": self_duality(W, m.Mbar)}
