"""The error of a step along the general central path, in units in which it is the error of omega.

In the starting basis B is (P, C), and e_i^2 is the i-th diagonal entry of the matrix whose inverse whitens it. With X =
B/e by rows and x_j the norm of its column j, the units are

    of column j of B, in units of e     rtol x_j + atol min(x_j, 1)
    of row i of F, or of E              rtol e_i

Class means may have turned since, so Sigma_W = L L^T is looked at as omega sees it, too: L^(-1) dSigma_W L^(-T) in
units of rtol, with I - beta X^T X in the place of Sigma_W where Sigma_W is what beta B B^T leaves of a constant matrix.
No unit is below what rounding leaves: FINEST of the largest, and where a projection takes the gradient of the examples
away, FINEST times omega^2/C of it.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

FINEST = 2.0**-50  # eight roundings of one operation


def of_means(
    B: Float[Array, "P C"], error: Float[Array, "P C"], e: Float[Array, " P"], rtol: Any, atol: Any
) -> Float[Array, ""]:
    """The largest over the columns."""
    x, dx = (jnp.linalg.norm(A / e[:, None], axis=0) for A in (B, error))
    x = x.at[-1].max(jnp.max(x[:-1]))
    return jnp.max(dx / (rtol * x + atol * jnp.minimum(x, 1.0) + FINEST * jnp.max(x)))


def _whitened(change: Float[Array, "P P"], Sigma: Float[Array, "P P"], rtol: Any, null: int) -> Float[Array, ""]:
    """The largest column of L^(-1) change L^(-T), Sigma = L L^T, in units of rtol and of what rounding leaves.

    Where Sigma has `null` eigenvalues that are 0, its eigenvectors but theirs take the place of L.
    """
    if null:
        w, U = jnp.linalg.eigh(Sigma)
        w, U = w[null:], U[:, null:]
        change, least = (U.T @ change @ U) / jnp.sqrt(w[:, None] * w[None, :]), jnp.min(w, initial=jnp.inf)
    else:
        L = jnp.linalg.cholesky(Sigma)
        half = jax.scipy.linalg.solve_triangular(L, change, lower=True)
        change, least = jax.scipy.linalg.solve_triangular(L, half.T, lower=True), jnp.min(jnp.diagonal(L)) ** 2
    noise = FINEST * jnp.max(jnp.diagonal(Sigma)) / least
    wrong = jnp.max(jnp.linalg.norm(change, axis=0), initial=0.0) / (rtol + noise)
    return jnp.where(jnp.isfinite(wrong), wrong, 0.0)  # Sigma_W singular to rounding: omega has no digits


def of_what_is_left(
    B: Float[Array, "P C"],
    error: Float[Array, "P C"],
    e: Float[Array, " P"],
    beta: Float[Array, ""],
    rtol: Any,
    null: int,
) -> Float[Array, ""]:
    """Of the within-class covariance, where a constant matrix holds beta times that of the class means."""
    X, dX = (A[:, :-1] / e[:, None] for A in (B, error))
    change = beta * (X.T @ dX + dX.T @ X)
    return _whitened(change, jnp.eye(X.shape[1], dtype=X.dtype) - beta * (X.T @ X), rtol, null)


def of_covariance(F: Float[Array, "P r"], error: Float[Array, "P r"], rtol: Any, null: int) -> Float[Array, ""]:
    """Of the within-class covariance F F^T, in its own units."""
    change = error @ F.T
    return _whitened(change + change.T, F @ F.T, rtol, null)


def of_deviations(
    F: Float[Array, "P r"], error: Float[Array, "P r"], rtol: Any, noise: Float[ArrayLike, ""]
) -> Float[Array, ""]:
    """The largest over the rows, in root mean squares."""
    size, wrong = (jnp.sqrt(jnp.mean(A**2, axis=1)) for A in (F, error))
    return jnp.max(wrong / (rtol * size + noise * jnp.max(size) + jnp.finfo(F.dtype).tiny))  # decay can end in 0
