"""The error of a step along the general central path, in units in which it is the error of omega.

In the starting basis B is (P, C) and e_i^2 the i-th diagonal entry of the matrix whose inverse whitens it. With X = B/e
by rows, x_j the norm of its column j and v_j = 1 - beta x_j^2, what the constant matrix leaves to Sigma_W,

    of column j of B, in units of e     rtol x_j + atol min(x_j, 1)      times (v_j min v)^(1/2)
    of row i of F, or of E              rtol e_i

and no unit is below what rounding leaves: FINEST of the largest, and for examples whose projection takes the gradient
away, FINEST times omega^2/C of it.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

FINEST = 2.0**-50  # eight roundings of one operation
LARGEST_SHRINKAGE = 1e-9  # of v: beyond, omega has no digits in this state


def of_means(
    B: Float[Array, "P C"],
    error: Float[Array, "P C"],
    e: Float[Array, " P"],
    beta: Float[Array, ""],
    rtol: Any,
    atol: Any,
) -> Float[Array, ""]:
    """The largest over the columns."""
    X, dX = B / e[:, None], error / e[:, None]
    x = jnp.sqrt(jnp.sum(X**2, axis=0))
    x = x.at[-1].max(jnp.max(x[:-1]))
    v = jnp.clip(1 - beta * x**2, LARGEST_SHRINKAGE, 1.0).at[-1].set(1.0)
    unit = (rtol * x + atol * jnp.minimum(x, 1.0)) * jnp.sqrt(v * jnp.min(v)) + FINEST * jnp.max(x)
    return jnp.max(jnp.sqrt(jnp.sum(dX**2, axis=0)) / unit)


def of_deviations(
    F: Float[Array, "P r"], error: Float[Array, "P r"], rtol: Any, noise: Float[ArrayLike, ""]
) -> Float[Array, ""]:
    """The largest over the rows, in root mean squares."""
    size, wrong = (jnp.sqrt(jnp.mean(A**2, axis=1)) for A in (F, error))
    return jnp.max(wrong / (rtol * size + noise * jnp.max(size)))
