"""The general central path: any class priors, weight decay, covariance and block kernel.

L_LS depends on features through class means M and within-class covariance Sigma_W alone, and its gradient acts on the
deviations of every example by one matrix. So (M, Sigma_W) is a closed state for every prior, every lambda and every
kernel. Two classes have one direction, and a closed form. Both are held against full features, which the gradient of
the loss of Equation 2 moves, example by example.

Source: this project (docs/note/note.md).
"""

from collections.abc import Iterator
from dataclasses import replace

import jax
import numpy as np
from jaxtyping import Float, Int

from central_path.simulation.general import BlockKernel, GeneralRun, simulate_general
from central_path.simulation.general.dynamics import Dynamics
from central_path.simulation.general.examples import moments_of, velocity
from central_path.simulation.general.field import field
from central_path.simulation.general.levels import labelled, start_at_moments
from central_path.simulation.general.start import start_of_samples
from central_path.theory.two_classes import TwoClasses
from theory_checks.extensions.laws import NOTE
from theory_checks.framework.registry import Draw, Finding, claim, identity

SIZES = (4, 9, 6)  # examples of three unbalanced classes
OF_TWO = (5, 12)
P = 5
LEVELS_TOLERANCE = 1e-7  # two solvers of tolerance 1e-11, after some tens of steps
LEVELS_REASON = "solver tolerance 1e-11 at both levels, times some tens of steps and what singular vectors turn"
SAVES = 20
LARGEST = 30.0  # omega of two classes at the end


CASES = (
    {"flow": "unnormalized", "kernel": BlockKernel(within=0.3)},
    {"flow": "unnormalized", "kernel": BlockKernel(0.8, 1.5, 0.4), "lam": 0.05},
    {"flow": "unnormalized", "kernel": BlockKernel(0.8, 0.2, 3.0), "lam": 0.05, "decay_bias": False, "lam_H": 0.02},
    {"flow": "renormalized", "kernel": BlockKernel(within=0.6)},
    {"flow": "renormalized", "kernel": BlockKernel(0.8, 0.6, 0.4), "lam": 0.05},
    {"flow": "riemannian", "lam": 0.05},
)

velocity_of_moments = jax.jit(field)


@jax.jit
def of_examples(H, setting):
    """The derivatives of M and Sigma_W along the velocity of all features."""
    moved = jax.jvp(lambda H: moments_of(H, setting), (H,), (velocity(H, setting),))[1]
    return moved.M, moved.Sigma_W


def drawn(draw: Draw, sizes: tuple[int, ...]) -> tuple[Float[np.ndarray, "n P"], Int[np.ndarray, " n"]]:
    """Unbalanced features with a generic covariance and a global mean."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    mix = np.linalg.qr(draw.rng.standard_normal((P, P)))[0] * np.geomspace(0.5, 2.0, P)
    rows = draw.rng.standard_normal((len(sizes), P))[labels] + draw.rng.standard_normal((len(labels), P)) @ mix
    return rows + draw.rng.standard_normal(P), labels


def time_of(omega: float, law: TwoClasses) -> float:
    """A time at which omega is reached, and little more."""
    t = 1.0
    while law.omega(np.array([t]))[0] < omega:
        t *= 1.05
    return t


def finished(run: GeneralRun) -> GeneralRun:
    """The run, if the solver reached the horizon.

    Raises:
        RuntimeError: if it failed.
    """
    if not run.successful:
        raise RuntimeError(f"level {run.level}: {run.result}")
    return run


def log_omega(run: GeneralRun) -> np.ndarray:
    """Logarithms of omega along a run."""
    return np.log(finished(run).ys["omega"])


@claim(
    "Closed state of moments",
    source=f"{NOTE}, Theorem 6.1",
    statement="For every class prior, lambda >= 0, start and block kernel the class means M and Sigma_W obey an "
    "ordinary differential equation of their own, whose omega are those of all features.",
    assumptions="Sigma_W > 0 at the start, or lambda > 0 or b > 0.",
    fault="features with a kernel larger by 0.1, or with twice the weight decay.",
)
def closed_state_of_moments(draw: Draw) -> Iterator[Finding]:
    """Velocities at random features; and both levels from the same features, at the same times, unless quick."""
    for _ in range(draw.repeats):
        features, labels = drawn(draw, SIZES)
        for case in CASES:
            yield _velocities(features, labels, Dynamics(**case))
    if not draw.quick:
        yield from _paths(draw)


def _velocities(features: np.ndarray, labels: np.ndarray, dynamics: Dynamics) -> Finding:
    """The derivatives of M and Sigma_W: of the closed state, and by autodiff along the velocity of all features."""
    changed = {"lam": 2 * dynamics.lam} if dynamics.lam else {"kernel": BlockKernel(within=dynamics.beta + 0.1)}
    begin = start_of_samples(features, labels, centred=dynamics.centred)
    right, wrong = (
        np.concatenate([np.ravel(part) for part in of_examples(begin.features, labelled(begin, one))])
        for one in (dynamics, replace(dynamics, **changed))
    )
    start = start_at_moments(begin, dynamics, np.eye(len(begin.pi) - 1))
    state, moved = (jax.tree.map(np.asarray, part) for part in (start.state, velocity_of_moments(*start[:2])))
    half = -dynamics.beta * moved.B[:, :-1] @ state.B[:, :-1].T if state.F is None else moved.F @ state.F.T
    axes, to_means = np.asarray(start.axes), np.asarray(start.setting.classes.to_means)
    closed = np.concatenate([(axes @ moved.B @ to_means).ravel(), (axes @ (half + half.T) @ axes.T).ravel()])
    name = f"velocity of M and Sigma_W: {dynamics.flow}, b = {dynamics.kernel.within:g}, lambda = {dynamics.lam:g}"
    condition = float(begin.w[0] / begin.w[-1])
    reason = "200 eps, times the condition of Sigma_W"
    return identity(name, closed, right, fault=wrong, condition=condition, reason=reason)


def _paths(draw: Draw) -> Iterator[Finding]:
    """Both levels integrated; the fault is in the features' level."""
    how = {"tolerance": LEVELS_TOLERANCE, "reason": LEVELS_REASON, "scale": 1.0}
    for _ in range(draw.repeats):
        features, labels = drawn(draw, SIZES)
        for flow, b, lam in (("unnormalized", 0.3, 0.0), ("unnormalized", 1.0, 0.01), ("renormalized", 0.6, 0.0)):
            run = simulate_general(features, labels, flow=flow, kernel=b, lam=lam, saves=SAVES)
            changed = (b, 2 * lam) if lam else (b + 0.1, lam)
            whole = {"flow": flow, "level": "features", "t_max": run.t_max, "saves": SAVES}
            right, wrong = (
                simulate_general(features, labels, kernel=kernel, lam=decay, **whole)
                for kernel, decay in ((b, lam), changed)
            )
            name = f"log omega of moments and of features: {flow}, b = {b:g}, lambda = {lam:g}"
            yield identity(name, log_omega(run), log_omega(right), fault=log_omega(wrong), **how)


@claim(
    "Two classes of any priors",
    source=f"{NOTE}, Theorem 6.3",
    statement="For two classes of any sizes, at lambda = 0 and from any covariance, omega(t) of every flow and kernel "
    "is given by one quadrature, for which omega^2 = rho (pi_1^2 + pi_2^2)/(pi_1 pi_2).",
    assumptions="lambda = 0, bias included, Sigma_W of full rank.",
    fault="equal priors.",
)
def two_classes_of_any_priors(draw: Draw) -> Iterator[Finding]:
    """Full features of two unbalanced classes, against the closed form from their moments."""
    reason = "solver tolerance 1e-11, times some tens of steps, and 1 + b omega^2/C where Sigma_W shrinks"
    for _ in range(draw.repeats):
        features, labels = drawn(draw, OF_TWO)
        begin = start_of_samples(features, labels)
        for flow, b in (("unnormalized", 0.3), ("renormalized", 0.6), ("riemannian", 1.0)):
            right, wrong = (
                TwoClasses.of(begin.M, np.diag(begin.w), pi, n=len(labels), flow=flow, b=b)
                for pi in (begin.pi, np.array([0.5, 0.5]))
            )
            t_max = time_of(LARGEST, right)
            options = {"renormalize": False, "level": "features", "saves": SAVES, "t_max": t_max}
            found = simulate_general(features, labels, flow=flow, kernel=b, **options)
            how = {"tolerance": LEVELS_TOLERANCE, "reason": reason, "scale": 1.0}
            how["condition"] = 1 + b * float(np.max(found.ys["omega"])) ** 2 / 2 if flow == "unnormalized" else 1.0
            a, expected, fault = log_omega(found)[:, 0], *(np.log(law.omega(found.ts)) for law in (right, wrong))
            yield identity(f"log omega(t): {flow}, b = {b:g}", a, expected, fault=fault, **how)
