"""From features to class means to singular values, and what the bias does.

The three levels of `central_path.flows` describe one motion: at features X (Sigma_W = I, or Sigma_T = I for k = 2) the
class means of the features' velocity are the velocity of the class means, the features' Sigma_W is the one that the
class means imply, and the velocity of the singular values, by forward differentiation of the SNR matrix along the
features' velocity, is the rate of the law.

Without the bias the loss on features of mean zero is greater by 1/(2C), and the set of mean zero is unstable: a common
shift m of all features grows at rate m^T Sigma_T^(-1) m/(|m|^2 C^2 N), where m is orthogonal to Sigma_T^(-1) Mbar.

Source: this project (docs/note/note.md).
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.flows import FLOWS, LEVELS, AbstractMotion, basis_of_span
from central_path.theory.loss import central_path_loss
from central_path.theory.problem import class_means, covariance, deviations
from theory_checks.extensions.laws import NOTE, starts
from theory_checks.framework import compiled, definitions, paths
from theory_checks.framework.registry import EPS, Draw, Finding, claim, identity

# per entry of a gradient whose parts cancel to 1/(1 + omega^2/C) of them, twice
LEVELS_REASON = "1000 eps, times 1 + omega^2/C by which the two parts of the gradient cancel"


@jax.jit
def _levels(X: Float[Array, "P C N"], flow: AbstractMotion):
    """Starts and velocities of class means and of omega, and Sigma_W, each by features and by its own level."""
    N = X.shape[2]
    begin = {level: flow.start(X, level) for level in LEVELS}
    basis = basis_of_span(class_means(X))  # in which the level of means counts
    X = begin["features"]
    velocity = {level: flow.field(begin[level], level=level, N=N) for level in LEVELS}
    omega, d_omega = jax.jvp(paths.omega_of, (X,), (velocity["features"],))
    lifted, own = basis @ begin["means"], basis @ velocity["means"]
    means = class_means(X), lifted, class_means(velocity["features"]), own
    Sigma_W = basis.T @ covariance(deviations(X)) @ basis, flow.within_covariance_of_means(begin["means"])
    return (means, (omega, begin["spectrum"], d_omega, velocity["spectrum"])), Sigma_W


@claim(
    "Levels of description",
    source=f"{NOTE}, Theorem 3.1",
    statement="For k = 0, 1, 2 the class means move by themselves, and so does every singular value: the velocity of "
    "the features has the class means and the singular values that the levels `means` and `spectrum` compute.",
    assumptions="Sigma_W = I for k = 0, 1; Sigma_T = I for k = 2.",
    fault="the field or Sigma_W of another flow; a start off by 1 %.",
)
def levels(draw: Draw) -> Iterator[Finding]:
    """The fields at one point, for the three flows."""
    for H in starts(draw):
        X = np.asarray(paths.renormalized(H))
        found = [jax.tree.map(np.asarray, _levels(X, paths.traced(flow))) for flow in FLOWS.values()]
        for k, (levels, (Sigma_W, implied)) in enumerate(found):
            largest_omega = float(np.max(levels[1][0]))
            how = {"tolerance": 1000 * EPS, "reason": LEVELS_REASON, "condition": 1 + largest_omega**2 / X.shape[1]}
            for i, (name, (seen, begin, velocity, own)) in enumerate(zip(("means", "spectrum"), levels, strict=True)):
                other = found[(k + 1) % 3][0][i]
                yield identity(f"start of the features, at level {name}", seen, begin, fault=1.01 * begin, **how)
                yield identity(f"velocity of the features, at level {name}", velocity, own, fault=other[3], **how)
            wrong = found[2 if k < 2 else 0][1][1]
            yield identity("Sigma_W of the features, at level means", Sigma_W, implied, fault=wrong, **how)


def _loss_without_bias(X: Float[Array, "P C N"]) -> Float[Array, ""]:
    """Least over W of 1/2 Ave ||W h - y||^2, by the normal equations of the uncentred features, balanced classes."""
    C = X.shape[1]
    M = class_means(X)
    return 0.5 - 0.5 / C**2 * jnp.sum(M * jnp.linalg.solve(covariance(X), M))


@jax.jit
def _along_common_shift(X: Float[Array, "P C N"], m: Float[Array, " P"]) -> tuple[Float[Array, "P C N"], ...]:
    """Hessians with and without the bias, applied to the common shift m of all features, and their least squares."""
    Z = jnp.broadcast_to(m[:, None, None], X.shape)
    curved = [jax.jvp(jax.grad(loss), (X,), (Z,))[1] for loss in (central_path_loss, _loss_without_bias)]
    return Z, *curved


@claim(
    "Bias",
    source=f"{NOTE}, Proposition 8.1",
    statement="The bias does the centring. Without it the least loss on features of mean zero is greater by 1/(2C), "
    "and a common shift m of all features, orthogonal to the class means, grows at rate 1/(C^2 N) in gradient flow; "
    "with it that direction is flat.",
    assumptions="lambda = 0, balanced classes; for the rate Sigma_W = I (else m^T Sigma_T^(-1) m/(|m|^2 C^2 N), with m "
    "orthogonal to Sigma_T^(-1) Mbar and an eigenvector of Sigma_T).",
    fault="1/(2(C-1)) for the loss, 1/(C N) for the rate, the Hessian without bias for the flat direction.",
)
def bias(draw: Draw) -> Iterator[Finding]:
    """Least squares of the data with and without a row of ones, and Hessians of the loss by autodiff."""
    for H in starts(draw):
        P, C, N = H.shape
        X, with_bias = H - H.mean(axis=(1, 2))[:, None, None], float(compiled.central_path_loss(H))
        F, Y = definitions.stack(X), definitions.one_hot(definitions.labels_of(X), C)
        W = definitions.least_squares(F, Y, 0.0)
        without = definitions.mse(W, F, Y, 0.0)
        condition = float(np.linalg.cond(F) ** 2)
        yield identity(
            "least loss without bias is greater by 1/(2C)",
            without,
            with_bias + 1 / (2 * C),
            fault=with_bias + 1 / (2 * (C - 1)),
            condition=condition,
            reason="200 eps, times the condition of the second moment",
        )
        X = np.asarray(paths.renormalized(H))
        M = X.mean(axis=2)
        U = np.linalg.svd(M)[0][:, : C - 1]
        m = draw.rng.standard_normal(P)
        m -= U @ (U.T @ m)
        Z, flat, curved = (np.asarray(a) for a in _along_common_shift(X, m / np.linalg.norm(m)))
        how = {"condition": 1 + np.linalg.norm(M, 2) ** 2 / C, "reason": "200 eps, times the condition of Sigma_T"}
        yield identity(
            "without bias the Hessian is -1/(C^2 N) along m", curved, -Z / (C**2 * N), fault=-Z / (C * N), **how
        )
        yield identity(
            "with bias it is 0",
            flat,
            np.zeros_like(flat),
            fault=flat - curved,
            scale=np.max(np.abs(Z)) / (C**2 * N),
            **how,
        )
