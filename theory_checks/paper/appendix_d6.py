"""The end of the proof of Corollary 2, Appendix D.6: Lemmas 6 and 7, and the eigenvalues of Sigma_B^+ Sigma_W."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.extrapolation import order
from theory_checks.framework.paths import (
    EQUATION_5,
    PATH_REASON,
    PATH_TOLERANCE,
    RIEMANNIAN,
    UNNORMALIZED,
    Path,
    follow,
    traced,
    velocity,
)
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest, refutation
from theory_checks.paper.appendix_d4 import VELOCITY_REASON, points, rates_of


@claim(
    "Lemma 6",
    source="Appendix D.6, Lemma 6",
    statement="Under Equation 5 the left and right singular vectors of the SNR matrix stay constant.",
    assumptions="Either projection (the proof goes through Lemma 4, and is repaired with the amended one).",
    fault="plain gradient flow of features that are not renormalized.",
)
def lemma_6(draw: Draw) -> Iterator[Finding]:
    """U(0)^T SNR(t) V(0) stays diagonal, on full features integrated to the default horizon."""
    for _ in range(draw.repeats):
        H = instances.random_features(draw.rng, instances.GENERIC)
        wrong = _turning(follow(H, UNNORMALIZED, as_they_are=True, t_max=20.0))
        equal = instances.with_snr(draw.rng, instances.GENERIC, np.array([2.0, 2.0, 1.0]))
        starts = (H, equal, instances.random_features(draw.rng, instances.TWO_CLASSES))
        for flow, start in product(EQUATION_5, starts):
            found = _turning(follow(start, flow))
            yield identity(
                f"off-diagonal of U(0)^T SNR(t) V(0), {flow.name}",
                found,
                0.0,
                fault=wrong,
                scale=1.0,
                tolerance=PATH_TOLERANCE,
                reason=PATH_REASON,
            )


def _turning(path: Path) -> float:
    """Largest off-diagonal entry of U(0)^T SNR(t) V(0), over the largest omega(t)."""
    worst = 0.0
    aligned = definitions.align(path.X[0])
    for X, omega in zip(path.X[:: max(1, len(path.X) // 10)], path.omega[:: max(1, len(path.X) // 10)], strict=True):
        turned = aligned.U.T @ definitions.align(X).snr @ aligned.V
        worst = max(worst, largest(turned - np.diag(np.diag(turned))) / omega[0])
    return worst


@claim(
    "Lemma 6, display",
    source="Appendix D.6, proof of Lemma 6, last display",
    expected="misprint",
    statement="d Omega/dt = D_1, the diagonal matrix of omega_j/(C + omega_j^2)^2.",
    amendment="A factor 1/N is lost, with that of Omega = X Y^T/N: d Omega/dt = D_1/N, as Lemma 5 has it.",
    assumptions="Balanced classes, Sigma_W = I, global mean 0; the orthogonal projection (see `Lemma 4`).",
    fault="C + 1 in place of C.",
)
def lemma_6_display(draw: Draw) -> Iterator[Finding]:
    """The velocity of the aligned SNR matrix along the flow of full features, against both displays."""
    for point in points(draw):
        N = point.X.shape[2]
        _, _, rate, wrong = rates_of(point)
        Z = np.asarray(velocity(point.X, traced(RIEMANNIAN)))
        found = point.aligned.U.T @ Z.mean(axis=2) @ point.aligned.V
        intended, fault = (np.diag(value[:, 0]) / N for value in (rate, wrong))
        yield identity(
            "d Omega/dt of the `riemannian` flow, against D_1/N",
            found,
            intended,
            fault=fault,
            condition=point.condition,
            reason=VELOCITY_REASON,
            of="intended",
        )
        yield refutation("D_1 off d Omega/dt, relative", largest(N * intended - found) / largest(found))


SHAPES = ((4, 8), (2, 3), (3, 6), (4, 3), (3, 2), (2, 1), (10, 9))  # C, P; P = C - 1 is the least


def _isometry(A: np.ndarray) -> np.ndarray:
    """The partial isometry nearest to A less its mean column, by Newton and Schulz's iteration: C - 1 values of 1."""
    X = A / np.linalg.norm(A)
    for _ in range(100):
        X = X - X.mean(axis=1, keepdims=True)  # in each step, for the iteration raises rounding in this direction too
        X = 1.5 * X - 0.5 * X @ X.T @ X
    return X


@claim(
    "Lemma 7",
    source="Appendix D.6, Lemma 7; the metrics of Section 1.1",
    statement="A P x C matrix is a Simplex ETF, E^T E = alpha (C/(C-1) I - 11^T/(C-1)), iff it has C - 1 equal "
    "singular values s and the null space spanned by 1; alpha = s^2 (C-1)/C.",
    fault="alpha = s^2; one singular value off by 1 %.",
)
def lemma_7(draw: Draw) -> Iterator[Finding]:
    """Both directions, and the package's NC2 and NC3 on an ETF and, against plain loops, on arbitrary matrices."""
    for _ in range(draw.repeats):
        for C, P in SHAPES:
            s = draw.rng.uniform(0.5, 3.0)
            E = s * _isometry(draw.rng.standard_normal((P, C)))
            form = (C * np.eye(C) - np.ones((C, C))) / (C - 1)
            yield identity(
                "equal singular values and E 1 = 0 give an ETF", E.T @ E, s**2 * (C - 1) / C * form, fault=s**2 * form
            )
            alpha = draw.rng.uniform(0.5, 3.0)
            simplex = np.sqrt(alpha) * instances.simplex_etf(C, P, draw.rng)
            squares = np.linalg.eigvalsh(simplex @ simplex.T)[::-1]
            expected = np.append(np.full(C - 1, alpha * C / (C - 1)), np.zeros(P))[:P]
            yield identity(
                "an ETF has the singular values s = (alpha C/(C - 1))^(1/2), C - 1 times, and 0",
                squares,
                expected,
                fault=np.where(expected > 0, alpha, 0.0),
            )
            yield identity(
                "an ETF's columns sum to 0", simplex.sum(axis=1), np.zeros(P), fault=simplex[:, 0], scale=np.sqrt(alpha)
            )
            off = E + 0.01 * np.outer(E[:, 0], E[:, 0] @ E) / (E[:, 0] @ E[:, 0])
            m, wrong = (compiled.balanced_moments(A, np.eye(P)) for A in (E, off))
            h = draw.rng.standard_normal((20, P))
            if C > 2:
                found, fault = (
                    max(compiled.metrics_of(a, h)[name] for name in ("equinorm", "equiangularity", "max_angle"))
                    for a in (m, wrong)
                )
                yield identity("NC2 metrics of the package on an ETF", found, 0.0, fault=fault, scale=1.0)
            arbitrary = draw.rng.standard_normal((P, C))
            a = compiled.balanced_moments(arbitrary, np.eye(P))
            W, b = draw.rng.standard_normal((C, P)), draw.rng.standard_normal(C)
            measured = {name: float(value) for name, value in compiled.collapse_of(a, W, b, h).items()}
            other = definitions.collapse_metrics(1.1 * arbitrary + 0.1, W.copy()[::-1], b, h)
            for name, value in definitions.collapse_metrics(arbitrary, W, b, h).items():
                if C == 2 and name in ("equinorm", "equiangularity", "max_angle"):
                    continue  # zero for any two means about their middle
                yield identity(
                    f"{name}, against its definition by loops",
                    measured[name],
                    value,
                    fault=other[name] + 0.01,
                    scale=1.0,
                )


EPSILONS = 2.0 ** -np.arange(5.0, 12.0)


def _norms(Sigma_B: np.ndarray, Sigma_W: np.ndarray, rank: int) -> tuple[float, float]:
    """Trace norm and trace of Sigma_B^+ Sigma_W, with the pseudo-inverse from the leading eigenvectors."""
    w, Q = np.linalg.eigh(Sigma_B)
    product = (Q[:, -rank:] / w[-rank:]) @ Q[:, -rank:].T @ Sigma_W
    return float(np.linalg.norm(product, "nuc")), float(np.trace(product))


def _counterexamples(rng: np.random.Generator, eps: float) -> Iterator[tuple[str, np.ndarray, np.ndarray, int]]:
    """Sigma_B, Sigma_W > 0 and the rank of Sigma_B, turned at random: the eigenvalues of the product are O(eps)."""
    Q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    Sigma_W = np.diag([eps**2, 1.0, 1.0])
    Sigma_W[0, 1] = Sigma_W[1, 0] = 0.9 * eps
    yield "C = 2, P = 3", Q @ np.diag([eps, 0.0, 0.0]) @ Q.T, Q @ Sigma_W @ Q.T, 1
    Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    Sigma_W = np.diag([1 / eps, eps, 1.0, 1.0])
    Sigma_W[0, 1] = Sigma_W[1, 0] = 0.9
    Sigma_B = np.diag([1 / eps**2, 1.0, 0.0, 0.0])
    yield "C = 3, P = 4, range(Mbar) invariant under Sigma_W", Q @ Sigma_B @ Q.T, Q @ Sigma_W @ Q.T, 2


@claim(
    "Appendix D.6, eigenvalues",
    source="Appendix D.6, derivation of (NC1); Footnote 3",
    expected="holds as amended",
    statement="All eigenvalues of Sigma_B^+ Sigma_W tending to zero implies that the matrix itself tends to zero.",
    amendment="If the condition number of Sigma_W stays bounded: the matrix has norm at most cond(Sigma_W)^(1/2) times "
    "its largest eigenvalue. So it is for renormalized features, where Sigma_W = I and the trace norm is the trace. In "
    "general the matrix is not normal, and keeps a norm of 0.9 while its eigenvalues vanish, even where the range of "
    "Mbar is invariant under Sigma_W.",
    assumptions="Sigma_W > 0.",
    fault="a generic Sigma_W in place of I; the order of the counter-example.",
)
def eigenvalues(draw: Draw) -> Iterator[Finding]:
    """Trace and trace norm along sequences whose eigenvalues vanish, with Sigma_W = I, well-conditioned, and not."""
    C, _, P = instances.GENERIC
    for _ in range(draw.repeats):
        S = _generic(draw.rng, P)
        for growth in (1.0, 10.0, 100.0, 1000.0):
            omega = growth * np.array([3.0, 2.0, 1.0])
            X = instances.with_snr(draw.rng, instances.GENERIC, omega)
            s = definitions.statistics_of(X)
            yield identity(
                "trace norm at Sigma_W = I, against C sum 1/omega^2",
                _norms(s.Sigma_B, s.Sigma_W, C - 1)[0],
                C * np.sum(omega**-2.0),
                fault=_norms(s.Sigma_B, S, C - 1)[0],
                condition=(omega[0] / omega[-1]) ** 2,
                reason="200 eps, times the condition of Sigma_B on its range",
                of="amended",
            )
        contrasts = definitions.svd_of_snr(np.eye(P, C))[2][:, : C - 1]
        M0, M1 = (draw.rng.standard_normal((P, C - 1)) @ contrasts.T for _ in range(2))
        S1 = _generic(draw.rng, P)
        bounded = [_norms((M0 / e + M1) @ (M0 / e + M1).T / C, S + e * S1, C - 1) for e in EPSILONS]
        norm, trace = (order(np.array(values)) for values in zip(*bounded, strict=True))
        seed = int(draw.rng.integers(2**31))
        families = [list(_counterexamples(np.random.default_rng(seed), e)) for e in EPSILONS]
        for which in range(2):
            kept = np.array([_norms(B, W, rank)[0] for _, B, W, rank in (family[which] for family in families)])
            yield identity(
                "order at which the trace norm vanishes, cond(Sigma_W) bounded, against that of the trace",
                norm,
                trace,
                fault=trace + norm - order(kept),
                tolerance=1e-4,
                reason="orders beyond the sixth in eps",
                of="amended",
            )
        for name, B, W, rank in _counterexamples(draw.rng, 1e-5):
            norm, trace = _norms(B, W, rank)
            yield refutation(
                f"trace norm where the trace is below 1e-4, {name}", norm if trace < 1e-4 else 0.0, at_least=0.5
            )


def _generic(rng: np.random.Generator, P: int) -> np.ndarray:
    """A covariance with eigenvalues from 1 to 30 and random eigenvectors."""
    Q = np.linalg.qr(rng.standard_normal((P, P)))[0]
    return (Q * np.geomspace(1.0, 30.0, P)) @ Q.T
