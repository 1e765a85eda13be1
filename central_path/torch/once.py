"""Every example once: what a sampler repeats over the processes is left out.

torch's DistributedSampler repeats examples at its end until every rank has as many. So each rank holds its last batch
back until the sums are asked for: by then it is known which examples other ranks have. No rank waits for another
before.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from central_path.torch.ranks import gathered, rank_and_size, summed


class Held(NamedTuple):
    """The last batch of a rank: its examples and their indices in the data set."""

    features: Float[Tensor, "n P"]
    labels: Int[Tensor, " n"]
    indices: Int[Tensor, " n"]

    def only(self, kept: Bool[Tensor, " n"]) -> "Held":
        """Some of the examples."""
        on_device = kept.to(self.features.device)
        return Held(self.features[on_device], self.labels[on_device], self.indices[kept])


def _grown(counted: Bool[Tensor, " L"], length: int) -> Bool[Tensor, " K"]:
    return torch.cat([counted, torch.zeros(max(0, length - len(counted)), dtype=torch.bool)])


def marked(counted: Bool[Tensor, " L"], indices: Int[Tensor, " n"]) -> Bool[Tensor, " K"]:
    """The indices noted as counted: entry i is of example i."""
    counted = _grown(counted, 1 + int(indices.max()) if len(indices) else 0)
    counted[indices] = True
    return counted


def fresh(counted: Bool[Tensor, " L"], indices: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which of a batch's examples have not been counted, nor come earlier in it.

    Raises:
        ValueError: for negative indices.
    """
    if len(indices) and int(indices.min()) < 0:
        raise ValueError(
            f"Need indices of examples, 0 or more, got {int(indices.min())}: give their places in the data."
        )
    order = torch.argsort(indices, stable=True)
    first = torch.ones_like(indices, dtype=torch.bool)
    first[order[1:]] = indices[order[1:]] != indices[order[:-1]]
    return first & ~_grown(counted, 1 + int(indices.max()) if len(indices) else 0)[indices]


def counted_by_none(counted: Bool[Tensor, " L"], held: Held | None, group: Any = None) -> Held | None:
    """What of the batch held back no other rank counts, or holds at a lower rank.

    Raises:
        ValueError: on every rank, if two have counted an example.
    """
    length = max(gathered(len(counted), group))
    times = summed(_grown(counted, length).int(), group)
    if length and int(times.max()) > 1:
        raise ValueError(
            f"Need every example on one process, got example {int(times.argmax())} on {int(times.max())} before their "
            "last batches: give the processes different examples, as DistributedSampler does."
        )
    lower = gathered([] if held is None else held.indices.tolist(), group)[: rank_and_size(group)[0]]
    if held is None:
        return None
    taken = marked(times > 0, torch.tensor([index for of_rank in lower for index in of_rank], dtype=torch.long))
    return held.only(fresh(taken, held.indices))
