"""Gain in robustness from the first epoch with zero training error to the last epoch, from the records alone.

    gain = robustness(last epoch) - robustness(first measured epoch without a training error)

Source: Han, Papyan & Donoho (2022), Figure 9: "the median improvement in the robustness measure in the last epoch over
the first epoch achieving zero training error is 0.1762; the mean improvement is 0.9278", over its fifteen networks.

Note: the caption does not say whether an improvement is a difference or a share of what it improves on. It is read as
the difference, as in the paper's Table 1; `relative` is the other reading.
"""

from typing import NamedTuple

import numpy as np

from deepnet_runs.storage import runs
from deepnet_runs.storage.row import Row


class RobustnessGain(NamedTuple):
    """Robustness at two epochs, first and last; the images of each, and those of each that were not flipped."""

    robustness: tuple[float, float]
    epochs: tuple[int, int]
    images: tuple[int, int]
    unflipped: tuple[int, int]

    @property
    def difference(self) -> float:
        """Last less first."""
        return self.robustness[1] - self.robustness[0]

    @property
    def relative(self) -> float:
        """The difference as a share of the first."""
        return self.difference / self.robustness[0]


def gain(run: runs.RecordedRun) -> RobustnessGain:
    """Of the last measured epoch over the first without a training error; the same epoch twice gains nothing.

    Raises:
        ValueError: without an epoch that has no training error, or without robustness at either epoch.
    """
    if run.first_clean is None:
        raise ValueError(f"Need an epoch without a training error, got none in {run.folder}: train for longer.")
    at_first = next(row for row in run.rows if row.epoch == run.first_clean)
    r0, epoch0, images0, unflipped0 = _robustness(run, at_first)
    r1, epoch1, images1, unflipped1 = _robustness(run, run.rows[-1])
    return RobustnessGain((r0, r1), (epoch0, epoch1), (images0, images1), (unflipped0, unflipped1))


def _robustness(run: runs.RecordedRun, row: Row) -> tuple[float, int, int, int]:
    """Robustness, epoch, images and those that were not flipped of a row."""
    if row.robustness_images is None or row.robustness_unflipped is None:
        raise ValueError(f"Need a run with robustness, got none in {run.folder}: train with --robustness.")
    if np.isnan(row.robustness):
        raise ValueError(
            f"Need an image that was flipped, got none of {row.robustness_images} in epoch {row.epoch} "
            f"of {run.folder}: train with more images for --robustness."
        )
    return row.robustness, row.epoch, row.robustness_images, row.robustness_unflipped
