"""What moves the features on the general central path: a flow, its block kernel, and decays."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from central_path.flows import FLOWS
from central_path.simulation.general.field import Motion


@dataclass(frozen=True)
class BlockKernel:
    """Rates at which class means about the global mean, deviations from class means, and the global mean move."""

    class_means: float = 1.0
    within: float = 1.0
    global_mean: float = 1.0


@dataclass(frozen=True)
class Dynamics:
    """What moves the features: a flow, its kernel, and decays."""

    flow: str = "unnormalized"
    kernel: BlockKernel = BlockKernel()
    lam: float = 0.0
    decay_bias: bool = True
    lam_H: float = 0.0

    def __post_init__(self):
        if self.flow not in FLOWS:
            raise ValueError(f"Need a flow among {', '.join(FLOWS)}, got {self.flow!r}: give one of them.")
        kernel = self.kernel
        numbers = {
            "kernel.within": kernel.within,
            "kernel.global_mean": kernel.global_mean,
            "lam": self.lam,
            "lam_H": self.lam_H,
        }
        for name, value in numbers.items():
            if not 0 <= value < np.inf:
                raise ValueError(f"Need {name} >= 0 and finite, got {value}: a rate or decay is not negative.")
        if not 0 < kernel.class_means < np.inf:
            raise ValueError(f"Need kernel.class_means > 0, got {kernel.class_means}: else no omega moves.")
        if self.lam_H > 0 and self.lam == 0:
            raise ValueError(
                f"Need lam > 0 beside lam_H = {self.lam_H}: without decay of the classifier features decay to 0."
            )

    @property
    def moves(self) -> bool:
        """Whether deviations from class means move."""
        return self.flow == "unnormalized" and self.kernel.within > 0

    @property
    def beta(self) -> float:
        """The number for which Sigma_W + beta Sigma_B is conserved at lam = 0."""
        return self.kernel.within / self.kernel.class_means if self.moves else 0.0

    @property
    def centred(self) -> bool:
        """Whether the global mean changes nothing."""
        return self.lam == 0 or (not self.decay_bias and self.lam_H == 0)

    @property
    def conserves(self) -> bool:
        """Whether Sigma_W + beta Sigma_B stays."""
        return not self.moves or (self.lam == 0 and self.lam_H == 0)

    def motion(self, n: int) -> Motion:
        """As arrays."""
        b = self.kernel.within
        c = np.sqrt(self.lam / (1 + self.lam)) if self.decay_bias else 0.0
        return Motion(
            *map(
                jnp.float64,
                (
                    self.kernel.class_means,
                    self.kernel.global_mean,
                    b if self.moves else 0.0,
                    b if self.flow == "renormalized" else 0.0,
                    self.beta if self.conserves else 0.0,
                    n,
                    self.lam,
                    c,
                    self.lam_H,
                ),
            )
        )
