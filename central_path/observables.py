"""What is recorded along a flow: omega, the loss and its parts, NC1-NC4 of the flow's own features, and the drift.

A level records what it carries: `features` everything, `means` neither drift nor ncc_mismatch, `spectrum` only omega,
the losses and nc1. All collapse metrics are of the flow's own features with the classifier W_LS.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.collapse import ncc_mismatch, of_moments
from central_path.flows import Exponent, within_covariance_of_means
from central_path.loss import central_path_classifier, spectral_losses
from central_path.problem import (
    Moments,
    class_means,
    covariance,
    deviations,
    equal_priors,
    moments,
    snr_singular_values,
)
from central_path.snr import singular_values


def of_spectrum(omega: Float[Array, " K"], k: Exponent) -> dict[str, Array]:
    """omega, the three losses of Lemma 1, and NC1 = sum 1/omega_j^2.

    That NC1 is exact in all three flows, where the range of Mbar is Sigma_W-invariant.
    """
    del k
    loss, loss_nc1, loss_nc23 = spectral_losses(omega, C=len(omega) + 1)
    return {"omega": omega, "loss": loss, "loss_nc1": loss_nc1, "loss_nc23": loss_nc23, "nc1": jnp.sum(omega**-2.0)}


def _of_moments(m: Moments) -> tuple[dict[str, Array], tuple[Array, Array]]:
    W, b = central_path_classifier(m.M, m.Sigma_W)
    omega = snr_singular_values(m.M, m.Sigma_W, m.pi)
    loss, loss_nc1, loss_nc23 = spectral_losses(omega, C=m.M.shape[1])
    return {
        "omega": omega,
        "loss": loss,
        "loss_nc1": loss_nc1,
        "loss_nc23": loss_nc23,
        **of_moments(W, m),
        "global_mean": jnp.max(jnp.abs(m.mu_G)),
    }, (W, b)


def of_means(M: Float[Array, "P C"], k: Exponent) -> dict[str, Array]:
    """All but drift and ncc_mismatch."""
    C = M.shape[1]
    return _of_moments(Moments(M, within_covariance_of_means(M, k), jnp.full(C, 1 / C, M.dtype)))[0]


def of_features(X: Float[Array, "P C N"], k: Exponent) -> dict[str, Array]:
    """Everything; drift is the largest entry of |Sigma_W - I|, for k = 2 of |Sigma_T - I|."""
    m = moments(X)
    observed, (W, b) = _of_moments(m)
    conserved = jnp.where(k == 2, m.Sigma_T, m.Sigma_W)
    mismatch_of_class = jax.vmap(lambda h: ncc_mismatch(W, b, m.M, h.T), in_axes=1)
    return observed | {
        "ncc_mismatch": jnp.mean(mismatch_of_class(X)),  # classes are of one size
        "drift": jnp.max(jnp.abs(conserved - jnp.eye(X.shape[0], dtype=X.dtype))),
    }


OBSERVE = {"features": of_features, "means": of_means, "spectrum": of_spectrum}


def omega_of_features(X: Float[Array, "P C N"], k: Exponent) -> Float[Array, " K"]:
    """The omega of the level `features`."""
    del k
    return snr_singular_values(class_means(X), covariance(deviations(X)), equal_priors(X.shape[1]))


def omega_of_means(M: Float[np.ndarray, "*many P C"], k: int) -> Float[np.ndarray, "*many K"]:
    """The omega of the level `means`: singular values s of M, for k = 2, where Sigma_T = I, s/(1 - s^2/C)^(1/2).

    NaN for means that are not finite, or for k = 2 off the sphere.
    """
    C = M.shape[-1]
    finite = np.asarray(np.isfinite(M).all(axis=(-2, -1)))
    s = singular_values(np.where(finite[..., None, None], M, 0.0), equal_priors(C))
    with np.errstate(invalid="ignore"):
        return np.where(finite[..., None], s / np.sqrt(1 - s**2 / C) if k == 2 else s, np.nan)
