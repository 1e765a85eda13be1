"""The velocities of the class means and of the singular values at a point, Appendix D.4: Lemmas 3, 4 and 5."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from central_path.flows import FLOWS, AbstractFlow
from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.paths import (
    RENORMALIZED,
    RIEMANNIAN,
    UNNORMALIZED,
    omega_along,
    omega_of,
    start,
    traced,
    velocity,
)
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest, refutation

VELOCITY_REASON = "200 eps, times the growth of rounding in the within-class gradient and the spread of omega"
MOST_LOST = 1e9  # growth of rounding, at which six digits are left


class Point(NamedTuple):
    """Renormalized features (P, C, N), aligned, with omega, and the condition of the velocities there."""

    X: np.ndarray
    aligned: definitions.Aligned
    omega: np.ndarray
    condition: float


def _point(H: np.ndarray) -> Point:
    X = np.asarray(compiled.retract(compiled.retract(H)))
    aligned = definitions.align(X)
    omega = aligned.omega
    return Point(X, aligned, omega, (1 + omega[0] ** 2 / X.shape[1]) * (omega[0] / omega[-1]) ** 2)


def points(draw: Draw) -> Iterator[Point]:
    """Renormalized instances, but for class means so nearly dependent that velocities keep too few digits."""
    for instance in instances.everything(draw):
        point = _point(instance.H)
        if point.condition * (1 + point.omega[0] ** 2 / point.X.shape[1]) < MOST_LOST:
            yield point


def _grown(draw: Draw) -> Iterator[Point]:
    """Points with omega^2 beyond C, where the flows have parted."""
    for _ in range(2 * draw.repeats):
        yield _point(
            instances.with_snr(draw.rng, instances.GENERIC, draw.rng.uniform(2.0, 4.0) * np.array([2.0, 1.4, 1.0]))
        )


@jax.jit
def _omega_along(X, Z):
    return jax.jvp(omega_of, (X,), (Z,))[1]


def _aligned(point: Point, flow: AbstractFlow) -> np.ndarray:
    """The velocity Z of a flow in aligned coordinates: rows j of U^T Z (V kron I_N)."""
    Z = np.asarray(velocity(point.X, traced(flow)))
    return point.aligned.U.T @ definitions.stack(Z) @ np.kron(point.aligned.V, np.eye(Z.shape[2]))


@claim(
    "Lemma 3",
    source="Appendix D.4, Lemma 3",
    expected="holds as amended",
    statement="d omega_j(Pi(dX)) = (y_j/N - omega_j Gamma x_j)^T dx_j in aligned coordinates, for all j: it depends on "
    "row j alone.",
    amendment="Where omega_j is simple: where two of them coincide, omega_j is not differentiable, and there is no "
    "such 1-form.",
    assumptions="Proposition 4's projection, as printed; P > C; omega_j > 0 for j < C, as Definition 2 has it.",
    fault="the orthogonal projection.",
)
def lemma_3(draw: Draw) -> Iterator[Finding]:
    """The derivative of omega by autodiff along projected random directions, against the formula; equal omega."""
    for _ in range(draw.repeats):
        yield refutation(
            "d omega_1(Z) + d omega_1(-Z), relative, where omega_1 = omega_2", _kink(draw.rng), at_least=0.1
        )
    for point in points(draw):
        X, (_, U, omega, V, rows, Y) = point.X, point.aligned
        _, C, N = X.shape
        d_rows = draw.rng.standard_normal((C, C * N))
        dX = (U @ d_rows @ np.kron(V.T, np.eye(N))).reshape(X.shape)
        centred = definitions.centre_classes(rows, definitions.labels_of(X), C)
        terms = (Y / N - np.append(omega, 0.0)[:, None] * centred) * d_rows
        formula = np.sum(terms, axis=1)
        found, wrong = (
            np.asarray(_omega_along(X, np.asarray(project(X, dX))))
            for project in (compiled.oblique_projection, compiled.orthogonal_projection)
        )
        gap = float(np.min(-np.diff(omega))) if C > 2 else omega[0]
        yield identity(
            "d omega_j along a projected direction, against row j of the formula",
            found,
            formula[: C - 1],
            fault=formula[: C - 1] + found - wrong,
            condition=max(1.0, omega[0]) * max(1.0, largest(X) / gap),
            scale=largest(np.sum(np.abs(terms), axis=1)),
            reason="200 eps of the terms of the sum, times omega, and the features over the smallest gap of omega",
            of="amended",
        )
        moved = np.asarray(compiled.oblique_projection(X, dX)).mean(axis=2)
        diagonal = np.diag(U.T @ moved @ V)
        yield identity(
            "diagonal of d Omega, j = C with omega_C = 0 included",
            diagonal,
            formula,
            fault=formula + diagonal - np.diag(U.T @ dX.mean(axis=2) @ V),
            scale=max(1.0, omega[0]) ** 2,
            reason="200 eps, times the size of omega twice",
            of="amended",
        )


def _kink(rng: np.random.Generator) -> float:
    """Largest sum of the one-sided slopes of omega_1 along Z and -Z, relative to them, over some tangent Z."""
    step = 1e-6
    X = instances.with_snr(rng, instances.GENERIC, np.array([2.0, 2.0, 1.0]))
    worst = 0.0
    for _ in range(8):
        Z = np.asarray(compiled.oblique_projection(X, rng.standard_normal(X.shape)))
        ahead, behind = ((np.asarray(omega_of(X + way * step * Z))[0] - 2.0) / step for way in (1, -1))
        worst = max(worst, float(abs(ahead + behind) / max(abs(ahead), abs(behind))))
    return worst


def rates_of(point: Point) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Y, Gamma x_j, and the two factors omega/(C+omega^2)^2 for C and C + 1 (fault), with 0 for j = C."""
    C, w = point.X.shape[1], np.append(point.omega, 0.0)[:, None]
    centred = definitions.centre_classes(point.aligned.X, definitions.labels_of(point.X), C)
    return point.aligned.Y, w * centred, w / (C + w**2) ** 2, w / (C + 1 + w**2) ** 2


def _right_hand_sides(point: Point, rate: np.ndarray) -> dict[str, np.ndarray]:
    """Of dx_j/dt, by flow; that of `unnormalized` is printed."""
    _, C, N = point.X.shape
    Y, spread, _, _ = rates_of(point)
    w = np.append(point.omega, 0.0)[:, None]
    return {
        "unnormalized": rate * (Y / N - spread),
        "riemannian": rate * Y / N,
        "renormalized": rate * (C + w**2) / C * Y / N,
    }


@claim(
    "Lemma 4",
    source="Appendix D.4, Lemma 4",
    expected="fails as printed",
    statement="Under Equation 5, dx_j/dt = omega_j/(C + omega_j^2)^2 (y_j/N - omega_j Gamma x_j) in aligned "
    "coordinates.",
    amendment="That is the unprojected -grad L_LS, which leaves the manifold. Under Equation 5 with the orthogonal "
    "projection dx_j/dt = omega_j/(N (C + omega_j^2)^2) y_j; with Proposition 4's, omega_j/(C N (C + omega_j^2)) "
    "y_j. The deviations do not move.",
    assumptions="Balanced classes, Sigma_W = I, global mean 0.",
    fault="C + 1 in place of C.",
)
def lemma_4(draw: Draw) -> Iterator[Finding]:
    """Velocities of full features by autodiff and projection, against the printed and the amended right-hand sides."""
    for point in points(draw):
        _, _, *rates = rates_of(point)
        sides, wrong = (_right_hand_sides(point, rate) for rate in rates)
        for flow, name in (
            (UNNORMALIZED, "-grad L_LS, against the printed right-hand side"),
            (RIEMANNIAN, "orthogonal projection, against the amended one"),
            (RENORMALIZED, "Proposition 4's, against the amended one"),
        ):
            side, fault = (by_flow[flow.name] for by_flow in (sides, wrong))
            compare = partial(identity, condition=point.condition, reason=VELOCITY_REASON, of="instead")
            yield compare(name, _aligned(point, flow), side, fault=fault)
    for point in _grown(draw):
        printed = _right_hand_sides(point, rates_of(point)[2])["unnormalized"]
        for flow, name in ((RIEMANNIAN, "orthogonal projection"), (RENORMALIZED, "Proposition 4's")):
            true = _aligned(point, flow)
            yield refutation(
                f"printed velocity off the true one, {name}, relative", largest(printed - true) / largest(true)
            )
        labels = definitions.labels_of(point.X)
        leaving = definitions.centre_classes(point.aligned.X, labels, point.X.shape[1]) @ printed.T
        yield refutation("d Sigma_W/dt along the printed velocity, over its size", largest(leaving) / largest(printed))


@jax.jit
def _spectrum_rate(omega, flow, like):
    return flow.spectrum_field(omega, N=like.shape[0])


def _formulas(omega: np.ndarray, C: int, N: int) -> dict[str, np.ndarray]:
    """The amended Lemma 5, of `riemannian` as printed."""
    return {
        "riemannian": omega / (N * (C + omega**2) ** 2),
        "renormalized": omega / (C * N * (C + omega**2)),
        "unnormalized": omega / (C**2 * N),
    }


@claim(
    "Lemma 5",
    source="Appendix D.4, Lemma 5, Equation 27",
    expected="holds as amended",
    statement="Under Equation 5, d omega_j/dt = omega_j/(N (C + omega_j^2)^2).",
    amendment="For the orthogonal projection (`riemannian`). With Proposition 4's, as printed, d omega_j/dt = "
    "omega_j/(C N (C + omega_j^2)).",
    assumptions="Balanced classes, with the bias; Sigma_W = I.",
    fault="C + 1 in place of C.",
)
def lemma_5(draw: Draw) -> Iterator[Finding]:
    """The velocity of omega by autodiff along the flows of full features, against the formulas and the package's."""
    for point in points(draw):
        _, C, N = point.X.shape
        formulas, wrong = (_formulas(point.omega, c, N) for c in (C, C + 1))
        for name, formula in formulas.items():
            flow = FLOWS[name]
            found = np.asarray(omega_along(start(point.X, traced(flow)), traced(flow)))
            condition = point.condition * (1 + point.omega[0] ** 2 / C if flow is UNNORMALIZED else 1)
            compare = partial(identity, fault=wrong[name], of="amended" if flow is RIEMANNIAN else "instead")
            yield compare(f"d omega/dt, {name}", found, formula, condition=condition, reason=VELOCITY_REASON)
            level = np.asarray(_spectrum_rate(point.omega, traced(flow), np.zeros(N)))
            yield compare(f"spectrum_field, {name}", level, formula)
    for point in _grown(draw):
        _, C, N = point.X.shape
        found = np.asarray(omega_along(point.X, traced(RENORMALIZED)))
        distance = float(np.min(np.abs(found / _formulas(point.omega, C, N)["riemannian"] - 1)))
        yield refutation("the printed rate off that of Equation 5 as printed, relative", distance)
