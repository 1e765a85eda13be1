"""The field test of a run of `deepnet_runs.train`, from its saved weights."""

import sys
import time
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from central_path.torch.feature_kernel import FeatureKernel
from deepnet_runs.datasets.data import DataSet
from deepnet_runs.dynamics.field_records import FieldRow
from deepnet_runs.dynamics.field_test import field_test
from deepnet_runs.networks import Network, Variant, build, weightnorm
from deepnet_runs.storage.runs import RecordedRun
from deepnet_runs.training.config import CONFIGURED, TrainConfig

GIB = 2.0**30


def config_of(run: RecordedRun) -> TrainConfig:
    """The configuration of a run.

    Raises:
        ValueError: if its config.json lacks a field.
    """
    try:
        return TrainConfig(**{name: run.config[name] for name in CONFIGURED if name in run.config})
    except TypeError as error:
        raise ValueError(f"Need the configuration of deepnet_runs.train in {run.folder}, got: {error}.") from error


def network_of(config: TrainConfig, images: DataSet, weights: Path) -> Network:
    """The network with saved weights.

    Raises:
        ValueError: if they cannot be read or are of another network.
    """
    channels, size = images.train.shape[:2]
    variant = Variant(config.width, config.depth, not config.no_batchnorm)
    network = build(config.network, channels=channels, size=size, classes=images.classes, variant=variant)
    if config.weight_norm:
        weightnorm.fix_norms(network)
    try:
        with zipfile.ZipFile(weights) as archive:
            damaged = archive.testzip()  # torch.load does not look at the check sums
        if damaged:
            raise ValueError(f"check sum of {damaged}")
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file fails in zipfile or pickle, each in its own way
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"Need the weights of {config.network}, got {weights} ({detail}): train again.") from error
    return network


@cache
def say(text: str) -> None:
    """A line on stderr, once."""
    print(text, file=sys.stderr)


def kernel_of(
    network: Network, images: DataSet, *, batchnorm: str, memory: float, device: torch.device
) -> FeatureKernel:
    """The kernel of a network's features on its training images; if memory for more would make it faster, that is said.

    Raises:
        ValueError: as `FeatureKernel`.
    """
    loader: list[Any] = [images.train.batch()[:2]]
    kernel = FeatureKernel(
        network.to(device), loader, images.classes, head=network.head, batchnorm=batchnorm, memory=memory, device=device
    )
    if kernel.passes > 1:
        needed = f"{kernel.bytes_at_once / GIB:.1f} GiB of activations, more than the {memory / GIB:g} GiB allowed"
        say(f"a derivative takes {kernel.passes} passes over the training set: one pass needs {needed}")
    return kernel


def measure(
    network: Network,
    images: DataSet,
    *,
    epoch: int,
    lam: float,
    device: torch.device,
    batchnorm: str,
    probes: int,
    draws: int,
    memory: float,
    seed: int,
) -> FieldRow:
    """The field test of a network on its training images, and the numbers of its kernel, without traces for 0 probes.

    Raises:
        ValueError: as `FeatureKernel` and `field_test`.
    """
    begin = time.perf_counter()
    kernel = kernel_of(network, images, batchnorm=batchnorm, memory=memory, device=device)
    sample_kernel = kernel.sample_kernel(draws=draws, seed=seed)
    found = field_test(kernel, lam, sample_kernel=sample_kernel, seed=seed)
    isotropy = sample_kernel.isotropy()
    numbers = {"isotropy": isotropy.value, "isotropy_error": isotropy.error}
    if probes:
        numbers = kernel.traces(sketch=probes, probes=probes, seed=seed).to_dict() | numbers
    return FieldRow(epoch, batchnorm, time.perf_counter() - begin, numbers, found)
