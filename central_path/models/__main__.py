"""Run the other models of neural collapse to their end states, and hold each against its closed form.

    python -m central_path.models
    python -m central_path.models fang zhu

Prints three tables and writes models.json and a figure for each model; `--help` says the rest. JAX is imported only
when the options are known to be good.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from central_path import records
from central_path.models.options import PROGRAM, parse
from central_path.simulate import INTERRUPTED, on_terminal, say, set_up_jax, terminate

if TYPE_CHECKING:
    from central_path.models.outcome import Outcome


def judge(name: str, *, starts: int, seed: int, folder: Path | None) -> "Outcome":
    """Run one model and draw its figure into the folder, if there is one."""
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")  # compiling is most of the time
    set_up_jax()
    from central_path.models import catalogue, figures, outcome

    judged = outcome.run(catalogue.load(name), starts=starts, seed=seed)
    if judged.runs and folder:
        figures.draw(judged, folder)
    return judged


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def judge_all(args: argparse.Namespace, folder: Path | None) -> "Iterator[Outcome]":
    """The models in their order, several processes at work; compiling keeps one core of each busy.

    Raises:
        RuntimeError: if a process dies.
    """
    one = partial(judge, starts=args.starts, seed=args.seed, folder=folder)
    jobs = min(args.jobs, len(args.models))
    if jobs == 1:
        yield from map(one, args.models)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_leave_interrupts_to_the_parent) as pool:
        try:
            yield from pool.map(one, args.models)
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def run(args: argparse.Namespace, started: float) -> tuple[int, str]:
    """Run, draw and write; the exit code and the tables.

    Raises:
        OSError: if the results cannot be written; then none is.
        RuntimeError: if a process dies.
    """
    from tqdm import tqdm

    from central_path.models import catalogue, report
    from central_path.report import versions

    names = [] if args.no_plots else [f"{name}.png" for name in args.models]
    stale = tuple(f"{name}.png" for name in catalogue.CLASSES if f"{name}.png" not in names)
    with records.staging(args.output, last="models.json", stale=stale) as stage:
        judged = judge_all(args, None if args.no_plots else stage)
        silent = not on_terminal()
        bar = tqdm(judged, "models", len(args.models), unit="model", file=sys.stderr, leave=False, disable=silent)
        outcomes = list(bar)
        seconds = time.perf_counter() - started
        setting = {"starts": args.starts, "seed": args.seed, "seconds": seconds, "versions": versions()}
        entries = [report.entry(outcome) for outcome in outcomes]
        records.write_json(stage / "models.json", setting | {"models": entries})
    good = all(outcome.verdict == "as predicted" for outcome in outcomes)
    return int(not good), f"{report.tables(outcomes)}\n\n{seconds:.0f} s; results in {args.output}"


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    started = time.perf_counter()
    args = parse(argv)
    try:
        records.check_destination(args.output, ("models.json", *(f"{name}.png" for name in args.models)))
        code, text = run(args, started)
    except (ValueError, OSError, MemoryError, RuntimeError) as error:
        print(f"{PROGRAM}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted, nothing written", file=sys.stderr)
        return INTERRUPTED
    say(text)
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    exit_code = main()
    if exit_code == INTERRUPTED:
        os._exit(exit_code)  # a solve under way in its thread would be waited for
    sys.exit(exit_code)
