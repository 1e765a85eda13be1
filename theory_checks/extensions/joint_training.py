"""Classifier and features trained together, and their distance from the central path.

    dW~/dt = -kappa dL/dW~,    dh/dt = -dL/dh,    L = loss of Equation 2 on the examples (lambda on W~; on H as told)

with the gradient by autodiff of `loss.mse_loss` on samples. A classifier kappa times faster than the features is the
knob that leads to the central path: with D = W~ - W~_LS and A = Ave h~h~^T + lambda I, which the gradient of L makes
dL/dW~ = D A,

    dD/dt = -kappa D A - dW~_LS/dt,    so D ~ e^(-kappa t A) at first, and then D = -(dW~_LS/dt) A^(-1)/kappa.

Explicit steps must resolve the fast classifier, so horizons are short.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from central_path.simulation import solve
from central_path.theory import problem
from central_path.theory.loss import mse_loss
from theory_checks.framework import definitions, instances, paths
from theory_checks.framework.paths import RTOL

SAVES = 40
T_MAX = 3.0  # the slowest classifier has then relaxed by e^-60
KAPPA = 20.0 * 2.0 ** np.arange(6)


class JointState(NamedTuple):
    """Classifier W (C, P), b (C,), and features X (P, C, N); with a leading axis of times, or of kappa."""

    W: Float[np.ndarray, "*many C P"]
    b: Float[np.ndarray, "*many C"]
    X: Float[np.ndarray, "*many P C N"]


def _loss(W, b, X, lam):
    features, labels = problem.samples(X)
    return mse_loss(W, b, features, labels, lam=lam)


def _field(state, args):
    kappa, lam, lam_H = args
    dW, db, dX = jax.grad(_loss, argnums=(0, 1, 2))(*state, lam)
    X = state[2]
    return -kappa * dW, -kappa * db, -dX - lam_H / (X.shape[1] * X.shape[2]) * X


def _observe(state, args):
    del args
    return dict(zip("WbX", state, strict=True))


@jax.jit
def _follow(state, args, clock, ts):
    return solve.integrate(_field, state, args, clock, observe=_observe, ts=ts, rtol=RTOL, atol=RTOL).ys


gradient = jax.jit(lambda W, b, X, lam: jax.grad(_loss, argnums=(0, 1, 2))(W, b, X, lam))


def follow(
    begin: JointState, kappa: float, ts: Float[np.ndarray, " T"], *, lam: float = 0.0, lam_H: float = 0.0
) -> JointState:
    """The joint flow at SAVES times from 0.

    Raises:
        RuntimeError: if the solver failed.
    """
    args = tuple(np.float64(value) for value in (kappa, lam, lam_H))
    clock = solve.Clock(*(np.float64(value) for value in (ts[-1], ts[-1], 1.0)))
    found = _follow(tuple(jnp.asarray(a) for a in begin), args, clock, ts)
    state = JointState(*(np.asarray(found[name]) for name in "WbX"))
    if not np.all(np.isfinite(state.X)):
        raise RuntimeError("the solver failed: the classifier is too fast for this horizon")
    return state


def times(t_max: float = T_MAX) -> Float[np.ndarray, " T"]:
    """SAVES times to t_max, logarithmic from the fast classifier's time scale."""
    return np.concatenate([[0.0], np.geomspace(t_max / 1e4, t_max, SAVES - 1)])


def end(begin: JointState, kappa: float, *, lam: float = 0.0, lam_H: float = 0.0) -> JointState:
    """The state at T_MAX."""
    return JointState(*(a[-1] for a in follow(begin, kappa, times(), lam=lam, lam_H=lam_H)))


def second_moment(X: Float[np.ndarray, "P C N"], lam: float) -> Float[np.ndarray, "P+1 P+1"]:
    """A = Ave h~h~^T + lambda I."""
    F_ext = definitions.extend(definitions.stack(X))
    return F_ext @ F_ext.T / F_ext.shape[1] + lam * np.eye(len(F_ext))


def best(X: Float[np.ndarray, "P C N"], lam: float) -> Float[np.ndarray, "C P+1"]:
    """W~_LS (C, P+1), by least squares on the data."""
    Y = definitions.one_hot(definitions.labels_of(X), X.shape[1])
    return definitions.least_squares(definitions.extend(definitions.stack(X)), Y, lam)


def away(state: JointState, lam: float) -> Float[np.ndarray, "C Q"]:
    """D = W~ - W~_LS (C, P+1)."""
    return np.column_stack([state.W, state.b]) - best(state.X, lam)


def perp(state: JointState, lam: float) -> float:
    """L_LS_perp = 1/2 tr(D A D^T)."""
    D = away(state, lam)
    return 0.5 * float(np.trace(D @ second_moment(state.X, lam) @ D.T))


def central_loss(X: Float[np.ndarray, "P C N"], lam: float) -> float:
    """L_LS, the loss of W~_LS."""
    F_ext = definitions.extend(definitions.stack(X))
    Y = definitions.one_hot(definitions.labels_of(X), X.shape[1])
    return definitions.mse(best(X, lam), F_ext, Y, lam)


def on_path(X: Float[np.ndarray, "P C N"], lam: float) -> JointState:
    """A start on the central path."""
    W = best(X, lam)
    return JointState(W[:, :-1], W[:, -1], X)


def off_path(rng: np.random.Generator, X: Float[np.ndarray, "P C N"]) -> JointState:
    """A start with a random classifier, of the size that networks start with."""
    P, C, _ = X.shape
    return JointState(rng.standard_normal((C, P)) / np.sqrt(P), 0.1 * rng.standard_normal(C), X)


def features(rng: np.random.Generator) -> Float[np.ndarray, "P C N"]:
    """Renormalized features whose second moments [h; 1] have eigenvalues from 1 to 1 + omega_1^2/C."""
    omega0 = np.array([2.0, 1.2, 0.6]) * rng.uniform(0.7, 1.4, 3)
    return np.asarray(paths.renormalized(instances.with_snr(rng, instances.GENERIC, omega0)))
