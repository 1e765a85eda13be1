"""The SNR matrix and the loss as a function of its singular values: Definitions 2, 5, Lemma 1, Observations 1 to 3."""

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np

from central_path.theory.problem import class_means
from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest, refutation
from theory_checks.paper.decomposition import condition

REASON = (
    "200 eps, times the condition of Sigma_W, and what cancels in the centred class means or in products of features"
)


def _cancelled(H: np.ndarray) -> float:
    """How much larger the features' entries are than what remains of the class means after centring; at least 1."""
    M = H.mean(axis=2)
    return max(1.0, largest(H) / largest(M - M.mean(axis=1, keepdims=True)))


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
    lost = instance.condition * _cancelled(H)
    compare = partial(identity, condition=lost, reason=REASON)
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
        how = {"condition": float(np.linalg.cond(s.Sigma_W)), "reason": REASON, "of": "instead"}
        yield identity("SNR matrix of unbalanced classes", compiled.snr(m), exact, fault=fault, **how)
        by_example, by_class = (np.linalg.svd(A, compute_uv=False)[: sample.C - 1] for A in (exact, fault))
        yield identity("omega of unbalanced classes", compiled.omega(m), by_example, fault=by_class, **how)


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
        how = {"condition": max(instance.condition, condition(definitions.stack(H), 0.0)), "reason": REASON}
        for i, name in enumerate(("L_LS", "L_NC1", "L_NC2/3")):
            for kind, values in (("the formula", printed), ("spectral_losses", found)):
                yield identity(
                    f"{name}: {kind}, against least squares",
                    values[i],
                    exact[i],
                    fault=wrong[i],
                    scale=size[i] * (_cancelled(H) if i == 1 else 1.0),  # the only one that vanishes with omega
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
            condition=instance.condition * _cancelled(H),
            reason=REASON,
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
        compare = partial(identity, condition=instance.condition + largest(aligned.X) ** 2, reason=REASON)
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
        compare = partial(identity, condition=instance.condition, reason=REASON)
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
        compare = partial(identity, condition=instance.condition * _cancelled(H), reason=REASON)
        yield compare("X Y^T/N, against omega", omega, printed, fault=printed * N / (C + 1))
        Z = draw.rng.standard_normal(H.shape)
        means, moved = _means_along(H, Z)
        formula = definitions.stack(Z) @ aligned.Y.T / N
        yield identity("derivative of the class means along Z", moved, formula, fault=formula * N / (C + 1))
        yield identity(
            "class means", means, definitions.statistics_of(H).M, fault=definitions.statistics_of(H).Mbar + 1
        )
