"""Discrete time: gradient descent with continual renormalization, and the flow to which it converges.

At time t = eta times the number of steps, and t = eta n/(1 - beta) with momentum beta, descent from renormalized
features follows the law of the `renormalized` flow up to an error proportional to eta; without renormalization, from
Sigma_T = I, the law of the `unnormalized` one. So omega is extrapolated to eta = 0, and the order in eta of its
distance from the law as well: 1 if the law is the limit, 0 if another is. Adam scales coordinates, follows no such law,
and the time-free invariant shows it whatever the time: F_1(omega_j(t)) - F_1(omega_j(0)) is one number for all j under
descent, and not under Adam.

Step sizes are fractions of C^2 N, the time scale of the flow. One renormalized step differs from Proposition 4's
projection of the step by (3/2 S^2 - Q/2) X - S D and terms of third order.

Source: Han, Papyan & Donoho (2022), Appendix D.1, Lemma 2; the laws are this project's.
"""

from collections.abc import Iterator

import jax
import numpy as np
import optax

from central_path.simulation.descent import descend
from theory_checks.extensions.family_of_laws import values
from theory_checks.extensions.laws import NOTE, law_by_hand
from theory_checks.framework import compiled, definitions, extrapolation, instances, paths
from theory_checks.framework.registry import Draw, Finding, claim, identity

HORIZON = 1.0  # of C^2 N
STEPS, EVERY = 1600, 100
FRACTIONS = HORIZON / (EVERY * 2.0 ** np.arange(5))  # step sizes, of C^2 N: they reach the horizon at a record each
BETA = 0.9
TOLERANCE = {"sgd": 1e-7, "momentum": 1e-4, "plain": 1e-7}  # momentum takes steps 1/(1 - beta) times as large
OMEGA0 = np.array([2.0, 1.2, 0.6])
ADAM = 1e-3  # its learning rate: every coordinate moves by about as much in every step
ORDER_REASON = "fifth order of the step, eta/(C^2 N (1 - beta)), in the extrapolation"


@jax.jit
def _renormalized(X, eta, beta):
    optimizer = optax.sgd(eta * (1 - beta), momentum=beta)
    return descend(X, optimizer, steps=STEPS, every=EVERY, observe=_observe).ys["omega"]


@jax.jit
def _plain(X, eta):
    return descend(X, optax.sgd(eta), steps=STEPS, every=EVERY, observe=_observe, renormalize=False).ys["omega"]


@jax.jit
def _adam(X, eta):
    return descend(X, optax.adam(eta), steps=STEPS, every=EVERY, observe=_observe).ys["omega"]


def _observe(X):
    return {"omega": paths.omega_of(X)}


def start_of(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Renormalized features (P, C, N) and their omega(0)."""
    X = np.asarray(paths.renormalized(instances.with_snr(rng, instances.GENERIC, OMEGA0 * rng.uniform(0.7, 1.4))))
    return X, np.asarray(paths.omega_of(X))


def omega_at_horizon(X: np.ndarray, kind: str) -> np.ndarray:
    """Singular values (5, C-1) at t = HORIZON C^2 N for each step size; `sgd`, `momentum` or `plain`."""
    C, N = X.shape[1:]
    Y = np.asarray(paths.start(X, paths.UNNORMALIZED)) if kind == "plain" else X
    found = []
    for i, eta in enumerate(FRACTIONS * C**2 * N):
        ys = _plain(Y, eta) if kind == "plain" else _renormalized(Y, eta, BETA if kind == "momentum" else 0.0)
        found.append(np.asarray(ys)[2**i])
    return np.stack(found)


def descent_omega(X: np.ndarray, eta: float) -> np.ndarray:
    """Singular values along descent with renormalization (records, C-1), the start first."""
    return np.asarray(_renormalized(X, eta, 0.0))


def growth(omega0: np.ndarray, k: int) -> np.ndarray:
    """Logarithm of omega/omega(0) at the horizon, by the law with exponent k."""
    C, N, _ = instances.GENERIC
    return np.asarray(values(k, (C, N), omega0, HORIZON * C**2 * N, 0.0).growth)


def errors(omega: np.ndarray, omega0: np.ndarray, k: int) -> np.ndarray:
    """Largest |log(omega/law)| for each step size, by the law with exponent k."""
    return np.max(np.abs(np.log(omega / omega0) - growth(omega0, k)), axis=1)


def spread_of_invariant(omega: np.ndarray, omega0: np.ndarray) -> np.ndarray:
    """Spread of F_1(omega_j) - F_1(omega_j(0)) over j, relative to its mean; the invariant says 0."""
    C, N, _ = instances.GENERIC
    gone = law_by_hand(1, C, N, omega) - law_by_hand(1, C, N, omega0)
    return np.asarray(np.ptp(gone, axis=-1) / np.mean(gone, axis=-1))


def adam_omega(X: np.ndarray, rate: float) -> np.ndarray:
    """Singular values along Adam with renormalization (records, C-1), the start first."""
    with jax.numpy_dtype_promotion("standard"):  # optax counts Adam's steps in int32
        return np.asarray(_adam(X, rate))


@claim(
    "Gradient descent with continual renormalization",
    source=f"Appendix D.1, Lemma 2; {NOTE}, Corollary 4.2",
    statement="Gradient descent on the features with renormalization after every step follows the law of the "
    "renormalized flow at t = eta n, momentum included at t = eta n/(1 - beta), with an error proportional to eta; "
    "without renormalization, from Sigma_T = I, the law of the unnormalized flow. The time-free invariant of k = 1 "
    "holds for descent and not for Adam.",
    assumptions="steps that are small against C^2 N.",
    fault="the law of another flow, which descent does not approach (slope 0); for the invariant, a run of Adam.",
    figure="descent",
)
def descent_with_renormalization(draw: Draw) -> Iterator[Finding]:
    """Order of convergence to the laws over five step sizes, and the invariant under two optimisers."""
    for _ in range(draw.repeats):
        X, omega0 = start_of(draw.rng)
        found = {kind: omega_at_horizon(X, kind) for kind in ("sgd", "momentum", "plain")}
        for kind, k, wrong in (("sgd", 1, 0), ("momentum", 1, 0), ("plain", 2, 1)):
            grown = extrapolation.limit(np.log(found[kind] / omega0))
            law, other = (growth(omega0, e) for e in (k, wrong))
            yield identity(
                f"log omega(t)/omega(0) for eta to 0, {NAMES[kind]}",
                grown,
                law,
                fault=other,
                tolerance=TOLERANCE[kind],
                reason=ORDER_REASON,
            )
            order, kept = (extrapolation.order(errors(found[kind], omega0, e)) for e in (k, wrong))
            yield identity(
                f"order in eta, {NAMES[kind]}",
                order,
                1.0,
                fault=1.0 + order - kept,
                tolerance=1e-3,
                reason=ORDER_REASON,
            )
        seen = extrapolation.limit(spread_of_invariant(found["sgd"], omega0))
        adam = spread_of_invariant(adam_omega(X, ADAM)[-1], omega0)
        yield identity(
            "F_1(omega_j(t)) - F_1(omega_j(0)) is one number for all j, for eta to 0",
            seen,
            0.0,
            fault=seen - adam,
            scale=1.0,
            tolerance=1e-6,
            reason=ORDER_REASON,
        )


SIZES_OF_STEP = 2.0 ** -np.arange(4.0, 9.0)  # root mean square, from which the second order is extrapolated
BOUNDED = 4.0 ** -np.arange(1.0, 9.0)  # and for which the bound is tried: 1/4 is the largest
REMAINDER_TOLERANCE = 1e-6
REMAINDER_REASON = "rounding over the square of the smallest step, in the extrapolation over four halvings"


def _second_order(X: np.ndarray, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(3/2 S^2 - Q/2) X - S D, and the same without Q."""
    flat, step = definitions.stack(X), definitions.stack(D)
    E, E_D = (definitions.stack(Z - Z.mean(axis=2, keepdims=True)) for Z in (X, D))
    n = flat.shape[1]
    S, Q = (E @ E_D.T + E_D @ E.T) / (2 * n), E_D @ E_D.T / n
    fault = 1.5 * S @ S @ flat - S @ step
    return (fault - Q @ flat / 2).reshape(X.shape), fault.reshape(X.shape)


@claim(
    "Remainder of a renormalized step",
    source=f"{NOTE}, Proposition 4.1",
    statement="From X with Sigma_W = I a step D of root mean square d, followed by renormalization, ends at X + Pi(D) "
    "+ (3/2 S^2 - Q/2) X - S D + O(d^3), with Proposition 4's Pi, S = sym(E D^T)/(CN), and Q = E_D E_D^T/(CN) of the "
    "deviations of D. What is beyond Pi(D) has root mean square 12 (1 + omega_1^2/C)^(1/2) d^2 at most, for d <= 1/4.",
    assumptions="Sigma_W = I and global mean 0 at the start; any step.",
    fault="Q left out; for the bound the orthogonal projection, whose remainder is of first order.",
)
def remainder_of_a_step(draw: Draw) -> Iterator[Finding]:
    """The remainder over the square of the step, extrapolated to 0, and its largest share of the bound."""
    for instance in instances.ordinary(draw):
        X = np.asarray(compiled.retract(compiled.retract(instance.H)))
        D = draw.rng.standard_normal(X.shape)
        D -= D.mean(axis=(1, 2), keepdims=True)
        D *= np.sqrt(X[0].size) / np.linalg.norm(D)
        oblique, bounded, first_order = (
            [np.asarray(compiled.retract(X + size * D)) - X - size * np.asarray(project(X, D)) for size in sizes]
            for sizes, project in (
                (SIZES_OF_STEP, compiled.oblique_projection),
                (BOUNDED, compiled.oblique_projection),
                (BOUNDED, compiled.orthogonal_projection),
            )
        )
        right, wrong = _second_order(X, D)
        yield identity(
            "second order of the remainder",
            extrapolation.limit(np.stack(oblique) / SIZES_OF_STEP[:, None, None, None] ** 2),
            right,
            fault=wrong,
            tolerance=REMAINDER_TOLERANCE,
            reason=REMAINDER_REASON,
        )
        tau = np.sqrt(1 + np.asarray(paths.omega_of(X))[0] ** 2 / X.shape[1])
        bounds = 12 * tau * BOUNDED**2 * np.sqrt(X[0].size)
        share, of_other = (
            max(1.0, *(np.linalg.norm(r) / bound for r, bound in zip(rest, bounds, strict=True)))
            for rest in (bounded, first_order)
        )
        yield identity("largest remainder over its bound, or 1 if that is less", share, 1.0, fault=of_other)


NAMES = {
    "sgd": "descent with renormalization, law k = 1",
    "momentum": f"momentum {BETA} and renormalization, law k = 1",
    "plain": "descent without renormalization, law k = 2",
}
