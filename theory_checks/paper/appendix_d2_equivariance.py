"""The flow in other coordinates: what "without loss of generality" in Appendix D.2 amounts to.

The flow of Equation 5 commutes with X -> Q X (R kron I_N) for orthogonal Q and orthogonal R with R 1 = 1. The V of the
aligned coordinates does not have V 1 = 1. There L_LS is to be read as the function of the singular values that it is,

    L_LS = 1/2 tr (C I + Omega^T Sigma_W^(-1) Omega)^(-1),    Omega = the first C - 1 columns of X Y^T/N,

in which the last column, along 1, takes no part; then the gradient flow of aligned features, with the projection
written for them, is the aligned flow. Aligned features have C rows: the velocity has no part outside the columns of U.

Source: Han, Papyan & Donoho (2022), Appendix D.2; Lemmas 3 to 6 begin with it.
"""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from central_path.flows import AbstractFlow
from theory_checks.framework import compiled, definitions, instances
from theory_checks.framework.paths import (
    EQUATION_5,
    PATH_REASON,
    PATH_TOLERANCE,
    RENORMALIZED,
    follow,
    traced,
    velocity,
)
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest

MOST_LOST = 1e7  # growth of rounding in a velocity, at which eight digits are left
HORIZON = 2.0  # of C^2 N
REASON = "200 eps, times the growth of rounding in the within-class gradient and the spread of omega"


def _loss(X: jax.Array, columns: jax.Array) -> jax.Array:
    """1/2 tr (I C + Omega^T Sigma_W^(-1) Omega)^(-1) for aligned X (C, C, N), Omega = class means times `columns`."""
    C, _, N = X.shape
    M = jnp.mean(X, axis=2)
    E = (X - M[:, :, None]).reshape(C, -1)
    Omega = M @ columns
    inner = C * jnp.eye(Omega.shape[1]) + Omega.T @ jnp.linalg.solve(E @ E.T / (C * N), Omega)
    return 0.5 * jnp.trace(jnp.linalg.inv(inner))


_gradient = jax.jit(jax.grad(_loss))


def _aligned_velocity(X: np.ndarray, flow: AbstractFlow, columns: np.ndarray) -> np.ndarray:
    """-Pi(grad L_LS) of aligned features (C, C, N), stacked, with the class-centring matrix as printed."""
    C = X.shape[1]
    labels, F = definitions.labels_of(X), definitions.stack(X)
    Z = -definitions.stack(np.asarray(_gradient(X, columns)))
    half = F @ definitions.centre_classes(Z, labels, C).T
    S = (half + half.T) / 2
    return Z - S @ (F if flow is RENORMALIZED else definitions.centre_classes(F, labels, C) * F.shape[1])


def _turn(rng: np.random.Generator, C: int) -> np.ndarray:
    """A random orthogonal R (C, C) with R 1 = 1."""
    basis = definitions.svd_of_snr(rng.standard_normal((C, C)))[2]
    inner = np.eye(C)
    inner[:-1, :-1] = np.linalg.qr(rng.standard_normal((C - 1, C - 1)))[0]
    return basis @ inner @ basis.T


@claim(
    "Appendix D.2, without loss of generality",
    source="Appendix D.2, first sentence; used in the proofs of Lemmas 3 to 6",
    statement="Continually renormalized gradient flow can be analysed, without loss of generality, after a change of "
    "basis in both row and column space.",
    assumptions="P > C; L_LS read as a function of the singular values, which take no notice of the mean along 1 (with "
    "the bias instead, aligned features have another loss: see `Appendix D.2, invariance`).",
    fault="the loss of aligned features centred by Phi, as the bias would; a rotation of the classes that moves 1.",
)
def without_loss_of_generality(draw: Draw) -> Iterator[Finding]:
    """Velocities of aligned features by their own loss and projection, against the aligned velocity; turned paths."""
    for instance in instances.ordinary(draw):
        X = np.asarray(compiled.retract(compiled.retract(instance.H)))
        _, C, N = X.shape
        aligned = definitions.align(X)
        spread = (1 + aligned.omega[0] ** 2 / C) * (aligned.omega[0] / aligned.omega[-1]) ** 2
        if spread > MOST_LOST:
            continue
        turn = np.kron(aligned.V, np.eye(N))
        small = aligned.X.reshape(C, C, N)
        U = definitions.svd_of_snr(definitions.statistics_of(instance.H).Mbar)[0]
        for flow in EQUATION_5:
            name, moved = flow.name, definitions.stack(np.asarray(velocity(X, traced(flow))))
            found, fault = (_aligned_velocity(small, flow, A) for A in (np.eye(C)[:, : C - 1], definitions.simplex(C)))
            compare = partial(identity, condition=spread, reason=REASON)
            expected = aligned.U.T @ moved @ turn
            yield compare(f"velocity of aligned features, {name}", found, expected, fault=fault)
            outside, wrong = (moved - A @ (A.T @ moved) for A in (aligned.U, U))
            size = largest(moved)
            yield compare(f"velocity outside the columns of U, {name}", outside, 0 * outside, fault=wrong, scale=size)
    for shape in (instances.GENERIC, instances.TWO_CLASSES, instances.WIDE):
        C, N, P = shape
        for _ in range(draw.repeats):
            X = instances.with_snr(draw.rng, shape, draw.rng.uniform(0.5, 4.0, C - 1))
            Q = np.linalg.qr(draw.rng.standard_normal((P, P)))[0]
            R, V = _turn(draw.rng, C), definitions.align(X).V
            for flow in EQUATION_5:
                ends = [
                    follow(np.einsum("qp,pcn,cd->qdn", A, X, B), flow, t_max=HORIZON * C**2 * N, saves=3).X[-1]
                    for A, B in ((np.eye(P), np.eye(C)), (Q, R), (Q, V))
                ]
                turned, wrong = (np.einsum("qp,pcn,cd->qdn", Q, ends[0], B) for B in (R, V))
                yield identity(
                    f"path of turned features, against the turned path, {flow.name}",
                    ends[1],
                    turned,
                    fault=ends[1] + wrong - ends[2],
                    tolerance=PATH_TOLERANCE,
                    reason=PATH_REASON,
                )
