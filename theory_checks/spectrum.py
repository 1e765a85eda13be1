"""The SNR matrix and the loss as a function of its singular values: Definitions 2, 5, Lemma 1, Observations 1 to 3."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from central_path.problem import class_means
from theory_checks import compiled, definitions, instances
from theory_checks.registry import Draw, Finding, claim, identity, largest, refutation

REASON = "200 eps, times the condition of Sigma_W and, for products of features, the size of the class means"


def _plenty(draw: Draw) -> Iterator[instances.Instance]:
    """Instances with P >= C."""
    for instance in instances.everything(draw):
        if instance.H.shape[0] >= instance.H.shape[1]:
            yield instance


@claim(
    "Definition 2",
    source="Section 3.2, Equation 8 and Definition 2",
    expected="holds as amended",
    statement="SNR = Sigma_W^(-1/2) Mbar = sum over j < C of omega_j u_j v_j^T, with U a P x C partial orthogonal "
    "matrix; it has rank C - 1, because Sigma_W has full rank and Mbar has rank C - 1 by the subtraction of the "
    "global mean.",
    amendment="The subtraction gives rank C - 1 at most; it is C - 1 iff the class means are affinely independent. A "
    "U with C orthonormal columns needs P >= C.",
    assumptions="Sigma_W > 0.",
    fault="Sigma_T in place of Sigma_W.",
)
def definition_2(draw: Draw) -> Iterator[Finding]:
    """SNR matrix and singular values against the definition; class means on a line; P = C - 1."""
    for instance in instances.everything(draw):
        H = instance.H
        P, C, N = H.shape
        s = definitions.statistics_of(H)
        exact, wrong = (definitions.root(S, -0.5) @ s.Mbar for S in (s.Sigma_W, s.Sigma_T))
        U, omega, V = definitions.svd_of_snr(exact)
        K = min(C - 1, P)
        kwargs: dict[str, Any] = {"condition": instance.condition, "reason": REASON}
        m = compiled.moments_of(H)
        yield identity("SNR matrix", compiled.snr(m), exact, fault=wrong, **kwargs)
        yield identity("sum of omega_j u_j v_j^T", (U[:, :K] * omega[:K]) @ V[:, :K].T, exact, fault=wrong, **kwargs)
        yield identity("omega", compiled.omega_of(H), omega, fault=np.linalg.svd(wrong, compute_uv=False)[:K], **kwargs)
        zero = exact @ np.ones(C)
        yield identity(
            "SNR 1 = 0",
            zero,
            0 * zero,
            fault=zero - definitions.root(s.Sigma_W, -0.5) @ s.M @ np.ones(C),
            scale=largest(exact),
            **kwargs,
        )
        yield identity("Sigma_B", m.Sigma_B, s.Sigma_B, fault=s.Sigma_B * C / (C - 1), scale=largest(s.Sigma_T))
        yield identity("Sigma_T = Sigma_W + Sigma_B", m.Sigma_T, s.Sigma_T, fault=s.Sigma_W, scale=largest(s.Sigma_T))
        rows, labels = compiled.samples(H)
        yield identity(
            "examples in i-then-c order",
            rows.T,
            definitions.stack(H),
            fault=H.transpose(0, 2, 1).reshape(P, C * N) + (C == N),
        )
        yield identity("their labels", labels, definitions.labels_of(H), fault=np.tile(np.arange(C), N))
    for sample in instances.unbalanced(draw):
        s = definitions.statistics(sample.F, sample.labels, sample.C)
        m = compiled.moments_of_samples(sample.F.T, sample.labels, np.zeros(sample.C))
        equal = s.Sigma_T - s.Mbar @ s.Mbar.T / sample.C
        exact = definitions.root(s.Sigma_W, -0.5)
        by_class, by_example = (
            np.linalg.svd(exact @ (s.M - mean[:, None]), compute_uv=False)[: min(s.M.shape[0], sample.C - 1)]
            for mean in (s.M.mean(axis=1), s.mu_G)
        )
        yield identity(
            "omega of unbalanced classes",
            compiled.omega(m),
            by_example,
            fault=by_class,
            condition=np.linalg.cond(s.Sigma_W),
            reason=REASON,
        )
        yield identity("Sigma_W of unbalanced classes", m.Sigma_W, s.Sigma_W, fault=equal)
        yield identity("Sigma_B of unbalanced classes", m.Sigma_B, s.Sigma_B, fault=s.Mbar @ s.Mbar.T / sample.C)
        yield identity("global mean of unbalanced classes", m.mu_G, s.mu_G, fault=s.M.mean(axis=1))
        yield identity("priors", m.pi, s.pi, fault=np.full(sample.C, 1 / sample.C))
    C, N, P = instances.GENERIC
    for _ in range(draw.repeats):
        line = draw.rng.standard_normal((P, 1, 1)) * np.arange(1.0, C + 1)[None, :, None]
        H = line + draw.rng.standard_normal((P, C, N))
        H += line - H.mean(axis=2, keepdims=True)  # the class means are on the line exactly
        singular = np.linalg.svd(np.asarray(compiled.snr(compiled.moments_of(H))), compute_uv=False)
        missing = np.count_nonzero(singular[: C - 1] < 1e-10 * singular[0])
        yield refutation("zeros among the C - 1 singular values, class means on a line", missing, at_least=C - 2)
        narrow = draw.rng.standard_normal((C - 1, C))
        U = np.linalg.svd(narrow)[0] @ np.eye(C - 1, C)
        yield refutation(
            "distance of U^T U from I_C where P = C - 1", np.linalg.norm(U.T @ U - np.eye(C), 2), at_least=0.99
        )


@claim(
    "Lemma 1",
    source="Appendix D.2, Lemma 1 and Equation 20",
    statement="On the central path at lambda = 0, L = L_LS = 1/2 sum_j 1/(omega_j^2 + C), L_NC1 = 1/2 sum_j "
    "omega_j^2/(C + omega_j^2)^2 and L_NC2/3 = 1/2 sum_j (1/C) (omega_j^2/(omega_j^2 + C) - 1)^2.",
    assumptions="Balanced classes, with the bias; Sigma_W > 0.",
    fault="C - 1 in place of C.",
    figure="losses",
)
def lemma_1(draw: Draw) -> Iterator[Finding]:
    """The formulas, and the package's, at the singular values, against least squares on the data."""
    for instance in instances.everything(draw):
        H = instance.H
        C, s = H.shape[1], definitions.statistics_of(H)
        F_ext, Y = definitions.extend(definitions.stack(H)), definitions.one_hot(definitions.labels_of(H), C)
        W = definitions.least_squares(F_ext, Y, 0.0)
        s_ext = definitions.statistics(F_ext, definitions.labels_of(H), C)
        exact = np.array(
            [
                definitions.mse(W, F_ext, Y, 0.0),
                0.5 * np.trace(W @ s_ext.Sigma_W @ W.T),
                np.sum((W @ s_ext.M - np.eye(C)) ** 2) / (2 * C),
            ]
        )
        w2 = np.linalg.svd(definitions.root(s.Sigma_W, -0.5) @ s.Mbar, compute_uv=False)[: C - 1] ** 2
        printed, wrong = (
            np.array([np.sum(1 / (w2 + c)), np.sum(w2 / (c + w2) ** 2), np.sum((w2 / (w2 + c) - 1) ** 2) / c]) / 2
            for c in (C, C - 1)
        )
        found = np.asarray(compiled.spectral_losses(compiled.omega_of(H)))
        kwargs: dict[str, Any] = {
            "condition": max(instance.condition, np.linalg.cond(F_ext) ** 2),
            "reason": REASON,
            "scale": exact[0],
        }
        for i, name in enumerate(("L_LS", "L_NC1", "L_NC2/3")):
            yield identity(
                f"{name}: the formula, against least squares", printed[i], exact[i], fault=wrong[i], **kwargs
            )
            yield identity(
                f"{name}: spectral_losses, against least squares", found[i], exact[i], fault=wrong[i], **kwargs
            )


@claim(
    "Observation 1",
    source="Appendix D.2, Observation 1",
    statement="U^T Sigma_W^(-1/2) Mbar V = diag(omega_1, ..., omega_{C-1}, 0): the canonical basis are its singular "
    "vectors.",
    assumptions="P >= C, so that U has C columns.",
    fault="U and V of the class means before renormalization.",
)
def observation_1(draw: Draw) -> Iterator[Finding]:
    """The package's SNR matrix in aligned coordinates, and its omega."""
    for instance in _plenty(draw):
        H = instance.H
        aligned, s = definitions.align(H), definitions.statistics_of(H)
        snr = np.asarray(compiled.snr(compiled.moments_of(H)))
        diagonal = np.diag(np.append(np.asarray(compiled.omega_of(H)), 0.0))
        U, _, V = definitions.svd_of_snr(s.Mbar)
        yield identity(
            "U^T SNR V",
            aligned.U.T @ snr @ aligned.V,
            diagonal,
            fault=diagonal + aligned.U.T @ snr @ aligned.V - U.T @ snr @ V,
            condition=instance.condition,
            reason=REASON,
        )


@claim(
    "Observation 2",
    source="Appendix D.2, Observation 2",
    expected="holds as amended",
    statement="X C X^T = I_C for the aligned features of Definition 5, with the class-centring matrix C of Equation "
    "21.",
    amendment="For P >= C. For P = C - 1 the U of Definition 2 has no C orthonormal columns, and X C X^T has rank C "
    "- 1.",
    assumptions="Sigma_W > 0.",
    fault="features centred by the global mean only (Sigma_T in place of Sigma_W).",
)
def observation_2(draw: Draw) -> Iterator[Finding]:
    """The within-class covariance of aligned features; and with one dimension too few."""
    for instance in _plenty(draw):
        H = instance.H
        C, aligned, labels = H.shape[1], definitions.align(H), definitions.labels_of(H)
        within = definitions.centre_classes(aligned.X, labels, C) @ aligned.X.T
        total = aligned.X @ aligned.X.T / len(labels)
        kwargs: dict[str, Any] = {"condition": instance.condition, "reason": REASON}
        size = max(1.0, largest(aligned.X)) ** 2
        yield identity("X C X^T = I_C", within, np.eye(C), fault=np.eye(C) + within - total, scale=size, **kwargs)
        s = definitions.statistics_of(H)
        F = definitions.stack(H)
        form = definitions.centre_classes(F, labels, C) @ F.T
        m = compiled.moments_of(H)
        yield identity("H C H^T = Sigma_W", np.asarray(m.Sigma_W), form, fault=s.Sigma_T, scale=largest(F) ** 2)
    C, N, _ = instances.GENERIC
    for _ in range(draw.repeats):
        yield refutation("distance of X C X^T from I_C where P = C - 1", _narrow(draw.rng, C, N)[1], at_least=0.99)


def _narrow(rng: np.random.Generator, C: int, N: int) -> tuple[int, float]:
    """Definition 5 with P = C - 1, U padded with a zero column: rank of X C X^T, and its distance from I_C."""
    H = instances.random_features(rng, (C, N, C - 1))
    s, labels = definitions.statistics_of(H), definitions.labels_of(H)
    whiten = definitions.root(s.Sigma_W, -0.5)
    U, _, V = definitions.svd_of_snr(whiten @ s.Mbar)
    X = np.eye(C, C - 1) @ U.T @ whiten @ (definitions.stack(H) - s.mu_G[:, None]) @ np.kron(V, np.eye(N))
    within = definitions.centre_classes(X, labels, C) @ X.T
    return int(np.linalg.matrix_rank(within, tol=1e-8)), float(np.linalg.norm(within - np.eye(C), 2))


@claim(
    "Definition 5",
    source="Appendix D.2, Definition 5 and Equation 21",
    expected="holds as amended",
    statement="X = U^T Sigma_W^(-1/2) Hbar (V kron I_N) = U^T (Hbar C Hbar^T)^(-1/2) Hbar (V kron I_N) is a C x CN "
    "matrix.",
    amendment="It has rank C, as the manifold of Definition 6 needs, only where P >= C.",
    assumptions="Sigma_W > 0.",
    fault="Sigma_T in the second form.",
)
def definition_5(draw: Draw) -> Iterator[Finding]:
    """Both printed forms; the renormalized features of the package, aligned."""
    for instance in _plenty(draw):
        H = instance.H
        _, C, N = H.shape
        aligned, labels, s = definitions.align(H), definitions.labels_of(H), definitions.statistics_of(H)
        centred = definitions.stack(H) - s.mu_G[:, None]
        turn = np.kron(aligned.V, np.eye(N))
        within = definitions.centre_classes(centred, labels, C) @ centred.T
        second, wrong = (aligned.U.T @ definitions.root(S, -0.5) @ centred @ turn for S in (within, s.Sigma_T))
        found = aligned.U.T @ definitions.stack(np.asarray(compiled.retract(H))) @ turn
        kwargs: dict[str, Any] = {"condition": instance.condition, "reason": REASON}
        size = largest(aligned.X) * max(1.0, largest(centred) ** 2 / largest(s.Sigma_W))
        yield identity("the second form, against the first", second, aligned.X, fault=wrong, scale=size, **kwargs)
        yield identity("retract, aligned, against the first", found, aligned.X, fault=wrong, **kwargs)
    C, N, _ = instances.GENERIC
    for _ in range(draw.repeats):
        yield refutation("dimensions missing from X C X^T where P = C - 1", C - _narrow(draw.rng, C, N)[0], at_least=1)


@jax.jit
def _means_along(H, dH):
    return jax.jvp(class_means, (H,), (dH,))


@claim(
    "Observation 3",
    source="Appendix D.2, Observation 3",
    statement="The aligned SNR matrix is X Y^T/N, and its differential Z Y^T/N.",
    assumptions="P >= C.",
    fault="C in place of N.",
)
def observation_3(draw: Draw) -> Iterator[Finding]:
    """Class means by the package in aligned coordinates, and their derivative by autodiff."""
    for instance in _plenty(draw):
        H = instance.H
        _, C, N = H.shape
        aligned = definitions.align(H)
        omega = np.diag(np.append(np.asarray(compiled.omega_of(H)), 0.0))
        printed = aligned.X @ aligned.Y.T / N
        kwargs: dict[str, Any] = {"condition": instance.condition, "reason": REASON}
        yield identity("X Y^T/N, against omega", omega, printed, fault=printed * N / (C + 1), **kwargs)
        Z = draw.rng.standard_normal(H.shape)
        means, moved = _means_along(H, Z)
        formula = definitions.stack(Z) @ aligned.Y.T / N
        yield identity("derivative of the class means along Z", moved, formula, fault=formula * N / (C + 1))
        yield identity(
            "class means", means, definitions.statistics_of(H).M, fault=definitions.statistics_of(H).Mbar + 1
        )
