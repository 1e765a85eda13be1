import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from short_runs import EXACT, ROUNDING, SHARES, distance

from central_path.cli.records import read_samples
from deepnet_runs import train

ROOT = Path(__file__).parents[3]
N_TEST = 397


def options(folder, *more):
    # batches of 127, the last of 3: none splits evenly between two processes
    begin = ["--network", "densenet10", "--epochs", "2", "--batch-size", "127", "--save-features", "--robustness", "21"]
    return [*begin, "--device", "cpu", "--output", str(folder), *more]


def torchrun(*arguments, processes=2):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begin = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--master-port", str(port)]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, *begin, "-m", "deepnet_runs.train", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )


def rows_of(folder):
    return [json.loads(line) for line in (folder / "measurements.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        assert train.main(options(folder, "--quiet")) == 0
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two") / "out"
    return folder, torchrun(*options(folder))


@pytest.mark.slow
def test_two_processes_give_the_rows_of_one(one, two):
    folder, done = two
    assert done.returncode == 0, done.stderr
    rows, alone = rows_of(folder), rows_of(one)
    assert [row["epoch"] for row in rows] == [1, 2]
    for row, other in zip(rows, alone, strict=True):
        assert all(row[key] == other[key] for key in EXACT)
        for key in SHARES:  # an example on the boundary may fall to its other side
            assert abs(row[key] - other[key]) <= 1 / N_TEST
    assert distance(rows, alone) < ROUNDING
    turned = [
        np.abs(np.subtract(row["snr_right"], other["snr_right"])).max() for row, other in zip(rows, alone, strict=True)
    ]
    assert max(turned) < 0.01  # vectors of near singular values turn by rounding over the gap


@pytest.mark.slow
def test_two_processes_train_in_bfloat16_and_measure_in_float32(one, tmp_path):
    done = torchrun(*options(tmp_path / "out", "--amp"))
    assert done.returncode == 0, done.stderr
    rows, alone = rows_of(tmp_path / "out"), rows_of(one)
    assert [row["epoch"] for row in rows] == [1, 2]
    for row, other in zip(rows, alone, strict=True):
        for key in ("train_loss", "loss"):
            assert row[key] != other[key]
            assert row[key] == pytest.approx(other[key], rel=0.05)  # bfloat16 has 8 bits, and 20 steps amplify them
        parts = row["loss_nc1"] + row["loss_nc23"] + row["loss_ls_perp"]
        assert parts == pytest.approx(row["loss"], rel=1e-12)


@pytest.mark.parametrize("more", [("--batch-size", "124"), ("--lam", "0.00501")], ids=lambda more: more[0])
def test_rounding_is_far_below_what_another_run_would_show(one, tmp_path, more, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert train.main(options(tmp_path, "--quiet", *more)) == 0
    assert distance(rows_of(tmp_path), rows_of(one)) > 5 * ROUNDING


@pytest.mark.slow
def test_every_example_is_seen_once(one, two):
    folder, _ = two
    found, alone = (read_samples(path / "features" / "epoch_0002.npz") for path in (folder, one))
    assert found[0].shape == alone[0].shape == (1400, 18)
    for c in range(10):
        ours, theirs = (features[labels == c] for features, labels in (found, alone))
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(np.sort(ours, axis=0), np.sort(theirs, axis=0), rtol=1e-2, atol=1e-3)
        np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_one_process_writes_and_all_leave_cleanly(two):
    folder, done = two
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    features = {"features", "features/epoch_0001.npz", "features/epoch_0002.npz"}
    assert names == {"config.json", "measurements.jsonl", "checkpoint.pt"} | features
    assert done.stdout.count("results in") == 1
    for trace in ("Traceback", "terminate called", "Error", "SIGABRT", "destroy_process_group"):
        assert trace not in done.stderr


@pytest.mark.slow
def test_what_is_refused_ends_every_process(tmp_path):
    done = torchrun(*options(tmp_path / "out", "--resume"))
    assert done.returncode != 0
    assert "Need a checkpoint to resume from" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus(tmp_path):
    done = torchrun(*options(tmp_path / "out"), "--device", "cuda")
    assert done.returncode == 0, done.stderr
    assert len(rows_of(tmp_path / "out")) == 2
