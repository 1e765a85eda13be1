"""A factor of the pseudo-inverse of Sigma_B without singular vectors, for what is observed along a flow.

V with V V^T = Sigma_B^+ gives NC1 = tr(V^T Sigma_W V)/C. With A (P, K), A A^T = Sigma_B and K = C - 1, and R of the QR
factorisation of A, or of A^T where P < K,

    V = A R^(-1) R^(-T)    P >= K          V = R^(-1)    P < K

as long as the class means are affinely independent. Otherwise V is taken from singular vectors, which cost ten times as
much, and leaves out the directions that `metrics.collapse.nc1` leaves out.

Nothing here is for `jax.vmap` on a CPU over many states: in jaxlib 0.10.2 a program in which two batched factorisations
do not depend on each other can stop for ever, each waiting for threads that the other has.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def _by_singular_vectors(A: Float[Array, "P K"], tolerance: float) -> Float[Array, "P L"]:
    U, s, _ = jnp.linalg.svd(A, full_matrices=False)
    kept = s > s[0] * tolerance
    scale = jnp.where(kept, 1 / jnp.where(kept, s, 1.0), 0.0)
    return jnp.where(kept[0], U * scale[None, :], jnp.nan)


def inverse_factor(A: Float[Array, "P K"]) -> Float[Array, "P L"]:
    """V, L = min(P, K), with V V^T = (A A^T)^+; NaN where A = 0."""
    P, K = A.shape
    R = jnp.linalg.qr(A if P >= K else A.T, mode="r")
    inverse = jax.scipy.linalg.solve_triangular(R, jnp.eye(len(R), dtype=A.dtype))
    tolerance = max(P, K + 1) * float(jnp.finfo(A.dtype).eps)
    independent = jnp.sqrt(jnp.sum(R**2) * jnp.sum(inverse**2)) * tolerance < 1
    return jax.lax.cond(
        independent,
        lambda: A @ inverse @ inverse.T if P >= K else inverse,
        lambda: _by_singular_vectors(A, tolerance),
    )
