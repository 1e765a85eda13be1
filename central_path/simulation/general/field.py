"""How class means and the within-class covariance move by themselves: the level `moments`.

The features of n examples move by their negative gradient, split into the global mean (at the rate g), the class means
about it (a) and the deviations from the class means (b), and projected as the flow asks. In the coordinates of
`general_loss`, with G = (1/n) V T V^T + lambda_H I, the matrix that moves deviations from the left, E' = -b G E,

    unnormalized    B' = Z                 F' = -b G F          Sigma_W = F F^T
    riemannian      B' = Z                 F' = 0
    renormalized    B' = Z + b G B         F' = 0
                    Z  = [(1/n) V T K^(-1) J - lambda_H B] diag(a, ..., a, g)

because both projections take S = -b G from the velocity: of the deviations, or of all features. lambda_H is a decay of
the features, lambda_H/2 |h|^2 an example, 0 unless asked for. The state is

    B, and F     where the deviations move and lambda > 0: P C + P r numbers, r the rank of Sigma_W
    B alone      otherwise. A = Sigma_W + lambda I is constant, or, for `unnormalized` at lambda = 0, the matrix
                 Sigma_W + (b/a) Sigma_B is: the gradient is orthogonal to H -> (I + X) H. In the basis of its
                 eigenvectors nothing is factorised but C x C matrices.

Source: Han, Papyan & Donoho (2022), Equation 5; the closed state for any priors, decay and kernel is derived here.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from central_path.theory.general_loss import Classes, Response, respond, targets, weighted


class Motion(NamedTuple):
    """Rates and decays: of the kernel a, b, g, of the projection, the decays, the number of examples.

    `moving` is b for a flow whose deviations move, else 0; `oblique` is b for the flow with the oblique projection,
    else 0; `beta` is b/a where the constant matrix holds b/a Sigma_B, else 0.
    """

    a: Float[Array, ""]
    g: Float[Array, ""]
    moving: Float[Array, ""]
    oblique: Float[Array, ""]
    beta: Float[Array, ""]
    n: Float[Array, ""]
    lam: Float[Array, ""]
    c: Float[Array, ""]
    lam_H: Float[Array, ""]


class State(NamedTuple):
    """Class means B (P, C) in the coordinates of classes, and a factor F (P, r) of Sigma_W where it moves."""

    B: Float[Array, "P C"]
    F: Float[Array, "P r"] | None


class Setting(NamedTuple):
    """What stays: the classes, the rates, and the eigenvalues of the constant matrix (lambda included) or None."""

    classes: Classes
    motion: Motion
    constant: Float[Array, " P"] | None


def response_of(state: State, setting: Setting) -> Response:
    """The classifier's response to a state."""
    B, motion = weighted(state.B, setting.motion.c), setting.motion
    if setting.constant is not None:
        return Response.of(B, B / setting.constant[:, None], 1 - motion.beta)
    assert state.F is not None
    return respond(B, state.F @ state.F.T + motion.lam * jnp.eye(len(B), dtype=B.dtype))


def columns(A: Float[Array, "R C"], contrasts: Float[Array, ""], mean: Float[Array, ""]) -> Float[Array, "R C"]:
    """The columns of contrasts and that of the global mean, each times its number."""
    return (contrasts * A).at[:, -1].set(mean * A[:, -1])


def field(state: State, setting: Setting) -> State:
    """The velocity of the moments."""
    motion = setting.motion
    response, T = response_of(state, setting), targets(setting.classes, motion.c)
    outputs = response.X.at[:, -1].set(response.Y.T @ state.B[:, -1])  # Y^T B
    inner = columns(weighted(response.unshrunk_K_inverse, motion.c), motion.a, motion.g) + motion.oblique * outputs
    decay = motion.lam_H * (motion.oblique * state.B - columns(state.B, motion.a, motion.g))
    if state.F is None:
        return State(response.Y @ response.shrink(T @ response.shrink(inner)) / motion.n + decay, None)
    # V T V^T = Y R Y^T with the C x C matrix R: both velocities are Y times R times something
    R = response.shrink(response.shrink(T).T)
    beside = jnp.concatenate([inner, -motion.moving * (response.Y.T @ state.F)], axis=1)
    of_B, of_F = jnp.split(response.Y @ (R @ beside) / motion.n, [beside.shape[0]], axis=1)
    return State(of_B + decay, of_F - motion.moving * motion.lam_H * state.F)


def within_covariance(state: State, setting: Setting) -> Float[Array, "P P"]:
    """Sigma_W of a state."""
    if state.F is not None:
        return state.F @ state.F.T
    assert setting.constant is not None
    contrasts = state.B[:, :-1]
    return jnp.diag(setting.constant - setting.motion.lam) - setting.motion.beta * (contrasts @ contrasts.T)
