"""The functions of `central_path` under check, compiled once per shape, as NumPy in and NumPy out."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from central_path.metrics import collapse
from central_path.theory import loss, manifold, problem
from central_path.theory.problem import Moments, moments

moments_of = jax.jit(moments)


@jax.jit
def moments_of_samples(features: Float[Array, "n P"], labels: Int[Array, " n"], like: Float[Array, " C"]) -> Moments:
    """Moments of unbalanced samples; `like` (C,) gives the number of classes."""
    return problem.moments_of_samples(features, labels, C=len(like))


@partial(jax.jit, static_argnames="lam")
def least_squares(m: Moments, *, lam: float) -> tuple[Float[Array, "C P"], Float[Array, " C"]]:
    """W_LS and b_LS."""
    return loss.least_squares(m, lam=lam)


@partial(jax.jit, static_argnames="lam")
def decompose(W: Float[Array, "C P"], b: Float[Array, " C"], m: Moments, *, lam: float) -> Float[Array, " 5"]:
    """(L_NC1, L_NC2/3, L_LS_perp, L_LS, L)."""
    d = loss.decompose(W, b, m, lam=lam)
    return jnp.stack([d.loss_nc1, d.loss_nc23, d.loss_ls_perp, d.loss_ls, d.total])


@jax.jit
def mse_gradient(
    W: Float[Array, "C P"],
    b: Float[Array, " C"],
    features: Float[Array, "n P"],
    labels: Int[Array, " n"],
    lam: Float[Array, ""],
) -> Float[Array, "C P+1"]:
    """Gradient of the loss as Equation 2 has it, [dW, db]."""
    dW, db = jax.grad(loss.mse_loss, argnums=(0, 1))(W, b, features, labels, lam=lam)
    return jnp.concatenate([dW, db[:, None]], axis=1)


@jax.jit
def mse_loss(
    W: Float[Array, "C P"],
    b: Float[Array, " C"],
    features: Float[Array, "n P"],
    labels: Int[Array, " n"],
    lam: Float[Array, ""],
) -> Float[Array, ""]:
    """The loss of Equation 2."""
    return loss.mse_loss(W, b, features, labels, lam=lam)


@jax.jit
def central_path_classifier(
    M: Float[Array, "P C"], Sigma_W: Float[Array, "P P"]
) -> tuple[Float[Array, "C P"], Float[Array, " C"]]:
    """W_LS and b_LS at lambda = 0, balanced."""
    return loss.central_path_classifier(M, Sigma_W)


central_path_loss = jax.jit(loss.central_path_loss)
snr = jax.jit(problem.snr)
drift = jax.jit(manifold.drift)
retract = jax.jit(manifold.retract)
orthogonal_projection = jax.jit(manifold.orthogonal_projection)
oblique_projection = jax.jit(manifold.oblique_projection)
inverse_root = jax.jit(manifold.inverse_root)
lyapunov = jax.jit(manifold.lyapunov)


@jax.jit
def omega_of(H: Float[Array, "P C N"]) -> Float[Array, " K"]:
    """Singular values of the SNR matrix of features."""
    return omega(moments(H))


@jax.jit
def omega(m: Moments) -> Float[Array, " K"]:
    """Singular values of the SNR matrix, of any class sizes."""
    return problem.snr_singular_values(m.M, m.Sigma_W, m.pi)


@jax.jit
def spectral_losses(omega: Float[Array, " K"]) -> Float[Array, " 3"]:
    """Lemma 1's three losses."""
    return jnp.stack(loss.spectral_losses(omega, C=len(omega) + 1))


@jax.jit
def collapse_of(
    m: Moments, W: Float[Array, "C P"], b: Float[Array, " C"], features: Float[Array, "n P"]
) -> dict[str, Float[Array, ""]]:
    """NC1, equinorm, equiangularity, max_angle, self_duality, ncc_mismatch."""
    return {
        **collapse.of_moments(W, m),
        "ncc_mismatch": collapse.ncc_mismatch(W, b, m.M, features),
    }


def metrics_of(m: Moments, features: Float[np.ndarray, "n P"]) -> dict[str, float]:
    """The package's metrics with the classifier W_LS."""
    W, b = central_path_classifier(m.M, m.Sigma_W)
    return {name: float(value) for name, value in collapse_of(m, W, b, features).items()}


def samples(H: Float[np.ndarray, "P C N"]) -> tuple[Float[np.ndarray, "n P"], Int[np.ndarray, " n"]]:
    """Rows and labels of features, by the package."""
    rows, labels = problem.samples(jnp.asarray(H))
    return np.asarray(rows), np.asarray(labels)


def classifier_of(H: Float[np.ndarray, "P C N"]) -> tuple[Float[np.ndarray, "C P"], Float[np.ndarray, " C"]]:
    """W_LS and b_LS of features at lambda = 0."""
    m = moments_of(H)
    W, b = central_path_classifier(m.M, m.Sigma_W)
    return np.asarray(W), np.asarray(b)


def balanced_moments(M: Float[np.ndarray, "P C"], Sigma_W: Float[np.ndarray, "P P"]) -> Moments:
    """Moments of balanced classes."""
    C = M.shape[1]
    return Moments(jnp.asarray(M), jnp.asarray(Sigma_W), jnp.full(C, 1 / C))
