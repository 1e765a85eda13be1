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

from central_path.flows import AbstractMotion
from central_path.simulation.aligned import field, relative_error, start
from central_path.simulation.observables import OBSERVE
from central_path.theory.problem import require_float64

MAX_STEPS = 5_000  # rejected ones too; starts of omega from 1e-4 to 1e4 take some hundreds
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


Measure = Callable[[Any, Any, Any, Any, Any], Array]


class _Measured(diffrax.AbstractAdaptiveStepSizeController):
    """Diffrax's step-size controller for a step's error measured by measure(state, error, args, rtol, atol) < 1."""

    measure: Measure
    rtol: Any
    atol: Any
    norm: Callable[[Any], Array] = jnp.abs

    @property
    def _of_number(self) -> diffrax.PIDController:
        return diffrax.PIDController(rtol=0.0, atol=1.0, norm=jnp.abs)

    def wrap(self, direction):
        """Nothing to add."""
        return self

    def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
        """That of the controller for a number."""
        return self._of_number.init(terms, t0, t1, y0, dt0, args, func, error_order)

    def adapt_step_size(self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state):
        """That of the controller for a number, the error measured; a step beyond float64 is not kept."""
        finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(y1_candidate)]).all()
        error = self.measure(y0, y_error, args, self.rtol, self.atol)
        error = jnp.where(finite & jnp.isfinite(error), error, jnp.inf)
        number = jnp.zeros(())
        return self._of_number.adapt_step_size(t0, t1, number, number, args, error, error_order, controller_state)


def root_mean_square(state: Any, error: Any, args: Any, rtol: Any, atol: Any) -> Array:
    """The usual measure: over all entries, each in units of rtol times its size plus atol."""
    del args
    scaled = jax.tree.map(lambda y, dy: dy / (atol + rtol * jnp.abs(y)), state, error)
    leaves = jax.tree.leaves(scaled)  # not joined: joined they would be gathered from all devices
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in leaves) / sum(leaf.size for leaf in leaves))


class Solution(eqx.Module):
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
    measure: Measure = root_mean_square,
    progress_meter: diffrax.AbstractProgressMeter | None = None,
) -> Solution:
    """Integrate d state/dt = vector_field(state, args), observing observe(state, args) at times ts from 0 to t_max.

    By Dormand & Prince's method of order 8, with step sizes that keep a step's error, as `measure` has it from the
    state before it, the error, args, rtol and atol, below 1. Compile it with `jax.jit` or `equinox.filter_jit`.

    Raises:
        ValueError: without float64.
    """
    require_float64()

    # The field in the clock's variable s, and what is saved; diffrax evaluates both in several places, and with
    # jit inside jit each is traced once
    @jax.jit
    def speed(s, state, args):
        args, clock = args
        return jax.tree.map(lambda velocity: clock.speed(s) * velocity, vector_field(state, args))

    @jax.jit
    def save(s, state, args):
        return observe(state, args[0])

    def measured(state, error, args, rtol, atol):
        return measure(state, error, args[0], rtol, atol)

    # One solve from s = 0 to 1 that keeps observations alone; a failure is told by the result, not raised
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(speed),
        diffrax.Dopri8(),
        t0=0.0,
        t1=1.0,
        dt0=clock.first_step,
        y0=state,
        args=(args, clock),
        saveat=diffrax.SaveAt(subs=diffrax.SubSaveAt(ts=clock.inverse(ts), fn=save)),
        stepsize_controller=_Measured(measure=measured, rtol=rtol, atol=atol),
        max_steps=MAX_STEPS,
        adjoint=diffrax.ForwardMode(),
        progress_meter=diffrax.NoProgressMeter() if progress_meter is None else progress_meter,
        throw=False,
    )
    return Solution(ts, cast(dict[str, Array], solution.ys), solution.stats, solution.result)


def _largest(errors: Float[Array, "*S"]) -> Float[Array, ""]:
    """Of all starts, so that each keeps the tolerances."""
    return jnp.max(errors)


def solve(
    X: Float[Array, "..."],
    flow: AbstractMotion,
    clock: Clock,
    *,
    level: str,
    N: int,
    ts: Float[Array, " T"],
    rtol: float | Float[Array, ""],
    atol: float | Float[Array, ""],
    many: bool = False,
    progress_meter: diffrax.AbstractProgressMeter | None = None,
) -> Solution:
    """Integrate a flow from renormalized features X (P, C, N), or their class means (r, C), and observe the level.

    By `integrate`, in the coordinates of `aligned`, where rtol and atol are of every omega. The clock, the times and
    the tolerances may be traced, and with `OneOf` the flow, so that one compiled program runs all flows.

    `many` starts along a leading axis of X are one system: each is mapped as a single one, all take the same steps, as
    short as the start that needs the shortest, and omega (T, S, C-1) alone is observed. A single start is not mapped:
    over one start, as part of an ensemble of one, the same solve takes 15 % longer.

    Raises:
        ValueError: for an unknown level, `features` from class means, or without float64.
    """
    require_float64()

    # One start's start, field and observables, each over a leading axis where there are many
    def mapped(function: Callable[[Any, AbstractMotion], Any]) -> Callable[[Any, AbstractMotion], Any]:
        return jax.vmap(function, in_axes=(0, None)) if many else function

    begin = mapped(lambda X, flow: start(X, flow, level))
    velocity = mapped(lambda state, flow: field(state, flow, level=level, N=N))
    observe = mapped(lambda seen, flow: OBSERVE[level](seen[0], flow, seen[1]))

    # Of many starts omega alone is kept, which bounds the memory; the worst start decides on the step
    def observed(state: Any, args: Any) -> dict[str, Array]:
        flow, R = args
        ys = observe((state, R), flow)
        return {"omega": ys["omega"]} if many else ys

    def measure(state: Any, error: Any, args: Any, rtol: Any, atol: Any) -> Array:
        one = mapped(lambda pair, flow: relative_error(pair[0], pair[1], flow, rtol, atol, level=level))
        return _largest(one((state, error), args[0]))

    # R, which turns the aligned coordinates back to those of X, is constant: an argument, not part of the state
    state, R = begin(X, flow)
    return integrate(
        lambda state, args: velocity(state, args[0]),
        state,
        (flow, R),
        clock,
        observe=observed,
        ts=ts,
        rtol=rtol,
        atol=atol,
        measure=measure,
        progress_meter=progress_meter,
    )
