"""Both levels of the general central path as compiled programs: the state of a start, what is measured and observed."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from central_path.simulation.compiler import COMPILER_OPTIONS
from central_path.simulation.general import error, examples, observables
from central_path.simulation.general.dynamics import Dynamics
from central_path.simulation.general.examples import Labelled
from central_path.simulation.general.field import Setting, State, field
from central_path.simulation.general.observables import Rank
from central_path.simulation.general.start import GeneralStart
from central_path.simulation.solve import Clock, Solution, integrate
from central_path.theory.general_loss import classes_of


def rank_of(begin: GeneralStart, dynamics: Dynamics) -> Rank:
    """What the shapes of the observed omega depend on."""
    return Rank(len(begin.w), begin.infinite, dynamics.lam > 0 and dynamics.conserves)


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


def solve_moments(
    begin: GeneralStart,
    dynamics: Dynamics,
    turn: Float[np.ndarray, "K K"],
    clock: Clock,
    ts: Any,
    tolerances: tuple[Any, Any],
    keep: bool,
) -> Solution:
    """Integrate the closed state of moments; `keep` records the class means."""
    start = start_at_moments(begin, dynamics, turn)
    return _integrate_moments(start, clock, ts, *tolerances, rank=rank_of(begin, dynamics), keep=keep)


@partial(jax.jit, static_argnames=("rank", "keep"), compiler_options=COMPILER_OPTIONS)
def _integrate_moments(start, clock, ts, rtol, atol, *, rank, keep):
    def measure(state, wrong, args, rtol, atol):
        setting, _ = args
        motion = setting.motion
        if state.F is None:
            e = jnp.sqrt(setting.constant)
            left = error.of_what_is_left(state.B, wrong.B, e, motion.beta, rtol, rank.infinite)
            of_B = error.of_means(state.B, wrong.B, e, rtol, atol)
            return jnp.maximum(of_B, left)
        e = jnp.sqrt(jnp.sum(state.F**2, axis=1) + motion.lam)
        of_B = error.of_means(state.B, wrong.B, e, rtol, atol)
        of_F = error.of_deviations(state.F, wrong.F, rtol, error.FINEST)
        of_F = jnp.maximum(of_F, error.of_covariance(state.F, wrong.F, rtol, len(state.F) - rank.within))
        return jnp.maximum(of_B, of_F)

    def velocity(state, args):
        return field(state, args[0])

    def observe(state, args):
        setting, axes = args
        seen = observables.of_state(state, setting, rank)
        return seen | {"M": axes @ (state.B @ setting.classes.to_means)} if keep else seen

    args = (start.setting, start.axes if keep else None)
    return integrate(velocity, start.state, args, clock, observe=observe, ts=ts, rtol=rtol, atol=atol, measure=measure)


def labelled(begin: GeneralStart, dynamics: Dynamics) -> Labelled:
    """What the level `features` needs beside the features."""
    return Labelled(
        jnp.asarray(begin.labels),
        jnp.asarray(begin.pi),
        dynamics.motion(begin.n),
        jnp.float64(dynamics.kernel.within),
        on_deviations=jnp.float64(dynamics.flow != "unnormalized"),
        on_means=jnp.float64(dynamics.flow == "renormalized"),
    )


def solve_features(
    begin: GeneralStart,
    dynamics: Dynamics,
    turn: Float[np.ndarray, "K K"],
    clock: Clock,
    ts: Any,
    tolerances: tuple[Any, Any],
    keep: bool,
) -> Solution:
    """Integrate all features; `keep` records the class means.

    Raises:
        ValueError: for a start without features.
    """
    if begin.features is None:
        raise ValueError("Need features for the level features, got a start of moments: give the level moments.")
    setting = labelled(begin, dynamics)
    H, to_contrasts = jnp.asarray(begin.features), jnp.asarray(classes_of(begin.pi, turn).to_contrasts)
    rank = Rank(len(begin.w), begin.infinite, False)
    return _integrate_features(H, setting, to_contrasts, clock, ts, *tolerances, rank=rank, keep=keep)


@partial(jax.jit, static_argnames=("rank", "keep"), compiler_options=COMPILER_OPTIONS)
def _integrate_features(H, setting, to_contrasts, clock, ts, rtol, atol, *, rank, keep):
    first = examples.moments_of(H, setting)
    conserved = first.Sigma_W + setting.motion.beta * first.Sigma_B
    without = jnp.where(jnp.arange(H.shape[1]) < rank.within, 0.0, jnp.sum(first.Mbar**2, axis=1))

    def measure(H, wrong, args, rtol, atol):
        setting, without = args
        E, dE = (examples.split(A, setting)[2].T for A in (H, wrong))
        B, dB = (examples.moments_of(A, setting).M @ to_contrasts for A in (H, wrong))
        e = jnp.sqrt(jnp.mean(E**2, axis=1) + setting.motion.lam + without)
        noise = error.FINEST * (1 + setting.on_deviations * jnp.max(jnp.sum((B / e[:, None]) ** 2, axis=0)))
        of_E = error.of_deviations(E, dE, rtol, noise)
        of_E = jnp.maximum(of_E, error.of_covariance(E, dE, rtol + noise, len(E) - rank.within))
        return jnp.maximum(error.of_means(B, dB, e, rtol, atol), of_E)

    def observe(H, args):
        seen = observables.of_examples(H, args[0], conserved, rank)
        return seen | {"M": examples.moments_of(H, args[0]).M} if keep else seen

    return integrate(
        lambda H, args: examples.velocity(H, args[0]),
        H,
        (setting, without),
        clock,
        observe=observe,
        ts=ts,
        rtol=rtol,
        atol=atol,
        measure=measure,
    )
