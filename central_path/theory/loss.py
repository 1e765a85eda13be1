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

All of it is computed about the global mean, W~ mu~_c = W (mu_c - mu_G) + (b + W mu_G). With sigma^2 the smallest
eigenvalue of Sigma_T + lambda I and eps the rounding of float64, the parts are then off by at most some ten times

    eps (condition number of Sigma_T + lambda I  +  |h|/sigma),       |h| the largest entry of a feature,

relative to L_LS, and L_LS_perp relative to L. The second term is what an offset costs: the digits that the features
lose beside it when they are stored (at an offset of 1e8 and sigma = 1 about eight are left).

The paper prints the balanced case D = I/C. On the central path (L_LS_perp = 0, lambda = 0, balanced classes) the loss
is a function of the singular values omega_j of the SNR matrix alone (Lemma 1).

Note: lambda multiplies ||W~||^2/2 beside a sum over classes. `torch.nn.MSELoss` averages over classes too, so
training with it and `weight_decay = w` minimises an objective whose lambda, in the normalisation of this module, is C
w / 2.

Source: Han, Papyan & Donoho (2022), Eq. 2, Proposition 1, Theorems 1 and 2, Lemma 1.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from central_path.metrics.decomposition import Decomposition as Decomposition
from central_path.metrics.decomposition import decompose as decompose
from central_path.metrics.decomposition import least_squares as least_squares
from central_path.theory.problem import class_means, contrasts, covariance, deviations


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

    The same number as through Sigma_T^(-1), without its cancellation at large omega: once the means are centred nothing
    is subtracted. The relative error is at most some ten times

        eps (cond(Sigma_W) + (C + omega_1^2)/(C + omega_{C-1}^2) + |M|/sigma),

    |M| the largest entry of M and sigma^2 the smallest eigenvalue of Sigma_W.
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
