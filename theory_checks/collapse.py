"""The geometry of neural collapse: Lemma 7, NC1 of Corollary 2, and the Theorem 1 of Papyan et al. as it is used."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import jax.numpy as jnp
import numpy as np

from central_path.problem import Moments
from theory_checks import compiled, definitions, instances
from theory_checks.registry import Draw, Finding, claim, identity, largest, refutation

REASON = "200 eps, times the condition of the class means"


def _etf(C: int, P: int, rng: np.random.Generator) -> np.ndarray:
    """A Simplex ETF of unit columns: a random partial orthogonal U times sqrt(C/(C-1)) Phi."""
    U = np.linalg.qr(rng.standard_normal((P, C)))[0]
    return np.sqrt(C / (C - 1)) * U @ definitions.simplex(C)


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
        for C, P in ((4, 8), (2, 3), (3, 6)):
            s = draw.rng.uniform(0.5, 3.0)
            V = definitions.svd_of_snr(draw.rng.standard_normal((P, C)))[2][:, : C - 1]
            U = np.linalg.qr(draw.rng.standard_normal((P, C - 1)))[0]
            E, off = s * U @ V.T, s * (U * np.where(np.arange(C - 1) == 0, 1.01, 1.0)) @ V.T
            form = (C * np.eye(C) - np.ones((C, C))) / (C - 1)
            yield identity(
                "equal singular values and E 1 = 0 give an ETF", E.T @ E, s**2 * (C - 1) / C * form, fault=s**2 * form
            )
            simplex = _etf(C, P, draw.rng)
            spectrum = np.linalg.svd(simplex, compute_uv=False)
            expected = np.append(np.full(C - 1, np.sqrt(C / (C - 1))), 0.0)[: len(spectrum)]
            yield identity(
                "an ETF of unit columns has singular values s = (C/(C-1))^(1/2) and 0",
                spectrum,
                expected,
                fault=np.where(expected > 0, 1.0, 0.0),
            )
            yield identity(
                "an ETF's columns sum to 0", simplex.sum(axis=1), np.zeros(P), fault=simplex[:, 0], scale=1.0
            )
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
    fault="Sigma_T in place of Sigma_W; the factor C left out.",
)
def corollary_2_nc1(draw: Draw) -> Iterator[Finding]:
    """The trace by pseudo-inverse, against the package's NC1, and against omega for renormalized and other features."""
    for instance in instances.everything(draw):
        H = instance.H
        _, C, _ = H.shape
        for X, renormalized in ((np.asarray(compiled.retract(H)), True), (H, False)):
            s = definitions.statistics_of(X)
            trace, wrong = (np.trace(np.linalg.pinv(s.Sigma_B, rcond=1e-11) @ S) for S in (s.Sigma_W, s.Sigma_T))
            spectrum = np.linalg.svd(s.Mbar, compute_uv=False)[: C - 1]
            if spectrum[-1] ** 2 < 1e-9 * spectrum[0] ** 2:
                continue  # the pseudo-inverse by its cut-off cannot tell what is zero
            condition = (
                (spectrum[0] / spectrum[-1]) ** 2
                * max(1.0, largest(X) ** 2 / spectrum[0] ** 2)
                * max(1.0, instance.condition if renormalized else 1.0)
            )
            kwargs: dict[str, Any] = {"condition": condition, "reason": REASON}
            found = compiled.metrics_of(compiled.moments_of(X), compiled.samples(X)[0])["nc1"]
            yield identity("C nc1 of the package, against the trace", C * found, trace, fault=wrong, **kwargs)
            total = np.sum(np.asarray(compiled.omega_of(X)) ** -2.0)
            if renormalized:
                yield identity(
                    "the trace at Sigma_W = I, against C sum 1/omega^2", trace, C * total, fault=total, **kwargs
                )
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


@claim(
    "Papyan et al. 2020, Theorem 1",
    source="Papyan, Han & Donoho (2020), Theorem 1, as Section 3.3 and Corollary 2 use it",
    expected="holds as amended",
    statement="On the central path (NC1) and (NC2) imply (NC3) and (NC4).",
    amendment="For Sigma_W = 0 exactly, or as a limit for isotropic Sigma_W (so in renormalized coordinates). For "
    "Sigma_W = eps S with a generic S, NC1 -> 0 with exact Simplex ETF means, while W_LS keeps away from them.",
    assumptions="lambda = 0, balanced classes, class means a Simplex ETF.",
    fault="a generic Sigma_W of the same size.",
)
def papyan_theorem_1(draw: Draw) -> Iterator[Finding]:
    """Self-duality and nearest-center agreement for shrinking isotropic, zero and generic Sigma_W."""
    C, _, P = instances.GENERIC
    for _ in range(2 * draw.repeats):
        M = _etf(C, P, draw.rng)
        h = 2 * draw.rng.standard_normal((400, P))
        S = definitions.root(np.diag(np.geomspace(1.0, 30.0, P)), 0.5)
        Q = np.linalg.qr(draw.rng.standard_normal((P, P)))[0]
        S = Q @ S @ Q.T
        generic = compiled.metrics_of(_moments(M, 1e-8 * S), h)
        for eps in (1.0, 1e-4, 1e-8):
            found = compiled.metrics_of(_moments(M, eps * np.eye(P)), h)
            name = "isotropic Sigma_W"
            yield identity(
                f"NC3, self_duality, {name}", found["self_duality"], 0.0, fault=generic["self_duality"], scale=1.0
            )
            yield identity(
                f"NC4, ncc_mismatch, {name}",
                found["ncc_mismatch"],
                0.0,
                fault=generic["ncc_mismatch"],
                scale=1.0,
                reason=" counts",
            )
        exact = _moments(M, np.zeros((P, P)))
        W, b = compiled.least_squares(exact, lam=0.0)
        found = {key: float(value) for key, value in compiled.collapse_of(exact, W, b, h).items()}
        yield identity(
            "NC3, self_duality, Sigma_W = 0", found["self_duality"], 0.0, fault=generic["self_duality"], scale=1.0
        )
        yield identity(
            "NC4, ncc_mismatch, Sigma_W = 0",
            found["ncc_mismatch"],
            0.0,
            fault=generic["ncc_mismatch"],
            scale=1.0,
            reason=" counts",
        )
        yield identity(
            "W_LS for Sigma_W = 0, against (C-1)/C M^T",
            W,
            (C - 1) / C * M.T,
            fault=(C - 1) / C * M.T @ (np.eye(P) + 0.1 * S),
        )
        yield refutation(
            "NC3: self_duality at NC1 < 1e-6, generic Sigma_W",
            generic["self_duality"] if generic["nc1"] < 1e-6 else 0.0,
        )
