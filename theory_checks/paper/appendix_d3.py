"""Steps followed by renormalization, and the flow that they become: Lemma 2 and Appendix D.3."""

from collections.abc import Iterator

import numpy as np

from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.extrapolation import limit, order
from theory_checks.framework.paths import RENORMALIZED, RIEMANNIAN, UNNORMALIZED, follow, velocity
from theory_checks.framework.registry import Draw, Finding, claim, identity, refutation
from theory_checks.paper.appendix_d2_tangent_space import left_times

STEPS = 2.0 ** -np.arange(5.0, 11.0)
LIMIT_TOLERANCE = 1e-5
LIMIT_REASON = "what is left of the orders beyond the fifth in the step, and rounding over the remainder, 1e-9"


def _remainders(X: np.ndarray, Z: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Norms of the renormalized steps from X along Z less X + eta moved, for each eta in STEPS."""
    return np.array([np.linalg.norm(np.asarray(compiled.retract(X + eta * Z)) - X - eta * moved) for eta in STEPS])


@claim(
    "Lemma 2",
    source="Appendix D.3, Lemma 2",
    statement="A step followed by renormalization is the step projected by Proposition 4, up to a term of second "
    "order in the step.",
    assumptions="Sigma_W = I at the start; any step, the gradient's included.",
    fault="the orthogonal projection, whose remainder is of first order.",
    figure="remainder",
)
def lemma_2(draw: Draw) -> Iterator[Finding]:
    """Order of the remainder in the size of the step, extrapolated to steps of size 0."""
    for instance in instances.ordinary(draw):
        X = np.asarray(compiled.retract(compiled.retract(instance.H)))
        noise = draw.rng.standard_normal(X.shape)
        noise -= noise.mean(axis=(1, 2), keepdims=True)
        for name, Z in (("a random step", noise), ("a gradient step", np.asarray(velocity(X, UNNORMALIZED)))):
            Z = Z / np.linalg.norm(Z) * np.sqrt(X[0].size)
            found, wrong = (
                order(_remainders(X, Z, np.asarray(project(X, Z))))
                for project in (compiled.oblique_projection, compiled.orthogonal_projection)
            )
            yield identity(
                f"order of the remainder of {name}",
                found,
                2.0,
                fault=2.0 + found - wrong,
                tolerance=LIMIT_TOLERANCE,
                reason=LIMIT_REASON,
            )


@claim(
    "Lemma 2, display",
    source="Appendix D.3, proof of Lemma 2, second line of the last display",
    expected="misprint",
    statement="X_1 = X_0 + dX - 1/2 (dX Gamma X_0^T - X_0 Gamma dX^T) X_0 + O(||dX||^2).",
    amendment="A sign is lost: X_1 = X_0 + dX - 1/2 (dX Gamma X_0^T + X_0 Gamma dX^T) X_0 + O(||dX||^2), as the next "
    "line and Proposition 4 have it.",
    assumptions="Sigma_W = I at X_0, global mean 0.",
    fault="the factor 1/2 left out.",
)
def lemma_2_display(draw: Draw) -> Iterator[Finding]:
    """Order of the remainder of both displays."""
    for instance in instances.ordinary(draw):
        X = np.asarray(compiled.retract(compiled.retract(instance.H)))
        Z = draw.rng.standard_normal(X.shape)
        Z -= Z.mean(axis=(1, 2), keepdims=True)
        Z *= np.sqrt(X[0].size) / np.linalg.norm(Z)
        labels, F = definitions.labels_of(X), definitions.stack(X)
        half = definitions.centre_classes(definitions.stack(Z), labels, X.shape[1]) @ F.T
        moved = [Z - left_times(S, X) for S in ((half + half.T) / 2, (half - half.T) / 2, half + half.T)]
        intended, printed, wrong = (_remainders(X, Z, velocity) for velocity in moved)
        yield identity(
            "order of the remainder with the sign +",
            order(intended),
            2.0,
            fault=2.0 + order(intended) - order(wrong),
            tolerance=LIMIT_TOLERANCE,
            reason=LIMIT_REASON,
            of="intended",
        )
        yield refutation("orders missing from the remainder as printed", 2.0 - order(printed), at_least=0.9)


HORIZON = 0.5  # of C^2 N, the time scale of the flow
COUNTS = 48 * 2 ** np.arange(5)


def _descend(X: np.ndarray, t: float, steps: int) -> np.ndarray:
    """Appendix D.1's algorithm, written out: steps along -grad L_LS by its formula, renormalized after each of them."""
    P, C, N = X.shape
    for _ in range(steps):
        M = X.mean(axis=2)
        U, omega, Vt = np.linalg.svd(M - M.mean(axis=1, keepdims=True), full_matrices=False)
        g = 1 / (C + omega**2) ** 2
        E = X - M[:, :, None]
        means = ((U * (omega * g)) @ Vt)[:, :, None] / N
        X = X + t / steps * (means - left_times((U * (omega**2 * g)) @ U.T, E) / (C * N))
        M = X.mean(axis=2)
        E = (X - M[:, :, None]).reshape(P, -1)
        whiten = definitions.root(E @ E.T / (C * N), -0.5)
        X = left_times(whiten, X - M.mean(axis=1)[:, None, None])
    return X


@claim(
    "Appendix D.3",
    source="Appendix D.3, before and after Lemma 2",
    statement="As the step size goes to 0, gradient descent with continual renormalization becomes the flow dX/dt = "
    "-Pi(grad L_LS(X)).",
    assumptions="With Proposition 4's projection, as printed (the `renormalized` flow); not with the orthogonal one.",
    fault="the orthogonal projection (the `riemannian` flow).",
    figure="descent",
)
def appendix_d3(draw: Draw) -> Iterator[Finding]:
    """The algorithm written out, over a finite time, its features extrapolated to steps of size 0, against the flow."""
    for instance in instances.ordinary(draw):
        X = np.asarray(compiled.retract(compiled.retract(instance.H)))
        _, C, N = X.shape
        t = HORIZON * C**2 * N
        descents = np.stack([_descend(X, t, int(steps)) for steps in COUNTS])
        flow, wrong = (follow(X, f, t_max=t, saves=3).X[-1] for f in (RENORMALIZED, RIEMANNIAN))
        yield identity(
            "features at a finite time, step size to 0, against the flow",
            limit(descents),
            flow,
            fault=wrong,
            tolerance=1e-8,
            reason="the fifth order of steps of 1/96 of the time scale and less, and the solver's tolerance 1e-11",
        )
        errors = np.array([np.linalg.norm(end - flow) for end in descents])
        others = np.array([np.linalg.norm(end - wrong) for end in descents])
        yield identity(
            "order in the step size of the distance to the flow",
            order(errors),
            1.0,
            fault=1.0 + order(errors) - order(others),
            tolerance=1e-4,
            reason="the fifth order of the step, and the solver's tolerance over the smallest distance",
        )
