"""Metrics that are reported beside NC1 to NC4: by `central_path.measure`, and in the rows of `deepnet_runs.train`.

A metric is a function in a file of its name, `central_path/metrics/NAME.py`, and a line here:

    NAME(m: Moments, W: Float[Any, "K P"]) -> Float[Any, ""]

of the moments of the K classes that have examples, whose means differ, and of their rows of the classifier. It uses the
operators and methods of arrays, without importing JAX or PyTorch, and is NaN where it does not exist.
"""

import importlib
import math
from typing import Any

from jaxtyping import Float

from central_path.metrics.snr import Moments

METRICS: tuple[str, ...] = (
    # one name a line
)


def values(m: Moments, W: Float[Any, "K P"]) -> tuple[dict[str, float], dict[str, str]]:
    """The metrics by their names, and for those that are NaN the place of the definition that says why."""
    modules = {name: importlib.import_module(f"central_path.metrics.{name}") for name in METRICS}
    numbers = {name: float(getattr(module, name)(m, W)) for name, module in modules.items()}
    reasons = {
        name: f"It does not exist for these features, by its definition in {modules[name].__name__}."
        for name, value in numbers.items()
        if math.isnan(value)
    }
    return numbers, reasons
