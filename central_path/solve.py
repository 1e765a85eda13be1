"""The one call to diffrax: a flow, integrated from a start, observed at chosen times.

The flows slow down as t^(1/4) and t^(1/2), over ten decades and more. They are integrated in a variable s in [0, 1] in
which such growth is a straight line,

    t(s) = scale ((1 + b s)^power - 1),    b = (1 + t_max/scale)^(1/power) - 1,

linear up to about `scale`, the time at which growth begins, and a power beyond. A method of order 8 needs a third to a
half of the steps that it needs in t, and interpolates better between them. The clock is only a change of variable:
any scale and power give the same trajectory, with other steps. Only what is observed is kept.
"""

from collections.abc import Callable
from typing import Any, cast

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from central_path.flows import Exponent, field
from central_path.observables import OBSERVE
from central_path.problem import require_float64

MAX_STEPS = 5_000  # a hundred times what a solve that works needs
FIRST_STEP = 0.3  # of the scale of the clock; given, so that the vector field is compiled once and not three times


class Clock(eqx.Module):
    """The change of time variable t(s): t_max > 0 is the horizon, scale > 0 a time, power >= 1; power = 1 is linear."""

    t_max: Float[ArrayLike, ""]
    scale: Float[ArrayLike, ""]
    power: Float[ArrayLike, ""]

    @property
    def _b(self) -> Array:
        return jnp.expm1(jnp.log1p(jnp.asarray(self.t_max / self.scale)) / self.power)

    def time(self, s: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The time t at s."""
        return jnp.asarray(self.scale) * jnp.expm1(self.power * jnp.log1p(self._b * s))

    def speed(self, s: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """dt/ds at s."""
        return jnp.asarray(self.scale * self.power) * self._b * (1 + self._b * s) ** (self.power - 1)

    def inverse(self, t: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The s at time t, within [0, 1]."""
        return jnp.clip(jnp.expm1(jnp.log1p(t / self.scale) / self.power) / self._b, 0.0, 1.0)

    @property
    def first_step(self) -> Array:
        """A step of s to begin with, adapted from there."""
        return jnp.minimum(FIRST_STEP / self._b, 1.0)


def root_mean_square(state: Any) -> Array:
    """Over all entries of a state, without joining its leaves: joined they would be gathered from all devices."""
    leaves = jax.tree.leaves(state)
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in leaves) / sum(leaf.size for leaf in leaves))


class Trajectory(eqx.Module):
    """What was seen along a flow, under diffrax's names.

    `ts` (T,) are the times, `ys` a dictionary of observables with leading axis T, `stats` counts steps, `result` says
    how the solve ended (`diffrax.RESULTS`): infinite or NaN entries belong to times that it did not reach.
    """

    ts: Float[Array, " T"]
    ys: dict[str, Float[Array, "T ..."]]
    stats: dict[str, Any]
    result: diffrax.RESULTS


def integrate(
    vector_field: Callable[[Any, Any], Any],
    state: Any,
    args: Any,
    clock: Clock,
    *,
    observe: Callable[[Any, Any], dict[str, Array]],
    ts: Float[Array, " T"],
    rtol: float | Float[Array, ""],
    atol: float | Float[Array, ""],
    norm: Callable[[Any], Array] = root_mean_square,
    progress_meter: diffrax.AbstractProgressMeter | None = None,
) -> Trajectory:
    """Integrate d state/dt = vector_field(state, args), observing observe(state, args) at times ts from 0 to t_max.

    By Dormand & Prince's method of order 8, with step sizes that keep the norm of a step's error, measured in units of
    rtol and atol, below 1. Compile it with `jax.jit` or `equinox.filter_jit`.

    Raises:
        ValueError: without float64.
    """
    require_float64()

    # jit inside jit: diffrax evaluates both in several places, and each is traced once
    @jax.jit
    def speed(s, state, args):
        args, clock = args
        return jax.tree.map(lambda velocity: clock.speed(s) * velocity, vector_field(state, args))

    @jax.jit
    def save(s, state, args):
        return observe(state, args[0])

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(speed),
        diffrax.Dopri8(),
        t0=0.0,
        t1=1.0,
        dt0=clock.first_step,
        y0=state,
        args=(args, clock),
        saveat=diffrax.SaveAt(subs=diffrax.SubSaveAt(ts=clock.inverse(ts), fn=save)),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol, norm=norm),
        max_steps=MAX_STEPS,
        adjoint=diffrax.ForwardMode(),
        progress_meter=diffrax.NoProgressMeter() if progress_meter is None else progress_meter,
        throw=False,
    )
    return Trajectory(ts, cast(dict[str, Array], solution.ys), solution.stats, solution.result)


def solve(
    state: Array,
    k: Exponent,
    clock: Clock,
    *,
    level: str,
    N: int,
    ts: Float[Array, " T"],
    rtol: float | Float[Array, ""],
    atol: float | Float[Array, ""],
    progress_meter: diffrax.AbstractProgressMeter | None = None,
) -> Trajectory:
    """Integrate flow k from a state of the level (see `flows.start`), with the level's observables, by `integrate`.

    k, the clock, the times and the tolerances may be traced, so one compiled program runs all flows.

    Raises:
        ValueError: for an unknown level, or without float64.
    """
    if level not in OBSERVE:
        raise ValueError(f"Need a level among {', '.join(OBSERVE)}, got {level!r}.")
    return integrate(
        lambda state, k: field(state, k, level=level, N=N),
        state,
        k,
        clock,
        observe=OBSERVE[level],
        ts=ts,
        rtol=rtol,
        atol=atol,
        progress_meter=progress_meter,
    )
