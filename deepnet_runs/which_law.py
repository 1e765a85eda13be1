"""Which law describes the singular values omega of trained networks, beside null models that follow no law.

    python -m deepnet_runs.which_law runs/resnet8 [RUN ...]

D(k) describes rank-ordered omega, beside its null models; where `deepnet_runs.kernel` has measured the velocity of the
features, that field test is shown, too. Needs the records of the runs alone, no PyTorch. Runs whose configurations
differ in the seed alone are repetitions and are analysed together; a folder stands for the runs in it. The window goes
from the first measured epoch with zero training error, or --from, to the last, or --to. With --output writes
which_law.json, laws.png (the exponent of every group) and for each group a figure of its omega, invariants, clocks,
predictions and assumptions.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from central_path.cli import records
from central_path.cli.options import Parser, checked
from central_path.cli.program import answer, on_terminal, run_program
from central_path.cli.tables import aligned
from deepnet_runs.dynamics import common_growth, field_tables, judgement, law_of_run
from deepnet_runs.dynamics.common_growth import Null
from deepnet_runs.dynamics.judgement import Group
from deepnet_runs.storage import runs

PROGRAM = "python -m deepnet_runs.which_law"
DRAWS, FREQUENT, RATE_SD = common_growth.DRAWS, common_growth.FREQUENT, common_growth.RATE_SD
LIMIT, LAWS = law_of_run.LIMIT, law_of_run.LAWS
EPILOG = f"""\
null        models that follow no law but have the mean growth of the runs, analysed by the same code in {DRAWS} draws:
            random matrices, a fresh Gaussian matrix at every epoch times a common factor (with the P of the saved
            features; with the P that gives the mean spread of log omega; scaled to the spread at every epoch);
            independent rates, every direction growing at its own rate (standard deviation {RATE_SD:.0%}), sorted.
            Their rows are medians over the draws.
k           the exponent of the family of laws that describes the rank-ordered omega best: the mean over the runs.
95 %        of runs: Student's t interval over the seeds, of one run none. Of a null model: 95 % of its draws.
D           largest deviation of the directions' increments from their mean, relative to the mean total increment, at k
            and at the three laws; of several runs the largest.
same        share of a null model's draws with the description of the runs.
verdict     a law, or the family with its k, if D is at most {LIMIT:g}; otherwise none. It describes omega, it does not
            identify a mechanism. Where a null model has the same description in more than {FREQUENT:.0%} of its draws
            the verdict is "not distinguishable from" that model; so it is for k = 2, a common growth factor of omega.
D <= {LIMIT:g}   number of runs whose rank-ordered spectrum contracts as a law demands; share of the null models' runs.
time        the power p of the summed learning rate as which each law's time would pass, and R^2; gradient flow: p = 1.
error       root mean square error of log omega predicted from the window's first epoch, the clock fitted to its first
            third. `unnormalized` is a common growth factor.
assumptions at the window's end: L_LS_perp/L_LS (A1), |W mu_G + b - pi|/|pi| (A2), mean overlap of the right singular
            vectors with those at its start, largest angle of the left ones, share of E's row space that is still the
            same (the last two of runs with saved features); by chance: of unrelated epochs.
field test  of runs that deepnet_runs.kernel has measured: cosines of the features' velocity with that of the models,
            whole and (*) without the common factor; its --help explains the columns.
exit codes  0: analysed; 2: unusable arguments or records, and nothing is written."""
OPEN = """\
Whether these networks follow one of the laws is an open question. Rank-ordered omega cannot decide it: sorting hides
crossings, and a law near k = 2 looks like a common growth factor. The features' velocity must be measured for that:
python -m deepnet_runs.kernel compares it with that of the models."""
ASSUMPTIONS = {  # key of a group's assumptions: its column, its format, and the key of its value by chance
    "loss_ls_perp_over_loss_ls": ("A1", ".3f", None),
    "mean_output_gap": ("A2", ".3f", None),
    "overlap_V": ("overlap V (by chance)", ".2f", "chance_V"),
    "angle_U": ("angle U (deg)", ".0f", None),
    "overlap_E": ("overlap E (by chance)", ".2f", "chance_E"),
}
EPOCH = checked(int, lambda n: n >= 1, "an epoch from 1 on")


def median(values: Sequence[float | None], form: str) -> str:
    """The median over the runs that have one, or a dash."""
    known = [value for value in values if value is not None and not np.isnan(value)]
    return format(float(np.median(known)), form) if known else "-"


def number(value: float | None) -> str:
    """Two decimals, or a dash where there is no number."""
    return median([value], ".2f")


def interval(limits: Sequence[float] | None) -> str:
    """From one limit to the other, or a dash."""
    return "-" if limits is None or np.isnan(limits).any() else f"{limits[0]:.2f} to {limits[1]:.2f}"


def null_name(null: Null) -> str:
    """The name of a null model, with the dimension of its matrices: the median over the runs."""
    return f"null: {null.name}" + ("" if null.P is None else f" = {np.median(null.P):.0f}")


def power(entry: Group, law: str) -> tuple[str, str]:
    """Power of the summed learning rate as which a law's time would pass, and R^2: medians over the runs."""
    known = [found for found in entry.clocks[law]["lr_sum"] if found]
    return median([found.exponent for found in known], ".2f"), median([found.R2 for found in known], ".2f")


def at_end(entry: Group) -> list[str]:
    """The `ASSUMPTIONS` at the windows' ends, with what chance gives: medians over the runs."""

    def last(key: str, form: str) -> str:
        return median([values[-1] for one in entry.assumptions if (values := one[key])], form)

    cells = []
    for key, (_, form, chance) in ASSUMPTIONS.items():
        cell = last(key, form)
        cells.append(f"{cell} ({last(chance, form)})" if chance and cell != "-" else cell)
    return cells


def verdicts(entries: Sequence[Group]) -> list[str]:
    """The exponent and verdict of each group, and below it those of its null models."""
    laws = [f"D {name}" for name in LAWS]
    rows = [["run", "seeds", "epochs", "k", "95 %", "D at k", *laws, "same", "verdict"]]
    for entry in entries:
        epochs = entry.epochs[0]
        Ds = [number(D) for D in (entry.finding.distance, *entry.finding.distances.values())]
        omitted = f" ({entry.left_out} omitted)" if entry.left_out else ""
        head = [entry.label, str(len(entry.runs)), f"{epochs[0]}-{epochs[-1]}"]
        rows.append(
            [*head, number(entry.finding.k), interval(entry.finding.interval), *Ds, "", entry.verdict + omitted]
        )
        for null in entry.nulls:
            Ds = [number(D) for D in (null.distance, *null.distances.values())]
            k = number(null.k), interval(null.k_interval)
            rows.append([f"  {null_name(null)}", "", "", *k, *Ds, f"{null.same:.0%}", ""])
    return aligned(rows)


def contractions(entries: Sequence[Group]) -> list[str]:
    """Of how many runs, and of what share of the null models' runs, D is within the limit."""
    keys = {**{name: name for name in LAWS}, "own": "own k"}
    rows = [[f"D <= {LIMIT:g}", *keys.values()]]
    for entry in entries:
        rows.append([entry.label, *(f"{entry.finding.within_limit[key]} of {len(entry.runs)}" for key in keys)])
        for null in entry.nulls:
            rows.append([f"  {null_name(null)}", *(f"{null.within_limit[key]:.0%}" for key in keys)])
    return aligned(rows)


def times(entries: Sequence[Group]) -> list[str]:
    """The powers of the summed learning rate as which time would pass, of each group and its null models."""
    names = [*LAWS, "own"]
    rows = [["time (p / R^2)", *(f"{name} k" if name == "own" else name for name in names)]]
    for entry in entries:
        rows.append([entry.label, *(" / ".join(power(entry, name)) for name in names)])
        for null in entry.nulls:
            p = null.clock_exponents
            rows.append([f"  {null_name(null)}", *(number(p[name]) for name in LAWS), "-"])
    return aligned(rows)


def predictions(entries: Sequence[Group]) -> list[str]:
    """The errors of the predictions of each group, clocks in the summed learning rate."""
    axis = judgement.AXES["lr_sum"]
    names = {"constant": "constant", "log-log line": "log-log line"}
    names |= {f"{law}, {axis}": law for law in LAWS} | {f"own, {axis}": "own k"}
    names |= {f"own, power of {axis}": "own k, power of it"}
    rows = [["prediction error", *names.values()]]
    for entry in entries:
        rows.append([entry.label, *(median(entry.forecast_errors.get(name, []), ".3f") for name in names)])
    return aligned(rows)


def assumptions(entries: Sequence[Group]) -> list[str]:
    """How well the assumptions of the laws hold at the end of each group's window."""
    heads = [head for head, *_ in ASSUMPTIONS.values()]
    return aligned([["assumptions", *heads], *([entry.label, *at_end(entry)] for entry in entries)])


def fields(entries: Sequence[Group]) -> list[str]:
    """The field test at the last epoch of the window at which it was made, of every run that has one; may be empty."""
    rows = [
        field_tables.cells(Path(run).name, row)
        for entry in entries
        for run, row in zip(entry.runs, entry.field, strict=True)
        if row is not None
    ]
    return aligned([["field test", *field_tables.head()[1:]], *rows]) if rows else []


def parser() -> Parser:
    """The options, as `--help` shows them."""
    p = Parser(
        PROGRAM,
        "Which law of the family describes the singular values omega of trained networks, beside null models.",
        EPILOG,
    )
    p.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="output folders of deepnet_runs.train, or above them"
    )
    p.add_argument(
        "--from", dest="first", type=EPOCH, metavar="EPOCH", help="default: the first with zero training error"
    )
    p.add_argument("--to", dest="last", type=EPOCH, metavar="EPOCH", help="default: the last")
    p.add_argument("--output", type=Path, metavar="DIR", help="write which_law.json and figures there")
    p.add_argument("--no-plots", action="store_true", help="write no figures")
    return p


def tables(entries: Sequence[Group]) -> str:
    """What is printed."""
    parts = [one(entries) for one in (verdicts, contractions, times, predictions, assumptions, fields)]
    return "\n\n".join(["\n".join(lines) for lines in parts if lines] + [OPEN])


def analysed(args: argparse.Namespace) -> list[Group]:
    """The entries, written where they are asked for.

    Raises:
        ValueError: for unusable records or an output that cannot be.
    """
    if args.output:
        records.check_destination(args.output, ("which_law.json",))
    found = [runs.read(folder) for folder in runs.within(args.runs)]

    def bar(groups: Sequence[Any]) -> Any:
        return tqdm(groups, desc="analysed", file=sys.stderr, leave=False, disable=not on_terminal())

    entries, refusals = judgement.judge(found, args.first, args.last, progress=bar)
    if not entries:
        raise ValueError(refusals[0])
    for why in refusals:
        print(f"{PROGRAM}: not analysed: {why}", file=sys.stderr)
    if args.output:
        with records.staging(args.output, last="which_law.json") as stage:
            if not args.no_plots:
                from deepnet_runs.dynamics import law_figures  # imports matplotlib

                law_figures.draw(entries, found, stage)
            records.write_json(
                stage / "which_law.json", {"groups": [entry.to_dict() for entry in entries], "note": OPEN}
            )
    return entries


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parser().parse_args(argv)
    return answer(PROGRAM, lambda: (0, tables(analysed(args))))


if __name__ == "__main__":
    run_program(main)
