"""`NeuralCollapse` as a torchmetrics.Metric, for MetricCollection and Lightning; needs torchmetrics."""

from collections.abc import Callable
from typing import Any

from torchmetrics import Metric

from central_path.torch.neural_collapse import NeuralCollapse


class NeuralCollapseMetric(NeuralCollapse, Metric):
    """The same, and a Metric: its own `compute` adds the processes' sums, so torchmetrics has nothing to reduce."""

    higher_is_better = None
    is_differentiable = False
    full_state_update = True

    def reset(self) -> None:
        """Forget all batches."""
        Metric.reset(self)
        self._clear()

    def merge_state(self, incoming_state: Any) -> None:
        """As `merge`."""
        self.merge(incoming_state)

    def _wrap_compute(self, compute: Callable) -> Callable:
        """Without the cache of torchmetrics, which would return the numbers of an earlier classifier."""
        return compute
