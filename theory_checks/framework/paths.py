"""Paths of features along a flow: states, not only what the simulator observes.

Every path starts from full features and moves by `AbstractMotion.features_field`, autodiff gradient and projection,
which knows nothing of singular values or of the laws.
"""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from central_path.flows import FLOWS, AbstractFlow, AbstractMotion, OneOf, index_of
from central_path.simulation import solve
from central_path.theory.law import AbstractLaw
from central_path.theory.laws import Law
from central_path.theory.manifold import retract
from central_path.theory.problem import class_means, covariance, deviations, equal_priors, snr_singular_values

RTOL = 1e-11  # of the solver; a path of some tens of steps then keeps about 1e-9
PATH_TOLERANCE = 1e-7  # what may remain of rtol after some tens of steps and an interpolation of lower order
PATH_REASON = "solver tolerance 1e-11, times some tens of steps and the interpolation between them"

RIEMANNIAN, RENORMALIZED, UNNORMALIZED = (FLOWS[name] for name in ("riemannian", "renormalized", "unnormalized"))
EQUATION_5 = (RIEMANNIAN, RENORMALIZED)  # with the orthogonal projection, and with that of Proposition 4


def traced(flow: AbstractFlow) -> OneOf:
    """A flow as the argument of a compiled program, which then serves all flows."""
    return OneOf(index_of(flow.name), np.float64(flow.kernel))


class Path(NamedTuple):
    """Times (T,), features (T, P, C, N) and omega (T, C-1), from the features themselves; the flow."""

    ts: Float[np.ndarray, " T"]
    X: Float[np.ndarray, "T P C N"]
    omega: Float[np.ndarray, "T K"]
    flow: AbstractFlow

    @property
    def law(self) -> AbstractLaw:
        """The law that the flow should follow."""
        return self.flow.law(self.X.shape[2], self.X.shape[3])

    @property
    def k(self) -> int:
        """The exponent of the law of free features.

        Raises:
            ValueError: for a flow with another kernel.
        """
        if not isinstance(self.law, Law):
            raise ValueError(f"Need kernel 0 or 1 for an exponent, got {self.flow.kernel}.")
        return int(self.law.k)


@jax.jit
def renormalized(H: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
    """Sigma_W^(-1/2) (H - mu_G), on the manifold to rounding."""
    return retract(retract(H))


@jax.jit
def omega_of(X: Float[Array, "P C N"]) -> Float[Array, " K"]:
    """Singular values of the SNR matrix."""
    return snr_singular_values(class_means(X), covariance(deviations(X)), equal_priors(X.shape[1]))


@jax.jit
def start(X: Float[Array, "P C N"], flow: AbstractMotion) -> Float[Array, "P C N"]:
    """Where a flow starts from renormalized features: there, or for `unnormalized` at Sigma_T^(-1/2) X."""
    return flow.start_features(X)


@jax.jit
def velocity(X: Float[Array, "P C N"], flow: AbstractMotion) -> Float[Array, "P C N"]:
    """dX/dt of features."""
    return flow.features_field(X)


@jax.jit
def omega_along(X: Float[Array, "P C N"], flow: AbstractMotion) -> Float[Array, " K"]:
    """d omega/dt, by autodiff along the velocity of the features."""
    return jax.jvp(omega_of, (X,), (flow.features_field(X),))[1]


def _observe(X: Float[Array, "P C N"], flow: AbstractMotion) -> dict[str, Array]:
    del flow
    return {"X": X, "omega": omega_of(X)}


@jax.jit
def _follow(
    X: Float[Array, "P C N"], flow: AbstractMotion, clock: solve.Clock, ts: Float[Array, " T"]
) -> solve.Solution:
    return solve.integrate(velocity, X, flow, clock, observe=_observe, ts=ts, rtol=RTOL, atol=RTOL)


def follow(
    H: Float[np.ndarray, "P C N"],
    flow: AbstractFlow,
    *,
    t_max: float | None = None,
    saves: int = 60,
    as_they_are: bool = False,
) -> Path:
    """The path of a flow from its `start` at the renormalized features of H.

    `as_they_are` starts from H itself.

    Raises:
        RuntimeError: if the solver failed.
    """
    X = H if as_they_are else renormalized(H)
    omega0 = np.asarray(omega_of(X))
    X = X if as_they_are else start(X, flow)
    chosen = flow.horizon(omega0, t_max, C=H.shape[1], N=H.shape[2])
    clock = solve.Clock(*(np.float64(value) for value in chosen))
    found = _follow(X, traced(flow), clock, chosen.times(saves))
    path = Path(np.asarray(found.ts), np.asarray(found.ys["X"]), np.asarray(found.ys["omega"]), flow)
    if not np.all(np.isfinite(path.omega)):
        raise RuntimeError(f"the solver failed after {int(found.stats['num_steps'])} steps")
    return path


def fitted_slope(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    """Slope of log y against log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
