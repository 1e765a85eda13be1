"""Aligned SNR coordinates, Appendix D.2: Lemma 1, Definition 5, Observations 1 to 3, and what they do not keep."""

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np

from central_path.theory.problem import class_means
from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.conditioning import CENTRED_REASON, INVARIANCE_REASON, cancelled, condition
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest, refutation


def _least_squares_losses(H: np.ndarray) -> np.ndarray:
    """L_LS, L_NC1 and L_NC2/3 of the least squares of the data."""
    C, F_ext, labels = H.shape[1], definitions.extend(definitions.stack(H)), definitions.labels_of(H)
    Y, s = definitions.one_hot(labels, C), definitions.statistics(F_ext, labels, C)
    W = definitions.least_squares(F_ext, Y, 0.0)
    nc1 = 0.5 * np.trace(W @ s.Sigma_W @ W.T)
    return np.array([definitions.mse(W, F_ext, Y, 0.0), nc1, np.sum((W @ s.M - np.eye(C)) ** 2) / (2 * C)])


@claim(
    "Lemma 1",
    source="Appendix D.2, Lemma 1 and Equation 20",
    statement="On the central path at lambda = 0, L = L_LS = 1/2 sum_j 1/(omega_j^2 + C), L_NC1 = 1/2 sum_j "
    "omega_j^2/(C + omega_j^2)^2 and L_NC2/3 = 1/2 sum_j (1/C) (omega_j^2/(omega_j^2 + C) - 1)^2.",
    assumptions="Balanced classes, with the bias; Sigma_W > 0.",
    fault="C - 1 in place of C in L_LS and L_NC1; the factor 1/C of L_NC2/3 left out.",
    figure="losses",
)
def lemma_1(draw: Draw) -> Iterator[Finding]:
    """The formulas, and the package's, at the singular values, against least squares on the data."""
    for instance in instances.with_narrow(draw):
        H = instance.H
        C, s, exact = H.shape[1], definitions.statistics_of(H), _least_squares_losses(H)
        w2 = np.linalg.svd(definitions.root(s.Sigma_W, -0.5) @ s.Mbar, compute_uv=False)[: C - 1] ** 2
        printed, wrong = (
            np.array([np.sum(1 / (w2 + c)), np.sum(w2 / (c + w2) ** 2), np.sum((w2 / (w2 + C) - 1) ** 2) / share]) / 2
            for c, share in ((C, C), (C - 1, 1))
        )
        found = np.asarray(compiled.spectral_losses(compiled.omega_of(H)))
        size = (*exact[:2], max(exact[2], np.sqrt(exact[2])))  # the last is of squares of small errors
        how = {"condition": max(instance.condition, condition(definitions.stack(H), 0.0)), "reason": CENTRED_REASON}
        for i, name in enumerate(("L_LS", "L_NC1", "L_NC2/3")):
            for kind, values in (("the formula", printed), ("spectral_losses", found)):
                yield identity(
                    f"{name}: {kind}, against least squares",
                    values[i],
                    exact[i],
                    fault=wrong[i],
                    scale=size[i] * (cancelled(H) if i == 1 else 1.0),  # the only one that vanishes with omega
                    **how,
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
    for instance in instances.everything(draw):
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
            condition=instance.condition * cancelled(H),
            reason=CENTRED_REASON,
        )


@claim(
    "Observation 2",
    source="Appendix D.2, Observation 2",
    statement="X Gamma X^T = I_C for the aligned features of Definition 5, with the class-centring matrix Gamma of "
    "Equation 21.",
    assumptions="Sigma_W > 0; P > C, as the paper assumes. P = C - 1 would leave no U with C orthonormal columns.",
    fault="features centred by the global mean only (Sigma_T in place of Sigma_W).",
)
def observation_2(draw: Draw) -> Iterator[Finding]:
    """The within-class covariance of aligned features; and with one dimension too few."""
    for instance in instances.everything(draw):
        H = instance.H
        C, aligned, labels = H.shape[1], definitions.align(H), definitions.labels_of(H)
        within = definitions.centre_classes(aligned.X, labels, C) @ aligned.X.T
        total = aligned.X @ aligned.X.T / len(labels)
        compare = partial(identity, condition=instance.condition + largest(aligned.X) ** 2, reason=CENTRED_REASON)
        yield compare("X Gamma X^T = I_C", within, np.eye(C), fault=np.eye(C) + within - total)
        s = definitions.statistics_of(H)
        F = definitions.stack(H)
        form = definitions.centre_classes(F, labels, C) @ F.T
        m = compiled.moments_of(H)
        yield identity("H Gamma H^T = Sigma_W", np.asarray(m.Sigma_W), form, fault=s.Sigma_T, scale=largest(F) ** 2)


@claim(
    "Definition 5",
    source="Appendix D.2, Definition 5 and Equation 21",
    statement="X = U^T Sigma_W^(-1/2) Hbar (V kron I_N) = U^T (Hbar Gamma Hbar^T)^(-1/2) Hbar (V kron I_N) is a C x CN "
    "matrix.",
    assumptions="Sigma_W > 0; P > C, as the paper assumes.",
    fault="Sigma_T in the second form.",
)
def definition_5(draw: Draw) -> Iterator[Finding]:
    """Both printed forms; the renormalized features of the package, aligned."""
    for instance in instances.everything(draw):
        H = instance.H
        _, C, N = H.shape
        aligned, labels, s = definitions.align(H), definitions.labels_of(H), definitions.statistics_of(H)
        centred = definitions.stack(H) - s.mu_G[:, None]
        turn = np.kron(aligned.V, np.eye(N))
        within = definitions.centre_classes(centred, labels, C) @ centred.T
        second, wrong = (aligned.U.T @ definitions.root(S, -0.5) @ centred @ turn for S in (within, s.Sigma_T))
        found = aligned.U.T @ definitions.stack(np.asarray(compiled.retract(H))) @ turn
        compare = partial(identity, condition=instance.condition, reason=CENTRED_REASON)
        size = largest(aligned.X) * max(1.0, largest(centred) ** 2 / largest(s.Sigma_W))
        yield compare("the second form, against the first", second, aligned.X, fault=wrong, scale=size)
        yield compare("retract, aligned, against the first", found, aligned.X, fault=wrong)


@jax.jit
def _means_along(H, dH):
    return jax.jvp(class_means, (H,), (dH,))


@claim(
    "Observation 3",
    source="Appendix D.2, Observation 3",
    statement="The aligned SNR matrix is X Y^T/N, and its differential Z Y^T/N.",
    assumptions="P >= C.",
    fault="C + 1 in place of N; class means about a wrong origin.",
)
def observation_3(draw: Draw) -> Iterator[Finding]:
    """Class means by the package in aligned coordinates, and their derivative by autodiff."""
    for instance in instances.everything(draw):
        H = instance.H
        _, C, N = H.shape
        aligned = definitions.align(H)
        omega = np.diag(np.append(np.asarray(compiled.omega_of(H)), 0.0))
        printed = aligned.X @ aligned.Y.T / N
        compare = partial(identity, condition=instance.condition * cancelled(H), reason=CENTRED_REASON)
        yield compare("X Y^T/N, against omega", omega, printed, fault=printed * N / (C + 1))
        Z = draw.rng.standard_normal(H.shape)
        means, moved = _means_along(H, Z)
        formula = definitions.stack(Z) @ aligned.Y.T / N
        yield identity("derivative of the class means along Z", moved, formula, fault=formula * N / (C + 1))
        yield identity(
            "class means", means, definitions.statistics_of(H).M, fault=definitions.statistics_of(H).Mbar + 1
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
        exact = definitions.least_loss(definitions.extend(F), aligned.Y)
        with_bias = definitions.least_loss(definitions.extend(aligned.X), aligned.Y)
        turn = np.kron(aligned.V, np.eye(N))
        targets = definitions.simplex(C) @ aligned.Y
        compare = partial(identity, condition=condition(F, 0.0), reason=INVARIANCE_REASON, of="instead")
        rotated, not_rotated = (definitions.least_loss(aligned.X, Y) for Y in (aligned.V.T @ targets @ turn, targets))
        yield compare("loss without bias, targets rotated", rotated, exact, fault=exact + rotated - not_rotated)
        projected = definitions.least_loss(definitions.extend(aligned.X @ turn.T), aligned.Y)
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
