"""The invariance of the central path under H -> A H, Section 3.1: Equation 7 and renormalization."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.conditioning import (
    INVARIANCE_REASON,
    WITHIN_REASON,
    condition,
)
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest
from theory_checks.framework.verdicts import Statement


def _within(H: np.ndarray) -> float:
    """Condition of Sigma_W."""
    return float(np.linalg.cond(definitions.statistics_of(H).Sigma_W))


@claim(
    "Equation 7",
    source="Section 3.1, Equation 7 (a factor CN is dropped between its first and last line, in both places alike)",
    statement="The predictions W_LS(A H) A H of the least-squares classifier are those of W_LS(H) H, for symmetric "
    "full-rank A.",
    assumptions="lambda = 0, balanced classes, zero global mean (else with the bias), Sigma_T > 0. Any invertible A "
    "will do.",
    fault="the classifier of the features before the transformation.",
)
def equation_7(draw: Draw) -> Iterator[Finding]:
    """Predictions on transformed features, with symmetric and with general A, against the untransformed ones."""
    for instance in instances.ordinary(draw):
        H = instance.H
        P = len(H)
        before = definitions.classifier_of(H) @ definitions.extend(definitions.stack(H))
        W_before, b_before = compiled.classifier_of(H)
        cases: tuple[tuple[str, bool, Statement], ...] = (
            ("symmetric A", True, "printed"),
            ("any invertible A", False, "instead"),
        )
        for name, symmetric, of in cases:
            A = instances.invertible(draw.rng, P, symmetric=symmetric)
            moved = np.einsum("pq,qcn->pcn", A, H)
            F = definitions.stack(moved)
            W, b = compiled.classifier_of(moved)
            yield identity(
                f"predictions after A, {name}",
                W @ F + b[:, None],
                before,
                fault=W_before @ F + b_before[:, None],
                condition=max(_within(moved), condition(F, 0.0)),
                reason=INVARIANCE_REASON,
                of=of,
            )


@claim(
    "Section 3.1",
    source="Section 3.1, Definition 1 and after Equation 7",
    statement="X = Sigma_W^(-1/2) Hbar has within-class covariance I, class means Sigma_W^(-1/2) Mbar, and the loss "
    "of H on the central path.",
    assumptions="lambda = 0, balanced classes, Sigma_W > 0.",
    fault="Sigma_T in place of Sigma_W.",
)
def section_3_1(draw: Draw) -> Iterator[Finding]:
    """The package's renormalization against the definitions: covariance, means, loss; and that of Sigma_T."""
    for instance in instances.with_narrow(draw):
        H = instance.H
        s = definitions.statistics_of(H)
        centred = definitions.stack(H) - s.mu_G[:, None]
        literal, wrong = (definitions.root(S, -0.5) @ centred for S in (s.Sigma_W, s.Sigma_T))
        X = np.asarray(compiled.retract(H))
        after = definitions.statistics_of(X)
        wrong_after = definitions.statistics(wrong, definitions.labels_of(H), H.shape[1])
        compare = partial(identity, condition=instance.condition, reason=WITHIN_REASON)
        yield compare("X, against its definition", definitions.stack(X), literal, fault=wrong)
        yield compare(
            "Sigma_W(X) = I",
            after.Sigma_W,
            np.eye(len(H)),
            fault=after.Sigma_W - wrong_after.Sigma_W + np.eye(len(H)),
            scale=max(1.0, largest(X)),
        )
        drift = float(compiled.drift(H))
        by_definition = float(np.max(np.abs(s.Sigma_W - np.eye(len(H)))))
        yield identity(
            "drift of H, against Sigma_W",
            drift,
            by_definition,
            fault=float(np.max(np.abs(s.Sigma_T - np.eye(len(H))))),
            scale=max(1.0, largest(H) ** 2),
            reason="200 eps of the squares of the features, which are not centred",
        )
        Y = definitions.targets_of(H)
        exact = definitions.least_loss(definitions.extend(definitions.stack(H)), Y)
        other = exact * (1 + 1 / H.shape[1])
        compare = partial(
            identity, condition=max(instance.condition, condition(definitions.stack(H), 0.0)), reason=INVARIANCE_REASON
        )
        for name, value in (("H", compiled.central_path_loss(H)), ("X", compiled.central_path_loss(X))):
            yield compare(f"L_LS of {name}, against least squares on the data", value, exact, fault=other)
