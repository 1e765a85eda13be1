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

Source: Papyan, Han & Donoho (2020), Figures 2 to 7; Han, Papyan & Donoho (2022), Section 1.1, Corollary 2.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from central_path.problem import Moments


def nc1(m: Moments) -> Float[Array, ""]:
    """tr(Sigma_W Sigma_B^+)/C through the rank-(C-1) factor of Sigma_B: no P x P pseudo-inverse, never negative.

    With Mbar diag(pi)^(1/2) = U diag(s) V^T, thin and without its null direction, it is 1/C sum_j u_j^T Sigma_W u_j /
    s_j^2. Infinite where a direction between the classes is exactly lost (s_j = 0); needs P >= C - 1.
    """
    C = m.M.shape[1]
    U, s, _ = jnp.linalg.svd(m.Mbar * jnp.sqrt(m.pi)[None, :], full_matrices=False)
    U, s = U[:, : C - 1], s[: C - 1]
    return jnp.sum(jnp.sum(U * (m.Sigma_W @ U), axis=0) / s**2) / C


def equinorm(A: Float[Array, "P C"]) -> Float[Array, ""]:
    """Std over mean of the norms of the columns of A (Mbar, or W^T)."""
    norms = jnp.linalg.norm(A, axis=0)
    return jnp.std(norms) / jnp.mean(norms)


def cosines(A: Float[Array, "P C"]) -> Float[Array, " C*(C-1)"]:
    """Cosines between different columns of A."""
    unit = A / jnp.linalg.norm(A, axis=0, keepdims=True)
    return (unit.T @ unit)[~np.eye(A.shape[1], dtype=bool)]


def equiangularity(A: Float[Array, "P C"]) -> Float[Array, ""]:
    """Std of the cosines between different columns of A."""
    return jnp.std(cosines(A))


def max_angle(A: Float[Array, "P C"]) -> Float[Array, ""]:
    """Mean distance of the cosines between different columns of A from -1/(C-1), a Simplex ETF's."""
    return jnp.mean(jnp.abs(cosines(A) + 1 / (A.shape[1] - 1)))


def self_duality(W: Float[Array, "C P"], Mbar: Float[Array, "P C"]) -> Float[Array, ""]:
    """Squared Frobenius distance of the classifier from the centred class means, both at norm 1; at most 4."""
    return jnp.sum((W.T / jnp.linalg.norm(W) - Mbar / jnp.linalg.norm(Mbar)) ** 2)


def decide_by_classifier(
    W: Float[Array, "C P"], b: Float[Array, " C"], features: Float[Array, "n P"]
) -> Int[Array, " n"]:
    """argmax_c <w_c, h> + b_c."""
    return jnp.argmax(W @ features.T + b[:, None], axis=0)


def decide_by_center(M: Float[Array, "P C"], features: Float[Array, "n P"]) -> Int[Array, " n"]:
    """argmin_c ||h - mu_c||, by its expansion <mu_c, h> - ||mu_c||^2/2 about the middle of the means."""
    middle = jnp.mean(M, axis=1)
    centers = M - middle[:, None]
    return jnp.argmax(centers.T @ (features - middle[None, :]).T - jnp.sum(centers**2, axis=0)[:, None] / 2, axis=0)


def ncc_mismatch(
    W: Float[Array, "C P"], b: Float[Array, " C"], M: Float[Array, "P C"], features: Float[Array, "n P"]
) -> Float[Array, ""]:
    """Share of the examples that the classifier and the nearest-class-center rule put in different classes."""
    return jnp.mean(decide_by_classifier(W, b, features) != decide_by_center(M, features), dtype=features.dtype)


def of_moments(W: Float[Array, "C P"], m: Moments) -> dict[str, Float[Array, ""]]:
    """NC1 to NC3 by their names, of a classifier and the moments of the features."""
    return {
        "nc1": nc1(m),
        "equinorm": equinorm(m.Mbar),
        "equiangularity": equiangularity(m.Mbar),
        "max_angle": max_angle(m.Mbar),
        "self_duality": self_duality(W, m.Mbar),
    }
