"""Run the other models of neural collapse to their end states, and compare each with its closed form.

    python -m central_path.models
    python -m central_path.models fang zhu

Prints three tables and writes models.json and a figure for each model; `--help` says the rest. JAX is imported only
when the options are known to be good.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from central_path.cli import records
from central_path.cli.program import INTERRUPTED, answer, on_terminal, run_program, ticking
from central_path.models.options import PROGRAM, parse

if TYPE_CHECKING:
    from central_path.models.outcome import ModelOutcome


def judged(args: argparse.Namespace, folder: Path | None) -> "tuple[list[ModelOutcome], bool]":
    """The outcomes in the order of the models, figures drawn into the folder; and whether Ctrl-C ended them early.

    Raises:
        RuntimeError: if a process dies.
        KeyboardInterrupt: if there is no outcome yet.
    """
    from tqdm import tqdm

    from central_path.models.judge import judge_all

    silent = not on_terminal()
    left, outcomes, complete = list(args.models), [], False
    bar = tqdm(total=len(left), unit="model", file=sys.stderr, leave=False, disable=silent)
    try:
        with ticking(bar):
            bar.set_description(f"at work: {', '.join(left[: args.jobs])}")
            for outcome in judge_all(args.models, starts=args.starts, seed=args.seed, folder=folder, jobs=args.jobs):
                outcomes.append(outcome)
                left.remove(outcome.model.name)
                bar.update()
                bar.set_description(f"at work: {', '.join(left[: args.jobs])}")
        complete = True
    except KeyboardInterrupt:
        if not outcomes:
            raise
    return sorted(outcomes, key=lambda outcome: args.models.index(outcome.model.name)), not complete


def run(args: argparse.Namespace, started: float) -> tuple[int, str]:
    """Run, draw and write; the exit code and the tables.

    What is finished at Ctrl-C is written too: beside the results of an earlier run, never in their place.

    Raises:
        OSError: if the results cannot be written; then none is.
        RuntimeError: if a process dies.
    """
    records.check_destination(args.output, ("models.json", *(f"{name}.png" for name in args.models)))
    from central_path.cli.report import versions
    from central_path.models import catalogue, report

    output = args.output
    with TemporaryDirectory() as drawn:
        outcomes, interrupted = judged(args, None if args.no_plots else Path(drawn))
        names = [] if args.no_plots else [f"{o.model.name}.png" for o in outcomes if o.runs]
        stale = tuple(f"{name}.png" for name in catalogue.CLASSES if f"{name}.png" not in names)
        if interrupted and (output / "models.json").exists():
            output = output / "interrupted"
        with records.staging(output, last="models.json", stale=stale) as stage:
            for name in names:
                shutil.copyfile(Path(drawn) / name, stage / name)
            seconds = time.perf_counter() - started
            setting = {"starts": args.starts, "seed": args.seed, "seconds": seconds, "versions": versions()}
            entries = [report.entry(outcome) for outcome in outcomes]
            records.write_json(stage / "models.json", setting | {"interrupted": interrupted, "models": entries})
    text = f"{report.tables(outcomes)}\n\n{seconds:.0f} s; results in {output}"
    if interrupted:
        finished = f"{len(outcomes)} of {len(args.models)} models finished"
        print(f"{PROGRAM}: interrupted; {finished}, written to {output}", file=sys.stderr)
        return INTERRUPTED, text
    return int(not all(outcome.verdict == "as predicted" for outcome in outcomes)), text


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    started = time.perf_counter()
    args = parse(argv)
    return answer(PROGRAM, lambda: run(args, started), (ValueError, OSError, MemoryError, RuntimeError))


if __name__ == "__main__":
    run_program(main)
