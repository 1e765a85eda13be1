"""The invariance of the central path under H -> A H: Equations 6 and 7, Section 3.1, Appendices D.1 and D.2."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest, refutation
from theory_checks.framework.verdicts import Statement
from theory_checks.paper.decomposition import condition

REASON = "200 eps, times the largest condition of Sigma_W, Sigma_T, and the second moment of [h; 1] at equal scales"
REASON_W = "200 eps, times the condition of Sigma_W and, for covariances, the size of the class means beside it"


def _exact(H: np.ndarray) -> np.ndarray:
    """W~_LS at lambda = 0 from the data matrix."""
    C = H.shape[1]
    return definitions.least_squares(definitions.extend(definitions.stack(H)), _targets(H, C), 0.0)


def _targets(H: np.ndarray, C: int) -> np.ndarray:
    return definitions.one_hot(definitions.labels_of(H), C)


def _loss(F_ext: np.ndarray, Y: np.ndarray) -> float:
    return definitions.mse(definitions.least_squares(F_ext, Y, 0.0), F_ext, Y, 0.0)


def _classifier(H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    m = compiled.moments_of(H)
    W, b = compiled.central_path_classifier(m.M, m.Sigma_W)
    return np.asarray(W), np.asarray(b)


def _within(H: np.ndarray) -> float:
    """Condition of Sigma_W."""
    return float(np.linalg.cond(definitions.statistics_of(H).Sigma_W))


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
        F_ext, exact = definitions.extend(F), _exact(H)
        W = np.linalg.solve(s.Sigma_T, s.Mbar).T / C
        printed, wrong = (np.column_stack([W, 1 / C + sign * W @ s.mu_G]) for sign in (-1, 1))
        found = np.column_stack(_classifier(H))
        compare = partial(identity, condition=max(instance.condition, condition(F, 0.0)), reason=REASON)
        yield compare("[W_LS, b_LS], against least squares on the data", printed, exact, fault=wrong)
        yield compare("central_path_classifier, against the same", found, exact, fault=wrong)
        Y = _targets(H, C)
        errors = W @ (F - s.mu_G[:, None]) - (Y - 1 / C)
        by_data = exact @ F_ext - Y
        name = "the prediction error of every example"
        yield compare(name, errors, by_data, fault=wrong @ F_ext - Y, scale=max(1.0, largest(by_data)))


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
        before = _exact(H) @ definitions.extend(definitions.stack(H))
        W_before, b_before = _classifier(H)
        cases: tuple[tuple[str, bool, Statement], ...] = (
            ("symmetric A", True, "printed"),
            ("any invertible A", False, "instead"),
        )
        for name, symmetric, of in cases:
            A = instances.invertible(draw.rng, P, symmetric=symmetric)
            moved = np.einsum("pq,qcn->pcn", A, H)
            F = definitions.stack(moved)
            W, b = _classifier(moved)
            yield identity(
                f"predictions after A, {name}",
                W @ F + b[:, None],
                before,
                fault=W_before @ F + b_before[:, None],
                condition=max(_within(moved), condition(F, 0.0)),
                reason=REASON,
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
        compare = partial(identity, condition=instance.condition, reason=REASON_W)
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
        Y = _targets(H, H.shape[1])
        exact = _loss(definitions.extend(definitions.stack(H)), Y)
        other = exact * (1 + 1 / H.shape[1])
        compare = partial(
            identity, condition=max(instance.condition, condition(definitions.stack(H), 0.0)), reason=REASON
        )
        for name, value in (("H", compiled.central_path_loss(H)), ("X", compiled.central_path_loss(X))):
            yield compare(f"L_LS of {name}, against least squares on the data", value, exact, fault=other)


@claim(
    "Appendix D.1",
    source="Appendix D.1, and footnote 18",
    expected="misprint",
    statement="Every Hbar is A X with X = Sigma_W^(-1/2) Hbar and A = Sigma_W^(-1/2)(Hbar); along the fibre {A X} "
    "predictions and loss are the same.",
    amendment="A = Sigma_W^(+1/2)(Hbar). The statement about the fibre holds.",
    assumptions="lambda = 0, balanced classes, Sigma_W > 0.",
    fault="Sigma_T^(+1/2) for A; predictions of X by the classifier of H.",
)
def appendix_d1(draw: Draw) -> Iterator[Finding]:
    """Back from X to H with either root; loss and predictions along the fibre."""
    for instance in instances.ordinary(draw):
        H = instance.H
        C, s = H.shape[1], definitions.statistics_of(H)
        centred = definitions.stack(H) - s.mu_G[:, None]
        X = definitions.stack(np.asarray(compiled.retract(H)))
        compare = partial(identity, condition=instance.condition, reason=REASON_W)
        back, wrong = definitions.root(s.Sigma_W, 0.5) @ X, definitions.root(s.Sigma_T, 0.5) @ X
        fault = centred + back - wrong
        yield compare("Sigma_W^(+1/2) X = Hbar", back, centred, fault=fault, of="intended")
        printed = definitions.root(s.Sigma_W, -0.5) @ X
        yield refutation(
            "distance of Sigma_W^(-1/2) X from Hbar, relative",
            np.linalg.norm(printed - centred) / np.linalg.norm(centred),
        )
        A = instances.invertible(draw.rng, len(H))
        W, b = _classifier((A @ X).reshape(H.shape))
        exact = _exact(H)
        yield identity(
            "predictions along the fibre",
            W @ A @ X + b[:, None],
            exact @ definitions.extend(definitions.stack(H)),
            fault=exact[:, :-1] @ X + 1 / C,
            condition=max(instance.condition, condition(A @ X, 0.0)),
            reason=REASON,
        )


@claim(
    "Appendix D.2, invariance",
    source="Appendix D.2, after Definition 5",
    expected="fails as printed",
    statement="The change into aligned SNR coordinates, X = U^T Sigma_W^(-1/2) Hbar (V kron I_N), keeps predictions "
    "and loss.",
    amendment="U^T does; V kron I_N mixes the examples of different classes, so that predictions rotate, the global "
    "mean is not 0, and the loss with bias changes. Spectral statements survive: the singular values, and the loss "
    "without a bias against the targets rotated alike, V^T (y - 1/C) (V kron I_N).",
    assumptions="lambda = 0, balanced classes, P >= C.",
    fault="the targets not rotated; V kron I_N beside U^T; omega of the classes' differences, sqrt((C-1)/C) smaller.",
)
def appendix_d2(draw: Draw) -> Iterator[Finding]:
    """Loss and global mean of aligned features; their singular values, and the loss against rotated targets."""
    C, N, _ = instances.GENERIC
    for _ in range(4 * draw.repeats):
        H = instances.with_snr(draw.rng, instances.GENERIC, np.geomspace(6.0, 0.5, C - 1))
        H = np.einsum("pq,qcn->pcn", instances.invertible(draw.rng, len(H)), H)
        aligned, F = definitions.align(H), definitions.stack(H)
        exact = _loss(definitions.extend(F), aligned.Y)
        with_bias = _loss(definitions.extend(aligned.X), aligned.Y)
        turn = np.kron(aligned.V, np.eye(N))
        targets = definitions.simplex(C) @ aligned.Y
        compare = partial(identity, condition=condition(F, 0.0), reason=REASON, of="instead")
        rotated, not_rotated = (_loss(aligned.X, Y) for Y in (aligned.V.T @ targets @ turn, targets))
        yield compare("loss without bias, targets rotated", rotated, exact, fault=exact + rotated - not_rotated)
        projected = _loss(definitions.extend(aligned.X @ turn.T), aligned.Y)
        fault = exact + projected - with_bias
        yield compare("loss with bias after U^T alone", projected, exact, fault=fault)
        omega = np.linalg.svd(aligned.X @ aligned.Y.T / N, compute_uv=False)[: C - 1]
        yield compare(
            "singular values of the aligned class means",
            np.asarray(compiled.omega_of(H)),
            omega,
            fault=omega * np.sqrt((C - 1) / C),
        )
        yield refutation("relative change of the loss with bias", abs(with_bias / exact - 1), at_least=1e-3)
        mean = np.linalg.norm(aligned.X.mean(axis=1))
        yield refutation("norm of the global mean of the aligned features", mean, at_least=1e-3)
