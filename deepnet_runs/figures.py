"""Figures 2 to 12 of the paper and its Table 1, from the records of runs alone, without PyTorch.

    python -m deepnet_runs.figures runs/digits --output runs/figures
    python -m deepnet_runs.figures runs/resnet8 --html report.html

Writes a file for each figure, table1.md, table1.csv and figures.json, which says what they are made of; with --html one
page about the runs instead.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from central_path import __version__
from central_path.cli import records
from central_path.cli.options import Parser
from central_path.cli.program import answer, on_terminal, run_program
from deepnet_runs.datasets.registry import title as title_of
from deepnet_runs.paper import table1
from deepnet_runs.paper.definitions import FIGURES, PaperFigure
from deepnet_runs.paper.experiments import LOSSES, Experiment, departures, finished, grouped
from deepnet_runs.storage import runs

PROGRAM = "python -m deepnet_runs.figures"
FORMATS = ("png", "pdf", "svg")
DPI = 300
TABLES = ("table1.md", "table1.csv")
LAST = "figures.json"

EPILOG = """\
panels      a data set a column, a network family a row, as far as there are runs. Curves are medians over the seeds
            with a shade from the smallest to the largest; the red line is at the first epoch of zero training error.
runs        of mse and ce; those of a panel and a loss may differ in the seed alone, else they are refused. A figure
            whose quantity no run has measured is left out, and a line says so.
--html      one page that needs no network: the parts of the loss, NC1 to NC4, omega, the field test where it was
            measured, and the recipe and versions of any runs, side by side; axes linear or logarithmic, values of a
            chosen epoch, and all values as tables. What a run lacks is said there.
exit codes  0: written; 2: unusable arguments or records, and nothing is written.

example     python -m deepnet_runs.figures runs/digits-resnet8-mse-0 runs/digits-resnet8-ce-0 --format pdf"""


def parser() -> Parser:
    """The options, as `--help` shows them."""
    p = Parser(PROGRAM, "Figures 2 to 12 and Table 1 of the paper, from the records of trained networks.", EPILOG)
    p.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="runs of deepnet_runs.train, or folders of them")
    where = p.add_mutually_exclusive_group()
    where.add_argument("--output", type=Path, default=Path("runs/figures"), metavar="DIR", help="default: %(default)s")
    where.add_argument("--html", type=Path, metavar="FILE", help="write one page about the runs, and no figures")
    p.add_argument("--format", choices=FORMATS, help=f"of the figures (default: {FORMATS[0]})")
    p.add_argument("--log-epochs", action="store_true", help="epochs on a log axis (the paper's is linear)")
    return p


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parsed options; exits with code 2 and one line for what cannot be."""
    p = parser()
    args = p.parse_args(argv)
    if args.html and args.format:
        p.error(f"--format {args.format} is of the figures, and --html writes none: leave out one of them")
    args.format = args.format or FORMATS[0]
    return args


def left_out(figure: PaperFigure, experiments: Sequence[Experiment]) -> str | None:
    """Why a figure cannot be drawn, in a sentence, or None."""
    from deepnet_runs.paper.panels import measured  # imports matplotlib

    there = measured(figure, experiments)
    missing = [LOSSES[loss] for loss in figure.losses if loss not in there]
    if not missing:
        return None
    keys = ", ".join(dict.fromkeys(curve.line.key for curve in figure.curves))
    remedy = f": {figure.remedy}" if figure.remedy else ""
    return f"Figure {figure.number} is left out, no run with {' or '.join(missing)} loss has {keys}{remedy}."


def origin(experiment: Experiment) -> list[dict[str, Any]]:
    """What figures.json says of the runs of an experiment."""
    return [
        {
            "folder": str(run.folder),
            **{name: run.config[name] for name in ("dataset", "network", "loss", "seed")},
            **dict(zip(runs.IMAGES, run.images, strict=True)),
            "epochs": run.config["epochs"],
            "last_epoch": run.rows[-1].epoch,
            "first_zero_error": run.first_clean,
            "differs_from_recipe": departures(run),
        }
        for run in experiment.runs
    ]


def remarks(experiments: Sequence[Experiment], others: Sequence[runs.RecordedRun]) -> list[str]:
    """What a reader of the figures has to know about the runs, a line each."""
    lines = []
    for experiment in experiments:
        name = f"{title_of(experiment.dataset)} {experiment.network} {LOSSES[experiment.loss]}"
        changes = ", ".join(f"{field} {change}" for field, change in departures(experiment.runs[0]).items())
        if changes:
            lines.append(f"{name} is not trained by its recipe: {changes}.")
        for run in experiment.runs:
            if not finished(run):
                lines.append(f"{run.folder} is not finished: epoch {run.rows[-1].epoch} of {run.config['epochs']}.")
    for run in others:
        lines.append(f"{run.folder} is left out: its loss is {run.config['loss']}, the figures are of mse and ce.")
    return lines


def write(args: argparse.Namespace) -> str:
    """Read, draw and write; the text printed at the end.

    Raises:
        ValueError: for records that cannot be used.
        OSError: if the results cannot be written; then none is.
    """
    experiments, others = grouped([runs.read(folder) for folder in runs.within(args.runs)])
    if not experiments:
        raise ValueError(f"Need a run with loss mse or ce, got {others[0].config['loss']} in {others[0].folder}.")
    reasons = {figure.number: left_out(figure, experiments) for figure in FIGURES}
    drawn = [figure for figure in FIGURES if reasons[figure.number] is None]
    names = {figure.number: f"{figure.stem}.{args.format}" for figure in drawn}
    records.check_destination(args.output, (*names.values(), *TABLES, LAST))
    every = {f"{figure.stem}.{ending}" for figure in FIGURES for ending in FORMATS}
    with records.staging(args.output, last=LAST, stale=tuple(sorted(every - set(names.values())))) as stage:
        text = write_all(stage, args, experiments, drawn, names)
        said = remarks(experiments, others)
        setting = {"format": args.format, "log_epochs": args.log_epochs, "versions": versions()}
        made = [
            {"figure": figure.number, "file": names.get(figure.number), "title": figure.title}
            | {"left_out": reasons[figure.number]}
            for figure in FIGURES
        ]
        used = [entry for experiment in experiments for entry in origin(experiment)]
        records.write_json(stage / LAST, setting | {"figures": made, "runs": used, "remarks": said})
    closing = [reason for reason in reasons.values() if reason] + said
    return "\n".join([text, "", *closing, f"{len(drawn)} figures and Table 1 in {args.output}"])


def write_all(
    stage: Path,
    args: argparse.Namespace,
    experiments: Sequence[Experiment],
    drawn: Sequence[PaperFigure],
    names: dict[int, str],
) -> str:
    """The figures and the table, which is returned."""
    from deepnet_runs.paper import panels  # imports matplotlib

    for figure in tqdm(drawn, "figures", file=sys.stderr, leave=False, disable=not on_terminal()):
        panels.save(panels.draw(figure, experiments, log_epochs=args.log_epochs), stage / names[figure.number], dpi=DPI)
    text = table1.markdown(experiments)
    (stage / "table1.md").write_text(f"{text}\n", encoding="utf-8")
    (stage / "table1.csv").write_text(table1.comma_separated(experiments), encoding="utf-8")
    return text


def write_page(args: argparse.Namespace) -> str:
    """Write the page of the runs; the text printed at the end.

    Raises:
        ValueError: for records none of which can be used, or a file that cannot be.
        OSError: if the page cannot be written; then what was there stays.
    """
    from deepnet_runs.report import page  # imports matplotlib

    file: Path = args.html
    if not file.name:
        raise ValueError(f"Need the name of a file for --html, got {file}: give one, as report.html.")
    records.check_destination(file.parent, (file.name,), option="--html")
    text, missing = page.page(args.runs, versions=versions(), log_epochs=args.log_epochs)
    with records.staging(file.parent, last=file.name) as stage:
        (stage / file.name).write_text(text, encoding="utf-8")
    return "\n".join([*missing, f"{file}: {len(text.encode()) / 1e6:.2f} MB"])


def versions() -> dict[str, str]:
    """Of what the figures are drawn with."""
    return {"central_path": __version__, "matplotlib": version("matplotlib"), "numpy": version("numpy")}


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parse(argv)
    return answer(PROGRAM, lambda: (0, write_page(args) if args.html else write(args)))


if __name__ == "__main__":
    run_program(main)
