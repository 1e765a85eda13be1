"""Whose law do trained networks follow? From the records of their runs alone, without PyTorch.

    python -m deepnet_runs.which_law runs/resnet8 [RUN ...]

Runs whose configurations differ in the seed alone are repetitions, and judged together. The window goes from the first
measured epoch without a training error, or --from, to the last, or --to. Writes which_law.json on request.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from central_path import records
from central_path.options import Parser, checked
from central_path.program import say
from central_path.report import aligned
from deepnet_runs import law_of_run, runs

PROGRAM = "python -m deepnet_runs.which_law"
EPILOG = f"""\
k           the exponent of the family of laws that omega follow best, with a 95 % interval from resampling the runs (of
            fewer than three runs: the directions j).
D           how far the directions are out of step, in shares of their common way: at the best k and at the three laws.
            Above {law_of_run.FOLLOWS:g} at the best k a run follows no law of the family.
exit codes  0: judged; 2: unusable arguments or records, and nothing is written."""
EPOCH = checked(int, lambda n: n >= 1, "an epoch from 1 on")


def window(run: runs.Run, first: int | None, last: int | None) -> list[dict[str, Any]]:
    """The rows of a window.

    Raises:
        ValueError: if none is without a training error, and no first epoch is given.
    """
    first = run.first_clean if first is None else first
    if first is None:
        raise ValueError("Need an epoch without a training error, got none: give --from an epoch.")
    return [row for row in run.rows if row["epoch"] >= first and (last is None or row["epoch"] <= last)]


def judge(folders: Sequence[Path], first: int | None, last: int | None) -> list[dict[str, Any]]:
    """An entry for each group of repetitions.

    Raises:
        ValueError: for a folder without a run, or a window that holds too little, with its name.
    """
    entries = []
    for group in runs.repetitions([runs.read(folder) for folder in runs.within(folders)]):
        folder, config = group[0].folder, group[0].config
        try:
            chosen = [window(run, first, last) for run in group]
            found = law_of_run.find([np.array([row["omega"] for row in rows]) for rows in chosen])
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from error
        entries.append(
            {
                "runs": [str(run.folder) for run in group],
                **{name: config[name] for name in ("dataset", "network", "loss")},
                "epochs": [[rows[0]["epoch"], rows[-1]["epoch"]] for rows in chosen],
                "k": found.k,
                "interval": list(found.interval),
                "resampled": found.resampled,
                "distance": found.distance,
                "distances": found.distances,
                "largest_omega2_over_C": found.largest,
                "verdict": found.verdict,
            }
        )
    return entries


def table(entries: list[dict[str, Any]]) -> str:
    """A line for each group."""
    rows = [["run", "seeds", "epochs", "k", "95 %", "D at k", *(f"D {name}" for name in law_of_run.LAWS), "verdict"]]
    for entry in entries:
        (begin, end), (low, high) = entry["epochs"][0], entry["interval"]
        numbers = [f"{entry['k']:.2f}", f"{low:.2f} to {high:.2f}", f"{entry['distance']:.2f}"]
        laws = [f"{D:.2f}" for D in entry["distances"].values()]
        name = f"{entry['dataset']} {entry['network']} {entry['loss']}"
        rows.append([name, str(len(entry["runs"])), f"{begin}-{end}", *numbers, *laws, entry["verdict"]])
    return "\n".join(aligned(rows))


def parser() -> Parser:
    """The options, as `--help` shows them."""
    p = Parser(PROGRAM, "Which law of the family the singular values omega of trained networks follow.", EPILOG)
    p.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="output folders of deepnet_runs.train")
    p.add_argument("--from", dest="first", type=EPOCH, metavar="EPOCH", help="default: the first without an error")
    p.add_argument("--to", dest="last", type=EPOCH, metavar="EPOCH", help="default: the last")
    p.add_argument("--output", type=Path, metavar="DIR", help="write which_law.json there")
    return p


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args: argparse.Namespace = parser().parse_args(argv)
    try:
        entries = judge(args.runs, args.first, args.last)
        if args.output:
            records.check_destination(args.output, ("which_law.json",))
            with records.staging(args.output, last="which_law.json") as stage:
                records.write_json(stage / "which_law.json", {"groups": entries})
    except (ValueError, OSError) as error:
        print(f"{PROGRAM}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    say(table(entries))
    return 0


if __name__ == "__main__":
    sys.exit(main())
