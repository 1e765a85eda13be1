"""The levels of the general central path: how each starts, moves, measures the error of a step, and is observed.

One compiled program integrates either: `moments` the closed state, `features` every example.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.simulation.compiler import COMPILER_OPTIONS
from central_path.simulation.general import error, examples, observables
from central_path.simulation.general.dynamics import Dynamics
from central_path.simulation.general.examples import Labelled
from central_path.simulation.general.field import Setting, State, field, within_covariance
from central_path.simulation.general.observables import Rank
from central_path.simulation.general.start import GeneralStart
from central_path.simulation.solve import Clock, Solution, integrate
from central_path.theory.general_loss import classes_of


class Level(NamedTuple):
    """Functions of a start, and of a state and the constants of the level."""

    start: Callable[[GeneralStart, Dynamics, Any], tuple[Any, Any]]
    velocity: Callable[[Any, Any], Any]
    measure: Callable[[Any, Any, Any, Any, Any, Rank], Array]
    observe: Callable[[Any, Any, Rank], dict[str, Array]]
    moments: Callable[[Any, Any], dict[str, Array]]


class MomentsStart(NamedTuple):
    """A start at the level `moments`, in the basis `axes`: of the constant matrix's eigenvectors, if there is one."""

    state: State
    setting: Setting
    axes: Float[Any, "P P"]


def start_at_moments(begin: GeneralStart, dynamics: Dynamics, turn: Float[np.ndarray, "K K"]) -> MomentsStart:
    """From a start; `turn` chooses the basis of contrasts (`classes_of`)."""
    classes = classes_of(begin.pi, turn)
    B, motion, constant, F = begin.M @ classes.to_contrasts, dynamics.motion(begin.n), None, None
    axes = np.eye(len(B))
    root = np.diag(np.sqrt(np.concatenate([begin.w, np.zeros(len(begin.M) - len(begin.w))])))
    if dynamics.conserves:
        # eigenvalues and eigenvectors of the constant matrix from its factor, which keeps small ones
        both = np.concatenate([root, np.sqrt(dynamics.beta) * B[:, :-1]], axis=1)
        axes, s, _ = np.linalg.svd(both, full_matrices=False)
        B, constant = axes.T @ B, s**2 + dynamics.lam
    else:
        F = root[:, : len(begin.w)]
    B, F, classes, constant, axes = jax.tree.map(jnp.asarray, (B, F, classes, constant, axes))
    return MomentsStart(State(B, F), Setting(classes, motion, constant), axes)


def _measure_moments(state: State, wrong: State, args: Any, rtol: Any, atol: Any, rank: Rank) -> Array:
    setting, _ = args
    motion = setting.motion
    if state.F is None or wrong.F is None:
        e = jnp.sqrt(setting.constant)
        left = error.of_what_is_left(state.B, wrong.B, e, motion.beta, rtol, rank.infinite)
        return jnp.maximum(error.of_means(state.B, wrong.B, e, rtol, atol), left)
    e = jnp.sqrt(jnp.sum(state.F**2, axis=1) + motion.lam)
    of_F = error.of_deviations(state.F, wrong.F, rtol, error.FINEST)
    of_F = jnp.maximum(of_F, error.of_covariance(state.F, wrong.F, rtol, len(state.F) - rank.within))
    return jnp.maximum(error.of_means(state.B, wrong.B, e, rtol, atol), of_F)


def _start(begin: GeneralStart, dynamics: Dynamics, turn: Any) -> tuple[State, tuple[Setting, Any]]:
    state, setting, axes = start_at_moments(begin, dynamics, turn)
    return state, (setting, axes)


def _moments_of_state(state: State, args: Any) -> dict[str, Array]:
    setting, axes = args
    M, Sigma_W = state.B @ setting.classes.to_means, within_covariance(state, setting)
    return {"M": axes @ M, "Sigma_W": axes @ Sigma_W @ axes.T}


def _moments_of_examples(H: Array, args: Any) -> dict[str, Array]:
    m = examples.moments_of(H, args.setting)
    return {"M": m.M, "Sigma_W": m.Sigma_W}


MOMENTS = Level(
    start=_start,
    velocity=lambda state, args: field(state, args[0]),
    measure=_measure_moments,
    observe=lambda state, args, rank: observables.of_state(state, args[0], rank),
    moments=_moments_of_state,
)


class FeaturesConstants(NamedTuple):
    """Labels and rates, the coordinates of classes, and of the start.

    `conserved` is Sigma_W + beta Sigma_B, and `without` |Mbar|^2 along the axes without within-class variance, else 0.
    """

    setting: Labelled
    to_contrasts: Float[Any, "C C"]
    conserved: Float[Any, "P P"]
    without: Float[Any, " P"]


def labelled(begin: GeneralStart, dynamics: Dynamics) -> Labelled:
    """What moves examples."""
    return Labelled(
        jnp.asarray(begin.labels),
        jnp.asarray(begin.pi),
        dynamics.motion(begin.n),
        jnp.float64(dynamics.kernel.within),
        on_deviations=jnp.float64(dynamics.flow != "unnormalized"),
        on_means=jnp.float64(dynamics.flow == "renormalized"),
    )


def _start_at_features(begin: GeneralStart, dynamics: Dynamics, turn: Any) -> tuple[Any, FeaturesConstants]:
    if begin.features is None:
        raise ValueError("Need features for the level features, got a start of moments: give the level moments.")
    r, Mbar = len(begin.w), begin.Mbar
    conserved = dynamics.motion(begin.n).beta * (Mbar * begin.pi) @ Mbar.T
    conserved = conserved + np.diag(np.concatenate([begin.w, np.zeros(len(Mbar) - r)]))
    without = np.where(np.arange(len(Mbar)) < r, 0.0, np.sum(Mbar**2, axis=1))
    constants = (classes_of(begin.pi, turn).to_contrasts, conserved, without)
    return jnp.asarray(begin.features), FeaturesConstants(labelled(begin, dynamics), *map(jnp.asarray, constants))


def _measure_features(H: Array, wrong: Array, args: FeaturesConstants, rtol: Any, atol: Any, rank: Rank) -> Array:
    setting = args.setting
    E, dE = (examples.split(A, setting)[2].T for A in (H, wrong))
    B, dB = (examples.moments_of(A, setting).M @ args.to_contrasts for A in (H, wrong))
    e = jnp.sqrt(jnp.mean(E**2, axis=1) + setting.motion.lam + args.without)
    noise = error.FINEST * (1 + setting.on_deviations * jnp.max(jnp.sum((B / e[:, None]) ** 2, axis=0)))
    of_E = error.of_deviations(E, dE, rtol, noise)
    of_E = jnp.maximum(of_E, error.of_covariance(E, dE, rtol + noise, len(E) - rank.within))
    return jnp.maximum(error.of_means(B, dB, e, rtol, atol), of_E)


FEATURES = Level(
    start=_start_at_features,
    velocity=lambda H, args: examples.velocity(H, args.setting),
    measure=_measure_features,
    observe=lambda H, args, rank: observables.of_examples(H, args.setting, args.conserved, rank),
    moments=_moments_of_examples,
)
LEVELS = {"moments": MOMENTS, "features": FEATURES}


def solve(
    name: str,
    begin: GeneralStart,
    dynamics: Dynamics,
    turn: Float[np.ndarray, "K K"],
    clock: Clock,
    ts: Any,
    tolerances: tuple[Any, Any],
    keep_moments: bool,
) -> Solution:
    """Integrate at a level from a start; `keep_moments` records class means and Sigma_W.

    Raises:
        ValueError: for the level `features` from a start without features.
    """
    state, args = LEVELS[name].start(begin, dynamics, turn)
    rank = Rank(len(begin.w), begin.infinite, dynamics.lam > 0 and dynamics.conserves)
    return _integrate(state, args, clock, ts, *tolerances, name=name, rank=rank, keep_moments=keep_moments)


@partial(jax.jit, static_argnames=("name", "rank", "keep_moments"), compiler_options=COMPILER_OPTIONS)
def _integrate(state, args, clock, ts, rtol, atol, *, name, rank, keep_moments):
    level = LEVELS[name]

    def measure(state, wrong, args, rtol, atol):
        return level.measure(state, wrong, args, rtol, atol, rank)

    def observe(state, args):
        seen = level.observe(state, args, rank)
        return seen | level.moments(state, args) if keep_moments else seen

    how = {"observe": observe, "measure": measure, "ts": ts, "rtol": rtol, "atol": atol}
    return integrate(level.velocity, state, args, clock, **how)
