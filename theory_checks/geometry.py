"""The manifold of renormalized features: Propositions 3 and 4, Lemma 2, Appendix D.3."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from central_path.problem import covariance, deviations
from theory_checks import compiled, definitions, instances
from theory_checks.by_exponent import features_field
from theory_checks.paths import fitted_slope
from theory_checks.registry import EPS, Draw, Finding, claim, identity, largest, refutation

REASON = "200 eps of sums over CN examples"
PROJECTIONS = {"orthogonal": compiled.orthogonal_projection, "Proposition 4": compiled.oblique_projection}


def _points(draw: Draw) -> Iterator[np.ndarray]:
    """Points of the manifold, from ordinary and hard features."""
    for instance in instances.everything(draw):
        yield np.asarray(compiled.retract(compiled.retract(instance.H)))


def _tangency(X: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """X C Z^T + Z C X^T, with the class-centring matrix of Equation 21."""
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
    statement="The tangent space of the manifold at X is {Z : X C Z^T + Z C X = 0}.",
    amendment="{Z : X C Z^T + Z C X^T = 0}; as printed, the factors of Z C X do not conform (a transpose is lost). "
    "Its dimension is P CN - P(P+1)/2.",
    assumptions="Sigma_W = I.",
    fault="X C Z^T - Z C X^T.",
)
def proposition_3(draw: Draw) -> Iterator[Finding]:
    """The printed equation against the derivative of Sigma_W by autodiff; the dimension of its solutions."""
    for X in _points(draw):
        P, C, N = X.shape
        Z = draw.rng.standard_normal(X.shape)
        _, derivative = _covariance_along(X, Z)
        formula = _tangency(X, Z)
        labels = definitions.labels_of(X)
        half = definitions.stack(X) @ definitions.centre_classes(definitions.stack(Z), labels, C).T
        scale = largest(X) * largest(Z)
        yield identity(
            "derivative of Sigma_W along Z, against X C Z^T + Z C X^T",
            derivative,
            formula,
            fault=half - half.T,
            scale=scale,
            reason=REASON,
        )
        yield refutation("columns of Z C without a row of X to meet, as a share", (C * N - P) / (C * N), at_least=1e-2)
    C, N, P = instances.TWO_CLASSES
    X = np.asarray(compiled.retract(instances.random_features(draw.rng, instances.TWO_CLASSES)))
    rows = [_tangency(X, Z.reshape(X.shape))[np.triu_indices(P)] for Z in np.eye(X.size)]
    dimension = X.size - np.linalg.matrix_rank(np.array(rows))
    expected = P * C * N - P * (P + 1) / 2
    yield identity(
        "dimension of the tangent space", dimension, expected, fault=expected - P, scale=1.0, reason=" whole numbers"
    )


@claim(
    "Proposition 4",
    source="Appendix D.2, Proposition 4; its use in the proof of Lemma 4",
    expected="holds in part",
    statement="Pi(Z) = Z - 1/2 (X C Z^T + Z C X^T) X is the projection onto the tangent space of the manifold at X, "
    "and may be moved across the inner product (as the proof of Lemma 4 does).",
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
            kwargs: dict[str, Any] = {"reason": REASON, "scale": size * max(1.0, largest(X))}
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
            )
        yield identity(
            "orthogonal: self-adjoint",
            np.sum(np.asarray(compiled.orthogonal_projection(X, Z)) * Y),
            np.sum(Z * np.asarray(compiled.orthogonal_projection(X, Y))),
            fault=np.sum(Z * np.asarray(compiled.oblique_projection(X, Y))),
            scale=size * largest(Y) * X.size,
            reason=REASON,
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
            )
    for _ in range(2 * draw.repeats):  # near the manifold, where the first-order expansion is used
        X = np.asarray(compiled.retract(instances.random_features(draw.rng, instances.GENERIC)))
        X = X * (1 + 1e-10 * draw.rng.standard_normal((len(X), 1, 1)))
        S, R = (np.cov(draw.rng.standard_normal((len(X), 30))) for _ in range(2))
        s = definitions.statistics_of(X)
        for name, Sigma in (("near I", s.Sigma_W), ("anywhere", S)):
            found = np.asarray(compiled.lyapunov(Sigma, R))
            back = (found @ Sigma + Sigma @ found) / 2
            yield identity(f"Lyapunov equation, {name}", back, R, fault=2 * R, condition=float(np.linalg.cond(Sigma)))
        near = np.asarray(compiled.lyapunov(s.Sigma_W, R))
        yield identity(
            "Lyapunov solution near I, against its first order",
            near - R,
            -(s.Sigma_W @ R + R @ s.Sigma_W - 2 * R) / 2,
            fault=0 * R,
            scale=largest(R),
            tolerance=20 * EPS,
            reason="20 eps; the square of the distance 1e-10 is below it",
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


STEPS = 2.0 ** -np.arange(3.0, 9.0)
SLOPE_TOLERANCE = 0.09
SLOPE_REASON = "the next order of the expansion at step sizes from 1/8 to 1/256 of the features"


@claim(
    "Lemma 2",
    source="Appendix D.3, Lemma 2 (two signs are lost in its display)",
    statement="A step followed by renormalization is the step projected by Proposition 4, up to a term of second "
    "order in the step.",
    assumptions="Sigma_W = I at the start; any step, the gradient's included.",
    fault="the orthogonal projection, whose remainder is of first order.",
    figure="remainder",
)
def lemma_2(draw: Draw) -> Iterator[Finding]:
    """Slope of the remainder against the size of the step."""
    for instance in instances.ordinary(draw):
        X = np.asarray(compiled.retract(compiled.retract(instance.H)))
        noise = draw.rng.standard_normal(X.shape)
        noise -= noise.mean(axis=(1, 2), keepdims=True)
        for name, Z in (("a random step", noise), ("a gradient step", np.asarray(_descent(X)))):
            Z = Z / np.linalg.norm(Z) * np.sqrt(X[0].size)
            slopes = []
            for project in (compiled.oblique_projection, compiled.orthogonal_projection):
                remainder = [
                    np.linalg.norm(np.asarray(compiled.retract(X + eta * Z)) - X - eta * np.asarray(project(X, Z)))
                    for eta in STEPS
                ]
                slopes.append(fitted_slope(STEPS[2:], np.array(remainder)[2:]))
            yield identity(
                f"order of the remainder of {name}",
                slopes[0],
                2.0,
                fault=2.0 + slopes[0] - slopes[1],
                scale=1.0,
                tolerance=SLOPE_TOLERANCE,
                reason=SLOPE_REASON,
            )


@jax.jit
def _fields(X):
    return features_field(X, 0), features_field(X, 1)


@claim(
    "Appendix D.3",
    source="Appendix D.3, after Lemma 2",
    statement="As the step size goes to 0, gradient descent with continual renormalization becomes the flow dX/dt = "
    "-Pi(grad L_LS(X)).",
    assumptions="With Proposition 4's projection (the `renormalized` flow), not with the orthogonal one (the "
    "`riemannian` flow).",
    fault="the orthogonal projection.",
    figure="descent",
)
def appendix_d3(draw: Draw) -> Iterator[Finding]:
    """Slope of the distance between a renormalized step over its size and the flow's velocity."""
    for instance in instances.ordinary(draw):
        X = np.asarray(compiled.retract(compiled.retract(instance.H)))
        Z = np.asarray(_descent(X))
        size = np.linalg.norm(Z) / np.sqrt(X[0].size)
        slopes = []
        for velocity in reversed(_fields(X)):
            gaps = []
            for eta in STEPS / size:
                moved = np.asarray(compiled.retract(X + eta * Z)) - X
                gaps.append(np.linalg.norm(moved / eta - np.asarray(velocity)))
            slopes.append(fitted_slope(STEPS[2:], np.array(gaps)[2:]))
        yield identity(
            "order in the step size of the distance to the flow's velocity",
            slopes[0],
            1.0,
            fault=1.0 + slopes[0] - slopes[1],
            scale=1.0,
            tolerance=SLOPE_TOLERANCE,
            reason=SLOPE_REASON,
        )
