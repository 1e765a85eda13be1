"""`deepnet_runs.train --field`: the rows of `deepnet_runs.kernel`, of a training that they leave as it is."""

import shutil
from dataclasses import replace

import pytest
import torch
from refusal import refused
from short_runs import rows_on_disk

from deepnet_runs import kernel, train
from deepnet_runs.dynamics import field_records
from deepnet_runs.dynamics.live_field import DEFAULTS
from deepnet_runs.storage import records

OPTIONS = ["--epochs", "3", "--network", "vgg7", "--width", "0.25", "--per-class", "12", "--device", "cpu", "--quiet"]


def run(folder, *more):
    return train.main([*OPTIONS, "--output", str(folder), *more])


def field_of(folder):
    """The rows without the seconds, which depend on the machine."""
    return field_records.text([replace(row, seconds=0.0) for row in field_records.read(folder)])


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live") / "run"
    assert run(folder, "--field", "--save-weights") == 0
    return folder


def test_the_training_is_what_it_is_without(live, tmp_path):
    assert run(tmp_path / "run") == 0
    assert rows_on_disk(live) == rows_on_disk(tmp_path / "run")
    assert torch.load(live / "checkpoint.pt")["order"].equal(torch.load(tmp_path / "run" / "checkpoint.pt")["order"])


def test_the_rows_are_those_of_the_command_on_the_saved_weights(live, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(live, folder)
    made = field_of(folder)
    assert (folder / "field.png").read_bytes().startswith(b"\x89PNG")
    (folder / "field.jsonl").unlink()
    assert kernel.main([str(folder), "--no-plots"]) == 0
    assert (
        [row.epoch for row in field_records.read(folder)] == [row["epoch"] for row in rows_on_disk(folder)] == [1, 2, 3]
    )
    assert field_of(folder) == made


def test_the_defaults_are_those_of_the_command():
    args = kernel.parser().parse_args(["runs"])
    of_command = {"batchnorm": args.batchnorm, "probes": args.probes, "draws": args.draws, "seed": args.seed}
    assert {"memory": args.memory * kernel.GIB} | of_command == DEFAULTS


@pytest.mark.parametrize("at", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_run_that_was_killed_has_each_row_once(live, tmp_path, monkeypatch, at):
    """Before the checkpoint of an epoch is written its row of the field test is there already: it comes anew."""
    write = records.write_checkpoint

    def killed(folder, state):
        if state["epoch"] == at:
            raise KeyboardInterrupt
        write(folder, state)

    monkeypatch.setattr(records, "write_checkpoint", killed)
    folder = tmp_path / "run"
    assert run(folder, "--field") == 130
    assert [row.epoch for row in field_records.read(folder)] == list(range(1, at + 1))
    monkeypatch.undo()
    assert run(folder, "--field", "--resume") == 0
    assert field_of(folder) == field_of(live)
    assert rows_on_disk(folder) == rows_on_disk(live)


def test_several_processes_are_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    words = [*OPTIONS, "--field", "--output", str(tmp_path / "run")]
    assert "Need one process for --field, got 2: save the weights" in refused(capsys, train.main, words)
    assert not (tmp_path / "run").exists()
