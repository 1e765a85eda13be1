"""How much more robust a network is at the end than when it first made no training error, from its records alone.

    gain = robustness(last epoch) - robustness(first measured epoch without a training error)

Source: Han, Papyan & Donoho (2022), Figure 9: "the median improvement in the robustness measure in the last epoch over
the first epoch achieving zero training error is 0.1762; the mean improvement is 0.9278", over its fifteen networks.

Note: the caption does not say whether an improvement is a difference or a share of what it improves on. It is read as
the difference, as in the paper's Table 1; `relative` is the other reading.
"""

from typing import NamedTuple

from deepnet_runs import runs


class Gain(NamedTuple):
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


def gain(run: runs.Run) -> Gain:
    """Of the last measured epoch over the first without a training error; the same epoch twice gains nothing.

    Raises:
        ValueError: without an epoch that has no training error, or without robustness at either epoch.
    """
    if run.first_clean is None:
        raise ValueError(f"Need an epoch without a training error, got none in {run.folder}: train for longer.")
    first, last = next(row for row in run.rows if row["epoch"] == run.first_clean), run.rows[-1]
    for row in (first, last):
        if "robustness" not in row:
            raise ValueError(f"Need a run with robustness, got none in {run.folder}: train with --robustness.")
        if row["robustness"] is None:
            raise ValueError(
                f"Need an image that was flipped, got none of {row['robustness_images']} in epoch {row['epoch']} "
                f"of {run.folder}: train with more images for --robustness."
            )
    return Gain(
        robustness=(first["robustness"], last["robustness"]),
        epochs=(first["epoch"], last["epoch"]),
        images=(first["robustness_images"], last["robustness_images"]),
        unflipped=(first["robustness_unflipped"], last["robustness_unflipped"]),
    )
