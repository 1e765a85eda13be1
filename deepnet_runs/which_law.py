"""Whose law do trained networks follow? From the records of their runs alone, without PyTorch.

    python -m deepnet_runs.which_law runs/resnet8 [RUN ...]

Runs whose configurations differ in the seed alone are repetitions, and judged together; a folder stands for the runs in
it. The window goes from the first measured epoch without a training error, or --from, to the last, or --to. With
--output writes which_law.json, laws.png (every exponent with its interval) and for each group a figure of its omega,
invariants, clocks, forecasts and premises.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from central_path import records
from central_path.options import Parser, checked
from central_path.program import answer, on_terminal, run_program
from central_path.tables import aligned
from deepnet_runs import judgement, law_of_run, runs

PROGRAM = "python -m deepnet_runs.which_law"
EPILOG = f"""\
k           the exponent of the family of laws that omega follow best, with a 95 % interval from resampling the runs (of
            fewer than three runs: the directions j).
alone       how many of the runs follow a law of the family, each with an exponent of its own.
D           how far the directions are out of step, in shares of their common way: at the best k and at the three laws.
            Above {law_of_run.FOLLOWS:g} at the best k a run follows no law of the family; of several runs the one that
            is furthest out of step counts, so that more of them agree less easily.
time        the power p of the summed learning rate as which each law's time would pass, and R^2; gradient flow: p = 1.
forecast    rms error of log omega forecast from the window's first epoch, the clock fitted to its first third.
premises    at the window's end: L_LS_perp/L_LS (A1), |W mu_G + b - pi|/|pi| (A2), mean overlap of the right singular
            vectors with those at its begin, largest angle of the left ones, share of E's row space that is still the
            same (the last two of runs with saved features).
exit codes  0: judged; 2: unusable arguments or records, and nothing is written."""
PREMISES = {  # key of a group's premises: its column, and its format
    "loss_ls_perp_over_loss_ls": ("A1", ".3f"),
    "mean_output_gap": ("A2", ".3f"),
    "overlap_V": ("overlap V", ".2f"),
    "angle_U": ("angle U (deg)", ".0f"),
    "overlap_E": ("overlap E", ".2f"),
}
EPOCH = checked(int, lambda n: n >= 1, "an epoch from 1 on")


def median(values: Sequence[float | None], form: str) -> str:
    """The median over the runs that have one, or a dash."""
    there = [value for value in values if value is not None and not np.isnan(value)]
    return format(float(np.median(there)), form) if there else "-"


def power(entry: dict[str, Any], law: str) -> tuple[str, str]:
    """Power of the summed learning rate as which a law's time would go by, and R^2: medians over the runs."""
    there = [found for found in entry["clocks"][law]["lr_sum"] if found]
    p, R2 = (median([found[key] for found in there], ".2f") for key in ("exponent", "R2"))
    return p, R2


def at_end(entry: dict[str, Any]) -> list[str]:
    """The `PREMISES` at the windows' ends: medians over the runs."""
    return [
        median([one[key][-1] for one in entry["premises"] if one[key]], form) for key, (_, form) in PREMISES.items()
    ]


def verdicts(entries: list[dict[str, Any]]) -> list[str]:
    """A line for each group: its exponent and verdict."""
    laws = [f"D {name}" for name in law_of_run.LAWS]
    rows = [["run", "seeds", "alone", "epochs", "k", "95 %", "D at k", *laws, "verdict"]]
    for entry in entries:
        epochs, (low, high) = entry["epochs"][0], entry["interval"]
        numbers = [f"{entry['k']:.2f}", f"{low:.2f} to {high:.2f}", f"{entry['distance']:.2f}"]
        laws = [f"{D:.2f}" for D in entry["distances"].values()]
        head = [entry["label"], str(len(entry["runs"])), str(entry["follow_alone"]), f"{epochs[0]}-{epochs[-1]}"]
        left = f" (left out: {entry['left_out']})" if entry["left_out"] else ""
        rows.append([*head, *numbers, *laws, entry["verdict"] + left])
    return aligned(rows)


def times(entries: list[dict[str, Any]]) -> list[str]:
    """A line for each group: the powers of the summed learning rate as which time would go by."""
    names = [*law_of_run.LAWS, "own"]
    rows = [["time (p / R^2)", *(f"{name} k" if name == "own" else name for name in names)]]
    for entry in entries:
        rows.append([entry["label"], *(" / ".join(power(entry, name)) for name in names)])
    return aligned(rows)


def foresight(entries: list[dict[str, Any]]) -> list[str]:
    """A line for each group: errors of the forecasts, clocks in the summed learning rate."""
    axis = judgement.AXES["lr_sum"]
    names = {"constant": "constant", "log-log line": "log-log line"}
    names |= {f"{law}, {axis}": law for law in law_of_run.LAWS} | {f"own, {axis}": "own k"}
    names |= {f"own, power of {axis}": "own k, power of it"}
    rows = [["forecast error", *names.values()]]
    for entry in entries:
        rows.append([entry["label"], *(median(entry["forecast_errors"].get(name, []), ".3f") for name in names)])
    return aligned(rows)


def premises(entries: list[dict[str, Any]]) -> list[str]:
    """A line for each group: how near the end of its window is to what the laws assume."""
    heads = [head for head, _ in PREMISES.values()]
    return aligned([["premises", *heads], *([entry["label"], *at_end(entry)] for entry in entries)])


def parser() -> Parser:
    """The options, as `--help` shows them."""
    p = Parser(PROGRAM, "Which law of the family the singular values omega of trained networks follow.", EPILOG)
    p.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="output folders of deepnet_runs.train, or above them"
    )
    p.add_argument("--from", dest="first", type=EPOCH, metavar="EPOCH", help="default: the first without an error")
    p.add_argument("--to", dest="last", type=EPOCH, metavar="EPOCH", help="default: the last")
    p.add_argument("--output", type=Path, metavar="DIR", help="write which_law.json and figures there")
    p.add_argument("--no-plots", action="store_true", help="write no figures")
    return p


def tables(entries: list[dict[str, Any]]) -> str:
    """What is printed."""
    parts = verdicts(entries), times(entries), foresight(entries), premises(entries)
    return "\n\n".join("\n".join(lines) for lines in parts)


def judged(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The entries, written where they are asked for.

    Raises:
        ValueError: for unusable records or an output that cannot be.
    """
    from tqdm import tqdm

    if args.output:
        records.check_destination(args.output, ("which_law.json",))
    found = [runs.read(folder) for folder in runs.within(args.runs)]

    def bar(groups: Sequence[Any]) -> Any:
        return tqdm(groups, desc="judged", file=sys.stderr, leave=False, disable=not on_terminal())

    entries, refusals = judgement.judge(found, args.first, args.last, progress=bar)
    if not entries:
        raise ValueError(refusals[0])
    for why in refusals:
        print(f"{PROGRAM}: not judged: {why}", file=sys.stderr)
    if args.output:
        with records.staging(args.output, last="which_law.json") as stage:
            if not args.no_plots:
                from deepnet_runs import law_figures

                law_figures.draw(entries, found, stage)
            records.write_json(stage / "which_law.json", {"groups": entries})
    return entries


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parser().parse_args(argv)
    return answer(PROGRAM, lambda: (0, tables(judged(args))))


if __name__ == "__main__":
    run_program(main)
