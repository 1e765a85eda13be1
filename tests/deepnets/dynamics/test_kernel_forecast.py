"""The forecast by a kernel predicts features that a known kernel moves, and not those of another clock or kernel."""

import numpy as np
import pytest

from central_path.simulation.general.dynamics import BlockKernel
from deepnet_runs.dynamics import kernel_forecast
from deepnet_runs.dynamics.field import gradient
from deepnet_runs.dynamics.kernel_forecast import Checkpoint, predict
from deepnet_runs.dynamics.snr_frame import class_means, moments_of

EULER = 2e-3  # of log omega: the steps below are of this order


def descended(kernel, lam, seed, *, epochs=12, steps=50, dt=1.0):
    """Checkpoints of features of unbalanced classes that move by Euler's method at the rates of a kernel."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), [10, 14, 20, 30])
    first = H = (2 * rng.standard_normal((4, 6)))[labels] + rng.standard_normal((len(labels), 6)) * np.linspace(
        0.5, 1.5, 6
    )
    found = [Checkpoint(10, 7.0, moments_of(H, labels))]
    for epoch in range(1, epochs):
        for _ in range(steps):
            G = gradient(H, labels, lam)
            overall = G.mean(axis=0)
            means = class_means(G, labels)[labels]
            H = H - dt * (
                kernel.class_means * (means - overall) + kernel.within * (G - means) + kernel.global_mean * overall
            )
        found.append(Checkpoint(10 + epoch, 7.0 + epoch * steps * dt, moments_of(H, labels)))
    return found, first, labels


@pytest.mark.parametrize(
    ("kernel", "lam"),
    [
        (BlockKernel(2.0, 0.6, 3.0), 0.01),
        pytest.param(BlockKernel(1.0, 1.5, 0.2), 0.0, marks=pytest.mark.slow),
    ],
)
def test_the_flow_of_the_measured_kernel_predicts_what_it_moved(kernel, lam):
    checkpoints, H, labels = descended(kernel, lam, 0)
    found = predict(checkpoints, H, labels, kernel, lam)
    assert (found.epoch, found.epochs, found.fitted) == (10, list(range(11, 22)), 3)
    assert found.growth[-1] > 1.3
    for name in ("kernel", "kernel_fitted"):
        made = found.models[name]
        assert made.clock == pytest.approx(1, rel=0.01)
        assert max(made.omega_error) < EULER
        assert np.max(np.abs(made.nc1_error)) < 2 * EULER
        assert min(made.U + made.V) > 1 - EULER
        assert made.lasts == 11
    for name in ("free_fitted", "common_factor", "constant", "line"):
        assert found.models[name].omega_error[-1] > 4 * EULER, name


def test_a_clock_that_runs_three_times_as_fast_is_found_and_the_kernel_alone_fails():
    kernel = BlockKernel(2.0, 0.6, 3.0)
    checkpoints, H, labels = descended(kernel, 0.0, 1)
    slow = [c._replace(time=c.time / 3) for c in checkpoints]
    found = predict(slow, H, labels, kernel)
    assert found.models["kernel"].omega_error[-1] > 0.05
    assert found.models["kernel_fitted"].clock == pytest.approx(3, rel=0.01)
    assert found.models["kernel_fitted"].omega_error[-1] < EULER


def test_a_common_growth_is_that_of_the_common_factor():
    _, H, labels = descended(BlockKernel(), 0.0, 2, epochs=1)
    M = class_means(H, labels)[labels]
    grown = [Checkpoint(1 + k, float(k), moments_of(M * np.exp(0.2 * k) + (H - M), labels)) for k in range(8)]
    found = predict(grown, H, labels, BlockKernel())
    made = found.models["common_factor"]
    assert made.clock == pytest.approx(0.2, rel=1e-9)
    assert max(made.omega_error) < 1e-9
    assert np.max(np.abs(made.nc1_error)) < 1e-9
    assert min(made.U + made.V) > 1 - 1e-9
    assert found.models["constant"].lasts < made.lasts == 7


def test_how_long_a_prediction_lasts_is_until_it_is_first_beyond_ten_percent():
    made = kernel_forecast.Prediction(1.0, [0.05, 0.09, 0.2, 0.01], [0.0] * 4)
    assert made.lasts == 2
    assert kernel_forecast.Prediction(1.0, [0.01, np.nan], [0.0, 0.0]).lasts == 1


def test_too_few_checkpoints_are_refused():
    checkpoints, H, labels = descended(BlockKernel(), 0.0, 0, epochs=4, steps=1)
    with pytest.raises(ValueError, match="Need at least 4 checkpoints after epoch 10, three of them to fit to, got 3"):
        predict(checkpoints, H, labels, BlockKernel())
