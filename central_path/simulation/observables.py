"""What is recorded along a flow: omega, the loss and its parts, NC1-NC4 of the flow's own features, and the drift.

A level records what it carries: `features` everything, `means` neither drift nor ncc_mismatch, `spectrum` only omega,
the losses and nc1. All collapse metrics are of the flow's own features with the classifier W_LS.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from central_path.flows import AbstractMotion, Features
from central_path.flows.nearly_diagonal import is_nearly_diagonal
from central_path.metrics.collapse import nc1, of_angles, of_moments, self_duality
from central_path.metrics.snr import singular_values_of_contrasts
from central_path.simulation.between import inverse_factor
from central_path.theory.loss import central_path_classifier, spectral_losses
from central_path.theory.problem import Moments, covariance, deviations


def of_spectrum(omega: Float[Array, " K"], flow: AbstractMotion | None = None, R: None = None) -> dict[str, Array]:
    """omega, the three losses of Lemma 1, and NC1 = sum 1/omega_j^2.

    That NC1 is exact in all three flows, where the range of Mbar is Sigma_W-invariant.
    """
    del flow, R
    loss, loss_nc1, loss_nc23 = spectral_losses(omega, C=len(omega) + 1)
    return {"omega": omega, "loss": loss, "loss_nc1": loss_nc1, "loss_nc23": loss_nc23, "nc1": jnp.sum(omega**-2.0)}


def omega_of_contrasts(B: Float[Array, "r K"], Sigma_W: Float[Array, "r r"]) -> Float[Array, " K"]:
    """Singular values of L^(-1) B, Sigma_W = L L^T: omega, for the class means in a basis of their contrasts."""
    L = jnp.linalg.cholesky(Sigma_W)
    return singular_values_of_contrasts(jax.scipy.linalg.solve_triangular(L, B, lower=True))


def of_means(B: Float[Array, "K K"], flow: AbstractMotion, R: Float[Array, "C C"]) -> dict[str, Array]:
    """All but drift and ncc_mismatch.

    As long as the means are diagonal in aligned coordinates, so are Sigma_W and W_LS, and no singular value is sought.
    """
    C = len(R)
    M = B @ R[:, : C - 1].T
    m = Moments(M, flow.within_covariance_of_means(M), jnp.full(C, 1 / C, M.dtype))

    def of_diagonal() -> dict[str, Array]:
        b = jnp.abs(jnp.diagonal(B))
        e = jnp.sqrt(flow.within_variance(b, C=C))
        omega = b / e
        w = omega / e / (C + omega**2)  # singular values of W_LS, with the vectors of the means
        of_omega = of_spectrum(jnp.sort(omega, descending=True))
        return of_omega | {"self_duality": jnp.sum((w / jnp.linalg.norm(w) - b / jnp.linalg.norm(b)) ** 2)}

    def of_any() -> dict[str, Array]:
        W, _ = central_path_classifier(m.M, m.Sigma_W)
        of_omega = of_spectrum(omega_of_contrasts(B, m.Sigma_W))
        return of_omega | {"nc1": nc1(m), "self_duality": self_duality(W, m.Mbar)}

    found = jax.lax.cond(is_nearly_diagonal(B), of_diagonal, of_any)
    return found | of_angles(m.Mbar) | {"global_mean": jnp.max(jnp.abs(m.mu_G))}


def mismatch_of_deviations(
    W: Float[Array, "C P"], b: Float[Array, " C"], m: Moments, E: Float[Array, "P C N"]
) -> Float[Array, ""]:
    """`ncc_mismatch` of the features M + E: both rules in one product, and the features are not formed.

    A rule's decision is its largest score; two rules agree on an example if a class has the largest of both.
    """
    rules = jnp.concatenate([W, m.Mbar.T])
    offset = jnp.concatenate([W @ m.M + b[:, None], m.Mbar.T @ m.Mbar - jnp.sum(m.Mbar**2, axis=0)[:, None] / 2])
    scores = jnp.tensordot(rules, E, axes=1) + offset[:, :, None]
    by_classifier, by_center = (part == jnp.max(part, axis=0)[None] for part in (scores[: len(W)], scores[len(W) :]))
    return 1 - jnp.mean(jnp.any(by_classifier & by_center, axis=0), dtype=E.dtype)


def of_features(state: Features, flow: AbstractMotion, R: Float[Array, "C C"]) -> dict[str, Array]:
    """Everything; drift is the largest entry of |Sigma - I|, Sigma the covariance that the flow conserves."""
    B, E = state
    C = len(R)
    m = Moments(B @ R.T, covariance(deviations(E)), jnp.full(C, 1 / C, B.dtype))
    contrasts = B[:, : C - 1]
    W, b = central_path_classifier(m.M, m.Sigma_W)
    return {
        **of_spectrum(omega_of_contrasts(contrasts, m.Sigma_W)),
        **of_moments(W, m, inverse_factor(contrasts / C**0.5)),
        "global_mean": jnp.max(jnp.abs(m.mu_G)),
        "ncc_mismatch": mismatch_of_deviations(W, b, m, E),
        "drift": jnp.max(jnp.abs(flow.conserved(m) - jnp.eye(len(B), dtype=B.dtype))),
    }


OBSERVE = {"features": of_features, "means": of_means, "spectrum": of_spectrum}
