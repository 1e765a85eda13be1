"""The manifold of renormalized features, its tangent space and projections, Appendix D.2: Propositions 3 and 4."""

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np

from central_path.theory.problem import covariance, deviations
from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.registry import EPS, Draw, Finding, claim, identity, largest, refutation
from theory_checks.framework.verdicts import Statement

REASON = "200 eps of sums over CN examples"
PROJECTIONS = {"orthogonal": compiled.orthogonal_projection, "Proposition 4": compiled.oblique_projection}


PRINTED: dict[str, Statement] = {"orthogonal": "instead", "Proposition 4": "printed"}


def _points(draw: Draw) -> Iterator[np.ndarray]:
    """Points of the manifold, from ordinary and hard features."""
    for instance in instances.everything(draw):
        yield np.asarray(compiled.retract(compiled.retract(instance.H)))


def left_times(A: np.ndarray, X: np.ndarray) -> np.ndarray:
    """A X, example by example."""
    return np.einsum("pq,qcn->pcn", A, X)


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
    amendment="{Z : X Gamma Z^T + Z Gamma X^T = 0}: a transpose is lost in Z Gamma X, whose factors conform only if "
    "P = CN, and then do not vanish on tangent vectors. The dimension is P CN - P(P+1)/2.",
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


def _on_the_manifold(draw: Draw) -> Iterator[Finding]:
    """Formula, tangency, idempotence and self-adjointness at points of the manifold."""
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
            compare = partial(identity, reason=REASON, scale=size * max(1.0, largest(X)), of=of)
            missed = wrong[name].reshape(shape)
            yield compare(f"{name}: against its formula", definitions.stack(once), literal[name], fault=wrong[name])
            yield compare(f"{name}: tangent", _tangency(X, once), 0 * half, fault=_tangency(X, missed))
            yield identity(
                f"{name}: idempotent",
                project(X, once),
                once,
                fault=once - left_times(_tangency(X, missed), X),
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


def _off_the_manifold(draw: Draw) -> Iterator[Finding]:
    """Tangency at features whose Sigma_W is not I."""
    for instance in instances.ordinary(draw):
        H, Z = instance.H, draw.rng.standard_normal(instance.H.shape)
        for name, project in PROJECTIONS.items():
            once = np.asarray(project(H, Z))
            shortcut = Z - left_times(_tangency(H, Z) / 2, H)
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


def _lyapunov(draw: Draw) -> Iterator[Finding]:
    """The equation that the projections solve off the manifold; near it by its expansion to first order."""
    for _ in range(2 * draw.repeats):
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
    for part in (_on_the_manifold, _off_the_manifold, _lyapunov):
        yield from part(draw)
    for _ in range(4 * draw.repeats):
        X = instances.with_snr(draw.rng, instances.GENERIC, np.array([3.0, 2.0, 1.0]))
        S = np.cov(draw.rng.standard_normal((len(X), 30)))
        normal = left_times(S, X - X.mean(axis=2, keepdims=True))
        left = np.asarray(compiled.oblique_projection(X, normal))
        again = np.asarray(compiled.oblique_projection(X, left))
        gap = np.sum(left * left) - np.sum(normal * again)
        yield refutation(
            "Proposition 4: <Pi Z, Y> - <Z, Pi Y> for Z = S E, Y = Pi Z, relative", gap / np.sum(normal**2)
        )
