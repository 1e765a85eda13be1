"""The flows by their names, and the motion of any of them in one compiled program."""

import importlib
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from central_path.flows.flow import AbstractFlow, AbstractMotion
from central_path.names import FLOW_NAMES, class_name

FLOWS: dict[str, AbstractFlow] = {
    name: getattr(importlib.import_module(f"central_path.flows.{name}"), class_name(name))() for name in FLOW_NAMES
}


def index_of(name: str) -> np.int32:
    """The index of a flow of the registry, for `OneOf`."""
    return np.int32(list(FLOWS).index(name))


def with_kernel(name: str, kernel: float) -> AbstractFlow:
    """A flow of the registry with the kernel b.

    Raises:
        ValueError: unless 0 <= b <= 1000.
    """
    return replace(FLOWS[name], kernel=kernel)


def _switched(method: str) -> Any:
    def call(self: "OneOf", *arrays: Any, **sizes: Any) -> Any:
        flows = [replace(flow, kernel=self.kernel) for flow in FLOWS.values()]
        return jax.lax.switch(self.index, [partial(getattr(flow, method), **sizes) for flow in flows], *arrays)

    return call


class OneOf(AbstractMotion):
    """The flow with a traced index in the registry.

    Each method is a switch over the methods of all flows, so that one compiled program serves them: a second program
    costs about as much again to trace, compile and load, a branch much less.
    """

    index: Int[Array | np.ndarray | np.generic, ""]
    kernel: float | Float[Array | np.ndarray | np.generic, ""] = 1.0

    project = _switched("project")
    project_aligned = _switched("project_aligned")
    start_features = _switched("start_features")
    start_means = _switched("start_means")
    start_scale = _switched("start_scale")
    conserved = _switched("conserved")
    within_covariance_of_means = _switched("within_covariance_of_means")
    within_variance = _switched("within_variance")
    contrasts_field = _switched("contrasts_field")
    spectrum_field = _switched("spectrum_field")
    rounding_of_step = _switched("rounding_of_step")
