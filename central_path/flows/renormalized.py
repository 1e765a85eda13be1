"""The renormalized flow: -grad L_LS, projected as in Proposition 4.

It is the limit of gradient descent with continual renormalization (Appendix D.1), and keeps Sigma_W = I.
"""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from central_path.flows.flow import AbstractOnManifold, Features, resolvent_times
from central_path.flows.horizon import Horizon, to_collapse
from central_path.theory.kernel_laws import law_of_kernel
from central_path.theory.law import AbstractLaw
from central_path.theory.manifold import normal_matrix, oblique_projection


class Renormalized(AbstractOnManifold):
    """-grad L_LS, projected obliquely: Z - S X."""

    name: ClassVar[str] = "renormalized"
    kernel: float | Float[Array, ""] = 1.0

    def law(self, C: int, N: int) -> AbstractLaw:
        """C^2 N log w + (C N/2) w^2 = a + t for b = 1, Proposition 2 for b = 0; between them that of the kernel."""
        return law_of_kernel(1, self.kernel, C, N)

    def project(self, X: Float[Array, "P C N"], Z: Float[Array, "P C N"]) -> Float[Array, "P C N"]:
        """Z - S X."""
        return oblique_projection(X, Z)

    def project_aligned(self, X: Features, Z: Features, Sigma_W: Float[Array, "P P"]) -> Features:
        """S multiplies the class means and the deviations."""
        S = normal_matrix(Sigma_W, X.E, Z.E)
        return Features(Z.B - S @ X.B, Z.E - jnp.tensordot(S, X.E, axes=1))

    def contrasts_field(self, B: Float[Array, "r K"], *, C: int, N: int) -> Float[Array, "r K"]:
        """The riemannian field K^(-2) B/N plus b G K^(-2) B/(C N), which is Proposition 4's -S M.

        Both are K^(-2) (b K + (1 - b) C I) B/(C N).
        """
        once = resolvent_times(B, C=C, powers=1) / C
        return (self.kernel * once + (1 - self.kernel) * resolvent_times(B, C=C, powers=2)) / N

    def rounding_of_step(self, omega: Float[Array, ""], *, C: int) -> Float[Array, ""]:
        """0: the error stays below the rounding of one operation."""
        del C
        return jnp.zeros_like(omega)

    def horizon(self, omega0: Float[np.ndarray, "*starts K"], t_max: float | None = None, *, C: int, N: int) -> Horizon:
        """Until the largest omega is within 1 % of the smallest."""
        return to_collapse(self.law(C, N), omega0, t_max)

    def rounding_at_end(self, omega0: Float[np.ndarray, " K"], t_max: float, *, level: str, C: int, N: int) -> float:
        """0: no error beside that of the start."""
        del omega0, t_max, level, C, N
        return 0.0
