"""Features of C balanced classes, and their statistics.

Last-layer features H hold N examples of each of C classes in P dimensions. Everything that the theory needs of them
is the class means, the within-class covariance and the class priors:

    mu_c    = Ave_i h_{i,c}                                      M = [mu_1 ... mu_C]
    Sigma_W = Ave_{i,c} (h_{i,c} - mu_c)(h_{i,c} - mu_c)^T       (average over examples)
    Sigma_B = sum_c pi_c (mu_c - mu_G)(mu_c - mu_G)^T            Sigma_T = Sigma_W + Sigma_B
    SNR     = Sigma_W^(-1/2) (M - mu_G 1^T)                      singular values omega_1 >= ... >= omega_{C-1}

Features are stored as (P, C, N), so that a class mean is a mean over the last axis and no CN x CN matrix exists. The
moments and the singular values omega are defined in `snr`, for NumPy and JAX alike; here they are taken of features.

Source: Han, Papyan & Donoho (2022), Section 1.1 (Eq. 1), Section 3.2 (Definition 2).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float, Int

from central_path.metrics.samples import check_sizes as check_sizes
from central_path.metrics.samples import random_features as random_features
from central_path.metrics.snr import Moments as Moments
from central_path.metrics.snr import contrasts as contrasts
from central_path.metrics.snr import equal_priors as equal_priors
from central_path.metrics.snr import singular_values


def require_float64() -> None:
    """Refuse to compute in JAX's default float32, which has not the digits for what is compared here.

    Raises:
        ValueError: unless `jax_enable_x64` is set.
    """
    if jnp.result_type(float) != jnp.float64:
        raise ValueError(
            'Need float64, got JAX\'s default float32: set `jax.config.update("jax_enable_x64", True)` first.'
        )


def cross(A: Float[Array, "P ..."], B: Float[Array, "Q ..."]) -> Float[Array, "P Q"]:
    """A B^T over all axes but the first: no reshaping, which would gather arrays that are spread over devices."""
    examples = tuple(range(1, A.ndim))
    return jnp.tensordot(A, B, axes=(examples, examples))


@jax.custom_jvp
def gram(A: Float[Array, "P ..."]) -> Float[Array, "P P"]:
    """A A^T, with the derivative T + T^T, T = dA A^T: one product each way, where plain autodiff makes two."""
    return cross(A, A)


@gram.defjvp
def _gram_jvp(primals, tangents):
    (A,), (dA,) = primals, tangents
    T = cross(dA, A)
    return gram(A), T + T.T


def class_means(H: Float[Array, "P C N"]) -> Float[Array, "P C"]:
    """M: the mean of every class."""
    return jnp.mean(H, axis=-1)


def deviations(H: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
    """E: what remains of every example after its class mean."""
    return H - class_means(H)[:, :, None]


def covariance(E: Float[Array, "P C N"]) -> Float[Array, "P P"]:
    """E E^T / (CN): Sigma_W of the deviations E, or Sigma_T of centred features (balanced classes)."""
    return gram(E) / (E.shape[1] * E.shape[2])


def global_mean(H: Float[Array, "P C N"]) -> Float[Array, " P"]:
    """mu_G: the mean of all examples."""
    return jnp.mean(H, axis=(1, 2))


def moments(H: Float[Array, "P C N"]) -> Moments:
    """Moments of balanced features."""
    C = H.shape[1]
    return Moments(class_means(H), covariance(deviations(H)), jnp.full(C, 1 / C, H.dtype))


def moments_of_samples(features: Float[ArrayLike, "n P"], labels: Int[ArrayLike, " n"], *, C: int) -> Moments:
    """Moments of n examples with labels 0..C-1, in any order and any class sizes, which are the priors.

    Example:
        >>> import numpy as np, central_path as cp
        >>> from central_path.theory.problem import moments_of_samples
        >>> cp.enable_x64()
        >>> m = moments_of_samples(np.array([[0.0], [2.0], [4.0]]), np.array([0, 0, 1]), C=2)
        >>> m.M.tolist(), float(3 * m.pi[0]), float(3 * m.Sigma_W[0, 0])
        ([[1.0, 4.0]], 2.0, 2.0)

    Raises:
        ValueError: if a label is not among 0..C-1, or a class has no example (outside jit).
    """
    features, labels = jnp.asarray(features), jnp.asarray(labels)
    counts = jnp.bincount(labels, length=C)
    concrete = not isinstance(labels, Tracer)
    if concrete and len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < C):
        raise ValueError(f"Need labels from 0 to C - 1 = {C - 1}, got {int(labels.min())} to {int(labels.max())}.")
    if concrete and not np.asarray(counts).all():
        raise ValueError(
            f"Need an example of each of the C = {C} classes, got counts {np.asarray(counts).tolist()}: "
            "drop the empty classes."
        )
    M = jax.ops.segment_sum(features, labels, C) / counts[:, None].astype(features.dtype)
    E = features - M[labels]
    return Moments(M.T, gram(E.T) / len(labels), (counts / len(labels)).astype(features.dtype))


def samples(H: Float[Array, "P C N"]) -> tuple[Float[Array, "n P"], Int[Array, " n"]]:
    """Rows (CN, P) and labels (CN,) of balanced features, class by class (the paper's i-then-c order)."""
    P, C, N = H.shape
    return H.reshape(P, C * N).T, jnp.repeat(jnp.arange(C), N)


def snr(m: Moments) -> Float[Array, "P C"]:
    """SNR matrix Sigma_W^(-1/2) Mbar with the symmetric root (Definition 2).

    Not for differentiation: at Sigma_W = I the root's eigenvectors are not unique.
    """
    w, U = jnp.linalg.eigh(m.Sigma_W)
    return (U / jnp.sqrt(w)[None, :]) @ (U.T @ m.Mbar)


def snr_singular_values(
    M: Float[Array, "P C"], Sigma_W: Float[Array, "P P"], pi: Float[ArrayLike, " C"]
) -> Float[Array, " K"]:
    """omega_1 >= ... >= omega_K, K = min(P, C - 1), for Sigma_W > 0 and any class priors pi (Definition 2).

    `singular_values` of L^(-1) Mbar with Sigma_W = L L^T. For balanced classes pi is `equal_priors(C)`. For reporting,
    not for differentiation.
    """
    pi = pi if isinstance(pi, jax.Array) else np.asarray(pi)
    L = jnp.linalg.cholesky(Sigma_W)
    return singular_values(jax.scipy.linalg.solve_triangular(L, M - (M @ pi)[:, None], lower=True), pi)
