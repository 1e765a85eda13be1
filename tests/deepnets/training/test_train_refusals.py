"""What a run refuses, and how it ends when it diverges."""

import contextlib
import json
import math
import os
import subprocess
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from refusal import refused
from short_runs import new_trainer, short

from deepnet_runs import train
from deepnet_runs.storage import records
from deepnet_runs.training import run as training
from deepnet_runs.training.recipes import DivergenceError, recipe
from deepnet_runs.training.trainer import check_batches

ROOT = Path(__file__).parents[3]


def training_refused(capsys, arguments, match):
    message = refused(capsys, train.main, arguments, "python -m deepnet_runs.train: error: ")
    assert match in message
    return message


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--network", "resnet18"], "resnet18 does not take the images of digits"),
        (["--dataset", "mnist", "--network", "vgg11", "--data-dir", "nowhere"], "give --download"),
        (["--dataset", "cifar10", "--network", "resnet18", "--data-dir", "nowhere"], "nowhere"),
        (["--network", "lenet"], "lenet"),
        (["--epochs", "0"], "need at least 1 epoch, got 0"),
        (["--epochs", "1.5"], "got 1.5"),
        (["--lr", "nan"], "need a positive finite number, got nan"),
        (["--lr", "0"], "got 0"),
        (["--lam", "-1"], "need a finite number >= 0, got -1"),
        (["--weight-decay", "inf"], "got inf"),
        (["--batch-size", "1"], "need at least 2 images in a batch, got 1"),
        (["--batch-size", "1399", "--no-full-batches"], "got 1 of 1400"),
        (["--seed", "-1"], "got -1"),
        (["--loss", "rescaled-mse"], "need --k and --M with --loss rescaled-mse and with no other, got rescaled-mse"),
        (["--loss", "rescaled-mse", "--k", "3"], "got rescaled-mse --k"),
        (["--k", "3", "--M", "2"], "got mse --k --M"),
        (["--loss", "rescaled-mse", "--k", "0", "--M", "2"], "need a positive finite number, got 0"),
        (["--momentum", "1"], "need a number from 0 to below 1, got 1"),
        (["--depth", "0"], "need a whole number from 1 on, got 0"),
        (["--network", "plain7", "--width", "2"], "--width needs vgg7, resnet8 or densenet10, got plain7"),
        (["--network", "densenet10", "--no-batchnorm"], "--no-batchnorm needs vgg7 or resnet8, got densenet10"),
        (["--epoch", "3"], "unrecognized arguments"),
        (["--resume"], "got none in out"),
        (["--resume", "--dry-run"], "give one of them"),
        (["--output", "file"], "file is not a folder"),
        (["--output", "file/below"], "file is not a folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_command_gets_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys, arguments, match):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    training_refused(capsys, ["--output", "out", *arguments], match)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_without_a_device_is_refused(tmp_path, capsys):
    training_refused(capsys, ["--device", "cuda", "--output", str(tmp_path / "out")], "got none: give --device cpu")
    assert not list(tmp_path.iterdir())


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_another_run_in_the_folder_is_left_alone(run, capsys):
    folder, _ = run
    before = contents(folder)
    training_refused(capsys, ["--output", str(folder)], "give --resume to go on, or another --output")
    message = training_refused(
        capsys, ["--output", str(folder), "--resume", "--epochs", "5", "--lr", "0.2"], "lr = 0.2 for 0.1"
    )
    assert "epochs = 5 for 3" in message
    assert "(the epochs say when the rate drops and what is measured)" in message
    assert "seed = 0 for 3" in message
    assert "network" not in message
    assert contents(folder) == before


def test_a_folder_to_which_another_run_writes_is_refused(tmp_path, capsys):
    short_run = ["--output", str(tmp_path), "--network", "vgg7", "--epochs", "1", "--device", "cpu", "--quiet"]
    with records.held(tmp_path):
        training_refused(capsys, short_run, "Need a folder to which no other run writes")
        assert not list(tmp_path.iterdir())
    assert train.main(short_run) == 0


def test_a_run_that_another_one_begins_while_it_reads_its_data_is_refused(tmp_path, monkeypatch, capsys):
    command = ["--output", str(tmp_path), "--network", "densenet10", "--epochs", "1", "--device", "cpu", "--quiet"]
    load, codes = training.load_data, []

    def begin_another_and_load(config, execution):
        if config.seed == 0:
            codes.append(train.main([*command, "--seed", "1"]))
        return load(config, execution)

    monkeypatch.setattr(training, "load_data", begin_another_and_load)
    assert train.main(command) == 0
    assert codes == [2]
    assert "Need a folder to which no other run writes" in capsys.readouterr().err
    assert records.read_checkpoint(tmp_path, {})["config"]["seed"] == 0


@pytest.mark.slow  # two processes; one process meets both refusals above
def test_of_two_runs_started_at_once_in_a_folder_one_is_refused(tmp_path):
    folder = tmp_path / "new" / "out"
    command = [sys.executable, "-m", "deepnet_runs.train", "--network", "vgg7", "--epochs", "1", "--device", "cpu"]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    started = [
        subprocess.Popen(
            [*command, "--quiet", "--output", str(folder), "--seed", str(seed)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": paths},
        )
        for seed in (0, 1)
    ]
    said = [process.communicate(timeout=120)[1] for process in started]
    codes = [process.returncode for process in started]
    assert sorted(codes) == [0, 2], said
    refusal = said[codes.index(2)]
    assert refusal.count("\n") == 1
    assert "no other run writes" in refusal or "Need a folder without a run" in refusal
    config = json.loads((folder / "config.json").read_text())
    assert config["seed"] == records.read_checkpoint(folder, {})["config"]["seed"] == codes.index(0)


def test_a_folder_that_a_refused_run_removes_is_not_held_by_one_that_waited_for_it(tmp_path):
    folder = tmp_path / "out"
    with contextlib.ExitStack() as first, ThreadPoolExecutor(1) as pool:
        first.enter_context(records.held(folder))

        def hold_and_write():
            with records.held(folder, patience=30.0):
                held = records.is_held(folder)
                (folder / "x").touch()
                return held

        second = pool.submit(hold_and_write)
        time.sleep(0.2)
        first.close()  # which leaves it empty, and so removes it
        assert second.result(timeout=30)
    assert (folder / "x").is_file()


def test_a_last_batch_of_one_image_is_refused_where_it_is_trained_on():
    chosen = recipe("mnist", "vgg11", "mse")._replace(batch_size=1399)
    with pytest.raises(ValueError, match="got 1 of 1400 in batches of 1399: give another --batch-size"):
        check_batches(1400, chosen)
    check_batches(1400, chosen._replace(full_batches=True))
    check_batches(1401, chosen)


def test_rows_without_a_checkpoint_are_left_alone(tmp_path, capsys):
    (tmp_path / "measurements.jsonl").write_text("{}\n")
    training_refused(capsys, ["--output", str(tmp_path)], "Need a folder without a run")
    assert (tmp_path / "measurements.jsonl").read_text() == "{}\n"


def test_a_file_in_the_place_of_the_features_folder_is_refused(tmp_path, capsys):
    (tmp_path / "features").touch()
    training_refused(capsys, ["--output", str(tmp_path)], "features to be a folder")


def test_tensorboard_without_the_package_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    training_refused(capsys, ["--tensorboard", "--output", str(tmp_path / "out")], "pip install tensorboard")
    assert not list(tmp_path.iterdir())


def test_tensorboard_gets_the_numbers_of_every_row(tmp_path, monkeypatch):
    seen, module = [], types.ModuleType("torch.utils.tensorboard")

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            assert Path(folder).parent == tmp_path
            assert purge_step == 1

        def add_scalar(self, key, value, epoch):
            seen.append((epoch, key, value))

        def flush(self):
            seen.append("flush")

        def close(self):
            seen.append("close")

    module.__dict__["SummaryWriter"] = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    code, rows = short(tmp_path, "--tensorboard", "--network", "densenet10")
    assert code == 0
    assert seen[-1] == "close"
    assert seen.count("flush") == 2
    assert {(row["epoch"], "nc1_train", row["nc1_train"]) for row in rows} <= set(seen)


def test_divergence_ends_in_one_sentence_without_a_row_of_nan(tmp_path, capsys):
    code, rows = short(tmp_path, "--lr", "1e6", epochs=5)
    assert code == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("learning rate 1e+06 is beyond")
    assert len(said) == 2
    assert "the loss is " in said[1]
    assert said[1].endswith("give a lower --lr than 1e+06")
    assert all(math.isfinite(row["loss"]) for row in rows)
    assert rows == (records.read_checkpoint(tmp_path, {})["rows"] if rows else [])


@pytest.mark.parametrize("broken", ["body", "head"])
def test_what_the_last_step_broke_is_divergence_too(broken):
    trainer = new_trainer()
    trainer.epoch, trainer.train_loss = 1, 0.5
    with torch.no_grad():
        next(getattr(trainer.network, broken).parameters()).fill_(math.nan)
    with pytest.raises(DivergenceError, match="the loss is nan in epoch 1"):
        trainer.measure()
    assert trainer.rows == []
