"""Run the other models of neural collapse to their end states, and hold each against its closed form.

    python -m central_path.models
    python -m central_path.models fang zhu

Prints three tables and writes models.json and a figure for each model; `--help` says the rest. JAX is imported only
when the options are known to be good.
"""

import argparse
import sys
import time

from central_path import records
from central_path.models.options import PROGRAM, parse
from central_path.program import answer, on_terminal, run_program


def run(args: argparse.Namespace, started: float) -> tuple[int, str]:
    """Run, draw and write; the exit code and the tables.

    Raises:
        OSError: if the results cannot be written; then none is.
        RuntimeError: if a process dies.
    """
    records.check_destination(args.output, ("models.json", *(f"{name}.png" for name in args.models)))
    from tqdm import tqdm

    from central_path.models import catalogue, report
    from central_path.models.judge import judge_all
    from central_path.report import versions

    names = [] if args.no_plots else [f"{name}.png" for name in args.models]
    stale = tuple(f"{name}.png" for name in catalogue.CLASSES if f"{name}.png" not in names)
    with records.staging(args.output, last="models.json", stale=stale) as stage:
        folder, silent = None if args.no_plots else stage, not on_terminal()
        judged = judge_all(args.models, starts=args.starts, seed=args.seed, folder=folder, jobs=args.jobs)
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
    return answer(PROGRAM, lambda: run(args, started), (ValueError, OSError, MemoryError, RuntimeError))


if __name__ == "__main__":
    run_program(main)
