"""Arrays over examples in three orthogonal parts: the global mean, class means about it, deviations from class means.

    X = 1 x_G^T + (X_M - 1 x_G^T) + X_E,        X (n, P), X_M the class mean of each example

Class sizes may differ; the global mean is the mean of the examples, so the parts are orthogonal for any sizes.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Parts(NamedTuple):
    """The three parts, each (n, P); they sum to the array."""

    overall: Float[Tensor, "n P"]
    means: Float[Tensor, "n P"]
    within: Float[Tensor, "n P"]


class Classes:
    """The classes of n examples.

    Arguments:
        labels: (n,) the class of each example, 0 to C - 1; every class has an example.
    """

    def __init__(self, labels: Int[Tensor, " n"]):
        self.labels = labels
        self.counts = torch.bincount(labels)
        self.n, self.C = len(labels), len(self.counts)

    def average(self, X: Float[Tensor, "n P"]) -> Float[Tensor, "C P"]:
        """Class means of the rows."""
        sums = X.new_zeros(self.C, X.shape[1]).index_add_(0, self.labels, X)
        return sums / self.counts[:, None].to(X)

    def parts(self, X: Float[Tensor, "n P"]) -> Parts:
        """The three parts of an array."""
        overall = X.mean(dim=0, keepdim=True).expand_as(X)
        of_class = self.average(X)[self.labels]
        return Parts(overall, of_class - overall, X - of_class)

    @property
    def ranks(self) -> tuple[int, int, int]:
        """Dimensions of the three parts of a vector over the examples."""
        return 1, self.C - 1, self.n - self.C
