"""`NeuralCollapse`: the measurements of neural collapse as a metric, with the verbs of torchmetrics.

    metric = NeuralCollapse(num_classes=10)
    for images, targets in loader:
        metric.update(features_of(images), targets)
    metric.compute(weight=head.weight, bias=head.bias, lam=5e-4)["nc1/papyan2020"]

Batches are added to sums (`collect`); `compute` adds those of all processes, and one of them computes the numbers
(`quantities`). An instance is a torchmetrics.Metric where torchmetrics has been imported.
"""

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from central_path.torch import once, ranks
from central_path.torch.collect import ClassStatistics
from central_path.torch.precision import eps_of, name_of
from central_path.torch.quantities import Numbers, numbers_of
from central_path.torch.ranks import full
from central_path.torch.reading import select


class NeuralCollapse(nn.Module):
    """NC1 to NC3, the loss in its parts and omega, of features that come batch by batch.

    Arguments:
        num_classes: number of classes C; targets are 0 to C - 1.
        classes: the numbers of the classes to measure, all unless given; examples of others are left out.
        ignore_index: a target whose examples are left out.
        precision: in which the network computed, "bfloat16" or "tf32" for instance, where it is less than the type of
            the features says.
        group: the processes whose features are measured together; all unless given.

    Example:
        >>> import torch
        >>> from central_path.torch import NeuralCollapse
        >>> _ = torch.manual_seed(0)
        >>> metric = NeuralCollapse(num_classes=3)
        >>> for _ in range(4):  # batches of features (n, P) and targets (n,)
        ...     targets = torch.randint(3, (32,))
        ...     metric.update(torch.eye(3, 5)[targets] + 0.1 * torch.randn(32, 5), targets)
        >>> found = metric.compute(weight=torch.eye(3, 5), bias=torch.zeros(3), lam=1e-3, omega=True)
        >>> found["nc1/papyan2020"] < 0.1, found.omega.shape, found.certificate.n
        (True, (2,), 128)

    Raises:
        ValueError: for fewer than two classes, or classes that are none of 0 to C - 1.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> "NeuralCollapse":
        """An instance that is a torchmetrics.Metric too, where torchmetrics has been imported."""
        made = bool(args or kwargs)  # not copied or unpickled, which call no __init__
        if cls is NeuralCollapse and made and "torchmetrics" in sys.modules:
            from central_path.torch.as_metric import NeuralCollapseMetric  # its import takes seconds

            return nn.Module.__new__(NeuralCollapseMetric)
        return super().__new__(cls)

    def __init__(
        self,
        num_classes: int,
        *,
        classes: Sequence[int] | None = None,
        ignore_index: int | None = None,
        precision: str | None = None,
        group: Any = None,
    ):
        super().__init__()
        if not num_classes >= 2:
            raise ValueError(f"Need at least 2 classes, got {num_classes}: neural collapse compares classes.")
        chosen = range(num_classes) if classes is None else sorted(set(map(int, classes)))
        if len(chosen) < 2 or chosen[0] < 0 or chosen[-1] >= num_classes:
            raise ValueError(f"Need at least 2 classes of 0 to {num_classes - 1}, got {classes}: give their numbers.")
        if precision is not None:
            eps_of(precision)
        self.num_classes, self.classes = num_classes, None if classes is None else list(chosen)
        self.ignore_index, self.precision, self.group = ignore_index, precision, group
        self._clear()

    def _clear(self) -> None:
        self._statistics: ClassStatistics | None = None
        self._held: once.Held | None = None
        self._counted = torch.zeros(0, dtype=torch.bool)
        self._seen = ""  # the coarsest type of the features so far

    def reset(self) -> None:
        """Forget all batches."""
        self._clear()

    def update(self, features: Any, targets: Any, indices: Any = None) -> None:
        """Add a batch: features (..., P) of any real type, targets (...) from 0 to C - 1.

        With `indices`, the places of the examples in the data set, an example counts once, however often a sampler
        gives it, on this process and on all together.

        Raises:
            ValueError: for shapes that do not fit, another width P than before, targets out of range, or features that
                are not finite.
        """
        h, y, kept = self.select(features, targets)
        if indices is None:
            self.add(h, y)
            return
        places = torch.as_tensor(indices).flatten().long().cpu()
        if len(places) != len(kept):
            raise ValueError(f"Need an index for each of {len(kept)} examples, got {len(places)}: give their places.")
        self._release()
        self.add(h[:0], y[:0])
        places = places[kept.cpu()]
        self._held = once.Held(h, y, places).only(once.fresh(self._counted, places))

    def add(self, features: Tensor, codes: Tensor) -> None:
        """Add what `select` returned."""
        if self._statistics is None:
            K = len(self.classes or range(self.num_classes))
            self._statistics = ClassStatistics.zeros(K, features.shape[1], features.device)
        elif self._statistics.counts.device != features.device:
            self._statistics = self._statistics.to(features.device)
        self._seen = max(self._seen or "float64", name_of(features.dtype), key=eps_of)
        self._statistics.add(features, codes)

    def select(self, features: Any, targets: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Features (n, P) of the examples that count, numbers of their classes, and which of the batch they are.

        Raises:
            ValueError: as `update`.
        """
        width = None if self._statistics is None else self._statistics.sums.shape[1]
        return select(features, targets, self.num_classes, self.classes, self.ignore_index, width)

    def _release(self) -> None:
        """Count the batch that was held back."""
        if self._held is not None and self._statistics is not None:
            self._statistics.add(self._held.features.to(self._statistics.counts.device), self._held.labels)
            self._counted = once.marked(self._counted, self._held.indices)
        self._held = None

    def merge(self, other: "NeuralCollapse") -> None:
        """Add the batches of another object, which stays as it is.

        Raises:
            ValueError: if the two are of other classes or another width, or have counted the same example.
        """
        if (self.num_classes, self.classes) != (other.num_classes, other.classes):
            raise ValueError(
                f"Need objects of the same classes, got {self.num_classes} and {other.num_classes} classes: merge "
                "what was made with the same num_classes and classes."
            )
        if other._statistics is None:
            return
        mine, more = self._statistics, other._statistics
        if mine is None:
            mine = ClassStatistics.zeros(len(more.counts), more.sums.shape[1], more.counts.device)
        if mine.sums.shape != more.sums.shape:
            raise ValueError(
                f"Need features of one width, got {mine.sums.shape[1]} and {more.sums.shape[1]}: merge those of one "
                "layer."
            )
        self._statistics = mine
        self._release()
        both = min(len(self._counted), len(other._counted))
        twice = (self._counted[:both] & other._counted[:both]).nonzero()
        if len(twice):
            raise ValueError(f"Need every example in one of the two, got example {int(twice[0])} in both: drop one.")
        mine.merge(more)
        self._counted = once.marked(self._counted, other._counted.nonzero()[:, 0])
        if other._held is not None:
            self._held = other._held.only(once.fresh(self._counted, other._held.indices))
            self._release()
        self._seen = max(self._seen or "float64", other._seen, key=eps_of)

    def statistics(self) -> ClassStatistics:
        """The sums over all processes, the same on each; every process calls it.

        Raises:
            ValueError: on every process, without any batch, or for features of different widths.
        """
        own = self._statistics
        described = ranks.gathered((None if own is None else own.sums.shape[1], self._seen), self.group)
        widths = sorted({width for width, _ in described if width is not None})
        if len(widths) != 1:
            raise ValueError(
                "Need features, got none: call update before compute."
                if not widths
                else f"Need features of one width on all processes, got {widths[0]} and {widths[-1]}."
            )
        self._seen = max((seen for _, seen in described if seen), key=eps_of)
        if own is None:
            K = len(self.classes or range(self.num_classes))
            own = ClassStatistics.zeros(K, widths[0], ranks.device_of_messages(self.group))
        if ranks.rank_and_size(self.group)[1] == 1:
            self._release()
            return own
        held = once.counted_by_none(self._counted, self._held, self.group)
        if held is not None and len(held.labels):
            own = own.moved(own.anchors)  # a copy: this rank may go on
            own.add(held.features, held.labels)
        return own.merge_ranks(self.group)

    def compute(
        self, weight: Any = None, bias: Any = None, lam: float = 0.0, *, omega: bool = False, **about: Any
    ) -> Numbers:
        """The numbers of all batches so far, on all processes; one computes them, and every one has to call this.

        Arguments:
            weight: W (C, P) of the last layer; without it only what the features alone determine is returned.
            bias: b (C,); without it W is a classifier without bias, and compared with the best one without.
            lam: weight decay of [W, b] in the loss L.
            omega: also the singular values of the SNR matrix, and what needs the rank of Sigma_W. They cost an
                eigendecomposition of P x P.
            about: what the certificate is to say of the forward pass (`batchnorm`).

        Returns:
            A dict of numbers by the names of their definitions, `nc1/papyan2020`; one that the features do not
            determine is NaN, with the reason in its `reasons`. Its `certificate` has for each number the floor below
            which it is rounding.

        Raises:
            ValueError: for a last layer of the wrong shape, b without W, lam < 0, or fewer than two classes with
                examples.
        """
        return self.numbers(self.statistics(), weight, bias, lam, omega=omega, **about)

    def numbers(
        self, whole: ClassStatistics, weight: Any, bias: Any, lam: float, *, omega: bool, **about: Any
    ) -> Numbers:
        """As `compute`, of the sums of all processes."""
        W, b = (None if value is None else full(value) for value in (weight, bias))
        precision = max(self._seen, self.precision or self._seen, key=eps_of)
        options = {"C": self.num_classes, "classes": self.classes, "precision": precision, "omega": omega, **about}
        return ranks.computed_by_first(lambda: numbers_of(whole, W, b, lam, **options), self.group)

    def forward(self, features: Any, targets: Any, **more: Any) -> Numbers:
        """Add a batch, and the numbers of this batch alone on this process, without a last layer."""
        self.update(features, targets, **more)
        alone = ClassStatistics.of(*self.select(features, targets)[:2], len(self.classes or range(self.num_classes)))
        precision = max(self._seen, self.precision or self._seen, key=eps_of)
        return numbers_of(alone, None, None, 0.0, classes=self.classes, C=self.num_classes, precision=precision)

    def get_extra_state(self) -> dict[str, Any]:
        """What `state_dict` holds."""
        statistics = None if self._statistics is None else dict(vars(self._statistics))
        held = None if self._held is None else self._held._asdict()
        sizes = {"num_classes": self.num_classes, "classes": self.classes}
        return {**sizes, "statistics": statistics, "held": held, "counted": self._counted, "seen": self._seen}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`.

        Raises:
            ValueError: if it is of other classes.
        """
        if (state["num_classes"], state["classes"]) != (self.num_classes, self.classes):
            raise ValueError(
                f"Need the state of an object of {self.num_classes} classes, got one of {state['num_classes']}: make "
                "the object with the same num_classes and classes."
            )
        if (given := state["statistics"]) is not None:
            given = {name: value.clone() for name, value in given.items()}
            given["counts"] = given["counts"].long()  # float64 in the first edition
        self._statistics = None if given is None else ClassStatistics(**given)
        self._held = None if state["held"] is None else once.Held(**state["held"])
        self._counted, self._seen = state["counted"].clone(), state["seen"]
