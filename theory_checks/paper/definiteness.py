"""What rank, definiteness and eigenvalues do and do not imply: Footnotes 7 and 12, and the end of Appendix D.6.

Source: Han, Papyan & Donoho (2022), Footnotes 3, 7 and 12, Appendix D.6.
"""

from collections.abc import Iterator

import numpy as np

from theory_checks.framework import definitions, instances
from theory_checks.framework.extrapolation import order
from theory_checks.framework.registry import Draw, Finding, claim, identity, refutation

LAMBDAS = (5e-3, 0.5)


@claim(
    "Footnote 7, reason",
    source="Section 2, Footnote 7",
    expected="holds as amended",
    statement="The middle term Sigma~_T + mu~_G mu~_G^T + lambda I is the sum of positive-semidefinite matrices, one "
    "of which is positive-definite.",
    amendment="For lambda > 0, where lambda I is the one. At lambda = 0 none is: Sigma~_T has a zero row, and mu~_G "
    "mu~_G^T rank 1. The sum is then positive-definite iff Sigma_T is: their determinants are equal.",
    assumptions="Any class sizes.",
    fault="the term lambda I left out; Sigma_T + mu_G mu_G^T in place of Sigma_T.",
)
def footnote_7_reason(draw: Draw) -> Iterator[Finding]:
    """Smallest eigenvalues of the terms; at lambda = 0 the determinant of their sum, against that of Sigma_T."""
    for instance in instances.everything(draw):
        H = instance.H
        S = definitions.statistics_of(H).Sigma_T
        H = H + (definitions.root(S, 0.5) @ draw.rng.standard_normal(len(H)))[:, None, None]
        s = definitions.statistics_of(H)
        F_ext = definitions.extend(definitions.stack(H))
        e = definitions.statistics(F_ext, definitions.labels_of(H), H.shape[1])
        terms = [e.Sigma_T, np.outer(e.mu_G, e.mu_G)]
        least = [float(np.linalg.eigvalsh(term)[0]) for term in terms]
        for lam in LAMBDAS:
            yield identity(
                "largest of the terms' smallest eigenvalues, against lambda",
                max(*least, lam * np.linalg.eigvalsh(np.eye(len(F_ext)))[0]),
                lam,
                fault=max(least),
                of="amended",
            )
        if instance.condition > 1e6:
            continue  # the determinants keep too few digits
        log_det = np.linalg.slogdet(terms[0] + terms[1])[1]
        right, wrong = (np.linalg.slogdet(A)[1] for A in (s.Sigma_T, s.Sigma_T + np.outer(s.mu_G, s.mu_G)))
        yield identity(
            "det(Sigma~_T + mu~_G mu~_G^T) over det(Sigma_T)",
            np.exp(log_det - right),
            1.0,
            fault=np.exp(log_det - wrong),
            condition=max(float(np.linalg.cond(A)) for A in (s.Sigma_T, terms[0] + terms[1])),
            reason="200 eps, times the conditions of both matrices",
            of="instead",
        )
        singular = [np.sum(np.linalg.eigvalsh(term) < 1e-12 * np.linalg.eigvalsh(term)[-1]) for term in terms]
        yield refutation("least number of zero eigenvalues of a term at lambda = 0", min(singular), at_least=1.0)


PLENTY = ((4, 60, 6), (10, 30, 8), (2, 100, 5))  # C, N, P with CN > 30 P
FEW = ((3, 2, 5), (4, 2, 7), (2, 3, 5))  # CN > P > C (N - 1)


def _deficient(rng: np.random.Generator, shape: tuple[int, int, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Features of many examples as networks have them, whose Sigma_W is singular."""
    H = instances.random_features(rng, shape)
    bias = np.zeros((len(H), 1, 1))
    bias[0] = -1e3
    yield "a unit that is never active", np.maximum(H + bias, 0.0)
    twin = H.copy()
    twin[1] = 2 * twin[0]
    yield "two units in proportion", twin
    yield "features that sum to 0, as after layer normalization", H - H.mean(axis=0, keepdims=True)


def _zeros(Sigma: np.ndarray) -> int:
    w = np.linalg.eigvalsh(Sigma)
    return int(np.sum(w < 1e-12 * w[-1]))


@claim(
    "Footnote 12",
    source="Section 3, Footnote 12",
    expected="fails as printed",
    statement="Sigma_W is positive-definite because CN >> P, the number of examples being larger than the width.",
    amendment="No number of examples makes it so: a unit that is never active, or any combination of features that is "
    "constant within classes, leaves Sigma_W singular. For features in general position the rank is min(P, C(N - 1)), "
    "so that even there CN > P is not enough.",
    fault="rank min(P, CN).",
)
def footnote_12(draw: Draw) -> Iterator[Finding]:
    """Zero eigenvalues of Sigma_W of many examples; rank in general position, of few."""
    for _ in range(draw.repeats):
        for shape in PLENTY:
            for name, H in _deficient(draw.rng, shape):
                yield refutation(f"zero eigenvalues of Sigma_W: {name}", _zeros(definitions.statistics_of(H).Sigma_W))
        for C, N, P in FEW:
            H = instances.random_features(draw.rng, (C, N, P))
            yield identity(
                "rank of Sigma_W in general position, against min(P, C(N - 1))",
                P - _zeros(definitions.statistics_of(H).Sigma_W),
                min(P, C * (N - 1)),
                fault=min(P, C * N),
                reason="whole numbers",
                of="instead",
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
