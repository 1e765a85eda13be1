"""The SNR matrix, Section 3.2: Definition 2, and how far apart class means are.

In renormalized features the class means c and c' are ||SNR (e_c - e_c')|| apart. The smallest singular value is the
least separation over unit contrasts of all classes, min ||SNR a|| over a with sum 0 and ||a|| = 1, so two classes are
at least sqrt(2) omega_min apart; an ETF attains it, other means do not.

Source: Han, Papyan & Donoho (2022), Section 3.2.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from scipy.linalg import eigh

from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.conditioning import (
    CENTRED_REASON,
    cancelled,
)
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest, refutation


@claim(
    "Definition 2",
    source="Section 3.2, Equation 8 and Definition 2",
    expected="holds as amended",
    statement="SNR = Sigma_W^(-1/2) Mbar = sum over j < C of omega_j u_j v_j^T, with U a P x C partial orthogonal "
    "matrix; it has rank C - 1, because Sigma_W has full rank and Mbar has rank C - 1 by the subtraction of the "
    "global mean.",
    amendment="The subtraction gives rank C - 1 at most; it is C - 1 iff the class means are affinely independent: the "
    "product of all omega_j^2 is 1/C of the squared volume that the differences of the renormalized class means span.",
    assumptions="Sigma_W > 0; P > C for a U with C columns. The SNR matrix and omega are compared for P = C - 1 and "
    "for unbalanced classes too.",
    fault="Sigma_T in place of Sigma_W; the class means not centred, or about their unweighted mean; C - 1 for C.",
)
def definition_2(draw: Draw) -> Iterator[Finding]:
    """SNR matrix and singular values against the definition; affinely dependent class means."""
    for instance in instances.with_narrow(draw):
        yield from _snr(instance)
        yield from _statistics(instance.H)
    yield from _unbalanced(draw)
    C, _, P = instances.GENERIC
    for _ in range(draw.repeats):
        line = draw.rng.standard_normal((P, 1, 1)) * np.arange(1.0, C + 1)[None, :, None]
        H = instances.random_features(draw.rng, instances.GENERIC)
        H += line - H.mean(axis=2, keepdims=True)  # the class means are on the line exactly
        singular = np.linalg.svd(np.asarray(compiled.snr(compiled.moments_of(H))), compute_uv=False)
        missing = np.count_nonzero(singular[: C - 1] < 1e-10 * singular[0])
        yield refutation("zeros among the C - 1 singular values, class means on a line", missing, at_least=float(C - 2))


def _snr(instance: instances.Instance) -> Iterator[Finding]:
    """The SNR matrix, its singular values, and the volume of the renormalized class means."""
    H = instance.H
    P, C, _ = H.shape
    s, m = definitions.statistics_of(H), compiled.moments_of(H)
    whiten = definitions.root(s.Sigma_W, -0.5)
    exact, wrong = whiten @ s.Mbar, definitions.root(s.Sigma_T, -0.5) @ s.Mbar
    U, omega, V = definitions.svd_of_snr(exact)
    K = min(C - 1, P)
    lost = instance.condition * cancelled(H)
    compare = partial(identity, condition=lost, reason=CENTRED_REASON)
    yield compare("SNR matrix", compiled.snr(m), exact, fault=wrong)
    yield compare("sum of omega_j u_j v_j^T", (U[:, :K] * omega[:K]) @ V[:, :K].T, exact, fault=wrong)
    found = np.asarray(compiled.omega_of(H))
    yield compare("omega", found, omega, fault=np.linalg.svd(wrong, compute_uv=False)[:K])
    zero, shifted = exact @ np.ones(C), whiten @ (s.Mbar + s.M[:, :1]) @ np.ones(C)
    yield compare("SNR 1 = 0", zero, 0 * zero, fault=zero - shifted, scale=largest(exact))
    differences = whiten @ (s.M[:, 1:] - s.M[:, :1])
    volume = abs(np.prod(np.diag(np.linalg.qr(differences)[1])))
    by_omega, wrong_volume = (np.prod(found) * np.sqrt(factor) for factor in (C, C - 1))
    spread = found[0] / found[-1]
    name = "volume of the renormalized class means, against the product of omega_j"
    yield compare(name, volume, by_omega, fault=wrong_volume, condition=lost * spread, of="amended")


def _statistics(H: np.ndarray) -> Iterator[Finding]:
    """Covariances, and the order of the examples."""
    P, C, N = H.shape
    s, m = definitions.statistics_of(H), compiled.moments_of(H)
    size = {"scale": largest(H) ** 2, "reason": "200 eps of the squares of the features, which are not centred"}
    yield identity("Sigma_B", m.Sigma_B, s.Sigma_B, fault=s.Sigma_B * C / (C - 1), **size)
    yield identity("Sigma_T = Sigma_W + Sigma_B", m.Sigma_T, s.Sigma_T, fault=s.Sigma_W, **size)
    rows, labels = compiled.samples(H)
    stacked = definitions.stack(H)
    fault = H.transpose(0, 2, 1).reshape(P, C * N)
    yield identity("examples in i-then-c order", rows.T, stacked, fault=fault)
    yield identity("their labels", labels, definitions.labels_of(H), fault=np.tile(np.arange(C), N))


def _unbalanced(draw: Draw) -> Iterator[Finding]:
    """Class means about the mean over examples, in which the class sizes count."""
    for sample in instances.unbalanced(draw):
        s = definitions.statistics(sample.F, sample.labels, sample.C)
        m = compiled.moments_of_samples(sample.F.T, sample.labels, np.zeros(sample.C))
        unweighted = s.M @ definitions.simplex(sample.C)
        whiten = definitions.root(s.Sigma_W, -0.5)
        equal = unweighted @ unweighted.T / sample.C
        for name, found, exact, fault in (
            ("Sigma_W", m.Sigma_W, s.Sigma_W, s.Sigma_T - s.Mbar @ s.Mbar.T / sample.C),
            ("Sigma_B", m.Sigma_B, s.Sigma_B, equal),
            ("global mean", m.mu_G, s.mu_G, s.M.mean(axis=1)),
            ("priors", m.pi, s.pi, np.full(sample.C, 1 / sample.C)),
        ):
            yield identity(f"{name} of unbalanced classes", found, exact, fault=fault, of="instead")
        exact, fault = whiten @ s.Mbar, whiten @ unweighted
        how = {"condition": float(np.linalg.cond(s.Sigma_W)), "reason": CENTRED_REASON, "of": "instead"}
        yield identity("SNR matrix of unbalanced classes", compiled.snr(m), exact, fault=fault, **how)
        by_example, by_class = (np.linalg.svd(A, compute_uv=False)[: sample.C - 1] for A in (exact, fault))
        yield identity("omega of unbalanced classes", compiled.omega(m), by_example, fault=by_class, **how)


def _smallest_separation(SNR: np.ndarray) -> float:
    C = SNR.shape[1]
    return min(float(np.linalg.norm(SNR[:, c] - SNR[:, d])) for c in range(C) for d in range(c))


@claim(
    "Section 3.2, smallest separation",
    source="Section 3.2, after Definition 2",
    expected="fails as printed",
    statement="The smallest singular value of the SNR matrix captures the smallest separation between classes.",
    amendment="It is the smallest separation over unit contrasts of all classes. Two classes are at least sqrt(2) "
    "omega_min apart, with equality for a Simplex ETF; else their smallest separation is larger, by a factor that "
    "grows with C, and depends on the singular vectors too.",
    assumptions="Renormalized features, Sigma_W > 0, P > C.",
    fault="contrasts that need not sum to 0 and, for the ETF, 2 omega.",
)
def smallest_separation(draw: Draw) -> Iterator[Finding]:
    """Contrasts of pairwise differences, against omega of the package; distances between all pairs of class means."""
    for instance in instances.ordinary(draw):
        H = instance.H
        C, s = H.shape[1], definitions.statistics_of(H)
        whiten = definitions.root(s.Sigma_W, -0.5)
        differences = np.vstack([np.eye(C - 1), -np.ones(C - 1)])
        squares = [
            eigh(*(D.T @ D for D in (whiten @ A @ B, B)), eigvals_only=True)[0]
            for A, B in ((s.Mbar, differences), (s.M, np.eye(C)))
        ]
        omega = np.asarray(compiled.omega_of(H))
        yield identity(
            "least separation over unit contrasts, against omega_min",
            np.sqrt(squares[0]),
            omega[-1],
            fault=np.sqrt(max(squares[1], 0.0)),
            condition=instance.condition * (omega[0] / omega[-1]) ** 2 * C,
            reason="200 eps, times the conditions of Sigma_W, of the contrasts and of their squared separations",
            of="instead",
        )
    for _ in range(draw.repeats):
        size = draw.rng.uniform(0.5, 5.0)
        for C, N, P in (instances.GENERIC, instances.TWO_CLASSES, instances.MANY):
            s = definitions.statistics_of(instances.with_snr(draw.rng, (C, N, P), np.full(C - 1, size)))
            yield identity(
                "smallest separation for equal omega, against sqrt(2) omega",
                _smallest_separation(s.Mbar),
                np.sqrt(2) * size,
                fault=2 * size,
                of="instead",
            )
        C = 50
        SNR = draw.rng.standard_normal((2 * C, C)) @ definitions.simplex(C)
        least = np.linalg.svd(SNR, compute_uv=False)[C - 2]
        yield refutation(
            "smallest separation over sqrt(2) omega_min, less 1, at C = 50",
            _smallest_separation(SNR) / (np.sqrt(2) * least) - 1,
            at_least=0.5,
        )
        turned = [
            _smallest_separation(
                definitions.statistics_of(instances.with_snr(draw.rng, (4, 6, 8), np.array([9.0, 3.0, 1.0]))).M
            )
            for _ in range(20)
        ]
        yield refutation(
            "spread of the smallest separation over features with one omega, relative",
            max(turned) / min(turned) - 1,
            at_least=0.1,
        )
