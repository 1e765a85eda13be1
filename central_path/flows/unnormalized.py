"""The unnormalized flow: -grad L_LS without a projection, from Sigma_W + b Sigma_B = I, which it conserves.

For features that move freely, b = 1, that is Sigma_T = I, and X X^T is conserved.
"""

import math
from typing import Any, ClassVar, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.flows.flow import AbstractFlow, AnyArray, Features, resolvent_times
from central_path.flows.horizon import Horizon, to_collapse, to_tenfold
from central_path.theory.kernel_laws import law_of_kernel
from central_path.theory.law import AbstractLaw
from central_path.theory.manifold import whiten_by_kernel
from central_path.theory.problem import Moments

EPS = float(np.finfo(float).eps)


class Unnormalized(AbstractFlow):
    """-grad L_LS. It keeps Sigma_W + b Sigma_B = I, so that for b > 0 the class means approach a sphere."""

    name: ClassVar[str] = "unnormalized"
    kernel: float | Float[Array, ""] = 1.0

    def law(self, C: int, N: int) -> AbstractLaw:
        """C^2 N log w = a + t for b = 1, Proposition 2 for b = 0; between them that of the kernel."""
        return law_of_kernel(2, self.kernel, C, N)

    def project(self, X: Float[Array, "P C N"], Z: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
        """Z."""
        del X
        return Z

    def project_aligned(self, X: Features, Z: Features, Sigma_W: Float[Array, "P P"]) -> Features:
        """Z."""
        del X, Sigma_W
        return Z

    def start_features(self, X: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
        """(Sigma_W + b Sigma_B)^(-1/2) X."""
        return whiten_by_kernel(X, self.kernel)

    def start_means(self, M: Float[Array, "P C"]) -> Float[Array, "P C"]:
        """S^(-1/2) M where Sigma_W = I, so that S = Sigma_W + b Sigma_B = I + b M M^T/C.

        By the singular values of M, with errors of at most some ten times eps max(1, omega_1). An eigendecomposition
        of S has errors of the order of eps omega_1^2: it loses the part of M along small singular values.
        """
        U, omega, Vt = jnp.linalg.svd(M, full_matrices=False)
        return (U * (omega * self.start_scale(omega, C=M.shape[1]))[None, :]) @ Vt

    def start_scale(self, omega: Float[Array, " K"], *, C: int) -> Float[Array, " K"]:
        """(1 + b omega^2/C)^(-1/2), of (Sigma_W + b Sigma_B)(0)^(-1/2)."""
        return 1 / jnp.sqrt(1 + self.kernel * omega**2 / C)

    def conserved(self, m: Moments) -> Float[Array, "P P"]:
        """Sigma_W + b Sigma_B."""
        return jnp.asarray(m.Sigma_W + self.kernel * m.Sigma_B)

    def within_covariance_of_means(self, M: Float[Array, "P C"]) -> Float[Array, "P P"]:
        """I - b Mbar Mbar^T/C, where Sigma_W + b Sigma_B = I."""
        P, C = M.shape
        Mbar = M - jnp.mean(M, axis=1, keepdims=True)
        return jnp.eye(P, dtype=M.dtype) - self.kernel * (Mbar @ Mbar.T / C)

    def within_variance(self, s: Float[AnyArray, "*many"], *, C: int) -> Float[AnyArray, "*many"]:
        """1 - b s^2/C."""
        return 1 - cast(Any, self.kernel) * s**2 / C

    def contrasts_field(self, B: Float[Array, "r K"], *, C: int, N: int) -> Float[Array, "r K"]:
        """(I - b G/C) Y/N, Y = (C I + (1-b) G)^(-2) B, which is -grad_M L_LS/N at Sigma_W = I - b G/C."""
        Y = resolvent_times(B, C=C, powers=2, weight=1 - self.kernel)
        return (Y - self.kernel * (B @ (B.T @ Y) / C)) / N

    def rounding_of_step(self, omega: Float[Array, ""], *, C: int) -> Float[Array, ""]:
        """0: the error stays below the rounding of one operation."""
        del C
        return jnp.zeros_like(omega)

    def horizon(self, omega0: Float[np.ndarray, "*starts K"], t_max: float | None = None, *, C: int, N: int) -> Horizon:
        """Until every omega has grown tenfold, and none beyond 2e4; for b = 0 as the other flows, whose law it has."""
        law = self.law(C, N)
        return (to_collapse if law.is_power_law else to_tenfold)(law, omega0, t_max)

    def rounding_at_end(self, omega0: Float[np.ndarray, " K"], t_max: float, *, level: str, C: int, N: int) -> float:
        """eps b omega^2/C at `means`, where omega is s/(1 - b s^2/C)^(1/2); omega the largest at t_max."""
        if level != "means" or self.kernel == 0:
            return 0.0
        growth = min(float(self.law(C, N).growth(t_max, float(np.max(omega0)))), 300.0)
        return EPS * float(self.kernel) * (float(np.max(omega0)) * math.exp(growth)) ** 2 / C
