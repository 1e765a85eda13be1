"""Three flows of features on the central path, at three levels of description.

    flow             what it is                                                             k of its law
    `riemannian`     -grad L_LS, projected orthogonally (Eq. 5; Proposition 2's closed form)       0
    `renormalized`   -grad L_LS, projected as in Proposition 4; the limit of gradient descent
                     with continual renormalization (Appendix D.1)                                 1
    `unnormalized`   -grad L_LS, from Sigma_T = I; conserves X X^T                                 2

    level            state                  what it assumes
    `features`       X (P, C, N)            nothing: autodiff of the loss, then the projection
    `means`          M (P, C)               E frozen and Sigma_W = I (k = 0, 1); Sigma_T = I (k = 2)
    `spectrum`       omega (C-1,)           also that the singular vectors of the means stay

Each level reproduces the one above, to the error of the solver in omega (for k = 2, whose means approach a sphere, an
error of the state is 1 + omega^2/C times as large in omega). A
flow is passed as its exponent k, which may be traced, so that one compiled program runs all three.

Source: Han, Papyan & Donoho (2022), Eq. 5, Proposition 4, Lemmas 3 to 5.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from central_path.laws import Law
from central_path.loss import central_path_loss
from central_path.manifold import projection, whiten_total
from central_path.problem import class_means, contrasts, equal_priors, snr_singular_values

FLOWS = {"riemannian": 0, "renormalized": 1, "unnormalized": 2}
LEVELS = ("features", "means", "spectrum")

Exponent = int | Int[Array, ""]


def features_field(X: Float[Array, "P C N"], k: Exponent) -> Float[Array, "P C N"]:
    """dX/dt: the negative gradient of L_LS by autodiff, projected onto the tangent space as the flow k asks.

    Right off the manifold too.
    """
    Z = -jax.grad(central_path_loss)(X)
    return jnp.where(k == 2, Z, projection(X, Z, oblique=k == 1))  # a branch would hide the shared covariance from XLA


def within_covariance_of_means(M: Float[Array, "P C"], k: Exponent) -> Float[Array, "P P"]:
    """Sigma_W as the level `means` knows it: I on the manifold, I - Mbar Mbar^T/C for k = 2, where Sigma_T = I."""
    P, C = M.shape
    Mbar = M - jnp.mean(M, axis=1, keepdims=True)
    identity = jnp.eye(P, dtype=M.dtype)
    return jnp.where(k == 2, identity - Mbar @ Mbar.T / C, identity)


def contrasts_field(B: Float[Array, "r K"], k: Exponent, *, C: int, N: int) -> Float[Array, "r K"]:
    """dB/dt of centred class means B, in any orthonormal basis of classes or of their contrasts, in closed form.

    With G = B B^T and K = C I + G it is, times N,

    k = 0: K^(-2) B, which is -grad_M L_LS at Sigma_W = I;
    k = 1: K^(-1) B/C, the same plus G K^(-2) B/C, which is Proposition 4's -S M;
    k = 2: (I - G/C) B/C^2, which is -grad_M L_LS at Sigma_W = I - G/C, where Sigma_T = I.
    """
    G = B @ B.T

    def inverse_times(powers: int) -> Array:
        factor = jax.scipy.linalg.cho_factor(C * jnp.eye(len(B), dtype=B.dtype) + G, lower=True)
        columns = B
        for _ in range(powers):
            columns = jax.scipy.linalg.cho_solve(factor, columns)
        return columns

    branches = (
        lambda: inverse_times(2),
        lambda: inverse_times(1) / C,
        lambda: (B - G @ B / C) / C**2,
    )
    return jax.lax.switch(k, branches) / N


def means_field(M: Float[Array, "P C"], k: Exponent, *, N: int) -> Float[Array, "P C"]:
    """dM/dt from the means alone: `contrasts_field` of Mbar."""
    return contrasts_field(M - jnp.mean(M, axis=1, keepdims=True), k, C=M.shape[1], N=N)


def spectrum_field(omega: Float[Array, " K"], k: Exponent, *, N: int) -> Float[Array, " K"]:
    """d omega/dt = (1/N) (1 + omega^2/C)^k omega/(C + omega^2)^2, every omega_j by itself (Lemma 5, amended)."""
    return Law(jnp.asarray(k, float), len(omega) + 1, N).rate(omega)


def means_of_total_covariance_one(M: Float[Array, "P C"]) -> Float[Array, "P C"]:
    """Sigma_T^(-1/2) M where Sigma_W = I, so Sigma_T = I + M M^T/C.

    By the singular values of M, with errors of at most some ten times eps max(1, omega_1). An eigendecomposition of
    Sigma_T has errors of the order of eps omega_1^2: it loses the part of M along small singular values.
    """
    U, omega, Vt = jnp.linalg.svd(M, full_matrices=False)
    return (U * (omega / jnp.sqrt(1 + omega**2 / M.shape[1]))[None, :]) @ Vt


def basis_of_span(M: Float[Array, "P C"]) -> Float[Array, "P r"]:
    """An orthonormal basis of the r = min(P, C - 1) dimensions that Mbar spans, for means that sum to zero.

    No flow leaves them, and no observable sees a rotation. Of no more than C - 1 dimensions it is the axes.
    """
    P, C = M.shape
    return jnp.eye(P, dtype=M.dtype) if P < C else jnp.linalg.qr(M @ contrasts(C))[0]


def start(X: Float[Array, "P C *N"], k: Exponent, level: str) -> Array:
    """State of the level at renormalized features X (Sigma_W = I, global mean 0), or at their class means.

    For k = 2 of Sigma_T^(-1/2) X, which has the same omega.

    Raises:
        ValueError: for an unknown level, or for `features` from class means.
    """
    if level not in LEVELS:
        raise ValueError(f"Need a level among {', '.join(LEVELS)}, got {level!r}.")
    if level == "features":
        if X.ndim != 3:
            raise ValueError(f"Need features (P, C, N) for the level features, got an array of shape {X.shape}.")
        return jax.lax.cond(k == 2, whiten_total, lambda X: X, X)
    M = class_means(X) if X.ndim == 3 else X
    M = M if M.shape[0] < M.shape[1] else basis_of_span(M).T @ M
    if level == "means":
        return jax.lax.cond(k == 2, means_of_total_covariance_one, lambda M: M, M)
    return snr_singular_values(M, jnp.eye(M.shape[0], dtype=M.dtype), equal_priors(M.shape[1]))


def field(state: Array, k: Exponent, *, level: str, N: int) -> Array:
    """The vector field of flow k at a level.

    Raises:
        ValueError: for an unknown level.
    """
    if level == "features":
        return features_field(state, k)
    if level == "means":
        return means_field(state, k, N=N)
    if level == "spectrum":
        return spectrum_field(state, k, N=N)
    raise ValueError(f"Need a level among {', '.join(LEVELS)}, got {level!r}.")
