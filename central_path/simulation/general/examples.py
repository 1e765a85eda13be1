"""How features of any class sizes move: the level `features`, by autodiff of the loss on every example.

The classifier is the one of least squares, solved for from the features' second moments; the loss is Eq. 2 as printed,
on all examples. At W_LS its derivative with respect to W is 0, so its gradient at constant W is that of L_LS. The
gradient is split by class means and multiplied by the kernel, and projected with the solution of Lyapunov's equation.
Nothing of the closed state of `field` is used.

Source: Han, Papyan & Donoho (2022), Equations 2 and 5, Propositions 1 and 4.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from central_path.metrics.snr import Moments
from central_path.simulation.general.field import Motion
from central_path.theory.manifold import sym


class Labelled(NamedTuple):
    """Labels 0..C-1 of the examples in ascending order, priors, rates, the kernel's b and which features S multiplies.

    `on_deviations` and `on_means` are 1 where the projection takes S times the deviations, and times the class means,
    from the velocity: (0, 0) for `unnormalized`, (1, 0) for `riemannian`, (1, 1) for `renormalized`.
    """

    labels: Int[Array, " n"]
    pi: Float[Array, " C"]
    motion: Motion
    b: Float[Array, ""]
    on_deviations: Float[Array, ""]
    on_means: Float[Array, ""]


def mean_of_classes(A: Float[Array, "n P"], setting: Labelled) -> Float[Array, "C P"]:
    """Means over the examples of every class."""
    counts = setting.pi * len(A)
    sums = jax.ops.segment_sum(A, setting.labels, len(setting.pi), indices_are_sorted=True)
    return sums / counts[:, None]


def split(A: Float[Array, "n P"], setting: Labelled) -> tuple[Array, Array, Array]:
    """The mean (P,), class means about it (C, P) and deviations from the class means (n, P)."""
    means, mean = mean_of_classes(A, setting), jnp.mean(A, axis=0)
    return mean, means - mean[None, :], A - means[setting.labels]


def moments_of(H: Float[Array, "n P"], setting: Labelled) -> Moments:
    """Class means, within-class covariance and priors."""
    mean, means, E = split(H, setting)
    return Moments((means + mean[None, :]).T, E.T @ E / len(H), setting.pi)


def classifier(m: Moments, motion: Motion) -> tuple[Float[Array, "C P"], Float[Array, " C"]]:
    """W_LS and b_LS with the decays lambda of W and lambda_b = c^2/(1 - c^2) of b (`decomposition`, traced decays).

    With kappa = c^2: W = (D Mbar^T + kappa pi mu_G^T)(Sigma_T + kappa mu_G mu_G^T + lambda I)^(-1).
    """
    kappa, mu_G = motion.c**2, m.mu_G
    second = m.Sigma_T + kappa * jnp.outer(mu_G, mu_G) + motion.lam * jnp.eye(len(mu_G), dtype=m.M.dtype)
    target = m.Mbar * m.pi[None, :] + kappa * jnp.outer(mu_G, m.pi)
    W = jax.scipy.linalg.solve(second, target, assume_a="pos").T
    return W, (m.pi - W @ mu_G) * (1 - kappa)


def loss_of_examples(
    H: Float[Array, "n P"], W: Float[Array, "C P"], b: Float[Array, " C"], setting: Labelled
) -> Float[Array, ""]:
    """Eq. 2 with the decays, and lambda_H/2 |h|^2 of every example."""
    motion, targets = setting.motion, jax.nn.one_hot(setting.labels, len(setting.pi), dtype=H.dtype)
    errors = 0.5 * jnp.mean(jnp.sum((H @ W.T + b[None, :] - targets) ** 2, axis=1))
    lam_b = motion.c**2 / (1 - motion.c**2)
    return errors + 0.5 * (motion.lam * jnp.sum(W**2) + lam_b * jnp.sum(b**2) + motion.lam_H * jnp.sum(H**2))


def normal_matrix(E: Float[Array, "n P"], Z: Float[Array, "n P"]) -> Float[Array, "P P"]:
    """The symmetric S with S Sigma_W + Sigma_W S = 2 sym(Z^T E)/n, 0 where Sigma_W is 0."""
    w, U = jnp.linalg.eigh(E.T @ E / len(E))
    sums = w[:, None] + w[None, :]
    resolved = sums > 2 * len(w) * jnp.finfo(w.dtype).eps * w[-1]
    R = U.T @ sym(Z.T @ E / len(E)) @ U
    return U @ jnp.where(resolved, 2 * R / jnp.where(resolved, sums, 1.0), 0.0) @ U.T


def velocity(H: Float[Array, "n P"], setting: Labelled) -> Float[Array, "n P"]:
    """dH/dt."""
    W, b = classifier(moments_of(H, setting), setting.motion)
    mean, means, deviations = split(-jax.grad(loss_of_examples)(H, W, b, setting), setting)
    motion = setting.motion
    of_means = motion.a * means + (motion.g * mean)[None, :]
    Z = of_means[setting.labels] + setting.b * deviations
    E = split(H, setting)[2]

    def projected() -> Array:
        S = normal_matrix(E, Z)
        return Z - setting.on_deviations * (E @ S) - setting.on_means * ((H - E) @ S)

    return jax.lax.cond(setting.on_deviations > 0, projected, lambda: Z)  # else nothing is projected
