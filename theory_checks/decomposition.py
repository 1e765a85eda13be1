"""The loss and its decomposition: Proposition 1, Theorems 1 and 2, Footnote 7 and Equation 4."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from central_path.loss import mse_loss
from theory_checks import compiled, definitions, instances
from theory_checks.registry import Draw, Finding, claim, identity, largest, refutation

LAMBDAS = (0.0, 5e-3, 0.5)
REASON = "200 eps, times the condition of the second moment of [h; 1] plus lambda"


def condition(F: np.ndarray, lam: float) -> float:
    """Of the second moment of [h; 1] plus lambda."""
    F_ext = definitions.extend(F)
    return float(np.linalg.cond(F_ext @ F_ext.T / F.shape[1] + lam * np.eye(len(F_ext))))


def _data(draw: Draw) -> Iterator[tuple[np.ndarray, np.ndarray, int, bool]]:
    """Columns, labels, C, and whether the classes are balanced."""
    for instance in instances.everything(draw):
        H = instance.H
        yield definitions.stack(H), definitions.labels_of(H), H.shape[1], True
    for sample in instances.unbalanced(draw):
        yield sample.F, sample.labels, sample.C, False


def _moments(F: np.ndarray, labels: np.ndarray, C: int, balanced: bool):
    if balanced:
        return compiled.moments_of(F.reshape(len(F), C, -1))
    return compiled.moments_of_samples(F.T, labels, np.zeros(C))


@claim(
    "Proposition 1",
    source="Section 2",
    statement="For fixed features the classifier that minimises the MSE loss is W~_LS = D M~^T (Sigma~_T + mu~_G "
    "mu~_G^T + lambda I)^(-1), with D = diag(pi), which is I/C for balanced classes as printed.",
    assumptions="lambda > 0, or lambda = 0 and Sigma_T > 0. Any class sizes, with D in place of the printed I/C.",
    fault="lambda of the objective taken C times too large (the normalisation of a library that averages over "
    "classes).",
)
def proposition_1(draw: Draw) -> Iterator[Finding]:
    """The formula and the package's classifier against the least squares of the data matrix, and the gradient."""
    for F, labels, C, balanced in _data(draw):
        n = F.shape[1]
        Y, F_ext, m = definitions.one_hot(labels, C), definitions.extend(F), _moments(F, labels, C, balanced)
        s = definitions.statistics(F_ext, labels, C)
        for lam in LAMBDAS[:2] if draw.quick else LAMBDAS:
            exact = definitions.least_squares(F_ext, Y, lam)
            wrong = definitions.least_squares(F_ext, Y, C * lam if lam else 1e-2)
            A = s.Sigma_T + np.outer(s.mu_G, s.mu_G) + lam * np.eye(len(F_ext))
            printed = np.linalg.solve(A, s.M * s.pi[None, :]).T
            W, b = compiled.least_squares(m, lam=lam)
            found = np.column_stack([W, b])
            kwargs: dict[str, Any] = {"condition": condition(F, lam), "reason": REASON}
            yield identity("formula, against least squares on the data", printed, exact, fault=wrong, **kwargs)
            yield identity("least_squares, against the same", found, exact, fault=wrong, **kwargs)
            gradient = compiled.mse_gradient(W, b, F.T, labels, lam)
            size = largest(A) * largest(found) * len(F_ext)
            fault = compiled.mse_gradient(wrong[:, :-1], wrong[:, -1], F.T, labels, lam)
            yield identity(
                "the gradient of the loss vanishes there",
                gradient,
                np.zeros_like(gradient),
                fault=np.asarray(gradient) - fault,
                scale=size + largest(Y @ F_ext.T) / n,
                condition=1.0 if lam else condition(F, lam),
                reason="200 eps of the products that cancel; for lambda = 0 times the condition, for the "
                "pseudo-inverse",
            )


@claim(
    "Theorem 1",
    source="Section 2, proof in Appendix B",
    statement="L(W~, H~) = L_LS(H~) + L_LS_perp(W~, H~), where L_LS is the loss of W~_LS and L_LS_perp = 1/2 tr((W~ "
    "- W~_LS)(Sigma~_T + mu~_G mu~_G^T + lambda I)(W~ - W~_LS)^T).",
    assumptions="Any classifier, any class sizes; lambda > 0, or lambda = 0 and Sigma_T > 0.",
    fault="lambda left out of L_LS_perp.",
)
def theorem_1(draw: Draw) -> Iterator[Finding]:
    """The loss example by example, against the parts; L_LS_perp against its printed form."""
    for F, labels, C, balanced in _data(draw):
        Y, F_ext, m = definitions.one_hot(labels, C), definitions.extend(F), _moments(F, labels, C, balanced)
        W_ext = draw.rng.standard_normal((C, len(F_ext)))
        for lam in LAMBDAS[1:2] if draw.quick else LAMBDAS:
            total = definitions.mse(W_ext, F_ext, Y, lam)
            W_LS = definitions.least_squares(F_ext, Y, lam)
            D = W_ext - W_LS
            decay = 0.5 * lam * float(np.sum(D**2))
            undecayed = 0.5 * float(np.sum((D @ F_ext) ** 2)) / F.shape[1]
            perp = undecayed + decay
            _, _, found_perp, found_ls, found = compiled.decompose(W_ext[:, :-1], W_ext[:, -1], m, lam=lam)
            direct = compiled.mse_loss(W_ext[:, :-1], W_ext[:, -1], F.T, labels, lam)
            kwargs: dict[str, Any] = {"condition": condition(F, lam), "reason": REASON, "scale": total}
            yield identity("L, against the sum of its parts", found, total, fault=total - decay, **kwargs)
            yield identity("L_LS_perp, against its printed form", found_perp, perp, fault=undecayed, **kwargs)
            at_least_squares = definitions.mse(W_LS, F_ext, Y, lam)
            yield identity("L_LS, against the loss of W_LS", found_ls, at_least_squares, fault=total, **kwargs)
            yield identity("mse_loss, against Equation 3", direct, total, fault=total / C, scale=total)


@claim(
    "Theorem 2",
    source="Section 2, proof in Appendix C",
    statement="L_LS = L_NC1 + L_NC2/3 with L_NC1 = 1/2 tr(W~_LS (Sigma~_W + lambda I) W~_LS^T) and L_NC2/3 = 1/2 "
    "sum_c pi_c ||W~_LS mu~_c - e_c||^2, which is 1/(2C) ||W~_LS M~ - I||_F^2 for balanced classes as printed.",
    assumptions="Any class sizes with pi_c in place of the printed 1/C; lambda > 0, or lambda = 0 and Sigma_T > 0.",
    fault="classes weighted equally (1/C) where they are not, and by 1 where they are.",
)
def theorem_2(draw: Draw) -> Iterator[Finding]:
    """Each part by its definition in extended coordinates, and their sum against the loss of W_LS."""
    for F, labels, C, balanced in _data(draw):
        Y, F_ext, m = definitions.one_hot(labels, C), definitions.extend(F), _moments(F, labels, C, balanced)
        s = definitions.statistics(F_ext, labels, C)
        for lam in LAMBDAS[:2] if draw.quick else LAMBDAS:
            W_LS = definitions.least_squares(F_ext, Y, lam)
            nc1 = 0.5 * np.trace(W_LS @ (s.Sigma_W + lam * np.eye(len(F_ext))) @ W_LS.T)
            errors = np.sum((W_LS @ s.M - np.eye(C)) ** 2, axis=0)
            nc23, equal = 0.5 * float(errors @ s.pi), 0.5 * float(np.sum(errors)) / (1 if balanced else C)
            ls = definitions.mse(W_LS, F_ext, Y, lam)
            W, b = compiled.least_squares(m, lam=lam)
            found = compiled.decompose(W, b, m, lam=lam)
            kwargs: dict[str, Any] = {"condition": condition(F, lam), "reason": REASON, "scale": max(ls, nc1, nc23)}
            yield identity("L_NC1, against its definition", found[0], nc1, fault=nc1 + ls, **kwargs)
            yield identity("L_NC2/3, against its definition", found[1], nc23, fault=equal, **kwargs)
            yield identity(
                "their sum, against the loss of W_LS", nc1 + nc23, ls, fault=nc1 + equal - ls + nc23, **kwargs
            )


def _singular(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features with a repeated coordinate, and a direction that no example sees."""
    H = instances.random_features(rng, instances.GENERIC)
    H[-1] = H[0]
    unseen = np.zeros(len(H))
    unseen[0], unseen[-1] = 1 / np.sqrt(2), -1 / np.sqrt(2)
    return H, unseen, np.eye(H.shape[1])[0]


def _other_classifier(rng: np.random.Generator) -> tuple[float, float]:
    """Another classifier on features with singular Sigma_T: its distance from W_LS, and its L_LS_perp."""
    H, unseen, e = _singular(rng)
    m = compiled.moments_of(H)
    W, b = compiled.least_squares(m, lam=0.0)
    other = np.asarray(W) + np.outer(e, unseen)
    parts = compiled.decompose(other, b, m, lam=0.0)
    return largest(other - np.asarray(W)), float(parts[2]) / float(parts[4])


@claim(
    "Footnote 7",
    source="Section 2, footnote 7 and the sentence it belongs to",
    expected="holds as amended",
    statement="L_LS_perp is never negative, and zero only when W~ = W~_LS, its middle matrix being positive definite.",
    amendment="The middle matrix is positive definite iff lambda > 0 or Sigma_T > 0; for lambda = 0 and singular "
    "Sigma_T other classifiers have L_LS_perp = 0 too. Where it is, L_LS_perp >= mu/2 ||W~ - W~_LS||^2, mu its least "
    "eigenvalue.",
    fault="the second eigenvalue of the middle matrix in place of the least.",
)
def footnote_7(draw: Draw) -> Iterator[Finding]:
    """The least curvature, along its own direction; and a classifier off W_LS without any L_LS_perp."""
    for instance in instances.ordinary(draw):
        F, C, m = definitions.stack(instance.H), instance.H.shape[1], compiled.moments_of(instance.H)
        F_ext = definitions.extend(F)
        for lam in (0.0, 0.5):
            mu, U = np.linalg.eigh(F_ext @ F_ext.T / F.shape[1] + lam * np.eye(len(F_ext)))
            step = np.outer(draw.rng.standard_normal(C), U[:, 0])
            W, b = compiled.least_squares(m, lam=lam)
            perp = compiled.decompose(np.asarray(W) + step[:, :-1], np.asarray(b) + step[:, -1], m, lam=lam)[2]
            length = float(np.sum(step**2))
            yield identity(
                "L_LS_perp along the flattest direction is mu/2 ||W~ - W~_LS||^2",
                perp,
                mu[0] / 2 * length,
                fault=mu[1] / 2 * length,
                condition=condition(F, lam),
                reason=REASON,
            )
    distance, perp = _other_classifier(draw.rng)
    yield refutation("distance from W_LS of another classifier with L_LS_perp = 0", distance if perp < 1e-25 else 0.0)


@jax.jit
def _hessian(W_ext, features, labels, lam):
    def loss(flat):
        W = flat.reshape(W_ext.shape)
        return mse_loss(W[:, :-1], W[:, -1], features, labels, lam=lam)

    return jax.hessian(loss)(jnp.ravel(W_ext))


@claim(
    "Equation 4",
    source="Section 2, Equation 4 and the sentence after it",
    expected="holds as amended",
    statement="(W~, H~) lies on the central path if and only if L(W~, H~) = L_LS(H~).",
    amendment="`If` always; `only if` where lambda > 0 or Sigma_T > 0: then L is strictly convex in W~, with W~_LS "
    "its one minimum. For lambda = 0 and singular Sigma_T other classifiers have the same loss.",
    fault="the curvature of the loss without the bias.",
)
def equation_4(draw: Draw) -> Iterator[Finding]:
    """The least curvature of the loss by autodiff, and the loss at W_LS, against the definitions."""
    for _ in range(2 * draw.repeats):
        H = instances.random_features(draw.rng, instances.GENERIC)
        F, labels, C = definitions.stack(H), definitions.labels_of(H), H.shape[1]
        F_ext, Y, m = definitions.extend(F), definitions.one_hot(labels, C), compiled.moments_of(H)
        for lam in (0.0, 0.1):
            second = F_ext @ F_ext.T / F.shape[1] + lam * np.eye(len(F_ext))
            W, b = compiled.least_squares(m, lam=lam)
            W_ext = np.column_stack([W, b])
            curvature = np.linalg.eigvalsh(_hessian(W_ext, F.T, labels, lam))[0]
            least = np.linalg.eigvalsh(second)[0]
            wrong = np.linalg.eigvalsh(second[:-1, :-1])[0]
            yield identity(
                "least curvature of L in W~, against the least eigenvalue of the second moment",
                curvature,
                least,
                fault=wrong,
                scale=largest(second),
            )
            ls = compiled.decompose(W, b, m, lam=lam)[3]
            at = definitions.mse(W_ext, F_ext, Y, lam)
            without = definitions.mse(np.column_stack([W, 0 * b]), F_ext, Y, lam)
            yield identity("L = L_LS at W_LS", ls, at, fault=without, condition=condition(F, lam), reason=REASON)
    distance, perp = _other_classifier(draw.rng)
    yield refutation("distance from the central path of a classifier with L = L_LS", distance if perp < 1e-25 else 0.0)
