"""A line of measurements.jsonl as a type: what a network's measurement gives, and when in its training."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from central_path.metrics.catalogue import METRICS

FIRST = ("epoch", "seconds", "lr", "lr_sum", "train_loss")  # keys that a line of the file begins with
FURTHER = tuple(f"{name}_{part}" for part in ("train", "test") for name in METRICS)  # keys of a line, after NC1 to NC4
OF_ROBUSTNESS = ("robustness", "robustness_images", "robustness_unflipped")  # absent from lines without --robustness


@dataclass(frozen=True, kw_only=True)
class NetworkMeasurement:
    """What one measurement of a network gives. Losses and errors are averages over examples, ratios have no unit.

    A number that does not exist, or that an older version did not record, is NaN here and null in the file. Ranks,
    flags and singular vectors that were not recorded are None, and omega is empty.

    Attributes:
        train_error: share of wrong decisions on the training set, 0 to 1.
        test_error: the same on the test set.
        loss: L of the training set, weight decay of the last layer included.
        loss_nc1: L_NC1 of its decomposition.
        loss_nc23: L_NC2/3.
        loss_ls_perp: L_LS^perp; the three sum to the loss (of cross-entropy: to that of mse).
        lam: lambda of the decomposition.
        mean_output_gap: |W mu_G + b - pi| / |pi|.
        omega: (C - 1) singular values of Sigma_W^(-1/2) Mbar, descending.
        snr_right: (C - 1, C) its right singular vectors, one a line; None of more than 100 classes.
        rank_within: rank of Sigma_W.
        rank_between: rank of Sigma_B.
        condition_between: condition number of Sigma_B on its range.
        batchnorm_reestimated: whether BatchNorm's statistics were estimated anew before.
        equinorm_classifier: coefficient of variation of the norms of W's rows.
        equiangularity_classifier: standard deviation of the cosines between W's rows.
        max_angle_classifier: mean |cos + 1/(C - 1)| between W's rows.
        nc1_train: Tr(Sigma_W Sigma_B^+)/C of the training features, as `central_path.collapse` defines it.
        equinorm_means_train: as of the classifier, of the class means of the training features.
        equiangularity_means_train: the same.
        max_angle_means_train: the same.
        self_duality_train: distance of the classifier from the class means, each normalised.
        ncc_mismatch_train: share of training examples where network and nearest class mean disagree.
        nc1_test: as on the training set, of the test features; this and the following.
        equinorm_means_test: the same.
        equiangularity_means_test: the same.
        max_angle_means_test: the same.
        self_duality_test: the same.
        ncc_mismatch_test: share of test examples where network and nearest class mean (of training) disagree.
        further: metrics of `central_path.metrics.catalogue` by NAME_train and NAME_test, which are keys of the line.
    """

    train_error: float = math.nan
    test_error: float = math.nan
    loss: float = math.nan
    loss_nc1: float = math.nan
    loss_nc23: float = math.nan
    loss_ls_perp: float = math.nan
    lam: float = math.nan
    mean_output_gap: float = math.nan
    omega: list[float] = field(default_factory=list)
    snr_right: list[list[float]] | None = None
    rank_within: int | None = None
    rank_between: int | None = None
    condition_between: float = math.nan
    batchnorm_reestimated: bool | None = None
    equinorm_classifier: float = math.nan
    equiangularity_classifier: float = math.nan
    max_angle_classifier: float = math.nan
    nc1_train: float = math.nan
    equinorm_means_train: float = math.nan
    equiangularity_means_train: float = math.nan
    max_angle_means_train: float = math.nan
    self_duality_train: float = math.nan
    ncc_mismatch_train: float = math.nan
    nc1_test: float = math.nan
    equinorm_means_test: float = math.nan
    equiangularity_means_test: float = math.nan
    max_angle_means_test: float = math.nan
    self_duality_test: float = math.nan
    ncc_mismatch_test: float = math.nan
    further: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row(NetworkMeasurement):
    """A line of measurements.jsonl: a `NetworkMeasurement`, and when it was made.

    Attributes:
        epoch: number of epochs that the network was trained for.
        seconds: seconds of training until then, measurements not included.
        lr: learning rate of the last step.
        lr_sum: sum of the learning rates of all steps until then.
        train_loss: mean loss of the batches of the epoch, as they were trained on, without weight decay.
        robustness: Ave ||r(x)||/||x|| of DeepFool over the test images that were flipped; NaN if none was.
        robustness_images: how many test images were tried; None if robustness was not measured.
        robustness_unflipped: how many of them were not flipped.
    """

    epoch: int
    seconds: float = math.nan
    lr: float = math.nan
    lr_sum: float = math.nan
    train_loss: float = math.nan
    robustness: float = math.nan
    robustness_images: int | None = None
    robustness_unflipped: int | None = None

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> "Row":
        """The row of a line; keys of newer versions are ignored, missing keys become NaN or None.

        Raises:
            ValueError: without an epoch, or for what is not a number where one belongs.
        """
        if not isinstance(line.get("epoch"), int):
            raise ValueError(f"need the epoch of every row, got {line.get('epoch')}")
        found = {name: line[name] for name in KEYS if line.get(name) is not None}
        further = {name: found.pop(name, math.nan) for name in FURTHER if name in line}
        try:
            found |= {name: float(found[name]) for name in NUMBERS if name in found}
            found["further"] = {name: float(value) for name, value in further.items()}
            if "omega" in found:
                found["omega"] = [math.nan if value is None else float(value) for value in found["omega"]]
        except TypeError as error:
            raise ValueError(f"need numbers in the row of epoch {line['epoch']}: {error}") from error
        return cls(**found)

    def to_dict(self) -> dict[str, Any]:
        """The keys of a line, in their order; those of robustness only where it was measured."""
        found = asdict(self) | self.further
        absent = OF_ROBUSTNESS if self.robustness_images is None else ()
        return {name: found[name] for name in KEYS if name in found and name not in absent}


MEASURED = tuple(one.name for one in fields(NetworkMeasurement) if one.name != "further")
KEYS = (*FIRST, *MEASURED, *FURTHER, *OF_ROBUSTNESS)
NUMBERS = tuple(one.name for one in fields(Row) if one.type is float)
