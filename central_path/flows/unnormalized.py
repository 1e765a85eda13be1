"""The unnormalized flow: -grad L_LS without a projection, from Sigma_T = I; conserves X X^T."""

import math
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.flows.flow import AbstractFlow, AnyArray, Features
from central_path.flows.horizon import Horizon, to_tenfold
from central_path.theory.laws import Law
from central_path.theory.manifold import whiten_total
from central_path.theory.problem import Moments

EPS = float(np.finfo(float).eps)


class Unnormalized(AbstractFlow):
    """-grad L_LS. It keeps Sigma_T = I, so that the class means approach a sphere."""

    name: ClassVar[str] = "unnormalized"

    def law(self, C: int, N: int) -> Law:
        """C^2 N log w = a + t."""
        return Law(2, C, N)

    def project(self, X: Float[Array, "P C N"], Z: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
        """Z."""
        del X
        return Z

    def project_aligned(self, X: Features, Z: Features, Sigma_W: Float[Array, "P P"]) -> Features:
        """Z."""
        del X, Sigma_W
        return Z

    def start_features(self, X: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
        """Sigma_T^(-1/2) X."""
        return whiten_total(X)

    def start_means(self, M: Float[Array, "P C"]) -> Float[Array, "P C"]:
        """Sigma_T^(-1/2) M where Sigma_W = I, so Sigma_T = I + M M^T/C.

        By the singular values of M, with errors of at most some ten times eps max(1, omega_1). An eigendecomposition
        of Sigma_T has errors of the order of eps omega_1^2: it loses the part of M along small singular values.
        """
        U, omega, Vt = jnp.linalg.svd(M, full_matrices=False)
        return (U * (omega * self.start_scale(omega, C=M.shape[1]))[None, :]) @ Vt

    def start_scale(self, omega: Float[Array, " K"], *, C: int) -> Float[Array, " K"]:
        """(1 + omega^2/C)^(-1/2), of Sigma_T(0)^(-1/2)."""
        return 1 / jnp.sqrt(1 + omega**2 / C)

    def conserved(self, m: Moments) -> Float[Array, "P P"]:
        """Sigma_T."""
        return jnp.asarray(m.Sigma_T)

    def within_covariance_of_means(self, M: Float[Array, "P C"]) -> Float[Array, "P P"]:
        """I - Mbar Mbar^T/C, where Sigma_T = I."""
        P, C = M.shape
        Mbar = M - jnp.mean(M, axis=1, keepdims=True)
        return jnp.eye(P, dtype=M.dtype) - Mbar @ Mbar.T / C

    def within_variance(self, s: Float[AnyArray, "*many"], *, C: int) -> Float[AnyArray, "*many"]:
        """1 - s^2/C."""
        return 1 - s**2 / C

    def contrasts_field(self, B: Float[Array, "r K"], *, C: int, N: int) -> Float[Array, "r K"]:
        """(I - G/C) B/(C^2 N), which is -grad_M L_LS/N at Sigma_W = I - G/C, where Sigma_T = I."""
        return (B - B @ B.T @ B / C) / C**2 / N

    def rounding_of_step(self, omega: Float[Array, ""], *, C: int) -> Float[Array, ""]:
        """0: the error stays below the rounding of one operation."""
        del C
        return jnp.zeros_like(omega)

    def horizon(self, omega0: Float[np.ndarray, "*starts K"], t_max: float | None = None, *, C: int, N: int) -> Horizon:
        """Until every omega has grown tenfold, and none beyond 2e4."""
        return to_tenfold(self.law(C, N), omega0, t_max)

    def rounding_at_end(self, omega0: Float[np.ndarray, " K"], t_max: float, *, level: str, C: int, N: int) -> float:
        """eps omega^2/C at `means`, where omega is s/(1 - s^2/C)^(1/2); omega the largest at t_max."""
        if level != "means":
            return 0.0
        growth = min(t_max / (C**2 * N), 300.0)
        return EPS * (float(np.max(omega0)) * math.exp(growth)) ** 2 / C
