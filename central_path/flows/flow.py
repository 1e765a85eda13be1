"""What a flow of features on the central path is, and the three levels at which it is described.

    level            state                  what it assumes
    `features`       X (P, C, N)            nothing: autodiff of the loss, then the flow's projection
    `means`          M (P, C)               that Sigma_W is the function of M which the flow keeps
    `spectrum`       omega (C-1,)           also that the singular vectors of the means stay

Each level reproduces the one above, to the error of the solver in omega. (For the `unnormalized` flow, whose means
approach a sphere, an error of the state is 1 + omega^2/C times as large in omega.)

A flow is an object without arrays, so that it may be an argument of a compiled function, where its class is static.
`OneOf` is a flow whose index is traced: one compiled program then runs every flow of the registry.

Source: Han, Papyan & Donoho (2022), Eq. 5, Proposition 4, Lemmas 3 to 5.
"""

import abc
from functools import partial
from typing import Any, ClassVar, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.flows import nearly_diagonal
from central_path.flows.horizon import Horizon
from central_path.names import LEVEL_NAMES
from central_path.theory.kernel_laws import check_kernel
from central_path.theory.law import AbstractLaw
from central_path.theory.loss import central_path_loss
from central_path.theory.problem import (
    Moments,
    class_means,
    contrasts,
    deviations,
    equal_priors,
    snr_singular_values,
)

LEVELS = LEVEL_NAMES
AnyArray = TypeVar("AnyArray", np.ndarray, Array)


class Features(NamedTuple):
    """Features in aligned coordinates: class means B (P, C), the last column sqrt(C) mu_G, and deviations E."""

    B: Float[Array, "P C"]
    E: Float[Array, "P C N"]


def resolvent_times(
    B: Float[Array, "r K"], *, C: int, powers: int, weight: float | Float[Array, ""] = 1.0
) -> Float[Array, "r K"]:
    """(C I + weight B B^T)^(-powers) B, of a large B that is diagonal to rounding without products of matrices."""

    def of_any(B: Array) -> Array:
        factor = jax.scipy.linalg.cho_factor(C * jnp.eye(len(B), dtype=B.dtype) + weight * (B @ B.T), lower=True)
        columns = B
        for _ in range(powers):
            columns = jax.scipy.linalg.cho_solve(factor, columns)
        return columns

    if B.shape[0] != B.shape[1] or len(B) < nearly_diagonal.LARGE:
        return of_any(B)
    to_first_order = partial(nearly_diagonal.resolvent_to_first_order, C=C, powers=powers, weight=weight)
    return jax.lax.cond(nearly_diagonal.is_nearly_diagonal(B), to_first_order, of_any, B)


def basis_of_span(M: Float[Array, "P C"]) -> Float[Array, "P r"]:
    """An orthonormal basis of the r = min(P, C - 1) dimensions that Mbar spans, for means that sum to zero.

    No flow leaves them, and no observable sees a rotation. Of no more than C - 1 dimensions it is the axes.
    """
    P, C = M.shape
    return jnp.eye(P, dtype=M.dtype) if P < C else jnp.linalg.qr(M @ contrasts(C))[0]


class _WithKernel:
    """What every motion has as a field."""

    kernel: Any


class AbstractMotion(_WithKernel, eqx.Module):
    """The array-valued part of a flow, which compiled programs need. Results have the same shapes for every flow.

    `kernel` is b, the mobility of within-class deviations over that of class means; 1 for features that move freely.
    """

    @abc.abstractmethod
    def project(self, X: Float[Array, "P C N"], Z: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
        """The velocity of features X whose negative gradient is Z. Valid off the manifold as well."""

    @abc.abstractmethod
    def project_aligned(self, X: Features, Z: Features, Sigma_W: Float[Array, "P P"]) -> Features:
        """The same in aligned coordinates; Sigma_W is the within-class covariance of X.E, which is centred."""

    @abc.abstractmethod
    def start_features(self, X: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
        """Where the flow starts: renormalized features X (Sigma_W = I), or their image with the same omega."""

    @abc.abstractmethod
    def start_means(self, M: Float[Array, "P C"]) -> Float[Array, "P C"]:
        """The class means of `start_features`, from the class means of X."""

    @abc.abstractmethod
    def start_scale(self, omega: Float[Array, " K"], *, C: int) -> Float[Array, " K"]:
        """The factor of `start_features` along the left singular vectors of the means, by their omega."""

    @abc.abstractmethod
    def conserved(self, m: Moments) -> Float[Array, "P P"]:
        """The covariance that is I all along the flow."""

    @abc.abstractmethod
    def within_covariance_of_means(self, M: Float[Array, "P C"]) -> Float[Array, "P P"]:
        """Sigma_W as the level `means` knows it."""

    @abc.abstractmethod
    def within_variance(self, s: Float[AnyArray, "*many"], *, C: int) -> Float[AnyArray, "*many"]:
        """The eigenvalue of Sigma_W along the direction in which the class means have the singular value s.

        Then omega = s/sqrt(within_variance). NumPy in, NumPy out.
        """

    @abc.abstractmethod
    def contrasts_field(self, B: Float[Array, "r K"], *, C: int, N: int) -> Float[Array, "r K"]:
        """dB/dt of centred class means B, in any orthonormal basis of classes or of their contrasts, in closed form.

        With G = B B^T and K = C I + G.
        """

    @abc.abstractmethod
    def spectrum_field(self, omega: Float[Array, " K"], *, N: int) -> Float[Array, " K"]:
        """d omega/dt by the flow's law, every omega_j by itself (Lemma 5, amended)."""

    @abc.abstractmethod
    def rounding_of_step(self, omega: Float[Array, ""], *, C: int) -> Float[Array, ""]:
        """The relative error of omega that the rounding of the projection leaves after a step, by the least omega."""

    def features_field(self, X: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
        """dX/dt: the negative gradient of L_LS by autodiff, times the kernel, projected as the flow asks.

        Valid off the manifold as well.
        """
        gradient = jax.grad(central_path_loss)(X)
        return self.project(X, -class_means(gradient)[:, :, None] - self.kernel * deviations(gradient))

    def means_field(self, M: Float[Array, "P C"], *, N: int) -> Float[Array, "P C"]:
        """dM/dt from the means alone: `contrasts_field` of Mbar."""
        return self.contrasts_field(M - jnp.mean(M, axis=1, keepdims=True), C=M.shape[1], N=N)

    def field(self, state: Array, *, level: str, N: int) -> Array:
        """The vector field at a level.

        Raises:
            ValueError: for an unknown level.
        """
        if level == "features":
            return self.features_field(state)
        if level == "means":
            return self.means_field(state, N=N)
        if level == "spectrum":
            return self.spectrum_field(state, N=N)
        raise ValueError(f"Need a level among {', '.join(LEVELS)}, got {level!r}.")

    def start(self, X: Float[Array, "P C *N"], level: str) -> Array:
        """State of the level at renormalized features X (Sigma_W = I, global mean 0), or at their class means.

        Raises:
            ValueError: for an unknown level, or for `features` from class means.
        """
        if level not in LEVELS:
            raise ValueError(f"Need a level among {', '.join(LEVELS)}, got {level!r}.")
        if level == "features":
            if X.ndim != 3:
                raise ValueError(f"Need features (P, C, N) for the level features, got an array of shape {X.shape}.")
            return self.start_features(X)
        M = class_means(X) if X.ndim == 3 else X
        M = M if M.shape[0] < M.shape[1] else basis_of_span(M).T @ M
        if level == "means":
            return self.start_means(M)
        return snr_singular_values(M, jnp.eye(M.shape[0], dtype=M.dtype), equal_priors(M.shape[1]))


class AbstractFlow(AbstractMotion):
    """A flow: its motion, its law, how long to integrate it and how accurate it can be."""

    name: ClassVar[str]

    def __check_init__(self):
        if isinstance(self.kernel, (int, float)):
            check_kernel(self.kernel)

    @abc.abstractmethod
    def law(self, C: int, N: int) -> AbstractLaw:
        """The closed form of its singular values, for C balanced classes of N examples."""

    @abc.abstractmethod
    def horizon(self, omega0: Float[np.ndarray, "*starts K"], t_max: float | None = None, *, C: int, N: int) -> Horizon:
        """Default or given horizon of one start or several, and the clock of its integration.

        Raises:
            ValueError: if there is no default horizon.
        """

    @abc.abstractmethod
    def rounding_at_end(self, omega0: Float[np.ndarray, " K"], t_max: float, *, level: str, C: int, N: int) -> float:
        """The relative error of omega at t_max that float64 leaves at a level, beside that of the start."""

    def spectrum_field(self, omega: Float[Array, " K"], *, N: int) -> Float[Array, " K"]:
        """d omega/dt by the flow's law, every omega_j by itself (Lemma 5, amended)."""
        return self.law(len(omega) + 1, N).rate(omega)

    def rounding(self, omega0: Float[np.ndarray, " K"], t_max: float, *, level: str, C: int, N: int) -> float:
        """The relative error of omega that float64 leaves at a level up to t_max.

        At least eps omega_1(0)/omega_{C-1}(0), eps = 2^-52: features that hold omega_1 know the smallest to eps
        omega_1.
        """
        left = float(np.finfo(float).eps) * float(np.max(omega0)) / float(np.min(omega0))
        return max(left, self.rounding_at_end(omega0, t_max, level=level, C=C, N=N))


class AbstractOnManifold(AbstractFlow):
    """A flow that keeps Sigma_W = I, and starts from renormalized features as they are."""

    def start_features(self, X: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
        """X."""
        return X

    def start_means(self, M: Float[Array, "P C"]) -> Float[Array, "P C"]:
        """M."""
        return M

    def start_scale(self, omega: Float[Array, " K"], *, C: int) -> Float[Array, " K"]:
        """1."""
        del C
        return jnp.ones_like(omega)

    def conserved(self, m: Moments) -> Float[Array, "P P"]:
        """Sigma_W."""
        return jnp.asarray(m.Sigma_W)

    def within_covariance_of_means(self, M: Float[Array, "P C"]) -> Float[Array, "P P"]:
        """I."""
        return jnp.eye(M.shape[0], dtype=M.dtype)

    def within_variance(self, s: Float[AnyArray, "*many"], *, C: int) -> Float[AnyArray, "*many"]:
        """1."""
        del C
        return s**0
