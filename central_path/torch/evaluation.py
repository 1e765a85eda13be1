"""`evaluate`: a network and a loader in, a `Report` out.

    report = evaluate(model, loader, num_classes=10, lam=5e-4)
    report["nc1"], report.numbers.omega, report.certificate.floors

One forward pass over the loader gives everything but the nearest-class-center rule, which needs the final class means:
they take a second pass, or the features of the first if these are kept. With several processes every one evaluates its
part of the loader, and all have the report of the whole; what a DistributedSampler repeats counts once.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from central_path.torch import batchnorm, loading
from central_path.torch.layers import Separation
from central_path.torch.loading import Batches, Split
from central_path.torch.nearest import nearest_center
from central_path.torch.neural_collapse import NeuralCollapse
from central_path.torch.precision import eps_of
from central_path.torch.quantities import NAMES
from central_path.torch.ranks import full, summed
from central_path.torch.report import Report
from central_path.torch.watching import watch


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The network in evaluation, in float32 without TF32, which would bound NC1 from below; restored afterwards."""
    training, tf32 = {part: part.training for part in model.modules()}, torch.backends.cudnn.allow_tf32
    model.eval()
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
        for part, was in training.items():
            part.training = was


class Seen(NamedTuple):
    """What counts of a batch: features, class numbers, the network's decisions, and outputs (n, P) of layers."""

    features: Float[Tensor, "n P"]
    targets: Int[Tensor, " n"]
    decisions: Int[Tensor, " n"]
    layers: dict[str, Tensor]


def _pass(model: nn.Module, batches: Batches, tap: watch, metric: NeuralCollapse, what: str) -> Iterator[Seen]:
    rows = slice(None) if metric.classes is None else metric.classes
    for inputs, targets in batches.read(what):
        loading.called(model, inputs)
        h, y, kept = metric.select(tap.features, targets)
        outputs = tap.outputs.reshape(len(kept), -1).to(h.device)
        metric.precision = max(metric.precision or "float64", tap.precision, key=eps_of)
        counted = slice(None) if len(y) == len(kept) else kept
        layers = {name: output.reshape(len(kept), -1).to(h.device)[counted] for name, output in tap.layers.items()}
        yield Seen(h, y, outputs[counted][:, rows].argmax(dim=1), layers)


def _mismatches(seen: Iterable[Seen], means: Float[Tensor, "C P"], present: Int[Tensor, " c"]) -> int:
    """How many examples the network and the nearest mean of a class with examples decide differently."""
    found = 0
    for batch in seen:
        centers = means[present].to(batch.features.device)
        nearest = present.to(batch.features.device)[nearest_center(batch.features, centers)]
        found += int((nearest != batch.decisions).sum())
    return found


def _of_mixed_classes(read: Iterable[tuple[Any, Tensor]]) -> Iterator[Any]:
    """The inputs of batches, whose classes must be mixed: statistics of batches of a class are not those of the set."""
    found, sizes, classes = 0, [], torch.zeros(0, dtype=torch.long)
    for inputs, targets in read:
        if not targets.is_floating_point():
            y = targets.flatten().cpu()
            found, classes = found + len(y.unique()), torch.cat([classes, y])
            sizes.append(len(y))
        yield inputs
    share = classes.unique(return_counts=True)[1] / max(len(classes), 1)
    expected = sum(float((1 - (1 - share) ** size).sum()) for size in sizes)  # distinct classes of a random batch
    found, expected = summed(torch.tensor([found, expected], dtype=torch.float64)).tolist()
    if found < expected / 2:
        raise ValueError(
            f"Need batches of mixed classes to estimate batch normalization, got {found / expected:.0%} of the classes "
            "that a random batch has: give a loader that shuffles, or reestimate_batchnorm=False."
        )


def _prepared(model: nn.Module, batches: Batches, *, anew: bool) -> str:
    """Make batch normalization the same on all processes, or estimate it anew; what it then is, for the certificate."""
    if not batchnorm.layers(model):
        return "none"
    if not anew:
        batchnorm.average_over_ranks(model)
        return "running"
    batchnorm.estimate(model, _of_mixed_classes(batches.mixed().read("batch normalization")), loading.called)
    return "re-estimated"


@torch.no_grad()
def evaluate(
    model: nn.Module,
    loader: Iterable[Any],
    num_classes: int,
    *,
    head: str | nn.Module = "auto",
    lam: float = 0.0,
    omega: bool = True,
    nearest_center_rule: bool = True,
    centers: Float[Tensor, "C P"] | None = None,
    keep_features: bool = False,
    layers: Sequence[str] = (),
    reestimate_batchnorm: bool = False,
    classes: Sequence[int] | None = None,
    ignore_index: int | None = None,
    split: Split = loading.split,
    device: torch.device | str | None = None,
    progress: bool | None = None,
) -> Report:
    """Measure the neural collapse of a network on the examples of a loader.

    Arguments:
        model: any network with a linear classifier, in a wrapper or not; it is left as it was.
        loader: batches (inputs, targets), or mappings with `labels`; of several processes each its own part.
        num_classes: number of classes C; targets are 0 to C - 1.
        head: the classifier, as for `watch`.
        lam: weight decay of the last layer, for the loss L and its parts.
        omega: also the singular values of the SNR matrix, which cost an eigendecomposition of P x P.
        nearest_center_rule: also how often the nearest class mean decides otherwise than the network (NC4).
        centers: class means (C, P) for that rule; of a test set `Report.means` of the training set.
        keep_features: keep the features in memory, in the type that the network gives, for the rule and the report.
        layers: names of parts of the network in their order, for He & Su's law of data separation over their outputs,
            which takes the second pass; `separation_fuzziness/he2023/NAME`, `separation_rate/he2023`.
        reestimate_batchnorm: estimate the statistics of batch normalization anew from the loader, for this evaluation.
            Those of training lag behind the weights. A DataLoader in the order of its data set is read in random order
            for this, because batches of one class have other statistics than the set.
        classes: the numbers of the classes to measure, all unless given.
        ignore_index: a target whose examples are left out.
        split: a function of a batch that returns inputs and targets.
        device: where the batches go; where the network's parameters are, unless given.
        progress: a bar on stderr; on a terminal unless given.

    Example:
        >>> import torch
        >>> from central_path.torch import evaluate
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
        >>> targets = torch.arange(60) % 3
        >>> inputs = torch.eye(3, 4)[targets] + 0.1 * torch.randn(60, 4)
        >>> loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, targets), batch_size=20)
        >>> report = evaluate(model, loader, num_classes=3, lam=5e-4)
        >>> 0 < report["nc1"] < 1, report.numbers.omega.shape, report.certificate.n
        (True, (2,), 60)

    Raises:
        ValueError: as `watch` and `NeuralCollapse`, and for batches of an unknown form.
    """
    begin = time.perf_counter()
    at = next((p.device for p in model.parameters()), "cpu") if device is None else device
    batches = Batches(loader, torch.device(at), split, progress=progress)
    nearest = nearest_center_rule and centers is None  # of the final class means
    second = bool(layers) or (nearest and not keep_features)
    if batches.once and (second or reestimate_batchnorm):
        raise ValueError(
            "Need a loader that can be read twice, got an iterator: give the loader itself, or keep_features=True, no "
            "layers and reestimate_batchnorm=False."
        )
    metric = NeuralCollapse(num_classes, classes=classes, ignore_index=ignore_index)
    kept: list[Seen] = []
    separation = Separation(layers, len(metric.classes or range(num_classes)))
    tally = torch.zeros(3, dtype=torch.float64)  # examples, wrong decisions, mismatches
    with evaluating(model), batchnorm.kept(model), watch(model, head, layers, num_classes=num_classes) as tap:
        about = {"batchnorm": _prepared(model, batches, anew=reestimate_batchnorm)}
        for seen in _pass(model, batches, tap, metric, "measuring"):
            metric.add(seen.features, seen.targets)
            tally[0] += len(seen.targets)
            tally[1] += int((seen.targets != seen.decisions).sum())
            if centers is not None and nearest_center_rule:
                tally[2] += _mismatches([seen], centers, torch.arange(len(centers)))
            separation.add(seen.layers, seen.targets)
            if keep_features:
                kept.append(seen._replace(layers={}))
        whole = metric.statistics()
        numbers = metric.numbers(whole, tap.weight, tap.bias, lam, omega=omega, **about)
        separation.finish_means(eps_of(numbers.certificate.precision))
        for seen in _pass(model, batches, tap, metric, "nearest class centers") if second else kept:
            if nearest:
                tally[2] += _mismatches([seen], whole.means, whole.counts.nonzero()[:, 0])
            separation.add_deviations(seen.layers, seen.targets)
        found, why = separation.law()
        numbers.update(found)
        numbers.reasons |= why
        weight, bias = full(tap.weight), None if tap.bias is None else full(tap.bias)
    tally = summed(tally)
    if nearest_center_rule:
        numbers[NAMES["ncc_mismatch"]] = float(tally[2] / tally[0])
    return Report(
        numbers=numbers,
        error=float(tally[1] / tally[0]),
        lam=lam,
        means=whole.means.cpu(),
        counts=whole.counts.double().cpu(),
        weight=weight.cpu(),
        bias=None if bias is None else bias.cpu(),
        seconds=time.perf_counter() - begin,
        features=torch.cat([seen.features for seen in kept]) if kept else None,
        targets=torch.cat([seen.targets for seen in kept]) if kept else None,
    )
