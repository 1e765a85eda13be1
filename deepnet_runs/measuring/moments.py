"""Class statistics of features in float64, of any parts of them, merged exactly.

Kept are the class counts, the class means and the pooled scatter about them, S = sum over examples of (h - mu_y)(h -
mu_y)^T. Another part, or another rank's, is merged by

    S <- S + S' + sum_c n_c n'_c/(n_c + n'_c) (mu_c - mu'_c)(mu_c - mu'_c)^T

(Chan, Golub & LeVeque 1983), whose terms are all positive: nothing cancels, however near the features are to collapse.
One P x n by n x P product in all; never an outer product an example, never C x P x P.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.linalg import get_blas_funcs
from scipy.sparse import csr_array
from torch import Tensor
from torch import distributed as dist
from torch.nn.functional import one_hot

FEW = 32  # examples of a class, by whose mean the others are centred
BYTES = 2**24  # of features in float64 at a time: what a cache holds


def _near_means(h: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Means (C, P) of the first few examples of every class: near enough to centre about, whatever the offset."""
    order = np.argsort(labels, kind="stable")
    begin = np.searchsorted(labels[order], np.arange(classes + 1))
    near = np.zeros((classes, h.shape[1]))
    for c, (first, end) in enumerate(pairwise(begin)):
        if end > first:
            near[c] = h[order[first : min(end, first + FEW)]].mean(axis=0, dtype=np.float64)
    return near


def _on_cpu(features: Float[Tensor, "n P"], labels: Int[Tensor, " n"], sums: Tensor, scatter: Tensor) -> None:
    """One pass: class sums, and the scatter about a_c near the class means, of which one half is computed.

    The scatter about the means is S - sum_c n_c (mu_c - a_c)(mu_c - a_c)^T; what is taken away is to what is left about
    as 1 to the examples in a_c. The pass is NumPy's and SciPy's alone: PyTorch's threads, waiting for more to do, would
    take the cores from BLAS.
    """
    n, P = features.shape
    C = len(sums)
    rows = max(1, min(n, BYTES // (8 * P)))
    h, y = features.to(torch.promote_types(features.dtype, torch.float32)).numpy(), labels.numpy()
    near = _near_means(h, y, C)
    E, half, total = np.empty((rows, P)), np.zeros((P, P), order="F"), np.zeros((C, P))
    (syrk,) = get_blas_funcs(("syrk",), (half,))
    for begin in range(0, n, rows):
        part = y[begin : begin + rows]
        e = np.take(near, part, axis=0, out=E[: len(part)])
        np.subtract(h[begin : begin + rows], e, out=e)
        half = syrk(1.0, e.T, beta=1.0, c=half, overwrite_c=1)
        total += csr_array((np.ones(len(part)), part, np.arange(len(part) + 1)), shape=(len(part), C)).T @ e
    counts = np.bincount(y, minlength=C)[:, None]
    off = total / np.sqrt(np.maximum(counts, 1))
    half = syrk(-1.0, off.T, beta=1.0, c=half, overwrite_c=1)
    scatter += torch.from_numpy(np.triu(half) + np.triu(half, 1).T)
    sums += torch.from_numpy(total + counts * near)


def _on_gpu(features: Float[Tensor, "n P"], labels: Int[Tensor, " n"], sums: Tensor, scatter: Tensor) -> None:
    """The same by products alone, whose results are the same every time."""
    rows = max(1, 16 * BYTES // (8 * features.shape[1]))
    parts = list(zip(features.split(rows), labels.split(rows), strict=True))
    for z, y in parts:
        sums.addmm_(one_hot(y, len(sums)).double().T, z.double())
    means = sums / torch.bincount(labels, minlength=len(sums)).clamp(min=1)[:, None]
    for z, y in parts:
        E = z.double() - means[y]
        scatter.addmm_(E.T, E)


@dataclass
class ClassStatistics:
    """Counts (C,), means (C, P) and pooled scatter (P, P), float64, on the features' device."""

    counts: Float[Tensor, " C"]
    means: Float[Tensor, "C P"]
    scatter: Float[Tensor, "P P"]

    @classmethod
    def zeros(cls, classes: int, width: int, device: torch.device) -> "ClassStatistics":
        """Statistics of no examples."""
        like = {"dtype": torch.float64, "device": device}
        return cls(torch.zeros(classes, **like), torch.zeros(classes, width, **like), torch.zeros(width, width, **like))

    @classmethod
    def of(cls, features: Float[Tensor, "n P"], labels: Int[Tensor, " n"], classes: int) -> "ClassStatistics":
        """Statistics of the examples of one pass, computed in chunks of rows."""
        seen = cls.zeros(classes, features.shape[1], features.device)
        if len(labels):
            add = _on_cpu if features.device.type == "cpu" else _on_gpu
            add(features, labels, seen.means, seen.scatter)
        seen.counts += torch.bincount(labels, minlength=classes)
        seen.means /= seen.counts.clamp(min=1)[:, None]
        return seen

    def merge(self, other: "ClassStatistics") -> None:
        """Merge the statistics of other examples."""
        total = self.counts + other.counts
        share = other.counts / total.clamp(min=1)
        difference = other.means - self.means
        weighted = difference * (self.counts * share)[:, None]
        self.scatter += other.scatter + weighted.T @ difference
        self.means += difference * share[:, None]
        self.counts = total

    def merge_ranks(self) -> "ClassStatistics":
        """The statistics of all ranks together, the same on each; merged in the order of the ranks.

        Every example counts as often as ranks have it: of a sampler that repeats some keep `counted_once`.
        """
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

    def arrays(self) -> tuple[Float[np.ndarray, "P C"], Float[np.ndarray, "P P"], Float[np.ndarray, " C"]]:
        """Class means (P, C), Sigma_W (P, P), priors (C,), for `central_path.problem.Moments`.

        A class without examples has the prior 0, and its mean counts nowhere (`statistics` leaves it out).
        """
        counts = self.counts.cpu().numpy()
        n = counts.sum()
        return self.means.T.cpu().numpy(), self.scatter.cpu().numpy() / n, counts / n


def counted_once(indices: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which of this rank's examples to count, so that each index is counted once on all ranks together.

    torch's DistributedSampler repeats examples until every rank has as many; `measure.batches` repeats none.
    """
    first = torch.zeros(len(indices), dtype=torch.bool)
    lower: list[int] = []
    if dist.is_initialized():
        every: list[list[int]] = [[] for _ in range(dist.get_world_size())]
        dist.all_gather_object(every, indices.tolist())
        lower = [index for own in every[: dist.get_rank()] for index in own]
    seen = set(lower)
    for place, index in enumerate(indices.tolist()):
        first[place] = index not in seen
        seen.add(index)
    return first.to(indices.device)
