"""The loss and its decomposition, Section 2: Proposition 1, Theorems 1 and 2, Footnote 7 and Equation 4."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from central_path.theory.loss import mse_loss
from central_path.theory.problem import Moments
from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.conditioning import (
    LEAST_SQUARES_REASON,
    condition,
)
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest, refutation
from theory_checks.framework.verdicts import Statement

LAMBDAS = (0.0, 5e-3, 0.5)
SMALL_ERRORS = f"{LEAST_SQUARES_REASON}, over the size of the errors whose squares are compared"


class Data(NamedTuple):
    """Columns F (P, n), [h; 1], labels, one-hot targets Y (C, n), moments, and the statement that they bear on."""

    F: np.ndarray
    F_ext: np.ndarray
    labels: np.ndarray
    Y: np.ndarray
    m: Moments
    of: Statement


def _balanced(H: np.ndarray, of: Statement = "printed") -> Data:
    F, labels = definitions.stack(H), definitions.labels_of(H)
    Y = definitions.one_hot(labels, H.shape[1])
    return Data(F, definitions.extend(F), labels, Y, compiled.moments_of(H), of)


def _data(draw: Draw) -> Iterator[Data]:
    """Balanced classes, as the paper has them, and unbalanced ones, for which its 1/C becomes pi_c."""
    for instance in instances.with_narrow(draw):
        yield _balanced(instance.H)
    for F, labels, C in instances.unbalanced(draw):
        m = compiled.moments_of_samples(F.T, labels, np.zeros(C))
        yield Data(F, definitions.extend(F), labels, definitions.one_hot(labels, C), m, "instead")


def _any_data(draw: Draw) -> Iterator[Data]:
    """The same, and features with a repeated coordinate: there W~_LS is one of many minima."""
    yield from _data(draw)
    for _ in range(draw.repeats):
        yield _balanced(_singular(draw.rng)[0])


def _named(name: str, data: Data) -> str:
    return name if data.of == "printed" else f"{name}, unbalanced classes"


def _singular(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features with a repeated coordinate, a direction that no example sees, and a step of the classifier along it."""
    H = instances.random_features(rng, instances.GENERIC)
    H[-1] = H[0]
    unseen = np.zeros(len(H))
    unseen[0], unseen[-1] = 1 / np.sqrt(2), -1 / np.sqrt(2)
    return H, unseen, np.outer(rng.standard_normal(H.shape[1]), unseen)


def _another_minimum(draw: Draw, name: str) -> Iterator[Finding]:
    """Classifiers away from W~_LS without any L_LS_perp, at lambda = 0; with weight decay they pay for it."""
    for _ in range(draw.repeats):
        H, _, step = _singular(draw.rng)
        m, length = compiled.moments_of(H), float(np.sum(step**2))
        away = []
        for lam in (0.0, 0.1):
            W, b = compiled.least_squares(m, lam=lam)
            away.append(float(compiled.decompose(np.asarray(W) + step, b, m, lam=lam)[2]))
        yield refutation(name, np.sqrt(length) if away[0] < 1e-20 * length else 0.0)
        yield identity(
            "L_LS_perp along the direction that no example sees, lambda > 0",
            away[1],
            0.05 * length,
            fault=away[0],
            of="amended",
        )


@claim(
    "Proposition 1",
    source="Section 2",
    expected="holds as amended",
    statement="For fixed features the classifier that minimises the MSE loss is W~_LS = D M~^T (Sigma~_T + mu~_G "
    "mu~_G^T + lambda I)^(-1), with D = diag(pi), which is I/C for balanced classes as printed.",
    amendment="For lambda > 0, or lambda = 0 and Sigma_T > 0. Otherwise the inverse does not exist, and there are many "
    "minima. For any class sizes, with D in place of the printed I/C.",
    fault="lambda of the objective taken C times too large (the normalisation of a library that averages over "
    "classes); for the gradient, a classifier 1 + 1/C times as large.",
)
def proposition_1(draw: Draw) -> Iterator[Finding]:
    """The formula and the package's classifier against the least squares of the data matrix, and the gradient."""
    for data in _data(draw):
        F, F_ext, labels, Y, m, _ = data
        of: Statement = "amended" if data.of == "printed" else "instead"
        (C, n), s = Y.shape, definitions.statistics(F_ext, labels, len(Y))
        for lam in LAMBDAS[:2] if draw.quick else LAMBDAS:
            exact = definitions.least_squares(F_ext, Y, lam)
            wrong = definitions.least_squares(F_ext, Y, C * lam if lam else 1e-2)
            A = s.Sigma_T + np.outer(s.mu_G, s.mu_G) + lam * np.eye(len(F_ext))
            printed = np.linalg.solve(A, s.M * s.pi[None, :]).T
            W, b = compiled.least_squares(m, lam=lam)
            found = np.column_stack([W, b])
            compare = partial(identity, condition=condition(F, lam), reason=LEAST_SQUARES_REASON, of=of)
            for name, value in (("formula", printed), ("least_squares", found)):
                text = _named(f"{name}, against least squares on the data", data)
                yield compare(text, value, exact, fault=wrong)
            gradient, fault = (
                np.asarray(compiled.mse_gradient(a * found[:, :-1], a * found[:, -1], F.T, labels, lam))
                for a in (1.0, 1 + 1 / C)
            )
            yield compare(
                _named("the gradient of the loss vanishes there", data),
                gradient,
                np.zeros_like(gradient),
                fault=gradient - fault,
                scale=largest(Y @ F_ext.T) / n,
            )
    yield from _another_minimum(draw, "distance between two minima where the inverse does not exist")


@claim(
    "Theorem 1",
    source="Section 2, proof in Appendix B",
    statement="L(W~, H~) = L_LS(H~) + L_LS_perp(W~, H~), where L_LS is the loss of W~_LS and L_LS_perp = 1/2 tr((W~ "
    "- W~_LS)(Sigma~_T + mu~_G mu~_G^T + lambda I)(W~ - W~_LS)^T).",
    assumptions="Any classifier, any class sizes, any lambda >= 0. For lambda = 0 and singular Sigma_T, any minimum of "
    "the loss will do as W~_LS.",
    fault="mu~_G mu~_G^T left out of L_LS_perp; the loss of W~ for that of W~_LS.",
)
def theorem_1(draw: Draw) -> Iterator[Finding]:
    """The loss example by example, against the parts; L_LS_perp against its printed form."""
    for data in _any_data(draw):
        F, F_ext, labels, Y, m, of = data
        W_ext = draw.rng.standard_normal((len(Y), len(F_ext)))
        for lam in LAMBDAS[:2] if draw.quick else LAMBDAS:
            total = definitions.mse(W_ext, F_ext, Y, lam)
            W_LS = definitions.least_squares(F_ext, Y, lam)
            D = W_ext - W_LS
            perp = 0.5 * float(np.sum((D @ F_ext) ** 2)) / F.shape[1] + 0.5 * lam * float(np.sum(D**2))
            at_mean = 0.5 * float(np.sum((D @ np.mean(F_ext, axis=1)) ** 2))
            _, _, found_perp, found_ls, found = compiled.decompose(W_ext[:, :-1], W_ext[:, -1], m, lam=lam)
            direct = compiled.mse_loss(W_ext[:, :-1], W_ext[:, -1], F.T, labels, lam)
            ls = definitions.mse(W_LS, F_ext, Y, lam)
            how = {"condition": condition(F, lam), "reason": LEAST_SQUARES_REASON, "of": of}
            for name, a, b, fault in (
                ("L, against the sum of its parts", found, total, total - at_mean),
                ("L_LS_perp, against its printed form", found_perp, perp, perp - at_mean),
                ("L_LS, against the loss of W_LS", found_ls, ls, total),
            ):
                yield identity(_named(name, data), a, b, fault=fault, **how)
            yield identity(_named("mse_loss, against Equation 3", data), direct, total, fault=total / len(Y), of=of)


@claim(
    "Theorem 2",
    source="Section 2, proof in Appendix C",
    statement="L_LS = L_NC1 + L_NC2/3 with L_NC1 = 1/2 tr(W~_LS (Sigma~_W + lambda I) W~_LS^T) and L_NC2/3 = 1/2 "
    "sum_c pi_c ||W~_LS mu~_c - e_c||^2, which is 1/(2C) ||W~_LS M~ - I||_F^2 for balanced classes as printed.",
    assumptions="Any lambda >= 0, any class sizes with pi_c in place of the printed 1/C. For lambda = 0 and singular "
    "Sigma_T, any minimum of the loss will do as W~_LS.",
    fault="classes weighted equally (1/C) where they are not, and by 1 where they are; L_LS added to L_NC1.",
)
def theorem_2(draw: Draw) -> Iterator[Finding]:
    """Each part by its definition in extended coordinates, and their sum against the loss of W_LS."""
    for data in _any_data(draw):
        F, F_ext, labels, Y, m, of = data
        C, s = len(Y), definitions.statistics(F_ext, labels, len(Y))
        for lam in LAMBDAS[:2] if draw.quick else LAMBDAS:
            W_LS = definitions.least_squares(F_ext, Y, lam)
            nc1 = 0.5 * np.trace(W_LS @ (s.Sigma_W + lam * np.eye(len(F_ext))) @ W_LS.T)
            errors = np.sum((W_LS @ s.M - np.eye(C)) ** 2, axis=0)
            nc23 = 0.5 * float(errors @ s.pi)
            equal = 0.5 * float(np.sum(errors)) / (1 if of == "printed" else C)
            ls = definitions.mse(W_LS, F_ext, Y, lam)
            W, b = compiled.least_squares(m, lam=lam)
            found = compiled.decompose(W, b, m, lam=lam)
            how = {"condition": condition(F, lam), "of": of}
            name = _named("L_NC1, against its definition", data)
            yield identity(name, found[0], nc1, fault=nc1 + ls, reason=LEAST_SQUARES_REASON, **how)
            name = _named("L_NC2/3, against its definition", data)
            size = max(nc23, np.sqrt(nc23))
            yield identity(name, found[1], nc23, fault=equal, scale=size, reason=SMALL_ERRORS, **how)
            name = _named("their sum, against the loss of W_LS", data)
            yield identity(name, nc1 + nc23, ls, fault=ls + nc23 - equal, reason=LEAST_SQUARES_REASON, **how)


@claim(
    "Footnote 7",
    source="Section 2, footnote 7 and the sentence it belongs to",
    expected="holds as amended",
    statement="L_LS_perp is never negative, and zero only when W~ = W~_LS, its middle matrix being positive definite.",
    amendment="The middle matrix is positive definite iff lambda > 0 or Sigma_T > 0; for lambda = 0 and singular "
    "Sigma_T other classifiers have L_LS_perp = 0 too. Where it is, L_LS_perp >= mu/2 ||W~ - W~_LS||^2, mu its least "
    "eigenvalue.",
    fault="twice the least eigenvalue of the middle matrix; weight decay left out.",
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
            least = mu[0] / 2 * float(np.sum(step**2))
            yield identity(
                "L_LS_perp along the flattest direction is mu/2 ||W~ - W~_LS||^2",
                perp,
                least,
                fault=2 * least,
                condition=condition(F, lam),
                reason=LEAST_SQUARES_REASON,
                of="amended",
            )
    yield from _another_minimum(draw, "distance from W_LS of another classifier with L_LS_perp = 0")


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
    fault="a curvature twice as large; the loss without the bias; weight decay left out.",
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
            yield identity(
                "least curvature of L in W~, against the least eigenvalue of the second moment",
                curvature,
                least,
                fault=2 * least,
                scale=largest(second),
                reason="rounding of the largest entry of the second moment",
                of="amended",
            )
            ls = compiled.decompose(W, b, m, lam=lam)[3]
            at = definitions.mse(W_ext, F_ext, Y, lam)
            without = definitions.mse(np.column_stack([W, 0 * b]), F_ext, Y, lam)
            yield identity(
                "L = L_LS at W_LS", ls, at, fault=without, condition=condition(F, lam), reason=LEAST_SQUARES_REASON
            )
    yield from _another_minimum(draw, "distance from the central path of a classifier with L = L_LS")
