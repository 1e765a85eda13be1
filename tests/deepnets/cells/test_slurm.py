"""A grid on a real Slurm: a job array with a cap, preempted cells that go on, a cell of two processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import real_slurm
from short_runs import ROUNDING, distance, rows_on_disk

from deepnet_runs import grid

pytestmark = pytest.mark.skipif(bool(real_slurm.missing()), reason=real_slurm.missing() or "Slurm is there")
ROOT = Path(__file__).parents[3]
EPOCHS = 12
PATIENCE = 180.0  # seconds


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        with real_slurm.slurm(tmp_path_factory.mktemp("slurm")) as environment:
            yield environment


def of_grid(folder, *more, epochs=EPOCHS):
    begin = ["--datasets", "digits", "--networks", "vgg7", "--losses", "mse", "--output", str(folder), *more]
    return [*begin, "--", "--epochs", str(epochs), "--device", "cpu"]


def run_grid(environment, *arguments):
    command = [sys.executable, "-m", "deepnet_runs.grid", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)


def alone(folder, *more, epochs):
    """The rows of the same training in a process of its own, of one thread as the jobs' are."""
    given = ["--dataset", "digits", "--network", "vgg7", "--epochs", str(epochs), "--device", "cpu", "--quiet"]
    command = [sys.executable, "-m", "deepnet_runs.train", *given, *more, "--output", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environment, check=True, timeout=PATIENCE)
    return rows_on_disk(folder)


def running(environment, name):
    return real_slurm.ask(environment, "squeue", "--noheader", "--array", "--states=R", f"--name={name}", "--format=%i")


def preempt(environment, folder, deadline):
    """Each cell once while it trains, in one of the two ways in which a cluster does it; the most that ran at once."""
    ways = {0: ["scontrol", "requeue"], 1: ["scancel", "--signal=USR2"]}
    jobs, most = {}, 0
    while real_slurm.ask(environment, "squeue", "--noheader", f"--name={folder.name}").strip():
        assert time.monotonic() < deadline
        now = running(environment, folder.name).split()
        most = max(most, len(now))
        for job in now:
            seed = int(job.partition("_")[2])
            cell = folder / f"digits-vgg7-mse-{seed}"
            if seed not in jobs and (cell / "checkpoint.pt").exists():
                subprocess.run([*ways[seed], job], env=environment, check=True, timeout=30)
                jobs[seed] = job, len(rows_on_disk(cell))
        time.sleep(0.1)
    return jobs, most


@pytest.mark.slow
def test_an_array_with_a_cap_a_preempted_cell_and_one_of_two_processes(cluster, tmp_path):
    array, together = tmp_path / "array", tmp_path / "together"
    submitted = run_grid(cluster, *of_grid(array, "--seeds", "0", "1", "--parallel", "1", "--no-wait"))
    assert submitted.returncode == 0, submitted.stderr
    assert submitted.stdout == "2 cells submitted; --status shows how far they are\n"
    two = [*of_grid(together, "--processes", "2", "--no-wait", "--slurm", "cpus_per_task=1", epochs=1)]
    assert run_grid(cluster, *two).returncode == 0
    status = run_grid(cluster, *of_grid(array, "--seeds", "0", "1", "--status"))
    assert "digits-vgg7-mse-1  queued " in status.stdout, status.stdout + status.stderr

    jobs, most = preempt(cluster, array, time.monotonic() + PATIENCE)
    assert most == 1
    assert {seed: len(jobs[seed]) for seed in jobs} == {0: 2, 1: 2}
    assert all(0 < rows < EPOCHS for _, rows in jobs.values())
    again = run_grid(cluster, *of_grid(array, "--seeds", "0", "1"))
    assert again.returncode == 0, again.stderr
    assert "2 cells: 2 finished" in again.stdout
    for seed, (job, _) in jobs.items():
        (log,) = array.glob(f"jobs/*/{job}_0_log.out")
        lines = [line for line in log.read_text().splitlines() if "python -m deepnet_runs.train" in line]
        assert [line.endswith("--resume") for line in lines] == [False, True], log.read_text()
        reference = alone(tmp_path / f"alone-{seed}", "--seed", str(seed), epochs=EPOCHS)
        assert rows_on_disk(array / f"digits-vgg7-mse-{seed}") == reference

    done = run_grid(cluster, *two[: two.index("--no-wait")], *two[two.index("--no-wait") + 1 :])
    assert done.returncode == 0, done.stderr
    logs = sorted(path.name.split("_", 1)[1] for path in together.glob("jobs/*/*.out"))
    assert logs == ["0_log.out", "1_log.out"]
    rows = rows_on_disk(together / "digits-vgg7-mse-0")
    reference = alone(tmp_path / "one", epochs=1)
    assert rows != reference  # sums in another order
    assert distance(rows, reference) < ROUNDING


def test_what_slurm_does_not_take_is_refused_and_nothing_is_left(cluster, tmp_path):
    refused = run_grid(cluster, *of_grid(tmp_path / "runs" / "out", "--slurm", "partition=nowhere"))
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.startswith(
        f"{grid.PROGRAM}: error: Need options that Slurm takes, got sbatch: error: invalid"
    )
    assert refused.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_slurm_that_does_not_answer_is_said_to(cluster, tmp_path):
    (tmp_path / "submitted.json").write_text('{"digits-vgg7-mse-0": "1"}')
    (tmp_path / "slurm.conf").write_text("Nonsense=1\n")
    lost = cluster | {"SLURM_CONF": str(tmp_path / "slurm.conf")}
    silent = run_grid(lost, *of_grid(tmp_path, "--status"))
    assert silent.returncode == 1
    assert silent.stdout == ""
    assert silent.stderr.startswith(f"{grid.PROGRAM}: error: squeue fails: ")
    assert silent.stderr.count("\n") == 1
