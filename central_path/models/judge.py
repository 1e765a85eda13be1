"""The models judged one after the other, or several at once in processes of their own."""

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from central_path.cli.program import set_up_jax
from central_path.simulation.compiler import compile_quickly

if TYPE_CHECKING:
    from central_path.models.outcome import ModelOutcome


def judge(name: str, *, starts: int, seed: int, folder: Path | None) -> "ModelOutcome":
    """Run one model and draw its figure into the folder, if there is one."""
    compile_quickly()
    set_up_jax()
    from central_path.models import catalogue, figures, outcome

    judged = outcome.run(catalogue.load(name), starts=starts, seed=seed)
    if judged.runs and folder:
        figures.draw(judged, folder)
    return judged


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def judge_all(names: list[str], *, starts: int, seed: int, folder: Path | None, jobs: int) -> "Iterator[ModelOutcome]":
    """The models as they are finished, several processes at work; compiling keeps one core of each busy.

    Raises:
        RuntimeError: if a process dies.
    """
    one = partial(judge, starts=starts, seed=seed, folder=folder)
    jobs = min(jobs, len(names))
    if jobs == 1:
        yield from map(one, names)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_leave_interrupts_to_the_parent) as pool:
        try:
            for judged in as_completed([pool.submit(one, name) for name in names]):
                yield judged.result()
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise
