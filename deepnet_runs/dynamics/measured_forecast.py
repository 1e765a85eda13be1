"""The forecast of a run of `deepnet_runs.train`, from its saved weights."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from central_path.cli.program import on_terminal
from central_path.simulation.general.dynamics import BlockKernel
from central_path.torch.feature_kernel import FeatureKernel
from deepnet_runs.datasets.data import DataSet
from deepnet_runs.dynamics.field import gradient, quotient
from deepnet_runs.dynamics.field_test import velocity
from deepnet_runs.dynamics.kernel_forecast import Checkpoint, KernelForecast, predict
from deepnet_runs.dynamics.measured_field import kernel_of, network_of
from deepnet_runs.dynamics.snr_frame import moments_of
from deepnet_runs.storage.runs import RecordedRun
from deepnet_runs.training.config import TrainConfig


def arrays_of(kernel: FeatureKernel) -> tuple[Float[np.ndarray, "n P"], Int[np.ndarray, " n"]]:
    """Features in float64, and labels."""
    return kernel.features.double().cpu().numpy(), kernel.labels.cpu().numpy()


def block_kernel_of(kernel: FeatureKernel, lam: float) -> BlockKernel:
    """The rates at which class means, deviations and mean of the gradient of L_LS move along themselves: a, w and g.

    Without a mean, as at lam = 0, g is a: it moves nothing.
    """
    v, (H, labels) = velocity(kernel, lam), arrays_of(kernel)
    overall = np.broadcast_to(gradient(H, labels, lam).mean(axis=0), H.shape)
    a, moved = quotient(v.of_means, v.means), bool(np.any(v.of_overall))
    return BlockKernel(a, quotient(v.of_within, v.within), quotient(v.of_overall, overall) if moved else a)


def times_of(run: RecordedRun, epochs: Sequence[int], momentum: float) -> list[float]:
    """The summed learning rate until the end of each epoch, over 1 - momentum.

    Raises:
        ValueError: for an epoch without a recorded rate.
    """
    rates = {row.epoch: row.lr_sum for row in run.rows}
    for epoch in epochs:
        if not np.isfinite(rates.get(epoch, np.nan)):
            raise ValueError(f"Need the summed learning rate of epoch {epoch} in {run.folder}, got none: train again.")
    return [rates[epoch] / (1 - momentum) for epoch in epochs]


def forecasts(
    run: RecordedRun,
    config: TrainConfig,
    images: DataSet,
    weights: Mapping[int, Path],
    first: Sequence[int],
    **how: Any,
) -> list[KernelForecast]:
    """From each of the epochs `first` of the later ones whose weights are saved.

    `how` has lam, and batchnorm, memory and device as of `measured_field.kernel_of`.

    Raises:
        ValueError: for a run that was not trained on squared error; as `times_of`, `network_of`, `kernel_of` and
            `predict`.
    """
    if config.loss != "mse":
        raise ValueError(
            f"Need a run trained with --loss mse, got {config.loss} in {run.folder}: the flow that predicts is of the "
            "squared error."
        )
    lam = how.pop("lam")
    epochs = [epoch for epoch in sorted(weights) if epoch >= min(first)]
    checkpoints, begun = [], {}
    times = dict(zip(epochs, times_of(run, epochs, config.momentum), strict=True))
    for epoch in tqdm(epochs, desc=run.folder.name, file=sys.stderr, leave=False, disable=not on_terminal()):
        kernel = kernel_of(network_of(config, images, weights[epoch]), images, **how)
        H, labels = arrays_of(kernel)
        checkpoints.append(Checkpoint(epoch, times[epoch], moments_of(H, labels)))
        if epoch in first:
            begun[epoch] = H, labels, block_kernel_of(kernel, lam)
    return [
        predict([c for c in checkpoints if c.epoch >= epoch], H, labels, kernel, lam)
        for epoch, (H, labels, kernel) in begun.items()
    ]
