"""Short real runs on the digits, and what every row of them must be."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from deepnet_runs import train
from deepnet_runs.datasets import data
from deepnet_runs.training import options
from deepnet_runs.training.trainer import Trainer

CLASSES = 10
COMMON = """epoch seconds lr lr_sum train_loss train_error test_error loss loss_nc1 loss_nc23 loss_ls_perp lam omega
snr_right mean_output_gap rank_within
rank_between condition_between
batchnorm_reestimated equinorm_classifier equiangularity_classifier max_angle_classifier"""
TWICE = """nc1 equinorm_means equiangularity_means max_angle_means self_duality ncc_mismatch"""
KEYS = {*COMMON.split(), *(f"{key}_{split}" for key in TWICE.split() for split in ("train", "test"))}
IDENTITY = 1e-12  # relative, of L = L_NC1 + L_NC2/3 + L_LS_perp in float64


EXACT = ("epoch", "lr", "lam", "rank_between", "batchnorm_reestimated", "robustness_images", "robustness_unflipped")
SHARES = ("train_error", "test_error", "ncc_mismatch_train", "ncc_mismatch_test")
ROUNDING = 2e-5  # two processes move a row by 9e-7 of itself, one float32 ulp on every pixel moves it by 4e-7


def short(folder, *more, epochs=2):
    code = train.main(["--epochs", str(epochs), "--device", "cpu", "--output", str(folder), "--quiet", *more])
    return code, rows_of(folder)


def rows_of(folder):
    path = folder / "measurements.jsonl"
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def rows_on_disk(folder):
    """The complete lines of a run that may be unfinished, without what depends on the machine alone: the seconds."""
    path = folder / "measurements.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def check_row(row):
    assert set(row) >= KEYS
    omega = np.array(row["omega"])
    assert omega.shape == (CLASSES - 1,)
    assert (np.diff(omega) <= 0).all()
    parts = row["loss_nc1"] + row["loss_nc23"] + row["loss_ls_perp"]
    assert abs(parts - row["loss"]) <= IDENTITY * row["loss"]
    assert min(row["loss_nc1"], row["loss_nc23"], row["loss_ls_perp"]) > 0
    assert 0 <= row["train_error"] <= 1
    assert 0 <= row["test_error"] <= 1


def new_trainer(*arguments):
    config, _ = options.parse(list(arguments))
    return Trainer(config, data.load("digits", Path("data")), torch.device("cpu"))


def distance(rows, others):
    """Largest relative difference of a number of the rows."""
    worst = 0.0
    for row, other in zip(rows, others, strict=True):
        for key in row.keys() - {"seconds", "snr_right", *EXACT, *SHARES}:
            a, b = np.atleast_1d(row[key]).astype(float), np.atleast_1d(other[key]).astype(float)
            worst = max(worst, float(np.max(np.abs(a - b) / np.maximum(np.abs(a), np.abs(b)))))
    return worst
