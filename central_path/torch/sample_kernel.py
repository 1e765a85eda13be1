"""The kernel of the examples K = tr_P Theta / P (n, n), from random changes of the parameters.

For a Gaussian v with unit covariance, u = J v (n, P) has the covariance Theta: one Jacobian-vector product is one draw.

    K        = E u u^T / P             the kernel of the examples: Theta averaged over the feature directions
    A        = E u^T u / n  (P, P)     the kernel of the feature directions: Theta averaged over the examples
    isotropy = (tr A)^2 / (P tr A^2)   1 if all directions of feature space move alike, 1/P if one moves alone

If Theta = K (x) I_P then K says everything of Theta, and isotropy is 1. Only products with K are formed.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from central_path.torch.class_parts import Classes
from central_path.torch.traces import Estimate, mean_of


@dataclass(frozen=True)
class SampleKernel:
    """Draws of J v, and what follows from them.

    Attributes:
        draws: (m, n, P).
        classes: of the examples.
    """

    draws: Float[Tensor, "m n P"]
    classes: Classes

    def apply(self, G: Float[Tensor, "n P"], leave_out: int | None = None) -> Float[Tensor, "n P"]:
        """K G, of all draws or of all but one."""
        m, _, P = self.draws.shape
        kept = [u for i, u in enumerate(self.draws) if i != leave_out]
        return torch.stack([u @ (u.T @ G) for u in kept]).sum(dim=0) / (P * (m if leave_out is None else m - 1))

    def class_means(self) -> tuple[Float[Tensor, "C C"], Float[Tensor, "C C"]]:
        """K between class means, Ave_(i in c, j in c') K_ij, and its standard errors."""
        each = torch.stack([(M := self.classes.average(u)) @ M.T / u.shape[1] for u in self.draws])
        return each.mean(dim=0), each.std(dim=0) / len(each) ** 0.5

    def within(self) -> Estimate:
        """Mean eigenvalue of K on the deviations from class means."""
        rank = self.classes.n - self.classes.C
        if rank == 0:
            return Estimate(0.0, 0.0)
        squares = [float(self.classes.parts(u).within.square().sum()) / (rank * u.shape[1]) for u in self.draws]
        return mean_of(squares)

    def isotropy(self) -> Estimate:
        """(tr A)^2/(P tr A^2), from products of different draws; the error is the jackknife's.

        Raises:
            ValueError: with fewer than 3 draws.
        """
        m, _, P = self.draws.shape
        if m < 3:
            raise ValueError(f"Need at least 3 draws for the isotropy, got {m}: give more.")
        each = torch.stack([u.T @ u for u in self.draws]).reshape(m, -1)
        products = each @ each.T  # <A_v, A_w>
        traces = torch.stack([u.square().sum() for u in self.draws])
        squares = torch.outer(traces, traces)

        def ratio(kept: Tensor) -> float:
            def off_diagonal(X: Tensor) -> Tensor:
                part = X[kept][:, kept]
                return part.sum() - part.diagonal().sum()

            return float(off_diagonal(squares) / off_diagonal(products)) / P

        everyone = torch.arange(m)
        left = torch.tensor([ratio(everyone[everyone != i]) for i in range(m)])
        return Estimate(ratio(everyone), float(((m - 1) / m * (left - left.mean()).square().sum()).sqrt()))
