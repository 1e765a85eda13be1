"""Class means that are diagonal to rounding, and what is a function of them then.

In aligned coordinates (`simulation.aligned`) the contrasts B of class means start as diag(b) and an off-diagonal part
of the size of rounding, and every flow of the paper leaves them so. Products of two entries off the diagonal are then
below the rounding of what they are added to, and a product or an inverse takes K^2 operations in place of K^3.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

ROUNDINGS = 4.0  # in units of K eps, the error of the singular values of a K x K matrix near I
LARGE = 64  # K from which it is faster to look whether B is nearly diagonal


def is_nearly_diagonal(B: Float[Array, "K K"]) -> Bool[Array, ""]:
    """Whether B = D^(1/2) (I + F) D^(1/2) with diagonal D, and |F| is the rounding of singular values of I + F.

    Its singular values are then those of D to that relative error, whatever their spread (Ostrowski).
    """
    K, b = len(B), jnp.abs(jnp.diagonal(B))
    eps = jnp.finfo(B.dtype).eps
    size = jnp.where(b > K * eps * jnp.max(b), b, jnp.nan)
    F = (B - jnp.diag(jnp.diagonal(B))) / jnp.sqrt(size[:, None] * size[None, :])
    return jnp.sum(F**2) <= (ROUNDINGS * K * eps) ** 2


def resolvent_to_first_order(
    B: Float[Array, "K K"], *, C: int, powers: int, weight: float | Float[Array, ""]
) -> Float[Array, "K K"]:
    """(C I + weight B B^T)^(-powers) B to first order in the entries of B off the diagonal.

    What is left out is their square: with F of `is_nearly_diagonal`, |F|^2 of the result along each pair of directions.
    """
    b, on_diagonal = jnp.diagonal(B), jnp.eye(len(B), dtype=bool)
    k = C + weight * b**2
    beside = weight * (b[:, None] * B.T + B * b[None, :])
    columns, y = B, b
    for _ in range(powers):
        y = y / k
        columns = jnp.where(on_diagonal, y[:, None], (columns - beside * y[None, :]) / k[:, None])
    return columns
