"""A training that the system kills at stages of its progress, and that is resumed each time, gives the same rows.

`test_resume.py` stops a run within every single write; here nothing of the process survives.
"""

import subprocess
import sys
import time

import pytest
from short_runs import rows_on_disk

PATIENCE = 120.0  # seconds, for a machine that does much else
EPOCHS = 6
STAGES = {
    "while it imports": lambda folder: True,
    "at its first epoch": lambda folder: (folder / "config.json").exists(),
    "after its first row": lambda folder: len(rows_on_disk(folder)) >= 1,
    "after its third row": lambda folder: len(rows_on_disk(folder)) >= 3,
}


def start(folder):
    resumed = ["--resume"] * (folder / "checkpoint.pt").exists()
    options = ["--network", "vgg7", "--epochs", str(EPOCHS), "--device", "cpu", "--quiet", "--output", str(folder)]
    command = [sys.executable, "-m", "deepnet_runs.train", *options, *resumed]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def run_to_its_end(folder):
    process = start(folder)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said


@pytest.mark.slow
def test_no_row_is_lost_or_comes_twice(tmp_path):
    reference, killed = tmp_path / "reference", tmp_path / "killed"
    run_to_its_end(reference)
    expected = rows_on_disk(reference)
    assert [row["epoch"] for row in expected] == list(range(1, EPOCHS + 1))
    for stage, reached in STAGES.items():
        process, deadline = start(killed), time.monotonic() + PATIENCE
        try:
            while not reached(killed) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(1e-3)
        finally:
            process.kill()
        process.communicate()
        assert process.returncode == -9, f"the run ended before it was killed {stage}"
        found = rows_on_disk(killed)
        assert found == expected[: len(found)], stage
    run_to_its_end(killed)
    assert rows_on_disk(killed) == expected
    assert not list(killed.glob(".unfinished*"))
    assert rows_on_disk(killed) != [row | {"loss": 0.0} for row in expected]  # planted: another number is seen
