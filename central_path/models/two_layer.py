"""A two-layer ReLU network whose features do not collapse although its loss tends to 0.

Three points on a line, x = -1 with y = -1, and x = 1 and 2 with y = +1; without decay,

    f(x) = sum_j a_j relu(w_j x + b_j),    loss  log Ave_i exp(-y_i f(x_i))

Gradient flow tends, in direction, to the function of largest margin min_i y_i f(x_i) for its norm sum_j |a_j| |(w_j,
b_j)| (Chizat & Bach 2020, not proved here). In the angles of (w_j, b_j) this is a linear program, solved by

    f(x) = 1/2 relu(1 + x) - 1/2 relu(1 - x)    with f(-1), f(1), f(2) = -1, 1, 3/2 and norm sqrt(2)

alone: with weights 1/sqrt(2) on x = -1 and 1 and none on 2, |sum_i weight_i y_i relu(x_i cos t + sin t)| <= 1, with
equality at t = 45 and 135 degrees alone. So the outputs on the two points of one class stay apart, f(2)/f(1) -> 3/2,
and the features before them all the more; equal outputs f(1) = f(2) would cost the norm 3/sqrt(2).

The log of the mean exponential loss has the same path as the loss and does not stop as the loss falls.

Source: a small form, found here, of the counter-example of E & Wojtowytsch (2020), arXiv 2012.05420.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import linprog

X = np.array([-1.0, 1.0, 2.0])
Y = np.array([-1.0, 1.0, 1.0])
WEIGHTS = np.array([1.0, 1.0, 0.0]) / np.sqrt(2)  # of the dual, on the margins
ANGLES = 4000  # of the linear program, 45 and 135 degrees among them


class Trained(NamedTuple):
    """Along a training: steps, f(2)/f(1), and the norm over the margin."""

    steps: Float[np.ndarray, " T"]
    ratio: Float[np.ndarray, " T"]
    norm: Float[np.ndarray, " T"]


def features(angles: Float[np.ndarray, " A"]) -> Float[np.ndarray, "3 A"]:
    """relu(x_i cos t + sin t) of unit neurons at angles t."""
    return np.maximum(np.outer(X, np.cos(angles)) + np.sin(angles)[None, :], 0.0)


def angles() -> Float[np.ndarray, " A"]:
    """Of the linear program, around the circle."""
    return 2 * np.pi * np.arange(ANGLES) / ANGLES


def widest_margin(*, equal: bool = False) -> tuple[float, Float[np.ndarray, "3"]]:
    """The least norm with y_i f(x_i) >= 1, and f at the points; `equal` asks for f(1) = f(2) too.

    Raises:
        RuntimeError: if the linear program is not solved.
    """
    F = np.hstack([features(angles()), -features(angles())])
    same = {"A_eq": (F[2] - F[1])[None, :], "b_eq": [0.0]} if equal else {}
    found = linprog(np.ones(F.shape[1]), A_ub=-Y[:, None] * F, b_ub=-np.ones(3), method="highs", **same)
    if found.x is None:
        raise RuntimeError(f"The linear program of the two-layer network was not solved: {found.message}")
    return float(found.fun), F @ found.x


def certificate(at: Float[np.ndarray, " A"], weights: Float[np.ndarray, "3"] = WEIGHTS) -> Float[np.ndarray, " A"]:
    """|sum_i weight_i y_i relu(x_i cos t + sin t)|: at most 1, and 1 where the widest margin has neurons."""
    return np.abs((weights * Y) @ features(at))


def train(width: int = 200, seed: int = 0, *, checks: tuple[int, ...] = (100, 1000, 10_000, 50_000)) -> Trained:
    """Gradient descent from a small start, steps of 0.2/max(1, ||a, w, b||^2), looked at after `checks` steps."""
    parameters = 0.03 * jax.random.normal(jax.random.key(seed), (3, width))
    taken, ratio, norm = 0, [], []
    for count in checks:
        parameters = _advance(parameters, count - taken)
        taken = count
        a, w, b = np.asarray(parameters)
        f = np.asarray(network(parameters))
        ratio.append(f[2] / f[1])
        norm.append(np.sum(np.abs(a) * np.hypot(w, b)) / np.min(Y * f))
    return Trained(np.array(checks, dtype=float), np.array(ratio), np.array(norm))


def network(parameters: Float[Array, "3 m"]) -> Float[Array, "3"]:
    """The outputs f at the three points, of parameters a, w, b."""
    a, w, b = parameters
    return a @ jax.nn.relu(w[:, None] * jnp.asarray(X)[None, :] + b[:, None])


@jax.jit
def _advance(parameters: Array, steps: int | Array) -> Array:
    def loss(parameters: Array) -> Array:
        return jax.scipy.special.logsumexp(-Y * network(parameters))

    def step(_, parameters):
        rate = 0.2 / jnp.maximum(1.0, jnp.sum(parameters**2))
        return parameters - rate * jax.grad(loss)(parameters)

    return jax.lax.fori_loop(0, steps, step, parameters)
