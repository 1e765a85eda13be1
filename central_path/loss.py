"""The MSE loss, its least-squares classifier and its exact decomposition.

With W~ = [W, b], h~ = [h; 1] and one-hot targets y,

    L = 1/2 Ave ||W~ h~ - y||^2 + lambda/2 ||W~||_F^2                 (Ave over examples, SUM over classes)

For given features the best classifier is W~_LS, and the loss of any classifier splits into three parts, one that
within-class variability causes, one that the class means cause, and one that a classifier away from W~_LS adds:

    W~_LS      = D M~^T (Ave h~h~^T + lambda I)^(-1),                 D = diag(pi)
    L_NC1      = 1/2 tr(W~_LS (Sigma~_W + lambda I) W~_LS^T)
    L_NC2/3    = 1/2 sum_c pi_c ||W~_LS mu~_c - e_c||^2
    L_LS_perp  = 1/2 tr((W~ - W~_LS)(Ave h~h~^T + lambda I)(W~ - W~_LS)^T)
    L          = L_NC1 + L_NC2/3 + L_LS_perp                          for every W~ and any class sizes

All of it is computed about the global mean, W~ mu~_c = W (mu_c - mu_G) + (b + W mu_G), where an offset of the features
does no harm.

The paper prints the balanced case D = I/C. On the central path (L_LS_perp = 0, lambda = 0, balanced classes) the loss
is a function of the singular values omega_j of the SNR matrix alone (Lemma 1).

Note: lambda multiplies ||W~||^2/2 beside a sum over classes. `torch.nn.MSELoss` averages over classes too, so
training with it and `weight_decay = w` minimises an objective whose lambda, in the normalisation of this module, is C
w / 2.

Source: Han, Papyan & Donoho (2022), Eq. 2, Proposition 1, Theorems 1 and 2, Lemma 1.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from central_path.problem import Moments, class_means, contrasts, covariance, deviations


def mse_loss(
    W: Float[Array, "C P"],
    b: Float[Array, " C"],
    features: Float[Array, "n P"],
    labels: Int[Array, " n"],
    *,
    lam: float | Float[Array, ""],
) -> Float[Array, ""]:
    """L as Eq. 2 has it: half the squared error, summed over classes, averaged over examples, plus weight decay."""
    residual = features @ W.T + b[None, :] - jax.nn.one_hot(labels, len(b), dtype=features.dtype)
    return 0.5 * jnp.mean(jnp.sum(residual**2, axis=1)) + 0.5 * lam * (jnp.sum(W**2) + jnp.sum(b**2))


def _least_squares_about_mean(
    m: Moments, lam: float, targets: Float[Array, "R C"]
) -> tuple[Float[Array, "R P"], Float[Array, " R"]]:
    """W_LS and its outputs b_LS + W_LS mu_G at the global mean, with the bias eliminated.

    With the targets of the classes as columns of Y, I in the paper, the bias that goes with W is (Y pi - W mu_G)/(1 +
    lambda), which leaves, with kappa = lambda/(1 + lambda),

        W_LS = (Y D Mbar^T + kappa Y pi mu_G^T)(Sigma_T + kappa mu_G mu_G^T + lambda I)^(-1).

    Same as Proposition 1, but the size of mu_G and the scale of the features against the constant 1 of h~ do not enter
    its condition number at lambda = 0.
    """
    if lam < 0:
        raise ValueError(f"Need lam >= 0, got lam = {lam}: a negative weight decay has no minimiser.")
    kappa = lam / (1 + lam)
    mean_target = targets @ m.pi
    target = (m.Mbar * m.pi[None, :]) @ targets.T + kappa * jnp.outer(m.mu_G, mean_target)
    second_moment = m.Sigma_T + kappa * jnp.outer(m.mu_G, m.mu_G) + lam * jnp.eye(len(m.mu_G), dtype=m.M.dtype)
    if lam > 0:
        W = jax.scipy.linalg.solve(second_moment, target, assume_a="pos").T
    else:
        W = (jnp.linalg.pinv(second_moment, hermitian=True) @ target).T
    return W, (mean_target + lam * (W @ m.mu_G)) / (1 + lam)


def _one_hot(m: Moments) -> Float[Array, "C C"]:
    return jnp.eye(m.M.shape[1], dtype=m.M.dtype)


def least_squares(
    m: Moments, *, lam: float, targets: Float[Array, "R C"] | None = None
) -> tuple[Float[Array, "R P"], Float[Array, " R"]]:
    """W_LS (C, P) and b_LS (C,) of Proposition 1, for any class priors. lam is a number, not a traced value.

    For lam = 0 and singular Sigma_T this is the W of least norm (pseudo-inverse) with its bias; others fit as well.
    `targets` are what R outputs should be on each class, one-hot (R = C) unless given.

    Raises:
        ValueError: if lam < 0.
    """
    W, at_mean = _least_squares_about_mean(m, lam, _one_hot(m) if targets is None else targets)
    return W, at_mean - W @ m.mu_G


class Decomposition(eqx.Module):
    """The three parts of the loss (Theorems 1 and 2)."""

    loss_nc1: Float[Array, ""]
    loss_nc23: Float[Array, ""]
    loss_ls_perp: Float[Array, ""]

    @property
    def loss_ls(self) -> Float[Array, ""]:
        """L_LS = L_NC1 + L_NC2/3."""
        return self.loss_nc1 + self.loss_nc23

    @property
    def total(self) -> Float[Array, ""]:
        """L = L_LS + L_LS_perp."""
        return self.loss_ls + self.loss_ls_perp


def decompose(
    W: Float[Array, "R P"],
    b: Float[Array, " R"],
    m: Moments,
    *,
    lam: float,
    targets: Float[Array, "R C"] | None = None,
) -> Decomposition:
    """L of the classifier (W, b) on features with moments m, in its three parts (Theorems 1 and 2).

    Exact for any class priors and any lam >= 0; `targets` as for `least_squares`.

    Raises:
        ValueError: if lam < 0.
    """
    targets = _one_hot(m) if targets is None else targets
    W_LS, at_mean_LS = _least_squares_about_mean(m, lam, targets)
    b_LS = at_mean_LS - W_LS @ m.mu_G
    dW, db, d_at_mean = W - W_LS, b - b_LS, b + W @ m.mu_G - at_mean_LS
    errors = W_LS @ m.Mbar + at_mean_LS[:, None] - targets
    away = dW @ m.Mbar + d_at_mean[:, None]
    decay, decay_away = (lam * (jnp.sum(V**2) + jnp.sum(v**2)) for V, v in ((W_LS, b_LS), (dW, db)))
    return Decomposition(
        loss_nc1=0.5 * (jnp.sum(W_LS @ m.Sigma_W * W_LS) + decay),
        loss_nc23=0.5 * jnp.sum(m.pi[None, :] * errors**2),
        loss_ls_perp=0.5 * (jnp.sum(dW @ m.Sigma_W * dW) + jnp.sum(m.pi[None, :] * away**2) + decay_away),
    )


def loss_of_contrasts(B: Float[Array, "P K"], Sigma_W: Float[Array, "P P"]) -> Float[Array, ""]:
    """L_LS on the central path: 1/2 tr (C I + B^T Sigma_W^(-1) B)^(-1), for lambda = 0, balanced, bias included.

    B = M Q are the class means in any orthonormal basis Q of the vectors that sum to zero, which puts the centring in.
    Nothing is subtracted, unlike in the form through Sigma_T^(-1), which cancels at large omega; where the columns of
    Sigma_W^(-1/2) B are orthogonal, nothing small is added to something large either. Differentiable at Sigma_W = I.
    """
    K = (B.shape[1] + 1) * jnp.eye(B.shape[1], dtype=B.dtype) + B.T @ jax.scipy.linalg.solve(Sigma_W, B, assume_a="pos")
    return 0.5 * jnp.trace(jax.scipy.linalg.solve(K, jnp.eye(B.shape[1], dtype=B.dtype), assume_a="pos"))


def loss_of_moments(M: Float[Array, "P C"], Sigma_W: Float[Array, "P P"]) -> Float[Array, ""]:
    """L_LS on the central path, of class means: `loss_of_contrasts` with Helmert's contrasts.

    The same number as through Sigma_T^(-1), without its cancellation at large omega; the relative error is about
    (omega_1/omega_{C-1})^2 rounding errors.
    """
    return loss_of_contrasts(M @ contrasts(M.shape[1]), Sigma_W)


def central_path_loss(H: Float[Array, "P C N"]) -> Float[Array, ""]:
    """L_LS of balanced features, lambda = 0, bias included (Section 3.1); invariant under H -> A H."""
    return loss_of_moments(class_means(H), covariance(deviations(H)))


def central_path_classifier(
    M: Float[Array, "P C"], Sigma_W: Float[Array, "P P"]
) -> tuple[Float[Array, "C P"], Float[Array, " C"]]:
    """W_LS and b_LS at lambda = 0, balanced.

    W = (C I + Mbar^T Sigma_W^(-1) Mbar)^(-1) Mbar^T Sigma_W^(-1), b = 1/C - W mu_G.

    `least_squares` without the P x P pseudo-inverse; needs Sigma_W > 0.
    """
    C = M.shape[1]
    mu_G = jnp.mean(M, axis=1)
    whitened = jax.scipy.linalg.solve(Sigma_W, M - mu_G[:, None], assume_a="pos")
    W = jax.scipy.linalg.solve(
        C * jnp.eye(C, dtype=M.dtype) + (M - mu_G[:, None]).T @ whitened, whitened.T, assume_a="pos"
    )
    return W, 1 / C - W @ mu_G


def spectral_losses(
    omega: Float[Array, " K"], *, C: int
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """L_LS, L_NC1 and L_NC2/3 of the singular values omega (Lemma 1).

    Halves of sum 1/(w^2+C), of sum w^2/(w^2+C)^2 and of sum C/(w^2+C)^2.

    L_LS and L_NC2/3 fall in every omega_j; L_NC1 rises until omega_j^2 = C.
    """
    p = 1 / (omega**2 + C)
    return 0.5 * jnp.sum(p), 0.5 * jnp.sum((omega * p) ** 2), 0.5 * jnp.sum(C * p**2)
