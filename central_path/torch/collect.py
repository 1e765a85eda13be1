"""Class statistics of features in float64, of any batches of them on any number of processes, added exactly.

Kept are, about an anchor a_c for every class,

    n_c,    s_c = sum of (h - a_c),    q_c = sum of |h - a_c|^2,    S = sum over all examples of (h - a_y)(h - a_y)^T

which are plain sums: batches, parts and processes are added, at the price of P x P + 2 C P + C numbers in float64 and
C integers, and C enters no product of P x P. The q_c are kept for CDNV, which needs the variance of each class: S has
only their sum. The anchor is the mean of the class in the batch in which it is first seen.
Class means and scatter follow when they are asked for,

    mu_c = a_c + s_c/n_c,    sum of (h - mu_y)(h - mu_y)^T = S - sum_c s_c s_c^T/n_c,
    sum of |h - mu_c|^2 = q_c - |s_c|^2/n_c,

and what is taken away is to what is left about as one example to the class in the first batch: nothing cancels, however
near the features are to collapse. To other anchors a'_c = a_c - d_c the sums are moved exactly,

    s_c' = s_c + n_c d_c,    q_c' = q_c + <2 s_c + n_c d_c, d_c>,
    S' = S + sum_c (s_c d_c^T + d_c s_c^T + n_c d_c d_c^T).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.linalg import get_blas_funcs
from scipy.sparse import csr_array
from torch import Tensor
from torch import distributed as dist

from central_path.metrics.snr import Moments

FEW = 32  # examples of a class, whose mean is its anchor
BYTES = 2**24  # of features in float64 at a time: what a cache holds


def _first_means(h: Float[Tensor, "n P"], y: Int[Tensor, " n"], new: Int[Tensor, " c"]) -> Float[Tensor, "c P"]:
    """Means of the first few examples of classes, each of which has one; of equal examples exactly that example."""
    order = torch.argsort(y, stable=True)
    of = torch.searchsorted(new, y[order]).clamp(max=len(new) - 1)  # the class among the new ones, if it is one
    begin = torch.searchsorted(y[order], new)
    taken = (new[of] == y[order]) & (torch.arange(len(y), device=y.device) < begin[of] + FEW)
    rows, of = order[taken], of[taken]
    means = h[order[begin]].double()
    off = torch.zeros_like(means).index_put_((of,), h[rows].double() - means[of], accumulate=True)
    return means + off / torch.bincount(of)[:, None]


@dataclass
class ClassStatistics:
    """n (C,) as integers, and in float64 anchors and s (C, P), q (C,) and the upper triangle of S (P, P).

    All are on the features' device.
    """

    counts: Int[Tensor, " C"]
    anchors: Float[Tensor, "C P"]
    sums: Float[Tensor, "C P"]
    squares: Float[Tensor, " C"]
    half: Float[Tensor, "P P"]

    @classmethod
    def zeros(cls, classes: int, width: int, device: torch.device) -> "ClassStatistics":
        """Statistics of no examples."""
        like: dict[str, Any] = {"dtype": torch.float64, "device": device}
        counts = torch.zeros(classes, dtype=torch.int64, device=device)
        anchors, sums = (torch.zeros(classes, width, **like) for _ in range(2))
        return cls(counts, anchors, sums, torch.zeros(classes, **like), torch.zeros(width, width, **like))

    @classmethod
    def of(cls, features: Float[Tensor, "n P"], labels: Int[Tensor, " n"], classes: int) -> "ClassStatistics":
        """Statistics of the examples of one pass."""
        seen = cls.zeros(classes, features.shape[1], features.device)
        seen.add(features, labels)
        return seen

    def add(self, features: Float[Tensor, "n P"], labels: Int[Tensor, " n"]) -> None:
        """Add examples with labels 0 to C - 1: one pass over them, in chunks of rows."""
        if not len(labels):
            return
        features, labels = features.detach(), labels.long()
        occurring = torch.bincount(labels, minlength=len(self.counts))
        new = ((occurring > 0) & (self.counts == 0)).nonzero()[:, 0]
        if len(new):
            self.anchors[new] = _first_means(features, labels, new)
        self.counts += occurring
        if features.device.type == "cpu":
            self._add_on_cpu(features, labels)
            return
        for h, y in zip(
            *(x.split(max(1, 16 * BYTES // (8 * features.shape[1]))) for x in (features, labels)), strict=True
        ):
            E = h.double() - self.anchors[y]
            self.sums.index_put_((y,), E, accumulate=True)  # sorted: the same result every time, unlike index_add
            self.squares.index_put_((y,), torch.linalg.vecdot(E, E), accumulate=True)
            self.half.addmm_(E.T, E)

    def _add_on_cpu(self, features: Float[Tensor, "n P"], labels: Int[Tensor, " n"]) -> None:
        """The same with half the products, by BLAS.

        It is NumPy's and SciPy's alone: PyTorch's threads, waiting for more to do, would take the cores from BLAS.
        """
        n, P = features.shape
        rows = max(1, min(n, BYTES // (8 * P)))
        h, y = features.to(torch.promote_types(features.dtype, torch.float32)).numpy(), labels.numpy()
        anchors, sums, squares = self.anchors.numpy(), self.sums.numpy(), self.squares.numpy()
        half = self.half.numpy().T  # in the order of BLAS
        E = np.empty((rows, P))
        (syrk,) = get_blas_funcs(("syrk",), (half,))
        for begin in range(0, n, rows):
            part = y[begin : begin + rows]
            e = np.take(anchors, part, axis=0, out=E[: len(part)])
            np.subtract(h[begin : begin + rows], e, out=e)
            syrk(1.0, e.T, beta=1.0, c=half, overwrite_c=1, lower=1)
            found, own = np.unique(part, return_inverse=True)
            sums[found] += csr_array((np.ones(len(part)), own, np.arange(len(part) + 1))).T @ e
            squares[found] += np.bincount(own, np.einsum("np,np->n", e, e))

    def to(self, device: torch.device) -> "ClassStatistics":
        """The same on another device."""
        return ClassStatistics(*(value.to(device) for value in vars(self).values()))

    def moved(self, anchors: Float[Tensor, "C P"]) -> "ClassStatistics":
        """The same examples' sums about other anchors."""
        d = torch.where(self.counts[:, None] > 0, self.anchors - anchors, 0.0)
        turned = (self.sums + self.counts[:, None] * d / 2).T @ d
        sums = self.sums + self.counts[:, None] * d
        squares = self.squares + torch.linalg.vecdot(self.sums + sums, d)
        return ClassStatistics(self.counts.clone(), anchors, sums, squares, self.half + turned + turned.T)

    def merge(self, other: "ClassStatistics") -> None:
        """Add the statistics of other examples."""
        other = other.to(self.counts.device)
        self.anchors = torch.where(self.counts[:, None] > 0, self.anchors, other.anchors)
        other = other.moved(self.anchors)
        self.counts = self.counts + other.counts
        self.sums, self.squares = self.sums + other.sums, self.squares + other.squares
        self.half = self.half + other.half

    def merge_ranks(self, group: Any = None) -> "ClassStatistics":
        """The statistics of all ranks together, the same on each; about the class means of all.

        Every example counts as often as ranks have it: `once` leaves out what a sampler repeats.
        """
        if not dist.is_initialized():
            return self
        counts, totals = self.counts.clone(), self.sums + self.counts[:, None] * self.anchors
        for value in (counts, totals):
            dist.all_reduce(value, group=group)
        whole = self.moved(totals / counts.clamp(min=1)[:, None])
        for value in (whole.sums, whole.squares, whole.half):
            dist.all_reduce(value, group=group)
        whole.counts = counts
        return whole

    @property
    def means(self) -> Float[Tensor, "C P"]:
        """Class means, 0 where a class has no examples."""
        return self.anchors + self.sums / self.counts.clamp(min=1)[:, None]

    @property
    def variances(self) -> Float[Tensor, " C"]:
        """Mean squared distance of the examples of a class from its mean, 0 where it has none."""
        counts = self.counts.clamp(min=1)
        return (self.squares / counts - (self.sums / counts[:, None]).square().sum(dim=1)).clamp(min=0)

    @property
    def scatter(self) -> Float[Tensor, "P P"]:
        """Pooled scatter about the class means."""
        off = self.sums / self.counts.clamp(min=1).double().sqrt()[:, None]
        return self.half.triu() + self.half.triu(1).T - off.T @ off

    def moments(self) -> Moments:
        """Class means (P, C), Sigma_W (P, P) and priors (C,), as tensors on their device.

        A class without examples has the prior 0, and its mean counts nowhere (who reads them leaves it out).
        """
        n = self.counts.sum()
        return Moments(self.means.T, self.scatter / n, self.counts.double() / n)

    def arrays(self) -> Moments:
        """The same as arrays of NumPy."""
        return Moments(*(value.cpu().numpy() for value in self.moments()))
