"""Gradient descent with continual renormalization: the one optax loop.

    X <- Sigma_W^(-1/2) (X + step of the optimiser on grad L_LS(X)),        symmetric root, global mean kept at 0

which is the algorithm of Appendix D.1 for `optax.sgd(eta)`. Its limit as eta -> 0, at time t = eta times the number of
steps, is the `renormalized` flow (Proposition 4's projection, Lemma 2), to first order in eta. With momentum beta the
time is t = eta n/(1 - beta). Optimisers that scale coordinates, as Adam does, have another limit.

With `sgd_of_kernel` the limit is the flow with that kernel. Without renormalization the loop is plain descent on the
features, whose limit is the `unnormalized` flow.

Source: Han, Papyan & Donoho (2022), Appendix D.1, Lemma 2.
"""

from collections.abc import Callable
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from central_path.theory.loss import central_path_loss
from central_path.theory.manifold import retract
from central_path.theory.problem import class_means, deviations, require_float64


def sgd_of_kernel(eta: float | Array, b: float | Array, momentum: float | None = None) -> optax.GradientTransformation:
    """Gradient descent in which deviations from the class means move b times as far as the class means."""

    def slowed(updates: Any, state: Any, params: Any = None):
        del params
        return class_means(updates)[:, :, None] + b * deviations(updates), state

    kernel = optax.GradientTransformation(lambda params: optax.EmptyState(), slowed)
    return optax.chain(kernel, optax.sgd(eta, momentum=momentum))


class Descent(eqx.Module):
    """What was seen on the way: `steps` (T,) are counts of steps, `ys` a dictionary of observables with leading axis T.

    `X` (P, C, N) are the features after the last step.
    """

    steps: Int[Array, " T"]
    ys: dict[str, Float[Array, "T ..."]]
    X: Float[Array, "P C N"]


def descend(
    X: Float[Array, "P C N"],
    optimizer: optax.GradientTransformation,
    *,
    steps: int,
    every: int,
    observe: Callable[[Float[Array, "P C N"]], dict[str, Array]],
    renormalize: bool = True,
) -> Descent:
    """Take `steps` steps from X, observing at the start and after every `every` of them. Compile it with `jax.jit`.

    Raises:
        ValueError: unless steps is a positive multiple of `every`, or without float64.
    """
    require_float64()
    if every < 1 or steps < every or steps % every:
        raise ValueError(f"Need steps a positive multiple of every, got steps = {steps}, every = {every}.")

    def step(_, carry):
        X, state = carry
        updates, state = optimizer.update(jax.grad(central_path_loss)(X), state, X)
        X = cast(Array, optax.apply_updates(X, updates))
        return (retract(X) if renormalize else X), state

    def stretch(carry, _):
        carry = jax.lax.fori_loop(0, every, step, carry)
        return carry, observe(carry[0])

    (last, _), ys = jax.lax.scan(stretch, (X, optimizer.init(X)), None, length=steps // every)
    first = observe(X)
    ys = jax.tree.map(lambda start, rest: jnp.concatenate([start[None], rest]), first, ys)
    return Descent(jnp.arange(0, steps + 1, every), ys, last)
