"""Where flows start: renormalized features or class means, of one start or of many of one size."""

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Array, Float, Int

from central_path.flows import with_kernel
from central_path.metrics.snr import singular_values
from central_path.simulation.programs import compiling
from central_path.simulation.sharding import gather, place, replicated
from central_path.theory.manifold import inverse_root, retract
from central_path.theory.problem import (
    class_means,
    covariance,
    deviations,
    equal_priors,
    global_mean,
    snr_singular_values,
)


@dataclass(frozen=True)
class Start:
    """Renormalized features X (P, C, N), or their class means (r, C) alone, and their omega(0) (C-1,), descending.

    For S starts of one size both arrays have a leading axis S.
    """

    X: Float[np.ndarray, "..."]
    omega0: Float[np.ndarray, "*S K"]
    N: int

    @property
    def many(self) -> bool:
        """Whether the arrays have the axis of several starts."""
        return self.omega0.ndim == 2

    @property
    def sizes(self) -> dict[str, int]:
        """C and N, by these names."""
        return {"C": self.omega0.shape[-1] + 1, "N": self.N}

    def __getitem__(self, group: Int[np.ndarray, " size"]) -> "Start":
        return Start(self.X[group], self.omega0[group], self.N)


def stack(starts: Iterable[Start], level: str) -> Start:
    """Starts of one size, one by one, as one object; of their features only what the level needs is kept."""

    def needed(begin: Start) -> np.ndarray:
        return begin.X.mean(axis=2) if level != "features" and begin.X.ndim == 3 else begin.X

    X, omega0, N = zip(*((needed(begin), begin.omega0, begin.N) for begin in starts), strict=True)
    return Start(np.stack(X), np.stack(omega0), N[0])


def _renormalize(H: Float[Array, "P C N"]) -> tuple[Array, Array, Array]:
    X = retract(retract(H))  # the second pass takes away the rounding that an ill-conditioned Sigma_W leaves
    M = class_means(X)
    offset = jnp.max(jnp.abs(inverse_root(covariance(deviations(H))) @ global_mean(H)))
    return X, snr_singular_values(M, covariance(deviations(X)), equal_priors(M.shape[1])), offset


@lru_cache(maxsize=16)
def renormalizing(P: int, C: int, N: int, how: NamedSharding | None) -> Future:
    """The compiled renormalization of features (P, C, N); compiling begins at once."""
    out = None if how is None else (how, replicated(how), replicated(how))
    program = jax.jit(_renormalize, out_shardings=out)
    return compiling(program.lower(jax.ShapeDtypeStruct((P, C, N), float, sharding=how)))


def renormalize(H: Float[np.ndarray, "P C N"], *, eps: float, how: NamedSharding | None = None) -> Start:
    """Sigma_W^(-1/2) (H - mu_G), the start of every flow; eps is the precision in which the features were stored.

    Over the devices of a sharding, if there is one.

    Raises:
        ValueError: if Sigma_W is singular, or an omega_j is zero to that precision: coinciding or affinely dependent
            class means.
    """
    P, C, N = H.shape
    X, omega0, offset = map(gather, renormalizing(P, C, N, how).result()(H if how is None else place(H, how)))
    rounding = P * eps * max(1.0, float(offset), float(omega0[0]))
    if not (np.all(np.isfinite(X)) and np.all(np.isfinite(omega0))):
        raise ValueError(
            f"Need a within-class covariance of full rank P = {P} in float64, got one that is singular to rounding: "
            "lower P, or restrict the features to its range."
        )
    zeros = int(np.count_nonzero(omega0 <= rounding))
    if zeros:
        remedy = "drop or merge the classes whose means coincide"
        if offset > max(1.0, omega0[0]):
            remedy += ", or take the common offset of the features away before they are stored"
        raise ValueError(
            f"Need affinely independent class means, got {zeros} of {len(omega0)} singular values omega at zero to the "
            f"precision of the features (smallest {omega0[-1]:.2g}, rounding {rounding:.2g}): omega = 0 never grows; "
            f"{remedy}."
        )
    return Start(X, omega0, N)


def start_of_means(M: Float[np.ndarray, "r C"], N: int) -> Start:
    """A start of which the class means are known and no features: N examples each, Sigma_W = I, mean 0."""
    return Start(M, singular_values(M, equal_priors(M.shape[1])), N)


def check_horizons(names: Iterable[str], begin: Start, t_max: float | None, *, kernel: float = 1.0) -> None:
    """Refuse a flow that has no horizon, before any is integrated.

    Raises:
        ValueError: as `AbstractFlow.horizon`.
    """
    for name in names:
        with_kernel(name, kernel).horizon(begin.omega0, t_max, **begin.sizes)
