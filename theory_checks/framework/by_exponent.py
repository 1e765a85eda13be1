"""The package's flows by the exponent k of their laws, as the claims name them; k may be traced."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from central_path.flows import FLOWS, AbstractMotion, OneOf
from central_path.flows.horizon import Horizon

Exponent = int | np.integer | Int[Array, ""]
EXPONENTS = {name: int(flow.law(2, 2).k) for name, flow in FLOWS.items()}
NAMES = {k: name for name, k in EXPONENTS.items()}


def motion(k: Exponent) -> AbstractMotion:
    """The flow whose law has exponent k."""
    if isinstance(k, jax.Array):
        return OneOf(jnp.argmax(jnp.array(list(NAMES), dtype=k.dtype) == k))
    return FLOWS[NAMES[int(k)]]


def features_field(X: Float[Array, "P C N"], k: Exponent) -> Float[Array, "P C N"]:
    """dX/dt of features."""
    return motion(k).features_field(X)


def spectrum_field(omega: Float[Array, " K"], k: Exponent, *, N: int) -> Float[Array, " K"]:
    """d omega/dt."""
    return motion(k).spectrum_field(omega, N=N)


def field(state: Array, k: Exponent, *, level: str, N: int) -> Array:
    """The velocity of a level's state."""
    return motion(k).field(state, level=level, N=N)


def start(X: Float[Array, "P C *N"], k: Exponent, level: str) -> Array:
    """The state of a level at renormalized features."""
    return motion(k).start(X, level)


def within_covariance_of_means(M: Float[Array, "P C"], k: Exponent) -> Float[Array, "P P"]:
    """Sigma_W as the level `means` knows it."""
    return motion(k).within_covariance_of_means(M)


def horizon(k: int, omega0: Float[np.ndarray, " K"], t_max: float | None, *, C: int, N: int) -> Horizon:
    """Horizon and clock of flow k."""
    return FLOWS[NAMES[k]].horizon(omega0, t_max, C=C, N=N)
