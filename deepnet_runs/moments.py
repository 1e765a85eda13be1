"""Class statistics of features in float64, batch after batch, merged exactly.

Kept are the class counts, the class means and the pooled scatter about them, S = sum over examples of (h - mu_y)(h -
mu_y)^T. A batch, or another rank's statistics, is merged by

    S <- S + S' + sum_c n_c n'_c/(n_c + n'_c) (mu_c - mu'_c)(mu_c - mu'_c)^T

(Chan, Golub & LeVeque 1983), whose terms are all positive: nothing cancels, however near the features are to collapse.
One P x n by n x P product a batch; never an outer product an example, never C x P x P.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch import distributed as dist
from torch.nn.functional import one_hot


@dataclass
class ClassStatistics:
    """Counts (C,), means (C, P) and pooled scatter (P, P), float64, on the features' device."""

    counts: Float[Tensor, " C"]
    means: Float[Tensor, "C P"]
    scatter: Float[Tensor, "P P"]

    @classmethod
    def zeros(cls, classes: int, width: int, device: torch.device) -> "ClassStatistics":
        """Of no examples."""
        like = {"dtype": torch.float64, "device": device}
        return cls(torch.zeros(classes, **like), torch.zeros(classes, width, **like), torch.zeros(width, width, **like))

    @classmethod
    def of(cls, features: Float[Tensor, "n P"], labels: Int[Tensor, " n"], classes: int) -> "ClassStatistics":
        """Of one batch."""
        z, members = features.double(), one_hot(labels, classes).double()
        counts = members.sum(dim=0)
        means = members.T @ z / counts.clamp(min=1)[:, None]
        z = z - means[labels]
        return cls(counts, means, z.T @ z)

    def merge(self, other: "ClassStatistics") -> None:
        """Take another's examples in."""
        total = self.counts + other.counts
        share = other.counts / total.clamp(min=1)
        difference = other.means - self.means
        weighted = difference * (self.counts * share)[:, None]
        self.scatter += other.scatter + weighted.T @ difference
        self.means += difference * share[:, None]
        self.counts = total

    def merge_ranks(self) -> "ClassStatistics":
        """The statistics of all ranks together, the same on each; merged in the order of the ranks."""
        if not dist.is_initialized():
            return self
        parts = []
        for value in (self.counts, self.means, self.scatter):
            gathered = [torch.empty_like(value) for _ in range(dist.get_world_size())]
            dist.all_gather(gathered, value)
            parts.append(gathered)
        merged = ClassStatistics(*(values[0] for values in parts))
        for others in zip(*(values[1:] for values in parts), strict=True):
            merged.merge(ClassStatistics(*others))
        return merged

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Class means (P, C), Sigma_W (P, P), priors (C,), for `central_path.problem.Moments`."""
        counts = self.counts.cpu().numpy()
        n = counts.sum()
        return self.means.T.cpu().numpy(), self.scatter.cpu().numpy() / n, counts / n
