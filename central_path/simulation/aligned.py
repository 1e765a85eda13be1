"""Coordinates of the features in which every omega_j keeps its own digits, and the error of a step in them.

Singular values from 1e-4 to 1e4 cannot be followed in the features' own coordinates: there every entry of the class
means is as large as omega_1, so the rounding of the gradient, eps omega_1^2/C of it, hides the velocity of the small
ones, and the solver rejects steps for ever. The flows do not depend on the choice of orthonormal coordinates. So with
the singular vectors of the *starting* class means, M(0) Q = U diag(omega(0)) V^T, kept constant, the state is

    B = U^T M [Q V, 1/sqrt(C)]     (P, C)       class means: C - 1 contrasts, then sqrt(C) times the global mean
    E = U^T (X - M)                (P, C, N)    deviations from the class means

which is all of X: nothing is dropped, and nothing is assumed of how it moves. The field is the gradient by autodiff,
projected, in these coordinates. A flow's `start_scale` multiplies the rows: (1 + b omega_i(0)^2/C)^(-1/2) for a flow
that starts from Sigma_W + b Sigma_B = I.
At the start B is diagonal to rounding; as long as it is nearly so, large and small numbers are not added, and every
omega_j is b_j/e_j, with b_j = |B_jj| and e_j the root mean square of row j of E, both stored with all their digits.
If B did not stay so, the coordinates would be as good as any others.

The error of a step. To first order, d omega_j/omega_j = dB_jj/b_j - de_j/e_j. Entries off the diagonal turn the
singular vectors, by the angle dB_ij/max(b_i, b_j), and change omega in second order only. So the units are

    of B_ij         rtol s + atol min(s, 1),  s = max(b_i, b_j)
    of row i of E   rtol e_i + atol min(e_i, e_i/omega_i)

and no unit is below what rounding leaves, a relative error of

    FINEST                              in general
    FINEST/v                            of omega at the level `means`, where it is b/sqrt(v), v = within_variance(b);
                                        there the units above are multiplied by sqrt(v_i v_j)
    rounding_of_step                    of features, as the flow's projection leaves it
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from central_path.flows import AbstractMotion, Features
from central_path.theory.loss import loss_of_contrasts
from central_path.theory.problem import class_means, contrasts, covariance, deviations

FINEST = 2.0**-53  # the rounding of one operation

State = Any  # Features, or an array: of `means` (C-1, C-1), of `spectrum` (C-1,)


def start(X: Float[Array, "P C *N"], flow: AbstractMotion, level: str) -> tuple[State, Float[Array, "C C"] | None]:
    """The state at renormalized features X, or at their class means, and the orthogonal matrix [Q V, 1/sqrt(C)].

    `features`: B and E; `means`: of B what belongs to an omega, (C-1, C-1); `spectrum`: omega (C-1,) alone, and None.

    Raises:
        ValueError: as `AbstractMotion.start`.
    """
    if level not in ("features", "means") or (level == "features" and X.ndim != 3):
        return flow.start(X, level), None
    M = class_means(X) if X.ndim == 3 else X
    C = M.shape[1]
    whole = level == "features"
    U, omega, Vt = jnp.linalg.svd(M @ contrasts(C), full_matrices=whole)
    R = jnp.concatenate([contrasts(C) @ Vt.T, jnp.full((C, 1), C**-0.5, M.dtype)], axis=1)
    scale = jnp.ones(U.shape[1], M.dtype).at[: C - 1].set(flow.start_scale(omega, C=C))
    rows = (U * scale[None, :]).T
    if not whole:
        return rows @ (M @ R[:, : C - 1]), R
    return Features(rows @ (M @ R), jnp.tensordot(rows, deviations(X), axes=1)), R


def features_field(state: Features, flow: AbstractMotion) -> Features:
    """-grad L_LS by autodiff with respect to all features, times the kernel, projected as the flow asks.

    Valid off the manifold as well.

    The same as `AbstractMotion.features_field`, in these coordinates. Class means are means of N examples, which move
    together: their gradient is N times that of an example.
    """
    B, E = state
    C, N = E.shape[1:]

    def loss(B: Array, E: Array) -> Array:
        return loss_of_contrasts(B[:, : C - 1], covariance(deviations(E)))

    of_B, of_E = jax.grad(loss, argnums=(0, 1))(B, E)
    D = deviations(E)
    return flow.project_aligned(Features(B, D), Features(-of_B / N, -flow.kernel * of_E), covariance(D))


def field(state: State, flow: AbstractMotion, *, level: str, N: int) -> State:
    """The vector field of a flow at a level, in aligned coordinates."""
    if isinstance(state, Features):
        return features_field(state, flow)
    if level == "means":
        return flow.contrasts_field(state, C=state.shape[1] + 1, N=N)
    return flow.spectrum_field(state, N=N)


def _sizes(state: State, flow: AbstractMotion, level: str) -> tuple[Array, Array]:
    """b_i and e_i of every row: omega_i = b_i/e_i, and b_i = 0 where there is no omega."""
    if isinstance(state, Features):
        b = jnp.abs(jnp.diagonal(state.B[:, :-1]))
        return jnp.zeros(len(state.B), b.dtype).at[: len(b)].set(b), jnp.sqrt(jnp.mean(state.E**2, axis=(1, 2)))
    if level == "means":
        b = jnp.abs(jnp.diagonal(state))
        return b, jnp.sqrt(jnp.maximum(flow.within_variance(b, C=len(b) + 1), 0.0))
    return state, jnp.ones_like(state)


def relative_error(
    state: State,
    error: State,
    flow: AbstractMotion,
    rtol: Float[ArrayLike, ""],
    atol: Float[ArrayLike, ""],
    *,
    level: str,
) -> Float[Array, ""]:
    """The error of a step from a state, in the units of this module's page: the step is good below 1."""
    b, e = _sizes(state, flow, level)
    if level == "spectrum":
        return jnp.max(jnp.abs(error) / (rtol * b + atol * jnp.minimum(b, 1.0) + FINEST * b))
    whole = isinstance(state, Features)
    B, of_B = (state.B[:, :-1], error.B[:, :-1]) if whole else (state, error)
    K = B.shape[1]
    s = jnp.maximum(b[:, None], b[None, :K])
    unit = rtol * s + atol * jnp.minimum(s, 1.0)
    if not whole:
        return jnp.max(jnp.abs(of_B) / (unit * e[:, None] * e[None, :] + FINEST * s))
    finest = jnp.maximum(flow.rounding_of_step(jnp.min(b[:K] / e[:K]), C=K + 1), FINEST)
    inside = rtol + atol * jnp.minimum(1.0, e / jnp.where(b > 0, b, e)) + finest
    of_E = jnp.sqrt(jnp.mean(error.E**2, axis=(1, 2))) / (e * inside)
    return jnp.maximum(jnp.max(jnp.abs(of_B) / (unit + finest * s)), jnp.max(of_E))
