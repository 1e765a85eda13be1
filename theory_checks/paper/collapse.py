"""The geometry of neural collapse: Lemma 7, NC1 of Corollary 2, and the Theorem 1 of Papyan et al. as it is used."""

from collections.abc import Iterator
from functools import partial
from importlib.resources import files

import jax.numpy as jnp
import numpy as np

from central_path.theory.problem import Moments
from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.extrapolation import order
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest, refutation
from theory_checks.paper.separation import placed, simplex_vertices

REASON = "200 eps, times the condition of the class means"
MOST_LOST = 1e7  # condition of Sigma_B on its range, at which eight digits are left
SHAPES = ((4, 8), (2, 3), (3, 6), (4, 3), (3, 2), (2, 1), (10, 9))  # C, P; P = C - 1 is the least


def _etf(C: int, P: int, rng: np.random.Generator) -> np.ndarray:
    """A Simplex ETF of unit columns by its cosines, turned at random."""
    return placed(simplex_vertices(C), P, rng)


def _isometry(A: np.ndarray) -> np.ndarray:
    """The partial isometry nearest to A less its mean column, by Newton and Schulz's iteration: C - 1 values of 1."""
    X = A / np.linalg.norm(A)
    for _ in range(100):
        X = X - X.mean(axis=1, keepdims=True)  # in each step, for the iteration raises rounding in this direction too
        X = 1.5 * X - 0.5 * X @ X.T @ X
    return X


def _metrics_by_loops(M: np.ndarray, W: np.ndarray, b: np.ndarray, h: np.ndarray) -> dict[str, float]:
    """NC2 to NC4 of Section 1.1, written out."""
    C = M.shape[1]
    Mbar = M - M.mean(axis=1, keepdims=True)
    norms = [np.linalg.norm(Mbar[:, c]) for c in range(C)]
    cosines = [Mbar[:, i] @ Mbar[:, j] / norms[i] / norms[j] for i in range(C) for j in range(C) if i != j]
    duality = np.linalg.norm(W.T / np.linalg.norm(W) - Mbar / np.linalg.norm(Mbar)) ** 2
    differ = [
        int(
            np.argmax([W[c] @ x + b[c] for c in range(C)]) != np.argmin([np.linalg.norm(x - M[:, c]) for c in range(C)])
        )
        for x in h
    ]
    return {
        "equinorm": float(np.std(norms) / np.mean(norms)),
        "equiangularity": float(np.std(cosines)),
        "max_angle": float(np.mean([abs(cosine + 1 / (C - 1)) for cosine in cosines])),
        "self_duality": float(duality),
        "ncc_mismatch": float(np.mean(differ)),
    }


def of_means(Mbar: np.ndarray) -> dict[str, float]:
    """NC1 to NC3 at Sigma_W = I from class means (P, C) alone, with W_LS by its formula."""
    P, C = Mbar.shape
    W = np.linalg.solve(np.eye(P) + Mbar @ Mbar.T / C, Mbar).T / C
    metrics = _metrics_by_loops(Mbar, W, np.full(C, 1 / C), np.zeros((1, P)))
    return metrics | {"nc1": float(np.sum(np.linalg.svd(Mbar, compute_uv=False)[: C - 1] ** -2.0))}


def _moments(M: np.ndarray, Sigma_W: np.ndarray) -> Moments:
    """Moments of balanced classes."""
    C = M.shape[1]
    return Moments(jnp.asarray(M), jnp.asarray(Sigma_W), jnp.full(C, 1 / C))


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
            simplex = np.sqrt(alpha) * _etf(C, P, draw.rng)
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
            m, wrong = (_moments(A, np.eye(P)) for A in (E, off))
            h = draw.rng.standard_normal((20, P))
            if C > 2:
                found, fault = (
                    max(compiled.metrics_of(a, h)[name] for name in ("equinorm", "equiangularity", "max_angle"))
                    for a in (m, wrong)
                )
                yield identity("NC2 metrics of the package on an ETF", found, 0.0, fault=fault, scale=1.0)
            arbitrary = draw.rng.standard_normal((P, C))
            a = _moments(arbitrary, np.eye(P))
            W, b = draw.rng.standard_normal((C, P)), draw.rng.standard_normal(C)
            measured = {name: float(value) for name, value in compiled.collapse_of(a, W, b, h).items()}
            other = _metrics_by_loops(1.1 * arbitrary + 0.1, W.copy()[::-1], b, h)
            for name, value in _metrics_by_loops(arbitrary, W, b, h).items():
                if C == 2 and name in ("equinorm", "equiangularity", "max_angle"):
                    continue  # zero for any two means about their middle
                yield identity(
                    f"{name}, against its definition by loops",
                    measured[name],
                    value,
                    fault=other[name] + 0.01,
                    scale=1.0,
                )


@claim(
    "Corollary 2, NC1",
    source="Appendix D.6, derivation of (NC1)",
    expected="holds as amended",
    statement="tr(Sigma_B^+ Sigma_W) = sum_j 1/omega_j^2.",
    amendment="tr(Sigma_B^+ Sigma_W) = C sum_j 1/omega_j^2 (a factor C is lost), and only where the range of Mbar is "
    "invariant under Sigma_W, as for Sigma_W = I; otherwise the trace is larger.",
    assumptions="Balanced classes, all omega_j > 0.",
    fault="the factor C left out.",
)
def corollary_2_nc1(draw: Draw) -> Iterator[Finding]:
    """The trace by pseudo-inverse, against the package's NC1, and against omega for renormalized and other features."""
    for instance in instances.everything(draw):
        H = instance.H
        C = H.shape[1]
        for X, renormalized in ((np.asarray(compiled.retract(compiled.retract(H))), True), (H, False)):
            s = definitions.statistics_of(X)
            w, Q = np.linalg.eigh(s.Sigma_B)
            if w[-1] > MOST_LOST * w[1 - C]:
                continue  # too few digits of the smallest eigenvalue are left
            inverse = (Q[:, 1 - C :] / w[1 - C :]) @ Q[:, 1 - C :].T
            trace = np.trace(inverse @ s.Sigma_W)
            compare = partial(
                identity, condition=w[-1] / w[1 - C] * max(1.0, largest(X) ** 2 / w[-1]), reason=REASON, of="amended"
            )
            found = compiled.metrics_of(compiled.moments_of(X), compiled.samples(X)[0])["nc1"]
            yield compare("C nc1 of the package, against the trace", C * found, trace, fault=trace / C)
            if renormalized:
                total = np.sum(np.asarray(compiled.omega_of(X)) ** -2.0)
                yield compare("the trace at Sigma_W = I, against C sum 1/omega^2", trace, C * total, fault=total)
                yield refutation("the trace at Sigma_W = I over sum 1/omega^2, less 1", trace / total - 1, at_least=0.9)
    for _ in range(2 * draw.repeats):
        s = definitions.statistics_of(instances.random_features(draw.rng, instances.GENERIC))
        yield refutation("the trace over C sum 1/omega^2, less 1, generic Sigma_W", _excess(s))
    with np.load(str(files("central_path") / "data" / "digits_resnet8_epoch0040.npz")) as archive:
        features, labels = archive["features"].astype(float), archive["labels"]
    s = definitions.statistics(features.T, labels, int(labels.max()) + 1)
    yield refutation("the same for the features of a trained network", _excess(s), at_least=0.1)


def _excess(s: definitions.Statistics) -> float:
    """tr(Sigma_B^+ Sigma_W)/(C sum 1/omega^2) - 1."""
    C = len(s.pi)
    omega = np.linalg.svd(definitions.root(s.Sigma_W, -0.5) @ s.Mbar, compute_uv=False)[: C - 1]
    return float(np.trace(np.linalg.pinv(s.Sigma_B, rcond=1e-11) @ s.Sigma_W) / (C * np.sum(omega**-2.0)) - 1)


EPSILONS = 2.0 ** -np.arange(4.0, 11.0)
NEW_POINTS = 400
FINEST = 1e-9  # eps at which no point out of some hundred lies between the boundaries of both rules


def _on_the_way(M: np.ndarray, away: np.ndarray, Sigma_W: np.ndarray, eps: float, h: np.ndarray) -> dict[str, float]:
    """Metrics at class means eps away from the ETF M, with within-class covariance eps Sigma_W; new points h."""
    return compiled.metrics_of(_moments(M + eps * away, eps * Sigma_W), h)


@claim(
    "Papyan et al. 2020, Theorem 1",
    source="Papyan, Han & Donoho (2020), Theorem 1, as Section 3.3 and Corollary 2 use it",
    expected="holds as amended",
    statement="On the central path (NC1) and (NC2) imply (NC3) and (NC4).",
    amendment="As a limit for isotropic Sigma_W (so in renormalized coordinates), or for Sigma_W = 0 exactly. For "
    "Sigma_W = eps S with a generic S, NC1 -> 0 and NC2 -> 0, while W_LS keeps away from the class means.",
    assumptions="lambda = 0, balanced classes, class means that tend to a Simplex ETF.",
    fault="a generic Sigma_W of the same size.",
)
def papyan_theorem_1(draw: Draw) -> Iterator[Finding]:
    """Orders of NC1 to NC3 as means tend to an ETF and Sigma_W to 0; NC4 on new points at the end of the sequence."""
    C, _, P = instances.GENERIC
    for _ in range(2 * draw.repeats):
        M, away = _etf(C, P, draw.rng), draw.rng.standard_normal((P, C))
        h = 2 * draw.rng.standard_normal((NEW_POINTS, P))
        Q = np.linalg.qr(draw.rng.standard_normal((P, P)))[0]
        S = (Q * np.sqrt(np.geomspace(1.0, 30.0, P))) @ Q.T
        isotropic, generic = ([_on_the_way(M, away, A, eps, h) for eps in EPSILONS] for A in (np.eye(P), S))
        for name, metric, power in (("NC1", "nc1", 1), ("NC2", "equinorm", 1), ("NC3", "self_duality", 2)):
            found, kept = (order(np.array([m[metric] for m in way])) for way in (isotropic, generic))
            wrong = kept if metric == "self_duality" else 0.0
            yield identity(
                f"{name}: order at which {metric} vanishes in eps, isotropic Sigma_W",
                found,
                power,
                fault=power + found - wrong,
                tolerance=1e-5,
                reason="orders beyond the sixth in eps",
                of="amended",
            )
        ends = [_on_the_way(M, away, A, FINEST, h) for A in (np.eye(P), S)]
        compare = partial(identity, scale=1.0, reason=" counts", of="amended")
        yield compare(
            "NC4: new points on which the rules differ, isotropic Sigma_W",
            ends[0]["ncc_mismatch"],
            0.0,
            fault=ends[1]["ncc_mismatch"],
        )
        exact = _moments(M, np.zeros((P, P)))
        W, b = compiled.least_squares(exact, lam=0.0)
        found = {key: float(value) for key, value in compiled.collapse_of(exact, W, b, h).items()}
        yield identity(
            "NC3: self_duality, Sigma_W = 0",
            found["self_duality"],
            0.0,
            fault=ends[1]["self_duality"],
            scale=1.0,
            of="amended",
        )
        yield compare(
            "NC4: new points on which the rules differ, Sigma_W = 0",
            found["ncc_mismatch"],
            0.0,
            fault=ends[1]["ncc_mismatch"],
        )
        yield identity(
            "W_LS for Sigma_W = 0, against (C-1)/C M^T",
            W,
            (C - 1) / C * M.T,
            fault=(C - 1) / C * M.T @ (np.eye(P) + 0.1 * S),
            of="amended",
        )
        small = max(ends[1][name] for name in ("nc1", "equinorm", "equiangularity", "max_angle"))
        yield refutation(
            "NC3: self_duality where NC1 and NC2 are below 1e-6, generic Sigma_W",
            ends[1]["self_duality"] if small < 1e-6 else 0.0,
        )
        yield refutation(
            "NC4: new points on which the rules differ, there", ends[1]["ncc_mismatch"] if small < 1e-6 else 0.0
        )
