"""Cells to processes of this machine, or to a job array of a Slurm cluster, through submitit.

On this machine a few processes work through one list of cells; they end with the grid, however it ends. That is done
here, because submitit's local executor has no queue: it starts every job at once, and lets jobs outlive the command.
On a cluster a cell is an element of a job array, of which so many run at once; the jobs outlive the command that has
submitted them, and Slurm starts a preempted one anew, which goes on from its checkpoint. Which jobs are under way is
asked of squeue: accounting, which submitit asks, is not on every cluster.
"""

import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.slurm.slurm import SlurmExecutor

from deepnet_runs.cells.plan import Cell
from deepnet_runs.cells.worker import GRACE, Worker, is_taken
from deepnet_runs.storage import records

FOREVER = 60 * 24 * 365  # minutes: submitit's limit for a local job
DAY = 60 * 24  # minutes: of a Slurm job, unless --slurm time=MINUTES says otherwise
WARNING = 90  # seconds before the end of a job's time: it is told, and queued again
REQUEUES = 1000  # as often as a cell may run out of time: it goes on from its checkpoint each time
POLL, LONGEST_POLL = 0.2, 20.0  # seconds between two checks of local jobs; at most, of jobs of a cluster
PATIENCE = 10  # failures of squeue in a row
OWN = {"array_parallelism": "--parallel", "ntasks_per_node": "--processes"}


def has_slurm() -> bool:
    """Whether jobs can be submitted to Slurm from here."""
    return shutil.which("sbatch") is not None


def at_once(processes: int) -> int:
    """How many cells this machine trains at once unless told: one a GPU, or without a GPU one for so many cores."""
    if shutil.which("nvidia-smi"):
        import torch

        if torch.cuda.is_available():
            return max(1, torch.cuda.device_count() // processes)
    return max(1, len(os.sched_getaffinity(0)) // processes)


def local(
    cells: Sequence[Cell],
    grid: Path,
    jobs: Path,
    *,
    parallel: int,
    processes: int,
    minutes: float | None,
    update: Callable[[], None],
) -> bool:
    """Train the cells in so many processes at once, or in so many groups of processes that train a cell together.

    A process that dies (of a lack of memory, say) is followed by another one for the cells that are left. `update` is
    called now and then. False if the processes were stopped after so many minutes.

    Raises:
        RuntimeError: if processes end before they have taken a cell, and cells are left; with a log.
    """
    # A process takes one cell after another where it can, since starting one costs more than many a cell's epochs.
    executor = submitit.LocalExecutor(jobs, max_num_timeout=0)
    executor.update_parameters(timeout_min=FOREVER, tasks_per_node=processes)
    shared = processes == 1 and not any(cell.config.compile for cell in cells)  # compiled code outlives a cell
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    worker = Worker(jobs, shared=shared, processes=processes, grid=grid, devices=devices)
    waiting = [list(cells)] * min(parallel, len(cells)) if shared else [[cell] for cell in cells]
    running: dict[int, tuple[Any, int]] = {}  # by number: the job, and how many cells were taken when it began
    log = jobs
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes

    def taken() -> int:
        return sum(is_taken(jobs, cell) for cell in cells)

    # Start as many as may run, and replace those that ended while cells were left.
    try:
        while waiting or running:
            if time.monotonic() > deadline:
                return False
            while waiting and len(running) < parallel:
                number = next(n for n in range(parallel) if n not in running)
                with _deaf_to_interrupts():
                    running[number] = executor.submit(worker, waiting.pop(0), number), taken()
            time.sleep(POLL)
            update()
            for number, (job, before) in list(running.items()):
                if job.done():
                    del running[number]
                    log = job.paths.stderr
                    if shared and before < taken() < len(cells):
                        waiting.append(list(cells))
    finally:
        _stop([job for job, _ in running.values()])
    if shared and taken() < len(cells):
        raise RuntimeError(f"A process of the grid ended before it began: see {log}.")
    return True


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started within do not get the terminal's Ctrl-C, which is the grid's to pass on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(running: Sequence[Any]) -> None:
    """Ask the processes to end, and wait until they have; those that have not after a while are ended."""
    deadline = time.monotonic() + GRACE
    while left := [job for job in running if not job.done()]:  # which collects their exit codes too
        for job in left:  # again: one that is just starting may have missed it
            os.kill(int(job.job_id), signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
        time.sleep(POLL)


def slurm_options(given: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE as submitit takes them, and what it does not know as further options of sbatch.

    Raises:
        ValueError: for what is not KEY=VALUE or is set by other options, or a time that is not in minutes or too short.
    """
    known = set(SlurmExecutor._valid_parameters()) - {"additional_parameters"}
    found: dict[str, Any] = {}
    further: dict[str, Any] = {"requeue": True}
    for text in given:
        key, equals, value = text.partition("=")
        key = key.removeprefix("slurm_").replace("-", "_")
        if not equals or not re.fullmatch("[a-z][a-z0-9_]*", key):
            raise ValueError(f"Need KEY=VALUE for --slurm, got {text}: for example partition=gpu.")
        if key in OWN:
            raise ValueError(f"Need {OWN[key]} for what --slurm {key} would set, got {text}: leave it out.")
        if key == "time" and not value.isdigit():
            raise ValueError(f"Need a time in minutes, got {text}: for example time=1440.")
        typed = int(value) if value.isdigit() else {"true": True, "false": False}.get(value.lower(), value)
        if key == "signal_delay_s" and not value.isdigit():
            raise ValueError(f"Need seconds, got {text}: for example signal_delay_s=90.")
        if key in ("setup", "teardown", "srun_args"):
            found[key] = [*found.get(key, []), value]
        elif key in known:
            found[key] = typed
        else:
            further[key] = typed
    found = {"time": DAY, "signal_delay_s": WARNING, **found}
    if 60 * found["time"] <= found["signal_delay_s"]:
        raise ValueError(
            f"Need more time than the {found['signal_delay_s']} s before its end in which a job is to checkpoint, "
            f"got time={found['time']} minutes: give more, or a smaller signal_delay_s."
        )
    return found | {"additional_parameters": further}


def submit(
    cells: Sequence[Cell], grid: Path, jobs: Path, *, parallel: int, processes: int, chosen: dict[str, Any]
) -> None:
    """Submit the cells as a job array of which so many run at once, and keep their jobs in `submitted.json`.

    Raises:
        ValueError: if Slurm does not take them, with what it says, and nothing is left behind.
    """
    if not cells:
        return
    executor = SlurmExecutor(jobs, max_num_timeout=REQUEUES)
    together = ["--kill-on-bad-exit=1", *chosen.get("srun_args", [])]  # one process that fails ends the others
    executor.update_parameters(**{"job_name": grid.name, **chosen, "srun_args": together})
    executor.update_parameters(array_parallelism=parallel, ntasks_per_node=processes)
    worker = Worker(jobs, shared=False, processes=processes, grid=None, devices=None)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # it repeats what sbatch says
            submitted = executor.map_array(worker, [[cell] for cell in cells])
    except (FailedJobError, FailedSubmissionError) as error:
        shutil.rmtree(jobs)
        with suppress(OSError):
            jobs.parent.rmdir()  # unless another command's are there
        said = " ".join(str(error).split())
        raise ValueError(
            f"Need options that Slurm takes, got {said}: see --slurm, or give --executor local."
        ) from error
    known = submitted_jobs(grid) | {cell.name: str(job.job_id) for cell, job in zip(cells, submitted, strict=True)}
    records.write_whole(grid / "submitted.json", lambda file: file.write(json.dumps(known, indent=2).encode()))


def submitted_jobs(grid: Path) -> dict[str, str]:
    """The Slurm jobs to which the cells of the grid were submitted last, by their names."""
    path = grid / "submitted.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def under_way(known: dict[str, str]) -> dict[str, str]:
    """Of submitted cells those whose jobs Slurm has not ended: their states in its words.

    Raises:
        RuntimeError: if squeue fails, with what it says.
    """
    if not known:
        return {}
    try:
        said = subprocess.run(
            ["squeue", "--me", "--noheader", "--array", "--format=%i %T"], capture_output=True, text=True, check=True
        ).stdout
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"squeue fails: {' '.join(error.stderr.split())}") from error
    states = dict(line.split(maxsplit=1) for line in said.splitlines())
    return {name: states[job].lower() for name, job in known.items() if job in states}


def wait(known: dict[str, str], update: Callable[[], None]) -> None:
    """Until Slurm has ended these jobs; `update` is called now and then.

    Raises:
        RuntimeError: if squeue fails many times in a row.
    """
    pause, failures = POLL, 0
    while True:
        try:
            if not under_way(known):
                return
            failures = 0
        except RuntimeError:
            failures += 1
            if failures == PATIENCE:
                raise
        update()
        time.sleep(pause)
        pause = min(1.2 * pause, LONGEST_POLL)
