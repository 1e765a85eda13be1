"""Paths of features along a flow: states, not only what the simulator observes.

Every path starts from full features and moves by `AbstractMotion.features_field`, autodiff gradient and projection,
which knows nothing of singular values or of the laws.
"""

from typing import NamedTuple

import jax
import numpy as np

from central_path.simulation import solve
from central_path.theory.laws import Law
from central_path.theory.manifold import retract
from central_path.theory.problem import class_means, covariance, deviations, equal_priors, snr_singular_values
from theory_checks.framework.by_exponent import features_field, horizon, start

RTOL = 1e-11  # of the solver; a path of some tens of steps then keeps about 1e-9
PATH_TOLERANCE = 1e-7  # what may remain of rtol after some tens of steps and an interpolation of lower order
PATH_REASON = "solver tolerance 1e-11, times some tens of steps and the interpolation between them"


class Path(NamedTuple):
    """Times (T,), features (T, P, C, N) and omega (T, C-1), from the features themselves; the law's exponent k."""

    ts: np.ndarray
    X: np.ndarray
    omega: np.ndarray
    k: int

    @property
    def law(self) -> Law:
        """The law that the flow should follow."""
        return Law(self.k, self.X.shape[2], self.X.shape[3])


@jax.jit
def renormalized(H):
    """Sigma_W^(-1/2) (H - mu_G), on the manifold to rounding."""
    return retract(retract(H))


@jax.jit
def omega_of(X):
    """Singular values of the SNR matrix."""
    return snr_singular_values(class_means(X), covariance(deviations(X)), equal_priors(X.shape[1]))


@jax.jit
def with_total_one(X):
    """Sigma_T^(-1/2) X, from which the flow with k = 2 has its law."""
    return start(X, 2, "features")


@jax.jit
def _follow(X, k, clock, ts):
    return solve.integrate(
        features_field, X, k, clock, observe=lambda X, k: {"X": X, "omega": omega_of(X)}, ts=ts, rtol=RTOL, atol=RTOL
    )


def follow(
    H: np.ndarray,
    k: int,
    *,
    t_max: float | None = None,
    saves: int = 60,
    from_total: bool = True,
    clock_of: int | None = None,
) -> Path:
    """The path of flow k from the renormalized features of H; k = 2 starts from Sigma_T = I, as its law asks.

    With `from_total` false, k = 2 starts from the features as they are. `clock_of` times the path by another flow's
    law.

    Raises:
        RuntimeError: if the solver failed.
    """
    X = H if k == 2 and not from_total else renormalized(H)
    omega0 = np.asarray(omega_of(X))
    if k == 2 and from_total:
        X = with_total_one(X)
    chosen = horizon(k if clock_of is None else clock_of, omega0, t_max, C=H.shape[1], N=H.shape[2])
    clock = solve.Clock(*(np.float64(value) for value in chosen))
    found = _follow(X, np.int32(k), clock, chosen.times(saves))
    path = Path(np.asarray(found.ts), np.asarray(found.ys["X"]), np.asarray(found.ys["omega"]), k)
    if not np.all(np.isfinite(path.omega)):
        raise RuntimeError(f"the solver failed after {int(found.stats['num_steps'])} steps")
    return path


def fitted_slope(x: np.ndarray, y: np.ndarray) -> float:
    """Slope of log y against log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
