"""Class statistics of features in float64, of any parts of them, merged exactly.

Kept are the class counts, the class means and the pooled scatter about them, S = sum over examples of (h - mu_y)(h -
mu_y)^T. Another part, or another rank's, is merged by

    S <- S + S' + sum_c n_c n'_c/(n_c + n'_c) (mu_c - mu'_c)(mu_c - mu'_c)^T

(Chan, Golub & LeVeque 1983), whose terms are all positive: nothing cancels, however near the features are to collapse.
One P x n by n x P product in all; never an outer product an example, never C x P x P.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch import distributed as dist
from torch.nn.functional import one_hot

ROWS = 8192  # in float64 at a time


def _add_by_class(sums: Float[Tensor, "C P"], z: Float[Tensor, "n P"], y: Int[Tensor, " n"]) -> None:
    """Add each row to the sum of its class: on the CPU one by one, else by a product, which is the same every time."""
    if z.device.type == "cpu":
        sums.index_add_(0, y, z)
    else:
        sums.addmm_(one_hot(y, len(sums)).double().T, z)


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
        """Of the examples of one pass: their means first, then the scatter about them, some rows at a time."""
        seen = cls.zeros(classes, features.shape[1], features.device)
        seen.counts += torch.bincount(labels, minlength=classes)
        parts = list(zip(features.split(ROWS), labels.split(ROWS), strict=True)) if len(labels) else []
        for z, y in parts:
            _add_by_class(seen.means, z.double(), y)
        seen.means /= seen.counts.clamp(min=1)[:, None]
        for z, y in parts:
            E = z.double() - seen.means[y]
            seen.scatter.addmm_(E.T, E)
        return seen

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
