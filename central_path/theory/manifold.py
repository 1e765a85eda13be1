"""Renormalized features: the manifold of features with identity within-class covariance.

Features and their images under an invertible matrix have the same loss on the central path, so one representative is
enough: X with Sigma_W(X) = I. Vectors tangent to {X : Sigma_W(X) = const} satisfy sym(E Z^T) = 0, where E are the
deviations of X and sym(A) = (A + A^T)/2. Two projections onto them are in play, and they differ by one letter:

    orthogonal (Riemannian)    Pi(Z) = Z - S E          S Sigma_W + Sigma_W S = 2 sym(E Z^T)/(CN),  S symmetric
    oblique (Proposition 4)    Pi(Z) = Z - S X          with the same S

Both are idempotent and land in the tangent space; only the first is self-adjoint in the Frobenius product. On the
manifold S = sym(E Z^T)/(CN). Off it the equation above is needed: with that shortcut a small drift of Sigma_W along u_j
grows at the rate 2 omega_j^2/(C N (C + omega_j^2)^2), that is as exp(omega_j(t)^2/C) in the flow with the orthogonal
projection and as C + omega_j(t)^2 in the one with the oblique projection.

Source: Han, Papyan & Donoho (2022), Section 3.2; Appendix D: Definition 6, Propositions 3 and 4, D.1.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from central_path.theory.problem import covariance, cross, deviations, global_mean, random_features


def sym(A: Float[Array, "P P"]) -> Float[Array, "P P"]:
    """(A + A^T) / 2."""
    return (A + A.T) / 2


def _left_multiply(A: Float[Array, "P P"], X: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
    return jnp.tensordot(A, X, axes=1)


def drift(X: Float[Array, "P C N"]) -> Float[Array, ""]:
    """Distance from the manifold: the largest entry of |Sigma_W(X) - I|."""
    return jnp.max(jnp.abs(covariance(deviations(X)) - jnp.eye(X.shape[0], dtype=X.dtype)))


def lyapunov(Sigma: Float[Array, "P P"], R: Float[Array, "P P"]) -> Float[Array, "P P"]:
    """The symmetric S with (S Sigma + Sigma S)/2 = R, for Sigma > 0 and symmetric R. Not for differentiation.

    One eigendecomposition, S = U [2 (U^T R U)_jk / (w_j + w_k)] U^T. Where ||Sigma - I||_F^2 is below the eps of
    rounding, the first-order expansion R - sym((Sigma - I) R) is within eps ||R||_F of S, and cheaper.
    """
    Delta = Sigma - jnp.eye(Sigma.shape[0], dtype=Sigma.dtype)

    def near_identity():
        return R - sym(Delta @ R)

    def anywhere():
        w, U = jnp.linalg.eigh(Sigma)
        return U @ (2 * (U.T @ R @ U) / (w[:, None] + w[None, :])) @ U.T

    return jax.lax.cond(jnp.sum(Delta**2) < jnp.finfo(Sigma.dtype).eps, near_identity, anywhere)


def normal_matrix(
    Sigma_W: Float[Array, "P P"], E: Float[Array, "P C N"], Z: Float[Array, "P C N"]
) -> Float[Array, "P P"]:
    """The S of both projections: S Sigma_W + Sigma_W S = 2 sym(E Z^T)/(CN), for deviations E of covariance Sigma_W."""
    return lyapunov(Sigma_W, sym(cross(E, Z)) / (E.shape[1] * E.shape[2]))


def projection(
    X: Float[Array, "P C N"], Z: Float[Array, "P C N"], oblique: bool | Bool[Array, ""]
) -> Float[Array, "P C N"]:
    """Z - S E, or Z - S X if oblique (which may be traced)."""
    E = deviations(X)
    S = normal_matrix(covariance(E), E, Z)
    return Z - _left_multiply(S, jnp.where(oblique, X, E))


def orthogonal_projection(X: Float[Array, "P C N"], Z: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
    """Z - S E: the tangent vector nearest to Z in the Frobenius product, on the manifold and off it."""
    return projection(X, Z, oblique=False)


def oblique_projection(X: Float[Array, "P C N"], Z: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
    """Z - S X: Proposition 4's projection. Its kernel is {S X}, along the fibre of H -> A H, not the normal {S E}."""
    return projection(X, Z, oblique=True)


def inverse_root(Sigma: Float[Array, "P P"]) -> Float[Array, "P P"]:
    """The symmetric Sigma^(-1/2).

    Raises:
        RuntimeError: if Sigma has not full rank (smallest eigenvalue below P eps times the largest).
    """
    w, U = jnp.linalg.eigh(Sigma)
    w = eqx.error_if(
        w,
        ~(w[0] > len(w) * jnp.finfo(w.dtype).eps * w[-1]),
        "Need a covariance of full rank: restrict the features to its range.",
    )
    return (U / jnp.sqrt(w)[None, :]) @ U.T


def retract(H: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
    """Renormalized features Sigma_W^(-1/2) (H - mu_G), symmetric root: on the manifold, with global mean 0.

    To rounding: the drift is at most some ten times eps cond(Sigma_W), and the global mean some ten times eps
    |H|/sigma, with |H| the largest entry of H and sigma^2 the smallest eigenvalue of Sigma_W. For features that are on
    the manifold already that is rounding alone, so a second call removes what an ill-conditioned Sigma_W has left.

    Raises:
        RuntimeError: as `inverse_root`.
    """
    centred = H - global_mean(H)[:, None, None]
    return _left_multiply(inverse_root(covariance(deviations(H))), centred)


def whiten_by_kernel(X: Float[Array, "P C N"], b: float | Float[Array, ""]) -> Float[Array, "P C N"]:
    """(Sigma_W + b Sigma_B)^(-1/2) X for centred X: the start of the `unnormalized` flow, with the same omega.

    Raises:
        RuntimeError: as `inverse_root`.
    """
    E = deviations(X)
    return _left_multiply(inverse_root(covariance(E) + b * covariance(X - E)), X)


def random_point(C: int, N: int, P: int, *, seed: int) -> Float[Array, "P C N"]:
    """`problem.random_features`, renormalized.

    Raises:
        ValueError: as `problem.check_sizes`.
    """
    return retract(jnp.asarray(random_features(C, N, P, seed=seed)))
