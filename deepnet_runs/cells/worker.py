"""A process of a grid: it trains one cell after another, each as `deepnet_runs.train` does.

Importing the libraries and compiling take longer than the training of a small cell, so that a process goes on with the
next cell once it has ended one. Nothing passes from one to the next: a training draws from generators of its own, set
by its seed. Where several processes work through one list, the first that makes a cell's `.taken` file has it. How a
training ended goes to a file of the cell, whole or not at all; everything printed goes to the job's logs.
"""

import fcntl
import gc
import json
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from submitit.helpers import DelayedSubmission, TorchDistributedEnvironment

from central_path.cli.program import INTERRUPTED
from deepnet_runs import train
from deepnet_runs.cells.plan import Cell
from deepnet_runs.storage import records
from deepnet_runs.training.run import TrainOutcome, attempt, is_primary

GRACE = 1.5  # seconds in which a process that is asked to end does; then it is killed, and its last checkpoint stays


class Worker:
    """The callable that submitit takes to a process.

    Arguments:
        jobs: folder of outcomes.
        shared: whether other processes work through the same cells.
        processes: how many processes train a cell together, of which this is one.
        grid: folder that the grid holds while it lives, if this process is to end with it.
        devices: CUDA_VISIBLE_DEVICES of the grid, which submitit's local executor hides; None if there was none.
    """

    def __init__(self, jobs: Path, *, shared: bool, processes: int, grid: Path | None, devices: str | None):
        self.jobs, self.shared, self.processes, self.grid, self.devices = jobs, shared, processes, grid, devices

    def __call__(self, cells: Sequence[Cell], number: int = 0) -> list[int]:
        """Train the cells that no other process has taken; their exit codes. `number` tells the processes apart."""
        if self.grid is not None:
            self._belong_to(self.grid)
            self._see_devices(number)
        if self.processes > 1:
            self._join()
        mine = (cell for cell in cells if not self.shared or take(self.jobs, cell))
        codes = [self._train(cell) for cell in mine]
        if self.processes > 1 and any(codes):
            os._exit(max(codes))  # a process group that the others may have left is not waited for
        return codes

    def checkpoint(self, cells: Sequence[Cell], number: int = 0) -> DelayedSubmission:
        """What submitit requeues when the job is preempted or runs out of time: the same, which finds a checkpoint."""
        return DelayedSubmission(self, cells, number)

    def _belong_to(self, grid: Path) -> None:
        signal.signal(signal.SIGTERM, _end)  # in the place of submitit's, which goes on
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        threading.Thread(target=_end_with, args=[grid], daemon=True).start()

    def _see_devices(self, number: int) -> None:
        """The grid's CUDA devices; processes that train alone take one each, in turn."""
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        if self.devices is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.devices
        import torch  # once the visible devices are set

        if self.processes == 1 and torch.cuda.device_count() > 1:
            os.environ["LOCAL_RANK"] = str(number % torch.cuda.device_count())

    def _join(self) -> None:
        """What torchrun would have set; the training picks its device itself."""
        environment = TorchDistributedEnvironment()
        if self.grid is not None:
            environment.master_addr = "localhost"
        environment.export(set_cuda_visible_devices=False, overwrite=True)

    def _train(self, cell: Cell) -> int:
        print(f"{cell.name}: python -m deepnet_runs.train {shlex.join(cell.command())}", flush=True)
        outcome = attempt(cell.config, replace(cell.continued(), quiet=True))
        train.print_failure(outcome)
        if outcome.code == INTERRUPTED:
            sys.exit(outcome.code)
        if is_primary():
            write_outcome(self.jobs, cell, outcome)
        gc.collect()
        return outcome.code


def _end(*_: Any) -> None:
    """Handle SIGTERM as Ctrl-C, once: the grid, and the shell that ended it, may both send it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with(grid: Path) -> None:
    """End this process when the grid lets go of its folder, however it ended; hold the folder until then."""
    directory = os.open(grid, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_SH)
    except OSError:  # a file system without locks: the grid's own signal must do
        return
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(INTERRUPTED)


def take(jobs: Path, cell: Cell) -> bool:
    """Whether the cell was nobody's, and is this process's now."""
    try:
        (jobs / f"{cell.name}.taken").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def is_taken(jobs: Path, cell: Cell) -> bool:
    """Whether a process has begun with the cell."""
    return (jobs / f"{cell.name}.taken").exists()


def write_outcome(jobs: Path, cell: Cell, outcome: TrainOutcome) -> None:
    """The file of a cell's outcome: its exit code and what it said."""
    text = json.dumps({"code": outcome.code, "said": outcome.message, "diverged": outcome.diverged})
    records.write_whole(jobs / f"{cell.name}.json", lambda file: file.write(text.encode()))


def read_outcome(jobs: Path, cell: Cell) -> TrainOutcome | None:
    """How the cell's training ended, without its rows; None if it has not ended, or left no outcome."""
    path = jobs / f"{cell.name}.json"
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return TrainOutcome(found["code"], found["said"], diverged=found["diverged"])
