"""Hard starts: the verdict of the defaults can be trusted wherever float64 can follow."""

import numpy as np
import pytest

from central_path import flows
from central_path.simulation import experiment, starts

C, N, P = 4, 6, 8
DEFAULTS = {"t_max": None, "saves": 60, "rtol": 1e-10, "atol": 1e-10}


def start(scale, seed=0):
    """White noise with class means of a size that is scaled."""
    rng = np.random.default_rng(seed)
    E = rng.standard_normal((P, C, N))
    return starts.renormalize(
        E - E.mean(axis=2, keepdims=True) + scale * rng.standard_normal((P, C, 1)), eps=float(np.finfo(float).eps)
    )


@pytest.mark.parametrize("name", flows.FLOWS)
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("level", flows.LEVELS)
def test_tiny_and_large_class_means_follow_their_law_with_default_tolerances(level, scale, name):
    begin = start(scale)
    result = experiment.run_flow(name, begin, level=level, **DEFAULTS)
    assert result.agrees(1e-6)  # nearest to it: means on a sphere, whose 1 - s_j has lost eps omega^2/C


@pytest.mark.parametrize("name", flows.FLOWS)
@pytest.mark.parametrize("scale", [1e-12, 1e-9])
def test_singular_values_alone_are_followed_from_any_size(scale, name):
    result = experiment.run_flow(name, start(scale), level="spectrum", **DEFAULTS)
    assert result.agrees(1e-6)
