"""What is recorded along a flow: omega, the loss and its parts, NC1-NC4 of the flow's own features, and the drift.

A level records what it carries: `features` everything, `means` neither drift nor ncc_mismatch, `spectrum` only omega,
the losses and nc1. All collapse metrics are of the flow's own features with the classifier W_LS.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from central_path.flows import AbstractMotion, Features
from central_path.metrics.collapse import ncc_mismatch, of_moments
from central_path.metrics.snr import singular_values_of_contrasts
from central_path.theory.loss import central_path_classifier, spectral_losses
from central_path.theory.problem import Moments, covariance, deviations


def of_spectrum(omega: Float[Array, " K"], flow: AbstractMotion | None = None, R: None = None) -> dict[str, Array]:
    """omega, the three losses of Lemma 1, and NC1 = sum 1/omega_j^2.

    That NC1 is exact in all three flows, where the range of Mbar is Sigma_W-invariant.
    """
    del flow, R
    loss, loss_nc1, loss_nc23 = spectral_losses(omega, C=len(omega) + 1)
    return {"omega": omega, "loss": loss, "loss_nc1": loss_nc1, "loss_nc23": loss_nc23, "nc1": jnp.sum(omega**-2.0)}


def _of_moments(m: Moments, omega: Float[Array, " K"]) -> tuple[dict[str, Array], tuple[Array, Array]]:
    W, b = central_path_classifier(m.M, m.Sigma_W)
    observed = {**of_spectrum(omega), **of_moments(W, m), "global_mean": jnp.max(jnp.abs(m.mu_G))}
    return observed, (W, b)


def omega_of_contrasts(B: Float[Array, "r K"], Sigma_W: Float[Array, "r r"]) -> Float[Array, " K"]:
    """Singular values of L^(-1) B, Sigma_W = L L^T: omega, for the class means in a basis of their contrasts."""
    L = jnp.linalg.cholesky(Sigma_W)
    return singular_values_of_contrasts(jax.scipy.linalg.solve_triangular(L, B, lower=True))


def of_means(B: Float[Array, "K K"], flow: AbstractMotion, R: Float[Array, "C C"]) -> dict[str, Array]:
    """All but drift and ncc_mismatch."""
    C = len(R)
    M = B @ R[:, : C - 1].T
    Sigma_W = flow.within_covariance_of_means(M)
    return _of_moments(Moments(M, Sigma_W, jnp.full(C, 1 / C, M.dtype)), omega_of_contrasts(B, Sigma_W))[0]


def of_features(state: Features, flow: AbstractMotion, R: Float[Array, "C C"]) -> dict[str, Array]:
    """Everything; drift is the largest entry of |Sigma - I|, Sigma the covariance that the flow conserves."""
    B, E = state
    C = len(R)
    m = Moments(B @ R.T, covariance(deviations(E)), jnp.full(C, 1 / C, B.dtype))
    observed, (W, b) = _of_moments(m, omega_of_contrasts(B[:, : C - 1], m.Sigma_W))
    mismatch_of_class = jax.vmap(lambda mu, e: ncc_mismatch(W, b, m.M, (mu[:, None] + e).T), in_axes=1)
    return observed | {
        "ncc_mismatch": jnp.mean(mismatch_of_class(m.M, E)),  # classes are of one size
        "drift": jnp.max(jnp.abs(flow.conserved(m) - jnp.eye(len(B), dtype=B.dtype))),
    }


OBSERVE = {"features": of_features, "means": of_means, "spectrum": of_spectrum}
