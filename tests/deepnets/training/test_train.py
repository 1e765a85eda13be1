"""What a run writes and says."""

import io
import json
import math
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from short_runs import CLASSES, IDENTITY, check_row, new_trainer, rows_of, short

from central_path import simulate
from central_path.cli.records import read_samples
from central_path.metrics import collapse, samples
from central_path.theory import problem
from deepnet_runs import train
from deepnet_runs.storage import records
from deepnet_runs.storage.row import Row
from deepnet_runs.training import options


def test_a_run_leaves_its_files_and_every_key_of_the_contract(run):
    folder, rows = run
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "measurements.jsonl",
        "checkpoint.pt",
        "features",
    }
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    for row in rows:
        check_row(row)
        assert row["lam"] == 5e-3
        assert row["batchnorm_reestimated"] is True
        assert row["rank_between"] == CLASSES - 1
    assert rows[-1]["loss"] < rows[0]["loss"]
    config = json.loads((folder / "config.json").read_text())
    expected = {"dataset": "digits", "network": "resnet8", "loss": "mse", "seed": 3, "epochs": 3, "lr": 0.1}
    assert config.items() >= (expected | {"lam": 5e-3, "weight_decay": 5e-3, "batch_size": 128}).items()
    assert (config["train_images"], config["test_images"]) == (1400, 397)
    assert {"torch", "torchvision", "jax", "central_path"} <= set(config["versions"])
    state = records.read_checkpoint(folder, {key: config[key] for key in expected})
    assert state["epoch"] == 3
    assert len(state["rows"]) == 3


def test_the_parts_of_a_row_sum_to_the_loss_of_its_features(run):
    folder, rows = run
    state = records.read_checkpoint(folder, {})
    W, b = (state["network"][f"head.{name}"].double().numpy() for name in ("weight", "bias"))
    features, labels = read_samples(folder / "features" / "epoch_0003.npz")
    residual = features.astype(float) @ W.T + b - np.eye(CLASSES)[labels]

    def objective(lam):
        return (residual**2).sum() / (2 * len(labels)) + lam / 2 * ((W**2).sum() + (b**2).sum())

    row = rows[-1]
    parts = row["loss_nc1"] + row["loss_nc23"] + row["loss_ls_perp"]
    assert abs(parts - objective(5e-3)) <= IDENTITY * parts
    assert abs(parts - objective(5e-4)) > 1e-3 * parts


def test_saved_features_give_the_rows_again_and_start_the_simulator(run, tmp_path, monkeypatch):
    folder, rows = run
    paths = sorted((folder / "features").iterdir())
    assert [path.name for path in paths] == ["epoch_0001.npz", "epoch_0002.npz", "epoch_0003.npz"]
    given = samples.check_samples(*read_samples(paths[0]))
    assert given.features.shape == (1400, 64)
    assert (given.counts == 140).all()
    features, labels = read_samples(paths[0])
    moments = problem.moments(
        jnp.asarray(np.stack([features[labels == c].astype(float).T for c in range(CLASSES)], axis=1))
    )
    np.testing.assert_allclose(collapse.nc1(moments), rows[0]["nc1_train"], rtol=1e-9)
    np.testing.assert_allclose(
        problem.snr_singular_values(moments.M, moments.Sigma_W, moments.pi), rows[0]["omega"], rtol=1e-9
    )

    monkeypatch.setenv("EQX_ON_ERROR", "nan")
    command = ["--level", "spectrum", "--saves", "3", "--no-plots", "--quiet", "--restrict-rank"]
    assert simulate.main(["--features", str(paths[0]), "--output", str(tmp_path), *command]) == 0
    with np.load(tmp_path / "trajectory.npz") as trajectory:
        np.testing.assert_allclose(trajectory["riemannian/omega"][0], rows[0]["omega"], rtol=1e-6)


@pytest.mark.parametrize(
    "more",
    [
        ("--loss", "ce"),
        ("--whole", "--network", "densenet10"),
        ("--random-labels", "--network", "vgg7"),
        ("--lam", "0.02", "--weight-decay", "0.001"),
        ("--amp", "--channels-last"),
        ("--stale-batchnorm", "--batch-size", "700"),
        ("--loss", "rescaled-mse", "--k", "3", "--M", "2"),
        ("--network", "plain7", "--weight-norm", "--whole"),
    ],
    ids=" ".join,
)
def test_variants_run_and_keep_the_identity(tmp_path, more):
    code, rows = short(tmp_path, *more, epochs=1)
    assert code == 0
    assert [row["epoch"] for row in rows] == [1]
    check_row(rows[0])
    config = json.loads((tmp_path / "config.json").read_text())
    assert rows[0]["lam"] == config["lam"] == (0.02 if "--lam" in more else config["weight_decay"])
    assert rows[0]["batchnorm_reestimated"] is ("--stale-batchnorm" not in more)
    if "--random-labels" in more:  # one epoch learns nothing of them
        assert rows[0]["train_error"] > 0.7
        assert rows[0]["test_error"] > 0.7


def test_a_dry_run_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert train.main(["--dry-run", "--network", "densenet10", "--device", "cpu", "--save-features"]) == 0
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().out == "densenet10 on digits, mse, seed 0: nothing written (dry run)\n"


def test_the_table_has_eight_rows_at_most_and_the_last(run, capsys, monkeypatch):
    folder, rows = run
    asked = options.parse(["--epochs", "3", "--seed", "3", "--output", str(folder)])
    rows = [Row.from_dict(row) for row in rows]
    train.say(*asked, rows * 7, 1.0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 8 + 2
    assert lines[0].split()[:3] == ["epoch", "loss", "loss_nc1"]
    assert lines[8].split()[0] == "3"
    assert lines[-1] == f"resnet8 on digits, mse, seed 3: 1 s; results in {folder}"
    train.say(*asked, rows[:1], 1.0)
    assert len(capsys.readouterr().out.splitlines()) == 1 + 1 + 2


@pytest.mark.parametrize("terminal", [True, False])
def test_a_progress_bar_is_for_terminals(tmp_path, monkeypatch, terminal):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    arguments = ["--epochs", "1", "--network", "densenet10", "--device", "cpu", "--output", str(tmp_path)]
    assert train.main(arguments) == 0
    assert ("epochs" in stream.getvalue()) is terminal


def test_starting_imports_no_torch_and_the_printed_commands_parse():
    code = "import sys, deepnet_runs.train; print(sorted({'jax', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    for line in (train.__doc__ or "").splitlines():
        if "-m deepnet_runs.train" in line:
            options.parse(line.partition("-m deepnet_runs.train")[2].split())


def test_the_stability_warning_names_the_number(capsys):
    begin = ["--dry-run", "--quiet", "--device", "cpu"]
    assert train.main([*begin, "--lr", "0.05"]) == 0
    assert capsys.readouterr().err == ""
    assert train.main([*begin, "--lr", "0.7"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("learning rate 0.7 is beyond 2(1+m)/lambda_max")
    assert said.count("\n") == 1
    assert train.main([*begin, "--lr", "0.7", "--loss", "ce"]) == 0
    assert capsys.readouterr().err == ""

    torch.manual_seed(0)
    trainer = new_trainer()
    few = trainer._few(trainer.data.train).batch()
    h = trainer.network.train()(few.x)[0].detach().double().numpy()
    extended = np.concatenate([h, np.ones((len(h), 1))], axis=1)
    bound = 2 * 1.9 / np.linalg.eigvalsh(extended.T @ extended / len(h))[-1]
    assert f"= {bound:.2g} at the start" in said


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("more", [(), ("--amp", "--channels-last")], ids=["float32", "bfloat16"])
def test_the_same_on_a_gpu(tmp_path, more, run):
    arguments = ["--epochs", "3", "--seed", "3", "--device", "cuda", "--output", str(tmp_path), "--quiet", *more]
    assert train.main(arguments) == 0
    rows = rows_of(tmp_path)
    for row, reference in zip(rows, run[1], strict=True):
        check_row(row)
        assert math.isclose(row["loss_nc1"], reference["loss_nc1"], rel_tol=0.1)
