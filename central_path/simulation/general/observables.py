"""What is recorded along the general central path, at both levels: omega, the loss and its parts, NC1 to NC3.

At `moments` the numbers come from the closed state; at `features` from the examples, with NC4's mismatch and the drift
of the matrix that the flow conserves. Both use the definitions of `metrics`.

Where class means differ along q directions without within-class variance, q of the omega are infinite and not recorded;
the others are those of the class means on the kernel of their part in these directions (`metrics.resolved`).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from central_path.metrics.collapse import ncc_mismatch, of_moments
from central_path.metrics.snr import Moments, contrasts_of, singular_values_of_contrasts
from central_path.simulation.between import inverse_factor
from central_path.simulation.general import examples
from central_path.simulation.general.examples import Labelled
from central_path.simulation.general.field import Setting, State, response_of, within_covariance
from central_path.theory.general_loss import classifier_of, parts_of_loss, targets


class Rank(NamedTuple):
    """Static: rank of Sigma_W, number of infinite omega, whether the constant matrix is Sigma_W + lambda I."""

    within: int
    infinite: int
    decays: bool


def omega_on(
    N: Float[Array, "R K"], kernel: Float[Array, "K k"] | None, mix: Float[Array, "K K"], most: int
) -> Float[Array, " L"]:
    """Omega of N with N^T N = B_c^T Sigma_W^(-1) B_c on the span of `kernel` (None: everywhere), at most so many.

    B_c mix are the contrasts of Mbar in an orthonormal basis (Definition 2).
    """
    if kernel is not None:
        mix = mix @ jnp.linalg.qr(jnp.linalg.solve(mix, kernel))[0]
    A = N @ mix
    A = A if A.shape[0] <= A.shape[1] else jnp.linalg.qr(A, mode="r")
    return singular_values_of_contrasts(A)[:most]


def mixing(to_means: Float[Array, "C C"], pi: Float[Array, " C"]) -> Float[Array, "K K"]:
    """The matrix from the contrasts B_c to those of Mbar in an orthonormal basis."""
    return to_means[:-1] @ contrasts_of(pi)


def omega_of_state(state: State, setting: Setting, rank: Rank) -> Float[Array, " L"]:
    """The finite omega of a state of moments."""
    B, mix = state.B[:, :-1], mixing(jnp.asarray(setting.classes.to_means), jnp.asarray(setting.classes.pi))
    K = B.shape[1]
    r, infinite = rank.within, rank.infinite
    most = min(r + infinite, K) - infinite
    if state.F is not None:
        Q, R = jnp.linalg.qr(state.F, mode="complete")
        rotated = Q.T @ B
        kernel = _kernel(rotated[r:], infinite) if infinite else None
        return omega_on(jax.scipy.linalg.solve_triangular(R[:r], rotated[:r]), kernel, mix, most)
    assert setting.constant is not None
    w, beta = setting.constant - setting.motion.lam, setting.motion.beta
    if len(w) > r and rank.decays:  # Sigma_W is constant, and 0 on the last coordinates
        kernel = _kernel(B[r:], infinite) if infinite else None
        return omega_on(B[:r] / jnp.sqrt(w[:r])[:, None], kernel, mix, most)
    Z = B / jnp.sqrt(w)[:, None]
    X = Z.T @ Z
    if infinite:
        x, V = jnp.linalg.eigh(X)
        x, V = x[: K - infinite], V[:, : K - infinite]
        return omega_on(jnp.sqrt(jnp.maximum(x, 0.0) / (1 - beta * x))[:, None] * V.T, V, mix, most)
    L = jnp.linalg.cholesky(jnp.eye(K, dtype=X.dtype) - beta * X)
    more = jnp.sqrt(beta) * jax.scipy.linalg.solve_triangular(L, X, lower=True)
    return omega_on(jnp.concatenate([Z, more]), None, mix, most)


def _kernel(B: Float[Array, "R K"], q: int) -> Float[Array, "K k"]:
    """An orthonormal basis of the vectors that B, of rank q, maps to 0."""
    return jnp.linalg.svd(B, full_matrices=True)[2][q:].T


def of_state(state: State, setting: Setting, rank: Rank) -> dict[str, Array]:
    """All but NC4's mismatch and the drift."""
    classes, motion = setting.classes, setting.motion
    response = response_of(state, setting)
    loss, loss_nc1, loss_nc23 = parts_of_loss(response, targets(classes, motion.c), motion.c)
    m = Moments(state.B @ jnp.asarray(classes.to_means), within_covariance(state, setting), jnp.asarray(classes.pi))
    return {
        "omega": omega_of_state(state, setting, rank),
        "loss": loss,
        "loss_nc1": loss_nc1,
        "loss_nc23": loss_nc23,
        **of_moments(classifier_of(response, classes, motion.c), m, inverse_factor(state.B[:, :-1])),
        "global_mean": jnp.linalg.norm(state.B[:, -1]),
    }


def of_examples(
    H: Float[Array, "n P"],
    setting: Labelled,
    conserved: Float[Array, "P P"],
    rank: Rank,
) -> dict[str, Array]:
    """Everything; drift is that of Sigma_W + beta Sigma_B from its start, relative to its largest entry."""
    m, motion, root = examples.moments_of(H, setting), setting.motion, jnp.sqrt(setting.pi)
    W, b = examples.classifier(m, motion)
    outputs = W @ m.M + b[:, None] - jnp.eye(len(b), dtype=H.dtype)
    lam_b = motion.c**2 / (1 - motion.c**2)
    loss_nc23 = 0.5 * jnp.sum(m.pi[None, :] * outputs**2)
    loss_nc1 = 0.5 * (jnp.sum(W @ m.Sigma_W * W) + motion.lam * jnp.sum(W**2) + lam_b * jnp.sum(b**2))
    moved = m.Sigma_W + motion.beta * m.Sigma_B - conserved
    return {
        "omega": omega_of_examples(examples.split(H, setting)[2], m.Mbar, m.pi, rank),
        "loss": loss_nc1 + loss_nc23,
        "loss_nc1": loss_nc1,
        "loss_nc23": loss_nc23,
        **of_moments(W, m, inverse_factor((m.Mbar * root[None, :]) @ contrasts_of(root))),
        "ncc_mismatch": ncc_mismatch(W, b, m.M, H),
        "global_mean": jnp.linalg.norm(m.mu_G),
        "drift": jnp.max(jnp.abs(moved)) / jnp.max(jnp.abs(conserved)),
    }


def omega_of_examples(
    E: Float[Array, "n P"], Mbar: Float[Array, "P C"], pi: Float[Array, " C"], rank: Rank
) -> Float[Array, " L"]:
    """The finite omega, by the singular values of the deviations E: forming Sigma_W would square their condition."""
    _, s, axes = jnp.linalg.svd(jnp.linalg.qr(E, mode="r"), full_matrices=True)
    basis = contrasts_of(pi)
    r, rotated = rank.within, axes @ Mbar @ basis
    kernel = _kernel(rotated[r:], rank.infinite) if rank.infinite else None
    most = min(r + rank.infinite, basis.shape[1]) - rank.infinite
    N = rotated[:r] * (len(E) ** 0.5 / s[:r])[:, None]
    return omega_on(N, kernel, jnp.eye(basis.shape[1], dtype=N.dtype), most)
