"""How a point is moved: optimisers of optax with the model's constraint after each step, flows of diffrax.

The compiled programs depend on the model and on the settings alone, which are hashable: other starts use them again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from central_path.models.model import METRICS, Model, ModelPath, Point, observe
from central_path.simulation.solve import Clock, integrate

OBSERVED = 60  # points of a path


@dataclass(frozen=True)
class OptimizerSettings:
    """An optimiser of optax and its settings; Adam's rate falls to zero along a cosine."""

    kind: Literal["sgd", "adam", "lbfgs"]
    steps: int
    rate: float = 1.0
    memory: int = 20  # of L-BFGS

    def build(self) -> optax.GradientTransformationExtraArgs:
        """The optimiser."""
        if self.kind == "lbfgs":
            return optax.lbfgs(memory_size=self.memory)
        if self.kind == "adam":
            return optax.with_extra_args_support(optax.adam(optax.cosine_decay_schedule(self.rate, self.steps)))
        return optax.with_extra_args_support(optax.sgd(self.rate))


def descend(model: Model, point: Point, how: OptimizerSettings) -> ModelPath:
    """Minimise the model's loss: a step of the optimiser, then the constraint.

    L-BFGS has no steps to project: it minimises the loss of the constrained point, for constraints that are
    differentiable, and stops where the loss no longer falls.
    """
    counts = np.unique(np.geomspace(1, how.steps, OBSERVED).round().astype(int))
    state = _begin(point, how)
    seen, taken = [_observe(model, point)], [0]
    for count in counts:
        point, state = _advance(model, how, point, state, int(count) - taken[-1])
        seen.append(_observe(model, _constrained(model, point)))
        taken.append(int(count))
        if how.kind == "lbfgs" and not _falls(seen):
            break
    ys = {key: np.array([float(y[key]) for y in seen]) for key in ("loss", *METRICS)}
    return ModelPath(_constrained(model, point), "step", np.array(taken, dtype=float), ys, taken[-1])


def _falls(seen: list[dict[str, Any]]) -> bool:
    """Whether the last of the looks, which lie ever further apart, sees a lower loss than those before it."""
    losses = [float(y["loss"]) for y in seen]
    return len(losses) < 30 or losses[-1] < losses[-4]


@partial(jax.jit, static_argnums=1)
def _begin(point: Point, how: OptimizerSettings) -> Any:
    return how.build().init(point)


_observe = partial(jax.jit, static_argnums=0)(observe)


@partial(jax.jit, static_argnums=0)
def _constrained(model: Model, point: Point) -> Point:
    return model.constrain(point)


@partial(jax.jit, static_argnums=(0, 1))
def _advance(model: Model, how: OptimizerSettings, point: Point, state: Any, steps: Any) -> tuple[Point, Any]:
    optimizer = how.build()

    def objective(point: Point) -> jax.Array:
        return model.loss(model.constrain(point) if how.kind == "lbfgs" else point)

    def step(_: Any, carry: Any) -> Any:
        point, state = carry
        value, gradient = jax.value_and_grad(objective)(point)
        more = {"value": value, "grad": gradient, "value_fn": objective} if how.kind == "lbfgs" else {}
        updates, state = optimizer.update(gradient, state, point, **more)
        point = cast(Point, optax.apply_updates(point, updates))
        return (point if how.kind == "lbfgs" else model.constrain(point)), state

    return jax.lax.fori_loop(0, steps, step, (point, state))


@partial(jax.jit, static_argnums=(0, 1))
def _flow(
    model: Model, field: Callable[[Any, Point], Point], point: Point, clock: Clock, ts: Any, rtol: Any, atol: Any
):
    def look(point: Point, _: Any) -> dict[str, Any]:
        return {"point": point, **observe(model, point)}

    return integrate(
        lambda point, _: field(model, point), point, None, clock, observe=look, ts=ts, rtol=rtol, atol=atol
    )


def flow(
    model: Model,
    point: Point,
    field: Callable[[Any, Point], Point],
    *,
    ts: np.ndarray,
    rtol: float = 1e-11,
    atol: float = 1e-13,
) -> ModelPath:
    """Integrate d point/dt = field(model, point), observed at times ts (T,) from 0; the field is a plain function.

    Raises:
        RuntimeError: if the solver does not reach the last time.
    """
    ts = np.asarray(ts, dtype=float)
    clock = Clock(t_max=jnp.asarray(ts[-1]), scale=jnp.asarray(ts[-1]), power=jnp.asarray(1.0))
    seen = _flow(model, field, point, clock, jnp.asarray(ts), rtol, atol)
    if not bool(jnp.isfinite(seen.ys["loss"][-1])):
        raise RuntimeError(f"The flow of {model.name} was not integrated to t = {ts[-1]:g}: {seen.result}.")
    points = cast(dict[str, Any], seen.ys).pop("point")
    ys = {key: np.asarray(value) for key, value in seen.ys.items()}
    last = jax.tree.map(lambda values: values[-1], points)
    return ModelPath(last, "time", ts, ys, int(seen.stats["num_accepted_steps"]), points)


def downhill(model: Model, point: Point) -> Point:
    """The field of plain gradient flow: minus the gradient of the loss."""
    return jax.tree.map(jnp.negative, eqx.filter_grad(model.loss)(point))
