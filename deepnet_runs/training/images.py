"""The images of a run, from its configuration."""

from pathlib import Path

from deepnet_runs.datasets import data
from deepnet_runs.datasets.data import DataSet
from deepnet_runs.training.config import TrainConfig, padded_size


def images_of(config: TrainConfig, folder: Path, *, download: bool = False, quiet: bool = True) -> DataSet:
    """The images that a run of the configuration trains on and is measured on, from the folder of data sets.

    Raises:
        ValueError: if they are not there, or there are too few of them.
    """
    return data.load(
        config.dataset,
        folder,
        download=download,
        whole=config.whole,
        per_class=config.per_class,
        test_per_class=config.test_per_class,
        image_size=config.image_size,
        padded=padded_size(config.network),
        random_labels_seed=config.seed if config.random_labels else None,
        quiet=quiet,
    )
