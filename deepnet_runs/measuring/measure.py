"""One measurement: one forward pass over the training set, one over the test set, then a `Report` of each.

Before it BatchNorm's running statistics are estimated anew from the training set. The features of a pass are kept, in
the precision in which the network gives them, for the nearest-class-center rule, which needs the final class means, and
for the features file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch import distributed as dist
from torch.nn.functional import one_hot

from central_path.torch import batchnorm, ranks
from central_path.torch.collect import ClassStatistics
from central_path.torch.nearest import nearest_center
from central_path.torch.precision import name_of
from central_path.torch.quantities import NAMES, numbers_of
from central_path.torch.report import Report
from deepnet_runs.datasets.data import Batch, DataSet, Images
from deepnet_runs.measuring.statistics import rescaled_parts
from deepnet_runs.networks import Network
from deepnet_runs.storage.row import FURTHER, NetworkMeasurement


def rank_and_size() -> tuple[int, int]:
    """Rank of this process, and the number of processes of the run."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def shares(n: int, size: int) -> list[range]:
    """Places of n images for this rank, in order, in batches of at most `size` whose sizes differ by at most one."""
    rank, world = rank_and_size()
    parts = -(-n // size)
    return [range(begin + rank, end, world) for begin, end in pairwise(n * i // parts for i in range(parts + 1))]


def batches(images: Images, size: int) -> Iterator[Batch]:
    """The `shares` of a set for this rank."""
    for share in shares(len(images), size):
        yield images.batch(slice(share.start, share.stop, share.step))


@dataclass
class Pass:
    """Features and decisions of a forward pass on this rank, with the statistics of all ranks."""

    features: Float[Tensor, "n P"]
    decisions: Int[Tensor, " n"]
    labels: Int[Tensor, " n"]
    statistics: ClassStatistics
    squared_error: float  # sum over all ranks' examples of `squared_error`, in float64

    @property
    def error(self) -> float:
        """Share of all ranks' examples whose label is not the network's decision."""
        return _share(self.decisions != self.labels)

    def gathered(self) -> tuple[Float[np.ndarray, "n P"], Int[np.ndarray, " n"]]:
        """Features and labels of all ranks, on the first of them, which the others send theirs; on these their own."""
        rank, world = rank_and_size()
        sizes = [torch.zeros(1, dtype=torch.int64, device=self.labels.device) for _ in range(world)]
        if world > 1:
            dist.all_gather(sizes, sizes[0].new_tensor([len(self.labels)]))
        parts = [(self.features, self.labels)]
        for other in range(1, world):
            if rank == other:
                for own in parts[0]:
                    dist.send(own.contiguous(), dst=0)
            elif rank == 0:
                n = int(sizes[other])
                parts.append((self.features.new_empty(n, self.features.shape[1]), self.labels.new_empty(n)))
                for sent in parts[-1]:
                    dist.recv(sent, src=other)
        features, labels = (torch.cat([own.cpu() for own in kind]).numpy() for kind in zip(*parts, strict=True))
        return features, labels

    def ncc_mismatch(self, statistics: ClassStatistics) -> float:
        """Share of the examples where the network and the nearest mean of the classes with examples disagree."""
        present = statistics.counts.nonzero()[:, 0]
        return _share(present[nearest_center(self.features, statistics.means[present])] != self.decisions)

    def class_covariances(self) -> Iterator[np.ndarray]:
        """Sigma_1, ..., Sigma_C of all ranks' examples in float64, one at a time."""
        for j, mean in enumerate(self.statistics.means):
            E = self.features[self.labels == j].double() - mean
            scatter = E.T @ E
            if dist.is_initialized():
                dist.all_reduce(scatter)
            yield (scatter / self.statistics.counts[j].clamp(min=1)).cpu().numpy()


def _share(wrong: Tensor) -> float:
    totals = torch.tensor([float(wrong.sum()), float(len(wrong))], dtype=torch.float64, device=wrong.device)
    if dist.is_initialized():
        dist.all_reduce(totals)
    return float(totals[0] / totals[1])


def squared_error(outputs: Float[Tensor, "n C"], labels: Int[Tensor, " n"], k: float, M: float) -> Float[Tensor, ""]:
    """Sum over examples and classes of v (w h + b - M y)^2, v = k for the true class, else 1."""
    y = one_hot(labels, outputs.shape[1]).to(outputs.dtype)
    squares = (outputs - M * y).square()
    return (squares if k == 1 else squares * (1 + (k - 1) * y)).sum()


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """The network in full float32 and in the memory format that is fastest in forward passes; restored afterwards.

    On CUDA convolutions otherwise round their inputs to 10 bits (TF32), which bounds NC1 from below. On the CPU their
    weights are in channels_last meanwhile.
    """
    weights = [(p, p.data) for p in network.parameters() if p.ndim == 4 and p.device.type == "cpu"]
    training, tf32 = network.training, torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = False
        for parameter, data in weights:
            parameter.data = data.contiguous(memory_format=torch.channels_last)
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
        for parameter, data in weights:
            parameter.data = data
        network.train(training)


@torch.no_grad()
def forward_pass(
    network: Network, images: Images, *, batch_size: int, classes: int, k: float = 1.0, M: float = 1.0
) -> Pass:
    """Evaluate the network on a set, in batches; k and M are of the rescaled loss."""
    share = sum(map(len, shares(len(images), batch_size)))
    features = torch.empty(0, network.head.in_features, device=network.head.weight.device)
    decisions, labels, seen = [], [], 0
    W, b = network.head.weight.double(), network.head.bias.double()
    error = torch.zeros((), dtype=torch.float64, device=W.device)
    for batch in batches(images, batch_size):
        if not len(batch.y):
            continue
        h, outputs = network(batch.x)
        error += squared_error(h.double() @ W.T + b, batch.y, k, M)
        if not seen:
            features = h.new_empty(share, h.shape[1])  # at once: joined batches would take twice the room
        features[seen : seen + len(h)] = h
        seen += len(h)
        decisions.append(outputs.argmax(dim=1))
        labels.append(batch.y)
    if dist.is_initialized():
        dist.all_reduce(error)
    whole = features, torch.cat(decisions), torch.cat(labels)
    return Pass(*whole, ClassStatistics.of(whole[0], whole[2], classes).merge_ranks(), float(error))


def measure(
    network: Network,
    data: DataSet,
    *,
    lam: float,
    batch_size: int,
    fresh_batchnorm: bool,
    k: float = 1.0,
    M: float = 1.0,
) -> tuple[NetworkMeasurement, Pass]:
    """What the network gives, and the pass over the training set; k and M are of the rescaled loss."""
    # The passes over the images, in the order in which batch normalization needs them.
    with evaluating(network):
        if fresh_batchnorm:
            batchnorm.estimate(network, (batch.x for batch in batches(data.train, batch_size)))
        else:
            batchnorm.average_over_ranks(network)
        network.eval()
        train, test = (
            forward_pass(network, part, batch_size=batch_size, classes=data.classes, k=k, M=M) for part in data[:2]
        )
    W, b = (parameter.detach().double() for parameter in (network.head.weight, network.head.bias))
    state = "re-estimated" if fresh_batchnorm else "running"
    of_train = _report(train, W, b, lam, train.ncc_mismatch(train.statistics), whole=True, batchnorm=state)
    of_test = _report(test, W, b, lam, test.ncc_mismatch(train.statistics), whole=False, batchnorm=state)
    found = of_train.row(0, test=of_test)
    del found["epoch"]
    data_loss = 0.5 * train.squared_error / len(data.train.y)  # example by example, not the sum of the parts
    found["loss"] = data_loss + 0.5 * lam * float(W.square().sum() + b.square().sum())
    if (k, M) != (1, 1):
        found |= rescaled_parts(W, b, train.statistics.arrays(), train.class_covariances(), k=k, M=M, lam=lam)
    further = {key: found.pop(key) for key in FURTHER}
    return NetworkMeasurement(**found, further=further), train


def _report(
    seen: Pass,
    W: Float[Tensor, "C P"],
    b: Float[Tensor, " C"],
    lam: float,
    ncc_mismatch: float,
    *,
    whole: bool,
    batchnorm: str,
) -> Report:
    """The report of a pass, which rank 0 computes for all; a whole one with omega and the parts of the loss."""
    precision, about = name_of(seen.features.dtype), {"omega": whole, "losses": whole, "batchnorm": batchnorm}
    numbers = ranks.computed_by_first(
        lambda: numbers_of(seen.statistics, W, b, lam, C=len(W), precision=precision, **about)
    )
    numbers[NAMES["ncc_mismatch"]] = ncc_mismatch
    means, counts = seen.statistics.means.cpu(), seen.statistics.counts.double().cpu()
    return Report(numbers, seen.error, lam, means, counts, W.cpu(), b.cpu(), 0.0)
