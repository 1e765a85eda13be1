"""The manifold of renormalized features: Propositions 3 and 4, Lemma 2, Appendix D.3."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from central_path.flows import features_field
from central_path.problem import covariance, deviations
from theory_checks import compiled, definitions, instances
from theory_checks.extrapolation import limit, order
from theory_checks.paths import follow
from theory_checks.registry import EPS, Draw, Finding, claim, identity, largest, refutation

REASON = "200 eps of sums over CN examples"
PROJECTIONS = {"orthogonal": compiled.orthogonal_projection, "Proposition 4": compiled.oblique_projection}
PRINTED: dict[str, Any] = {"orthogonal": "instead", "Proposition 4": "printed"}


def _points(draw: Draw) -> Iterator[np.ndarray]:
    """Points of the manifold, from ordinary and hard features."""
    for instance in instances.everything(draw):
        yield np.asarray(compiled.retract(compiled.retract(instance.H)))


def _tangency(X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """X Gamma Z^T + Z Gamma X^T, with the class-centring matrix of Equation 21."""
    _, C, _ = X.shape
    labels, X, Z = definitions.labels_of(X), definitions.stack(X), definitions.stack(Z)
    return X @ definitions.centre_classes(Z, labels, C).T + definitions.centre_classes(Z, labels, C) @ X.T


@jax.jit
def _covariance_along(X, Z):
    """Sigma_W and its derivative along Z, by autodiff."""
    return jax.jvp(lambda X: covariance(deviations(X)), (X,), (Z,))


@claim(
    "Proposition 3",
    source="Appendix D.2, Proposition 3 and Definition 6",
    expected="misprint",
    statement="The tangent space of the manifold at X is {Z : X Gamma Z^T + Z Gamma X = 0}.",
    amendment="{Z : X Gamma Z^T + Z Gamma X^T = 0}: a transpose is lost in Z Gamma X, whose factors conform only if P "
    "= CN, and then do not vanish on tangent vectors. The dimension is P CN - P(P+1)/2.",
    assumptions="Sigma_W = I; the derivative of Sigma_W at any X.",
    fault="X Gamma Z^T - Z Gamma X^T.",
)
def proposition_3(draw: Draw) -> Iterator[Finding]:
    """The derivative of Sigma_W by autodiff against both equations; the dimension of the solutions."""
    for X in _points(draw):
        P, C, N = X.shape
        Z = draw.rng.standard_normal(X.shape)
        _, derivative = _covariance_along(X, Z)
        formula = _tangency(X, Z)
        labels = definitions.labels_of(X)
        half = definitions.stack(X) @ definitions.centre_classes(definitions.stack(Z), labels, C).T
        scale = largest(X) * largest(Z)
        yield identity(
            "derivative of Sigma_W along Z, against X Gamma Z^T + Z Gamma X^T",
            derivative,
            formula,
            fault=half - half.T,
            scale=scale,
            reason=REASON,
            of="intended",
        )
    for _ in range(draw.repeats):
        yield refutation(
            "Z Gamma X and X Gamma Z^T for unit vectors Z along which Sigma_W stays", _printed_tangency(draw.rng)
        )
    C, N, P = instances.TWO_CLASSES
    X = np.asarray(compiled.retract(instances.random_features(draw.rng, instances.TWO_CLASSES)))
    rows = [_tangency(X, Z.reshape(X.shape))[np.triu_indices(P)] for Z in np.eye(X.size)]
    dimension = X.size - np.linalg.matrix_rank(np.array(rows))
    expected = P * C * N - P * (P + 1) / 2
    yield identity(
        "dimension of the tangent space",
        dimension,
        expected,
        fault=expected - P,
        scale=1.0,
        reason=" whole numbers",
        of="intended",
    )


def _printed_tangency(rng: np.random.Generator) -> float:
    """Largest X Gamma Z^T + Z Gamma X, over X, for unit vectors Z along which Sigma_W stays, where P = CN."""
    C, N = 2, 3
    X = rng.standard_normal((C * N, C, N))
    F, labels = definitions.stack(X), definitions.labels_of(X)
    derivative = np.stack([_tangency(X, Z.reshape(X.shape)).ravel() for Z in np.eye(X.size)], axis=1)
    _, singular, Vt = np.linalg.svd(derivative)
    still = [definitions.stack(Z.reshape(X.shape)) for Z in Vt[np.sum(singular > 1e-10 * singular[0]) :]]
    half = [
        (F @ definitions.centre_classes(Z, labels, C).T, definitions.centre_classes(Z, labels, C) @ F) for Z in still
    ]
    return max(float(np.linalg.norm(left + right) / np.linalg.norm(F)) for left, right in half)


@claim(
    "Proposition 4",
    source="Appendix D.2, Proposition 4; its use in the proof of Lemma 4",
    expected="holds in part",
    statement="Pi(Z) = Z - 1/2 (X Gamma Z^T + Z Gamma X^T) X is the projection onto the tangent space of the manifold "
    "at X, and may be moved across the inner product (as the proof of Lemma 4 does).",
    amendment="It is a projection, idempotent and onto the tangent space, along the fibres of H -> A H; it is not "
    "self-adjoint, so not the orthogonal one and not to be moved across the inner product. That is Pi(Z) = Z - S E "
    "with the deviations E in place of X. Off the manifold S solves S Sigma_W + Sigma_W S = 2 sym(E Z^T)/(CN).",
    assumptions="Sigma_W = I on the manifold; Sigma_W > 0 off it.",
    fault="the factor 1/2 left out.",
)
def proposition_4(draw: Draw) -> Iterator[Finding]:
    """Both projections, on the manifold and off it: tangent, idempotent, and which one is self-adjoint."""
    for X in _points(draw):
        shape = X.shape
        Z, Y = draw.rng.standard_normal(shape), draw.rng.standard_normal(shape)
        F, G = definitions.stack(X), definitions.stack(Z)
        half = _tangency(X, Z) / 2
        E = F - np.repeat(definitions.statistics_of(X).M, shape[2], axis=1)
        literal = {"orthogonal": G - half @ E, "Proposition 4": G - half @ F}
        wrong = {"orthogonal": G - 2 * half @ E, "Proposition 4": G - 2 * half @ F}
        size = largest(half) * len(X) * max(1.0, largest(X))
        for name, project in PROJECTIONS.items():
            once = np.asarray(project(X, Z))
            of = PRINTED[name]
            kwargs: dict[str, Any] = {"reason": REASON, "scale": size * max(1.0, largest(X)), "of": of}
            missed = wrong[name].reshape(shape)
            yield identity(
                f"{name}: against its formula", definitions.stack(once), literal[name], fault=wrong[name], **kwargs
            )
            yield identity(f"{name}: tangent", _tangency(X, once), 0 * half, fault=_tangency(X, missed), **kwargs)
            yield identity(
                f"{name}: idempotent",
                project(X, once),
                once,
                fault=once - _left(_tangency(X, missed), X),
                reason=f"{REASON}, of products with X twice",
                scale=size * max(1.0, largest(X)) ** 2,
                of=of,
            )
        yield identity(
            "orthogonal: self-adjoint",
            np.sum(np.asarray(compiled.orthogonal_projection(X, Z)) * Y),
            np.sum(Z * np.asarray(compiled.orthogonal_projection(X, Y))),
            fault=np.sum(Z * np.asarray(compiled.oblique_projection(X, Y))),
            scale=size * largest(Y) * X.size,
            reason=REASON,
            of="instead",
        )
    for instance in instances.ordinary(draw):  # off the manifold
        H, Z = instance.H, draw.rng.standard_normal(instance.H.shape)
        for name, project in PROJECTIONS.items():
            once = np.asarray(project(H, Z))
            shortcut = Z - _left(_tangency(H, Z) / 2, H)
            yield identity(
                f"{name}: tangent off the manifold",
                _tangency(H, once),
                0 * _tangency(H, Z),
                fault=_tangency(H, shortcut),
                scale=largest(H) ** 2 * largest(Z),
                condition=instance.condition,
                reason="200 eps, times the condition of Sigma_W",
                of="instead",
            )
    for _ in range(2 * draw.repeats):  # near the manifold, where the first-order expansion is used
        X = np.asarray(compiled.retract(instances.random_features(draw.rng, instances.GENERIC)))
        X = X * (1 + 1e-10 * draw.rng.standard_normal((len(X), 1, 1)))
        S, R = (np.cov(draw.rng.standard_normal((len(X), 30))) for _ in range(2))
        s = definitions.statistics_of(X)
        for name, Sigma in (("near I", s.Sigma_W), ("anywhere", S)):
            found = np.asarray(compiled.lyapunov(Sigma, R))
            back = (found @ Sigma + Sigma @ found) / 2
            condition = float(np.linalg.cond(Sigma))
            yield identity(f"Lyapunov equation, {name}", back, R, fault=2 * R, condition=condition, of="instead")
        near = np.asarray(compiled.lyapunov(s.Sigma_W, R))
        yield identity(
            "Lyapunov solution near I, against its first order",
            near - R,
            -(s.Sigma_W @ R + R @ s.Sigma_W - 2 * R) / 2,
            fault=0 * R,
            scale=largest(R),
            tolerance=20 * EPS,
            reason="20 eps; the square of the distance 1e-10 is below it",
            of="instead",
        )
    for _ in range(4 * draw.repeats):
        X = instances.with_snr(draw.rng, instances.GENERIC, np.array([3.0, 2.0, 1.0]))
        S = np.cov(draw.rng.standard_normal((len(X), 30)))
        normal = _left(S, X - X.mean(axis=2, keepdims=True))
        left = np.asarray(compiled.oblique_projection(X, normal))
        again = np.asarray(compiled.oblique_projection(X, left))
        gap = np.sum(left * left) - np.sum(normal * again)
        yield refutation(
            "Proposition 4: <Pi Z, Y> - <Z, Pi Y> for Z = S E, Y = Pi Z, relative", gap / np.sum(normal**2)
        )


def _left(A: np.ndarray, X: np.ndarray) -> np.ndarray:
    return np.einsum("pq,qcn->pcn", A, X)


@jax.jit
def _descent(X):
    """-grad L_LS, which the flow with k = 2 does not project."""
    return features_field(X, 2)


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
        for name, Z in (("a random step", noise), ("a gradient step", np.asarray(_descent(X)))):
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
        moved = [Z - _left(S, X) for S in ((half + half.T) / 2, (half - half.T) / 2, half + half.T)]
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
COUNTS = 12 * 2 ** np.arange(5)


def _descend(X: np.ndarray, t: float, steps: int) -> np.ndarray:
    """Appendix D.1's algorithm, written out: steps along -grad L_LS by its formula, renormalized after each of them."""
    P, C, N = X.shape
    for _ in range(steps):
        M = X.mean(axis=2)
        U, omega, Vt = np.linalg.svd(M - M.mean(axis=1, keepdims=True), full_matrices=False)
        g = 1 / (C + omega**2) ** 2
        E = X - M[:, :, None]
        means = ((U * (omega * g)) @ Vt)[:, :, None] / N
        X = X + t / steps * (means - _left((U * (omega**2 * g)) @ U.T, E) / (C * N))
        M = X.mean(axis=2)
        E = (X - M[:, :, None]).reshape(P, -1)
        whiten = definitions.root(E @ E.T / (C * N), -0.5)
        X = _left(whiten, X - M.mean(axis=1)[:, None, None])
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
        flow, wrong = (follow(X, k, t_max=t, saves=3).X[-1] for k in (1, 0))
        yield identity(
            "features at a finite time, step size to 0, against the flow",
            limit(descents),
            flow,
            fault=wrong,
            tolerance=1e-8,
            reason="the fifth order of steps of 1/24 of the time scale and less, and the solver's tolerance 1e-11",
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
