"""From singular values to neural collapse, Section 3.3: NC1 of Corollary 2, and Theorem 1 of Papyan et al. (2020)."""

from collections.abc import Iterator
from functools import partial
from importlib.resources import files

import numpy as np

from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.extrapolation import order
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest, refutation

REASON = "200 eps, times the condition of the class means"
MOST_LOST = 1e7  # condition of Sigma_B on its range, at which eight digits are left


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
    return compiled.metrics_of(compiled.balanced_moments(M + eps * away, eps * Sigma_W), h)


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
        M, away = instances.simplex_etf(C, P, draw.rng), draw.rng.standard_normal((P, C))
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
        exact = compiled.balanced_moments(M, np.zeros((P, P)))
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
