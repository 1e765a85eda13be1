"""The riemannian flow: -grad L_LS, projected orthogonally onto {Sigma_W = I} (Equation 5); Proposition 2's law."""

import math
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.flows.flow import AbstractOnManifold, Features, resolvent_times
from central_path.flows.horizon import Horizon, to_collapse
from central_path.theory.laws import Law
from central_path.theory.manifold import normal_matrix, orthogonal_projection

EPS = float(np.finfo(float).eps)
PROJECTED = 1 / 16  # a finer unit costs steps, a coarser one accuracy: the rounding of fewer steps averages out less


class Riemannian(AbstractOnManifold):
    """-grad L_LS, projected orthogonally: Z - S E.

    The projection takes all motion of the deviations away, so that the law is Proposition 2 for every kernel.
    """

    name: ClassVar[str] = "riemannian"
    kernel: float | Float[Array, ""] = 1.0

    def law(self, C: int, N: int) -> Law:
        """C^2 N log w + C N w^2 + (N/4) w^4 = a + t (Proposition 2)."""
        return Law(0, C, N)

    def project(self, X: Float[Array, "P C N"], Z: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
        """Z - S E."""
        return orthogonal_projection(X, Z)

    def project_aligned(self, X: Features, Z: Features, Sigma_W: Float[Array, "P P"]) -> Features:
        """S multiplies the deviations alone."""
        S = normal_matrix(Sigma_W, X.E, Z.E)
        return Features(Z.B, Z.E - jnp.tensordot(S, X.E, axes=1))

    def contrasts_field(self, B: Float[Array, "r K"], *, C: int, N: int) -> Float[Array, "r K"]:
        """K^(-2) B/N, which is -grad_M L_LS/N at Sigma_W = I."""
        return resolvent_times(B, C=C, powers=2) / N

    def rounding_of_step(self, omega: Float[Array, ""], *, C: int) -> Float[Array, ""]:
        """PROJECTED eps b omega^2/C.

        The projection takes the gradient's within-class part G E away, G up to omega^2/(C N (C + omega^2)^2), and eps
        of it remains; over a step of the length of the clock, N (C + omega^2)^2/4, that is eps omega^2/(4 C).
        """
        return PROJECTED * EPS * self.kernel * omega**2 / C

    def horizon(self, omega0: Float[np.ndarray, "*starts K"], t_max: float | None = None, *, C: int, N: int) -> Horizon:
        """Until the largest omega is within 1 % of the smallest."""
        return to_collapse(self.law(C, N), omega0, t_max)

    def rounding_at_end(self, omega0: Float[np.ndarray, " K"], t_max: float, *, level: str, C: int, N: int) -> float:
        """eps b omega^2/(4 C) at `features`, omega the largest at t_max: see `rounding_of_step`.

        d omega^4/dt < 4/N, and nearly that where this error matters.
        """
        if level != "features":
            return 0.0
        return EPS * float(self.kernel) * math.hypot(float(np.max(omega0)) ** 2, 2 * math.sqrt(t_max / N)) / (4 * C)
