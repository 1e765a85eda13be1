import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from short_runs import rows_on_disk

from deepnet_runs import train
from deepnet_runs.storage import records
from deepnet_runs.training import run as training

ROOT = Path(__file__).parents[3]
EPOCHS = 2
OPTIONS = ["--epochs", str(EPOCHS), "--network", "vgg7", "--device", "cpu", "--per-class", "30"]
OPTIONS += ["--quiet", "--save-features"]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    torch.set_num_threads(1)


def run(folder, *more):
    return train.main([*OPTIONS, "--output", str(folder), *more])


def everything(folder):
    features = {path.name: path.read_bytes() for path in (folder / "features").iterdir()}
    return rows_on_disk(folder), features


def left_over(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(".unfinished")]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    assert run(folder) == 0
    return everything(folder)


class Killed(BaseException):
    """No handler of the program catches it."""


class Disk:
    """Counts what reaches the disk, and stops the program before, within or after it, its clearing-up included."""

    def __init__(self, patch, at):
        self.calls, self.at, self.dead = 0, at, False
        fsync, replace, unlink = os.fsync, Path.replace, Path.unlink

        def call(real, *args):
            self.calls += 1
            if self.calls == self.at:
                self.dead = True
                raise Killed
            return real(*args)

        patch.setattr(os, "fsync", lambda file: call(fsync, file))
        patch.setattr(Path, "replace", lambda path, to: call(replace, path, to))
        patch.setattr(Path, "unlink", lambda path, **options: None if self.dead else unlink(path, **options))


def calls_of_a_run(folder):
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, at=0)
        assert run(folder) == 0
    return disk.calls


@pytest.mark.slow
def test_a_run_stopped_at_any_write_goes_on_as_if_nothing_had_happened(tmp_path, alone):
    calls = calls_of_a_run(tmp_path / "counted")
    assert calls == 2 + 2 + EPOCHS * (2 + 2 + 1)  # config, rows; features, checkpoint, row
    unfinished = 0
    for at in range(1, calls + 1):
        folder = tmp_path / str(at)
        with pytest.MonkeyPatch.context() as patch:
            Disk(patch, at)
            with pytest.raises(Killed):
                run(folder)
        unfinished += len(left_over(folder))
        resumed = ["--resume"] * (folder / "checkpoint.pt").exists()
        assert run(folder, *resumed) == 0
        assert everything(folder) == alone, at
        assert not left_over(folder)
    assert unfinished > EPOCHS


@pytest.mark.parametrize("cut", [1, 3000])
def test_a_torn_file_of_rows_is_written_anew(tmp_path, alone, cut):
    assert run(tmp_path) == 0
    path = tmp_path / "measurements.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    (tmp_path / "features" / ".unfinished-epoch_0009.npz").touch()
    assert run(tmp_path, "--resume") == 0
    assert everything(tmp_path) == alone
    assert not left_over(tmp_path)


def test_a_state_left_out_shows(tmp_path, alone):
    for lost in ("optimizer", "order", "network"):
        folder = tmp_path / lost
        with pytest.MonkeyPatch.context() as patch:
            Disk(patch, at=4 + 5 + 3)  # before the second checkpoint
            with pytest.raises(Killed):
                run(folder)
        state = torch.load(folder / "checkpoint.pt")
        train_state = state[lost]
        if lost == "optimizer":
            train_state["state"] = {}
        elif lost == "order":
            state[lost] = torch.Generator().manual_seed(0).get_state()
        else:
            train_state["head.bias"] += 1e-6
        records.write_checkpoint(folder, state)
        assert run(folder, "--resume") == 0
        rows = rows_on_disk(folder)
        assert rows[:1] == alone[0][:1], lost
        assert rows != alone[0], lost


def test_a_damaged_checkpoint_is_refused(tmp_path, capsys):
    assert run(tmp_path) == 0
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    rng = random.Random(0)
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    start, end = largest.header_offset + 1000, largest.header_offset + largest.file_size
    damages = [b"", b"PK", whole[:-1], whole[: len(whole) // 2]]
    for _ in range(4):  # a byte of the weights
        at = rng.randrange(start, end)
        damages.append(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    for damage in damages:
        path.write_bytes(damage)
        before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
        assert run(tmp_path, "--resume") == 2
        said = capsys.readouterr().err
        assert "Need a readable checkpoint" in said
        assert said.count("\n") == 1
        assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_full_disk_within_a_checkpoint_is_named_and_the_previous_one_is_kept(tmp_path, alone, capsys):
    append, (soft, hard) = records.append_row, resource.getrlimit(resource.RLIMIT_FSIZE)

    def append_and_fill(folder, row):
        append(folder, row)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # less than a checkpoint, more than features

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "append_row", append_and_fill)
        try:
            code = train.main([*OPTIONS[:-1], "--output", str(tmp_path)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1
    said = capsys.readouterr().err
    path = tmp_path / "checkpoint.pt"
    assert f"error: Need to write {path}, got File too large: make room there; what it held before is kept" in said
    assert said.endswith("; --resume continues from the last checkpoint\n")
    assert said.count("\n") == 1
    assert not left_over(tmp_path)
    assert records.read_checkpoint(tmp_path, {})["epoch"] == 1
    assert run(tmp_path, "--resume") == 0
    assert rows_on_disk(tmp_path) == alone[0]


def test_a_run_is_not_resumed_on_other_data(tmp_path, capsys):
    assert run(tmp_path) == 0
    state = torch.load(tmp_path / "checkpoint.pt")
    assert (state["config"]["train_images"], state["config"]["test_images"]) == (300, 397)
    state["config"]["train_images"] = 290
    records.write_checkpoint(tmp_path, state)
    assert run(tmp_path, "--resume") == 2
    assert "got train_images = 300 for 290: give the same --data-dir" in capsys.readouterr().err
    del state["config"]["train_images"], state["config"]["test_images"]  # of an earlier version
    records.write_checkpoint(tmp_path, state)
    assert run(tmp_path, "--resume") == 0


def test_reading_a_checkpoint_executes_nothing(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    records.write_checkpoint(tmp_path, {"config": {}, "bomb": Bomb()})
    with pytest.raises(ValueError, match="Need a readable checkpoint"):
        records.read_checkpoint(tmp_path, {})
    assert not (tmp_path / "exploded").exists()


def test_checkpoints_between_rows_hold_the_epochs_in_between(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training, "measured_epochs", lambda epochs: (1, epochs))
    seen, write = [], records.write_checkpoint
    monkeypatch.setattr(
        records, "write_checkpoint", lambda folder, state: seen.append(state["epoch"]) or write(folder, state)
    )
    assert train.main(["--epochs", "3", *OPTIONS[2:-1], "--output", str(tmp_path / "often")]) == 0
    assert seen == [1, 2, 3]
    seen.clear()
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 1e9)
    assert train.main(["--epochs", "3", *OPTIONS[2:-1], "--output", str(tmp_path / "rarely")]) == 0
    assert seen == [1, 3]
    assert rows_on_disk(tmp_path / "often") == rows_on_disk(tmp_path / "rarely")


def test_a_run_that_has_ended_is_resumed_to_its_table(tmp_path, alone, capsys):
    assert run(tmp_path) == 0
    assert train.main([*OPTIONS[:-2], "--resume", "--output", str(tmp_path)]) == 0
    assert "results in" in capsys.readouterr().out
    assert everything(tmp_path) == alone


def test_sigterm_ends_cleanly_with_the_last_checkpoint(tmp_path):
    command = [sys.executable, "-m", "deepnet_runs.train", "--device", "cpu", "--quiet", "--output", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while len(rows_on_disk(tmp_path)) < 2 and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == ""
    assert said == "python -m deepnet_runs.train: interrupted; --resume continues from the last checkpoint\n"
    assert not left_over(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    state = records.read_checkpoint(tmp_path, {key: config[key] for key in ("dataset", "network", "epochs", "seed")})
    assert state["epoch"] >= 2
    assert len(state["rows"]) >= 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_run_on_a_gpu_is_resumed(tmp_path):
    options = ["--epochs", "3", "--device", "cuda", "--quiet", "--output", str(tmp_path)]
    with pytest.MonkeyPatch.context() as patch:
        Disk(patch, at=4 + 3 + 1)
        with pytest.raises(Killed):
            train.main(options)
    assert train.main([*options, "--resume"]) == 0
    assert [row["epoch"] for row in rows_on_disk(tmp_path)] == [1, 2, 3]
