"""The one call to diffrax: a flow, integrated from a start, observed at chosen times.

The flows slow down as t^(1/4) and t^(1/2), over ten decades and more. Integrated in s in [0, 1] with

    t(s) = t_max (e^(span s) - 1)/(e^span - 1),        t = t_max s for span = 0,

which is linear up to about t_max e^-span and logarithmic beyond, they need half the steps that they need in t, and
times that are evenly spaced in s are the times to look at. Only observables are kept, never states.
"""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from central_path.flows import Exponent, field
from central_path.observables import OBSERVE
from central_path.problem import require_float64

MAX_STEPS = 100_000
FIRST_STEP = 0.01  # of s in [0, 1]; adapted from there, and the vector field is compiled once and not three times


class Clock(eqx.Module):
    """The change of time variable t(s): t_max > 0 is the horizon, span >= 0 the e-folds of t that are spread evenly."""

    t_max: Float[ArrayLike, ""]
    span: Float[ArrayLike, ""]

    @property
    def _divisor(self) -> Array:
        return jnp.expm1(jnp.where(self.span == 0, 1.0, self.span))

    def time(self, s: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """t(s)."""
        return jnp.asarray(self.t_max) * jnp.where(self.span == 0, s, jnp.expm1(self.span * s) / self._divisor)

    def speed(self, s: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """dt/ds."""
        return jnp.asarray(self.t_max) * jnp.where(
            self.span == 0, 1.0, self.span * jnp.exp(self.span * s) / self._divisor
        )


class Trajectory(eqx.Module):
    """What was seen along a flow, under diffrax's names.

    `ts` (T,) are the times, `ys` a dictionary of observables with leading axis T, `stats` counts steps, `result` says
    how the solve ended (`diffrax.RESULTS`): infinite or NaN entries belong to times that it did not reach.
    """

    ts: Float[Array, " T"]
    ys: dict[str, Float[Array, "T ..."]]
    stats: dict[str, Any]
    result: diffrax.RESULTS


def solve(
    state: Array,
    k: Exponent,
    clock: Clock,
    *,
    level: str,
    N: int,
    saves: int,
    rtol: float | Float[Array, ""],
    atol: float | Float[Array, ""],
    progress_meter: diffrax.AbstractProgressMeter | None = None,
) -> Trajectory:
    """Integrate flow k from a state of the level (see `flows.start`), observing it at `saves` times from 0 to t_max.

    By Dormand & Prince's method of order 8, with step sizes from rtol and atol.

    Compile it with `jax.jit` or `equinox.filter_jit`; k, the clock and the tolerances may be traced, so one program
    runs all flows.

    Raises:
        ValueError: for an unknown level, fewer than two saves, or without float64.
    """
    require_float64()
    if level not in OBSERVE:
        raise ValueError(f"Need a level among {', '.join(OBSERVE)}, got {level!r}.")
    if saves < 2:
        raise ValueError(f"Need at least 2 save times, got saves = {saves}.")

    # jit inside jit: diffrax evaluates both in several places, and each is traced once
    @jax.jit
    def vector_field(s, state, args):
        k, clock = args
        return clock.speed(s) * field(state, k, level=level, N=N)

    @jax.jit
    def observe(s, state, args):
        k, _ = args
        return OBSERVE[level](state, k)

    s = jnp.linspace(0.0, 1.0, saves)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(vector_field),
        diffrax.Dopri8(),
        t0=0.0,
        t1=1.0,
        dt0=FIRST_STEP,
        y0=state,
        args=(k, clock),
        saveat=diffrax.SaveAt(subs=diffrax.SubSaveAt(ts=s, fn=observe)),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        max_steps=MAX_STEPS,
        adjoint=diffrax.ForwardMode(),
        progress_meter=diffrax.NoProgressMeter() if progress_meter is None else progress_meter,
        throw=False,
    )
    assert solution.ys is not None
    return Trajectory(clock.time(s), solution.ys, solution.stats, solution.result)
