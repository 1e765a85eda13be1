"""The assumptions of Section 3: Sigma_W > 0 (Footnote 12), and the bias (A2, with Equation 6).

With D = W~ - W~_LS and A = Ave h~h~^T the distance from the central path is L_LS_perp = 1/2 tr(D A D^T), so the last
column of D, b - b_LS, obeys

    ||b - b_LS||^2 <= 2 (e^T A^(-1) e) L_LS_perp,        e^T A^(-1) e = 1 + mu_G^T Sigma_T^(-1) mu_G,

with e the last unit vector, and with equality for D = u e^T A^(-1). Where the global mean is large beside the features'
spread, a classifier near the central path can have any bias.

Source: Han, Papyan & Donoho (2022), Section 3; the bound is this project's.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from scipy.linalg import eigh

from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.conditioning import INVARIANCE_REASON, condition
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest, refutation

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


OFFSET = 1e5  # of the global mean, in a direction in which the classifier does not look
MOST_LOST = 1e7  # condition of the second moment, at which eight digits are left


def _second_moment(H: np.ndarray) -> np.ndarray:
    F_ext = definitions.extend(definitions.stack(H))
    return F_ext @ F_ext.T / F_ext.shape[1]


def _loss_perp(H: np.ndarray, D: np.ndarray) -> float:
    """1/2 Ave ||D h~||^2, from the examples."""
    return 0.5 * float(np.mean(np.sum((D @ definitions.extend(definitions.stack(H))) ** 2, axis=0)))


@claim(
    "A2, proximity implies b near b_LS",
    source="Section 3, (A2)",
    expected="holds as amended",
    statement="Proximity to the central path implies that the last-layer biases become close to b_LS.",
    amendment="If mu_G^T Sigma_T^(-1) mu_G stays bounded: ||b - b_LS||^2 <= 2 (1 + mu_G^T Sigma_T^(-1) mu_G) "
    "L_LS_perp, and no constant is smaller. It needs the second moment of [h; 1] bounded below.",
    assumptions="lambda = 0, Sigma_T > 0.",
    fault="the 1 left out.",
)
def proximity(draw: Draw) -> Iterator[Finding]:
    """The constant of the bound, three ways; and a bias far off at a classifier near the central path."""
    for instance in instances.everything(draw):
        H = instance.H
        C, s, m = H.shape[1], definitions.statistics_of(H), compiled.moments_of(H)
        A = _second_moment(H)
        if condition(definitions.stack(H), 0.0) > MOST_LOST:
            continue
        inside = float(s.mu_G @ np.linalg.solve(s.Sigma_T, s.mu_G))
        compare = partial(
            identity,
            condition=condition(definitions.stack(H), 0.0),
            reason="200 eps, times the condition of the second moment of [h; 1]",
            fault=inside,
            of="amended",
        )
        e = np.eye(len(A))[-1]
        largest = eigh(np.outer(e, e), A, eigvals_only=True)[-1]
        yield compare("largest |last column of D|^2 over tr(D A D^T)", largest, 1 + inside)
        D = np.outer(draw.rng.standard_normal(C), np.linalg.solve(A, e))
        D /= np.linalg.norm(D[:, -1])
        W, b = (np.asarray(a) for a in compiled.least_squares(m, lam=0.0))
        perp = float(compiled.decompose(W + D[:, :-1], b + D[:, -1], m, lam=0.0)[2])
        yield compare("|b - b_LS|^2/(2 L_LS_perp) of decompose, attained", 1 / (2 * perp), 1 + inside)
    for _ in range(2 * draw.repeats):
        yield refutation("|b - b_LS|/|b_LS| where L_LS_perp is below 1e-6 L_LS", _bias_off(draw.rng), at_least=0.9)


def _bias_off(rng: np.random.Generator) -> float:
    """Distance of the bias, relative, from classifiers with the predictions of W_LS but for a share of 1e-6."""
    H = instances.random_features(rng, instances.GENERIC, offset=0.0)
    C = H.shape[1]
    Y = definitions.one_hot(definitions.labels_of(H), C)
    W = definitions.least_squares(definitions.extend(definitions.stack(H)), Y, 0.0)[:, :-1]
    unseen = np.linalg.svd(W)[2][-1]  # W_LS unseen = 0: b_LS does not depend on the offset
    H = H + OFFSET * unseen[:, None, None]
    best = definitions.least_squares(definitions.extend(definitions.stack(H)), Y, 0.0)
    delta = rng.standard_normal(C)
    delta *= np.linalg.norm(best[:, -1]) / np.linalg.norm(delta)
    D = np.column_stack([-np.outer(delta, unseen) / OFFSET, delta])
    loss = definitions.mse(best, definitions.extend(definitions.stack(H)), Y, 0.0)
    return float(np.linalg.norm(delta) / np.linalg.norm(best[:, -1])) if _loss_perp(H, D) < 1e-6 * loss else 0.0


@claim(
    "Equation 6",
    source="Section 3, assumption A2, Equation 6",
    statement="W_LS = Mbar^T Sigma_T^(-1)/C and b_LS = 1/C - W_LS mu_G; so the prediction error of any (h, y) is "
    "W_LS (h - mu_G) - (y - 1/C).",
    assumptions="lambda = 0, balanced classes, Sigma_T > 0.",
    fault="the sign of the bias's second term.",
)
def equation_6(draw: Draw) -> Iterator[Finding]:
    """Weights, bias and prediction error against least squares on the extended data."""
    for instance in instances.with_narrow(draw):
        H = instance.H
        C, s, F = H.shape[1], definitions.statistics_of(H), definitions.stack(H)
        F_ext, exact = definitions.extend(F), definitions.classifier_of(H)
        W = np.linalg.solve(s.Sigma_T, s.Mbar).T / C
        printed, wrong = (np.column_stack([W, 1 / C + sign * W @ s.mu_G]) for sign in (-1, 1))
        found = np.column_stack(compiled.classifier_of(H))
        compare = partial(identity, condition=max(instance.condition, condition(F, 0.0)), reason=INVARIANCE_REASON)
        yield compare("[W_LS, b_LS], against least squares on the data", printed, exact, fault=wrong)
        yield compare("central_path_classifier, against the same", found, exact, fault=wrong)
        Y = definitions.targets_of(H)
        errors = W @ (F - s.mu_G[:, None]) - (Y - 1 / C)
        by_data = exact @ F_ext - Y
        name = "the prediction error of every example"
        yield compare(name, errors, by_data, fault=wrong @ F_ext - Y, scale=max(1.0, largest(by_data)))
