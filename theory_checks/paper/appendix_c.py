"""The parts of the loss without the bias in the classifier, and what they measure: Appendices C.1 and C.2."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.conditioning import (
    LEAST_SQUARES_REASON,
    condition,
)
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest, refutation

MOST_LOST = 1e6  # condition of the second moment, at which nine digits are left


@claim(
    "Appendix C.1",
    source="Appendix C.1, Equations 16 to 18",
    statement="For lambda = 0: W_LS = Mbar^T Sigma_T^(-1)/C, L_NC1 = 1/2 tr(W_LS Sigma_W W_LS^T), and L_NC2/3 = "
    "1/(2C) ||W_LS Mbar - Phi||_F^2.",
    assumptions="Balanced classes, Sigma_T > 0.",
    fault="I in place of Phi in L_NC2/3; Sigma_W in place of Sigma_T in W_LS.",
)
def appendix_c1(draw: Draw) -> Iterator[Finding]:
    """The unextended formulas, against least squares and the extended decomposition."""
    for instance in instances.everything(draw):
        H = instance.H
        C, m, s = H.shape[1], compiled.moments_of(H), definitions.statistics_of(H)
        W = np.linalg.solve(s.Sigma_T, s.Mbar).T / C
        F_ext, Y = definitions.extend(definitions.stack(H)), definitions.one_hot(definitions.labels_of(H), C)
        exact = definitions.least_squares(F_ext, Y, 0.0)[:, :-1]
        nc1 = 0.5 * np.trace(W @ s.Sigma_W @ W.T)
        nc23, extended = (np.sum((W @ s.Mbar - A) ** 2) / (2 * C) for A in (definitions.simplex(C), np.eye(C)))
        found_W, _ = compiled.central_path_classifier(s.M, s.Sigma_W)
        found = compiled.decompose(*compiled.least_squares(m, lam=0.0), m, lam=0.0)
        lost = condition(definitions.stack(H), 0.0)
        if lost > MOST_LOST:
            continue
        compare = partial(identity, condition=lost, reason=LEAST_SQUARES_REASON)
        wrong = np.linalg.solve(s.Sigma_W, s.Mbar).T / C
        size = max(largest(exact), 1 / np.sqrt(np.linalg.norm(s.Sigma_T, 2)))  # of targets over features, in rounding
        yield compare("W_LS, Equation 16", W, exact, fault=wrong, scale=size)
        yield compare("W of central_path_classifier", found_W, exact, fault=wrong, scale=size)
        yield compare("L_NC1, Equation 17", found[0], nc1, fault=nc1 + nc23, scale=nc1 + nc23)
        yield compare("L_NC2/3, Equation 18", found[1], nc23, fault=extended, scale=nc1 + nc23)


def _measured(H: np.ndarray) -> dict[str, float]:
    m = compiled.moments_of(H)
    W, b = compiled.least_squares(m, lam=0.0)
    parts = compiled.decompose(W, b, m, lam=0.0)
    metrics = compiled.collapse_of(m, W, b, compiled.samples(H)[0])
    return {name: float(value) for name, value in metrics.items()} | {
        "nc1_loss": float(parts[0]),
        "nc23": float(parts[1]),
    }


@claim(
    "Appendix C.2",
    source="Appendix C.2",
    expected="fails as printed",
    statement="L_NC1 goes to zero only under activation collapse (NC1), and L_NC2/3 is a semi-metric of the distance "
    "from (NC2) and (NC3).",
    amendment="Both are functions of omega alone. L_NC1 -> 0 also as omega -> 0, where nothing has collapsed; an "
    "exact self-dual Simplex ETF has L_NC2/3 = (C-1) C/(2 (omega^2 + C)^2), up to (C-1)/(2C); and L_NC2/3 -> 0 as "
    "all omega_j -> infinity at any ratio, without an ETF.",
    fault="one omega_j larger by 1 %.",
)
def appendix_c2(draw: Draw) -> Iterator[Finding]:
    """Features with the same omega and other singular vectors; and three counter-examples."""
    C = instances.GENERIC[0]
    for _ in range(draw.repeats):
        omega = np.sort(draw.rng.uniform(0.5, 4.0, C - 1))[::-1]
        other = omega * np.where(np.arange(C - 1) == 0, 1.01, 1.0)
        one, two, three = (_measured(instances.with_snr(draw.rng, instances.GENERIC, w)) for w in (omega, omega, other))
        for name, label in (("nc1_loss", "L_NC1"), ("nc23", "L_NC2/3")):
            yield identity(
                f"{label} of features with the same omega and other singular vectors",
                one[name],
                two[name],
                fault=three[name],
                tolerance=2e-12,
                reason="1e4 eps: two well-conditioned least-squares problems",
                of="instead",
            )
        tiny = _measured(instances.with_snr(draw.rng, instances.GENERIC, np.full(C - 1, 1e-4)))
        yield refutation("NC1 at L_NC1 < 1e-8", tiny["nc1"] if tiny["nc1_loss"] < 1e-8 else 0.0, at_least=1.0)
        etf = _measured(instances.with_snr(draw.rng, instances.GENERIC, np.full(C - 1, 0.2 * np.sqrt(C))))
        distance = max(etf[name] for name in ("equinorm", "equiangularity", "max_angle", "self_duality"))
        yield refutation("L_NC2/3 of an exact self-dual ETF", etf["nc23"] if distance < 1e-12 else 0.0, at_least=0.3)
        far = _measured(instances.with_snr(draw.rng, instances.GENERIC, np.geomspace(1e3, 1e2, C - 1)))
        yield refutation("max_angle of NC2 at L_NC2/3 < 1e-6", far["max_angle"] if far["nc23"] < 1e-6 else 0.0)
