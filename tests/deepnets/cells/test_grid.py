"""A grid on this machine: its records are those of its cells run alone, whatever it was ended by."""

import io
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from short_runs import ROUNDING, distance, rows_on_disk, short

from deepnet_runs import grid, train
from deepnet_runs.cells import plan as cells
from deepnet_runs.cells.conditions import CONDITIONS
from deepnet_runs.storage import records

ROOT = Path(__file__).parents[3]
EPOCHS = 10
TRAINED = ["--network", "vgg7", "--epochs", str(EPOCHS), "--device", "cpu"]
GRID = ("--datasets", "digits", "--networks", "vgg7", "--losses", "mse", "--executor", "local")
EVERY_CELL = ("--", "--epochs", str(EPOCHS), "--device", "cpu")
SEEDS = ("--seeds", "0", "1")
INTERRUPTED = "interrupted; the same command continues"


@pytest.fixture(scope="module", autouse=True)
def environment():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        yield


def of_grid(folder, *more):
    return [*GRID, *SEEDS, "--output", str(folder), *more, *EVERY_CELL]


def folders(output):
    return {path.parent.name: path.parent for path in sorted(output.glob("*/measurements.jsonl"))}


def rows(output):
    return {name: rows_on_disk(folder) for name, folder in folders(output).items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Both seeds in one process, one after the other."""
    folder = tmp_path_factory.mktemp("grid")
    assert grid.main([*of_grid(folder, "--parallel", "1", "--quiet")]) == 0
    assert len(list(folder.glob("jobs/*/*_log.out"))) == 1
    return folder


def test_the_status_without_the_options_of_the_training_is_that_of_the_records(finished, capsys):
    assert grid.main([*GRID, *SEEDS, "--output", str(finished), "--status"]) == 0
    said = capsys.readouterr().out
    assert "2 cells: 2 finished" in said
    assert said.count(f" {EPOCHS}/{EPOCHS} ") == 2
    assert grid.main([*GRID, *SEEDS, "--output", str(finished), "--status", "--", "--epochs", "3"]) == 0
    assert "2 cells: 2 of other options" in capsys.readouterr().out


def test_a_cell_after_another_has_the_rows_of_a_run_of_its_own(finished, tmp_path):
    assert train.main([*TRAINED, "--seed", "1", "--quiet", "--output", str(tmp_path)]) == 0
    reference = rows_on_disk(tmp_path)
    assert [row["epoch"] for row in reference] == list(range(1, EPOCHS + 1))
    found = rows(finished)
    assert list(found) == ["digits-vgg7-mse-0", "digits-vgg7-mse-1"]
    assert found["digits-vgg7-mse-1"] == reference
    assert found["digits-vgg7-mse-0"] != reference


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_again_there_is_nothing_to_train(finished, capsys):
    before = contents(finished)
    assert grid.main(of_grid(finished)) == 0
    assert "2 cells: 2 finished" in capsys.readouterr().out
    assert grid.main(of_grid(finished, "--dry-run")) == 0
    assert capsys.readouterr().out == "# digits-vgg7-mse-0 is finished\n# digits-vgg7-mse-1 is finished\n"
    assert contents(finished) == before


def started(folder, *more):
    command = [sys.executable, "-m", "deepnet_runs.grid", *of_grid(folder, "--parallel", "1", *more)]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, start_new_session=True, **quiet)


def until_rows(process, folder, count):
    deadline = time.monotonic() + 120
    while sum(map(len, rows(folder).values())) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def processes_of(folder):
    """Living processes that name the folder in their command lines: the grid, controllers of jobs, jobs."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
        except OSError:  # it has just ended
            continue
        if any(str(folder) in word for word in words):
            found[int(path.parent.name)] = shlex.join(words)
    return found


def until_nobody(folder, seconds):
    deadline = time.monotonic() + seconds
    while processes_of(folder) or any(records.is_held(cell) for cell in folders(folder).values()):
        assert time.monotonic() < deadline, processes_of(folder)
        time.sleep(0.05)


def kill_a_worker(folder):
    """Kill the process that trains, but not the grid, which goes on with another one; the cells that it then names."""
    before = sum(map(len, rows(folder).values()))
    process = started(folder)
    try:
        until_rows(process, folder, before + 1)
        (worker,) = [pid for pid, words in processes_of(folder).items() if "submitit.core._submit" in words]
        os.kill(worker, signal.SIGKILL)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    named = [line.removeprefix(f"{grid.PROGRAM}: ").partition(": ") for line in said.splitlines()]
    assert all(
        why.startswith("interrupted: its process ended without a message: see the logs in") for _, _, why in named
    )
    return [name for name, _, _ in named]


@pytest.mark.slow
def test_ended_in_four_ways_and_run_again_the_records_are_the_same(finished, tmp_path):
    endings = [
        (lambda p: os.kill(p.pid, signal.SIGTERM), 130),  # asked to end
        (lambda p: os.kill(p.pid, signal.SIGKILL), -signal.SIGKILL),  # killed, and its processes left alone
        (lambda p: os.killpg(p.pid, signal.SIGKILL), -signal.SIGKILL),  # killed with all of them
    ]
    have = 0
    for end, code in endings:
        process = started(tmp_path)
        try:
            until_rows(process, tmp_path, have + 1)
            assert processes_of(tmp_path)
            end(process)
            asked = time.monotonic()
            out, said = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == code, said
        assert time.monotonic() - asked < 8  # a second or two on an idle machine
        assert out == ""
        assert said == ("" if code < 0 else f"{grid.PROGRAM}: {INTERRUPTED}\n")
        until_nobody(tmp_path, 40)
        have = sum(map(len, rows(tmp_path).values()))
        assert 0 < have < 2 * EPOCHS  # the kill has met the grid at work
    left = kill_a_worker(tmp_path)
    begun = {cells.state_of(cell).state for cell in grid.parse(of_grid(tmp_path)).cells}
    assert begun == {cells.INTERRUPTED, cells.FINISHED}
    assert left == ["digits-vgg7-mse-0"]
    assert grid.main(of_grid(tmp_path, "--parallel", "1", "--quiet")) == 0
    assert rows(tmp_path) == rows(finished)
    planted = rows(tmp_path)
    planted["digits-vgg7-mse-0"][-1]["loss"] *= 1 + 1e-15
    assert planted != rows(finished)


@pytest.mark.slow
def test_a_grid_in_pieces_of_some_minutes_has_the_same_records(finished, tmp_path, capsys, monkeypatch):
    clock = time.monotonic
    with monkeypatch.context() as patch:  # an hour passes once there is a row
        patch.setattr(time, "monotonic", lambda: clock() + (3600 if any(rows(tmp_path).values()) else 0))
        assert grid.main(of_grid(tmp_path, "--parallel", "1", "--quiet", "--minutes", "30")) == 1
    said = capsys.readouterr().err.splitlines()
    up = "the time of --minutes was up; the same command continues"
    assert [line.partition(": digits-vgg7-mse-")[2][4:].partition(": ")[2] for line in said] == [up, up]
    until_nobody(tmp_path, 40)
    assert 0 < sum(map(len, rows(tmp_path).values())) < 2 * EPOCHS
    assert grid.main(of_grid(tmp_path, "--parallel", "1", "--quiet", "--minutes", "30")) == 0
    assert rows(tmp_path) == rows(finished)


@pytest.mark.slow
def test_cells_that_fail_are_named_and_the_others_finish(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(CONDITIONS, "hot", {"lr": 1e6})
    base = tmp_path / "digits-vgg7-mse-0-base"
    assert short(base, "--network", "vgg7", epochs=1)[0] == 0
    before = contents(base)
    command = ["--datasets", "digits", "mnist", "--networks", "vgg7", "--conditions", "hot", "base"]
    command += [*SEEDS, "--executor", "local", "--parallel", "1", "--output", str(tmp_path)]
    every_cell = ["--", "--epochs", "2", "--device", "cpu", "--data-dir", str(tmp_path / "nowhere")]
    capsys.readouterr()
    assert grid.main([*command, *every_cell]) == 1
    said = capsys.readouterr()
    assert "8 cells: 1 finished, 2 diverged, 1 of other options, 4 not begun" in said.out
    lines = said.err.splitlines()
    assert len(lines) == 7
    for cell, reason in {
        "digits-vgg7-mse-0-hot": r"diverged: the loss is .*give a lower --lr than 1e\+06",
        "digits-vgg7-mse-1-hot": r"diverged: the loss is .*give a lower --lr than 1e\+06",
        "digits-vgg7-mse-0-base": r"of other options: its records have epochs = 1 for 2: give the same, .*",
        "mnist-vgg7-mse-1-base": r"not begun: Need the complete files of mnist in .*nowhere, got: .*",
    }.items():
        assert any(re.fullmatch(rf"{grid.PROGRAM}: {cell}: {reason}", line) for line in lines), cell
    assert contents(base) == before
    assert [row["epoch"] for row in rows(tmp_path)["digits-vgg7-mse-1-base"]] == [1, 2]

    kept = contents(tmp_path)
    alone = [*command[:1], "digits", "--networks", "vgg7", *command[5:], *every_cell]
    assert grid.main(alone) == 1  # what has diverged would diverge again
    assert contents(tmp_path) == kept
    assert "digits-vgg7-mse-0-hot: diverged" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_that_train_a_cell_together_have_the_rows_of_one(tmp_path):
    code, reference = short(tmp_path / "alone", "--network", "vgg7", epochs=1)
    assert code == 0
    output = tmp_path / "grid"
    command = [*GRID, "--processes", "2", "--output", str(output), "--quiet", "--", "--epochs", "1", "--device", "cpu"]
    assert grid.main(command) == 0
    (found,) = rows(output).values()
    assert distance(found, reference) < ROUNDING
    assert len(list(output.glob("jobs/*/*_log.err"))) == 2


def test_processes_that_cannot_begin_end_the_grid_with_their_log(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("deepnet_runs.cells.launch.Worker", lambda *_, **__: "not to be called")
    assert grid.main(of_grid(tmp_path, "--parallel", "1")) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{grid.PROGRAM}: error: A process of the grid ended before it began: see {tmp_path}")
    assert said.count("\n") == 1
    assert not processes_of(tmp_path)


def test_a_grid_in_a_folder_of_another_one_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(grid, "PATIENCE", 0.1)
    with records.held(tmp_path):
        assert grid.main(of_grid(tmp_path)) == 2
    assert "Need a folder to which no other run writes" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("terminal", [True, False])
def test_a_progress_bar_is_for_terminals(tmp_path, monkeypatch, terminal):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    with grid.Progress(grid.parse(of_grid(tmp_path)).cells, tmp_path, silent=False) as progress:
        progress.update()
    assert ("cells" in stream.getvalue()) is terminal
