"""A grid of trainings, on this machine or on a Slurm cluster: data sets x networks x losses x seeds.

    python -m deepnet_runs.grid --datasets digits --seeds 0 1 2
    python -m deepnet_runs.grid --datasets digits --seeds 0 1 2 --status
    python -m deepnet_runs.grid --parallel 8 --slurm partition=gpu gpus_per_node=1 -- --data-dir /data --amp

Each cell is a run of `deepnet_runs.train` in a folder of its own. The same command again trains what is left: finished
cells are skipped, interrupted ones go on from their checkpoints. `--help` says the rest.
"""

import argparse
import secrets
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from central_path.cli.options import SEED, Parser, checked
from central_path.cli.program import INTERRUPTED, on_terminal, run_program, say
from central_path.cli.records import check_destination
from deepnet_runs.cells import plan as grids
from deepnet_runs.cells.conditions import CONDITIONS, USUAL, VARIED
from deepnet_runs.cells.plan import Cell, CellState
from deepnet_runs.storage import records
from deepnet_runs.training import options
from deepnet_runs.training.config import DATASETS, LOSSES

if TYPE_CHECKING:
    from deepnet_runs.training.run import TrainOutcome

PROGRAM = "python -m deepnet_runs.grid"
DESCRIPTION = """\
Train a grid of networks, several at once: each cell by `python -m deepnet_runs.train` in DIR/DATASET-NETWORK-LOSS-SEED,
followed by its condition or learning rate if it has one."""
EPILOG = """\
cells       by default the paper's fifteen pairs of data set and network, with mse and ce; of digits vgg7, resnet8 and
            densenet10. --conditions trains resnet8 on the digits, with mse, under the named changes (if none is named,
            all but the three longest); --sweep trains, with mse, at 25 learning rates from 1e-4 to 0.25 on the scale of
            torch.nn.MSELoss, and reports the one with the least test error at the last epoch; --paper trains the
            paper's networks of one data set, ResNet first, with mse and then with ce. Options after -- apply to every
            cell.
again       the same command trains the remaining cells. Finished and diverged cells are skipped, interrupted ones
            continue from their checkpoints to the same rows. Cells with records of other options are refused; the
            others are trained.
local       processes with one thread each, one per GPU or, without any, per core unless --parallel is given; they end
            with the command, and with --minutes after this time at the latest.
slurm       a job array, of which --parallel jobs run at once; preempted jobs, and those out of time, are queued again
            and continue. --slurm takes sbatch's options: partition=NAME time=MINUTES gpus_per_node=1 cpus_per_task=4
            ... (by default a day each). Interrupted, or with --no-wait, the command leaves the jobs running.
records     those of deepnet_runs.train in each folder, failed.json if the training diverged; DIR/jobs holds the logs.
exit codes  0: every cell is finished, or submitted with --no-wait; 1: some are not, each named on stderr; 2: unusable
            arguments, and nothing is written; 130: interrupted by Ctrl-C or SIGTERM."""
OF_THE_GRID = ("--dataset", "--network", "--loss", "--seed", "--output", "--resume", "--dry-run")
ON_SLURM = 16  # cells at once
PATIENCE = 20.0  # seconds to wait for the processes of a killed grid, which hold its folder
RELEASE = 5.0  # seconds to wait for a killed process to release its cell's folder
COUNT = checked(int, lambda n: n >= 1, "at least 1")
MINUTES = checked(float, lambda x: 0 < x < float("inf"), "positive and finite")


def parser() -> Parser:
    """The options, in the groups in which `--help` shows them."""
    p = Parser(PROGRAM, DESCRIPTION, EPILOG)
    what = p.add_argument_group("cells")
    what.add_argument(
        "--datasets", nargs="+", type=options.DATASET, metavar="NAME", help=", ".join(DATASETS) + ", folder:PATH"
    )
    what.add_argument(
        "--networks", nargs="+", type=options.NETWORK, metavar="NAME", help="default: those of the data set"
    )
    what.add_argument("--losses", nargs="+", choices=LOSSES, metavar="NAME", help="default: mse and ce")
    what.add_argument("--seeds", nargs="+", type=SEED, default=[0], metavar="INT", help="default: 0")
    varied = what.add_mutually_exclusive_group()
    named = f"of {', '.join(CONDITIONS)} (default: all but the last three)"
    varied.add_argument("--conditions", nargs="*", choices=CONDITIONS, metavar="NAME", help=named)
    varied.add_argument("--sweep", action="store_true", help="25 learning rates")
    column = f"the paper's cells of a data set, of {', '.join(grids.PAPER)}: least squares before cross-entropy"
    varied.add_argument("--paper", choices=grids.PAPER, metavar="NAME", help=column)
    where = p.add_argument_group("machine")
    auto = "auto takes Slurm where sbatch is (default: auto)"
    where.add_argument("--executor", choices=("auto", "local", "slurm"), default="auto", help=auto)
    at_once = f"cells at once (default: one a GPU, or a core; {ON_SLURM} on Slurm)"
    where.add_argument("--parallel", type=COUNT, metavar="INT", help=at_once)
    together = "that train a cell together, on each of its nodes (default: 1)"
    where.add_argument("--processes", type=COUNT, default=1, metavar="INT", help=together)
    where.add_argument("--minutes", type=MINUTES, metavar="X", help="then stop; the same command continues")
    where.add_argument("--slurm", nargs="+", default=[], metavar="KEY=VALUE", help="of each job")
    where.add_argument("--wait", action=argparse.BooleanOptionalAction, default=True, help="for the jobs on Slurm")
    out = p.add_argument_group("output")
    out.add_argument("--output", type=Path, default=Path("runs/grid"), metavar="DIR", help="default: %(default)s")
    table = "print the table of the cells and start nothing; without options after --, compare with the recorded ones"
    out.add_argument("--status", action="store_true", help=table)
    out.add_argument("--dry-run", action="store_true", help="print the commands of the cells and start nothing")
    out.add_argument("--quiet", action="store_true", help="no table and no progress bar")
    return p


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parsed options with their defaults, and the cells; exits with code 2 and one line for what cannot be."""
    given = list(sys.argv[1:] if argv is None else argv)
    mine, train = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    p = parser()
    args = p.parse_args(mine)
    varied = args.conditions is not None or args.sweep
    conditions = list(USUAL) if args.conditions == [] else args.conditions or []
    if args.paper and (args.datasets or args.networks):
        p.error(f"--paper {args.paper} chooses data set and networks: leave out --datasets and --networks")
    whole = [args.paper] if args.paper else list(grids.PAPER)
    datasets = args.datasets or (["digits"] if conditions else whole)
    losses = args.losses or (["mse"] if varied else ["mse", "ce"])
    taken = (*OF_THE_GRID, "--lr") if args.sweep else OF_THE_GRID
    for word in train:
        if word.partition("=")[0] in taken:
            p.error(f"{word} after -- is set by the grid: leave it out")
    if "--download" in train:
        fetch = f"python -m deepnet_runs.train --dataset {datasets[0]} --network NAME --download --dry-run"
        p.error(f"cells would fetch the same files at once, got --download after --: fetch them first, by {fetch}")
    if args.sweep and "rescaled-mse" in losses:
        p.error("the learning rates of --sweep are for mse and ce, got rescaled-mse: give another loss")
    args.output = args.output.absolute()  # jobs begin elsewhere
    args.as_recorded = args.status and not train
    args.stopped = False
    try:
        networks = [VARIED] if conditions and datasets == ["digits"] and args.networks is None else args.networks
        pairs = grids.pairs(datasets, networks)
        chosen = {"conditions": conditions, "sweep": args.sweep, "extra": _given(train)}
        args.cells = grids.cells(pairs, losses, args.seeds, args.output, **chosen)
        if args.paper:
            args.cells = grids.in_order_of_interest(args.cells)
    except ValueError as error:
        p.error(str(error))
    return args


def _given(train: list[str]) -> dict[str, Any]:
    """The options after `--`, as fields of `TrainConfig` and `Execution`."""
    try:
        return options.given(train)
    except ValueError as error:
        raise ValueError(f"after --: {error}") from error


def cell_states(args: argparse.Namespace) -> list[tuple[Cell, CellState]]:
    """The state of each cell, from its records, and from Slurm if it was submitted."""
    found = [(cell, grids.state_of(cell, as_recorded=args.as_recorded)) for cell in args.cells]
    if not (args.output / "submitted.json").is_file():
        return found
    from deepnet_runs.cells import launch  # imports submitit, an optional dependency

    jobs = launch.under_way(launch.submitted_jobs(args.output)) if launch.has_slurm() else {}
    states = {name: grids.RUNNING if job == "running" else grids.QUEUED for name, job in jobs.items()}
    return [(cell, here._replace(state=states.get(cell.name, here.state))) for cell, here in found]


def states_after_release(args: argparse.Namespace) -> list[tuple[Cell, CellState]]:
    """The same, after waiting for processes that were just killed to release their folders."""
    deadline = time.monotonic() + RELEASE
    while True:
        found = cell_states(args)
        held = any(here.state == grids.RUNNING and records.is_held(cell.folder) for cell, here in found)
        if not held or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def run(args: argparse.Namespace) -> int:
    """Train the remaining cells of the grid; the exit code.

    Raises:
        ValueError: for unusable options, before anything is written.
        RuntimeError: if Slurm or a process fails.
    """
    from deepnet_runs.cells import launch  # imports submitit, an optional dependency

    slurm = args.executor == "slurm" or (args.executor == "auto" and launch.has_slurm())
    if slurm and not launch.has_slurm():
        raise ValueError("Need sbatch for --executor slurm, got none on the PATH: give --executor local.")
    if args.minutes and slurm:
        raise ValueError("Need the local executor for --minutes, got Slurm: give --slurm time=MINUTES instead.")
    if args.slurm and not slurm:
        raise ValueError(f"Need Slurm for --slurm {args.slurm[0]}, got the local executor: leave it out.")
    chosen = launch.slurm_options(args.slurm)
    check_destination(args.output, ("submitted.json",))
    jobs = args.output / "jobs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    with records.held(args.output, patience=PATIENCE):
        left = [cell for cell, here in states_after_release(args) if here.state in grids.BEGINS]
        if slurm:
            parallel = args.parallel or ON_SLURM
            launch.submit(left, args.output, jobs, parallel=parallel, processes=args.processes, chosen=chosen)
        elif left:
            parallel = args.parallel or launch.at_once(args.processes)
            size = {"parallel": parallel, "processes": args.processes, "minutes": args.minutes}
            with Progress(left, jobs, silent=args.quiet) as progress:
                args.stopped = not launch.local(left, args.output, jobs, **size, update=progress.update)
    if slurm and not args.wait:
        say(f"{len(left)} cells submitted; --status shows how far they are")
        return 0
    if slurm:
        known, names = launch.submitted_jobs(args.output), [cell.name for cell in args.cells]
        with Progress(left, jobs, silent=args.quiet) as progress:
            launch.wait({name: job for name, job in known.items() if name in names}, progress.update)
    return print_states(args, jobs)


def print_states(args: argparse.Namespace, jobs: Path) -> int:
    """The table printed at the end, and a line on stderr for each cell that is not finished; the exit code."""
    after = cell_states(args)
    unfinished = [(cell, here) for cell, here in after if here.state != grids.FINISHED]
    if not args.quiet:
        say(grids.table(after))
    for cell, here in unfinished:
        print(f"{PROGRAM}: {cell.name}: {here.state}: {why(cell, here, jobs, stopped=args.stopped)}", file=sys.stderr)
    return 1 if unfinished else 0


def why(cell: Cell, here: CellState, jobs: Path, *, stopped: bool) -> str:
    """Why a cell is not finished, in a sentence."""
    from deepnet_runs.cells.worker import read_outcome  # imports submitit

    outcome: TrainOutcome | None = read_outcome(jobs, cell)
    if outcome is not None and outcome.code:
        return outcome.message
    if here.why:
        return here.why
    if stopped:
        return "the time of --minutes was up; the same command continues"
    if here.state == grids.RUNNING:
        return "another process trains it"
    return f"its process ended without a message: see the logs in {jobs.parent}"


class Progress:
    """A progress bar of the cells that have ended, on a terminal."""

    def __init__(self, cells: Sequence[Cell], jobs: Path, *, silent: bool):
        self.cells, self.jobs = cells, jobs
        silent = silent or not on_terminal()
        self.bar = tqdm(total=len(cells), desc="cells", file=sys.stderr, leave=False, disable=silent)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def update(self) -> None:
        """Count the cells that have ended."""
        from deepnet_runs.cells.worker import read_outcome  # imports submitit

        self.bar.n = sum(read_outcome(self.jobs, cell) is not None for cell in self.cells)
        self.bar.refresh()


def commands(found: Sequence[tuple[Cell, CellState]]) -> str:
    """A line for each cell: the command that would be run, or the state for which it is not run."""
    lines = []
    for cell, here in found:
        begun = here.state in grids.BEGINS
        command = f"python -m deepnet_runs.train {shlex.join(cell.command())}"
        lines.append(command if begun else f"# {cell.name} is {here.state}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parse(argv)
    try:
        if args.status or args.dry_run:
            say((grids.table if args.status else commands)(cell_states(args)))
            return 0
        return run(args)
    except ImportError as error:
        print(f"{PROGRAM}: error: {error}: pip install 'central-path[deepnets]'", file=sys.stderr)
        return 2
    except (ValueError, OSError, RuntimeError) as error:
        print(f"{PROGRAM}: error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 1 if isinstance(error, RuntimeError) else 2
    except KeyboardInterrupt:
        slurm = (args.output / "submitted.json").is_file()
        print(
            f"{PROGRAM}: interrupted; the same command continues{'; jobs on Slurm keep running' if slurm else ''}",
            file=sys.stderr,
        )
        return INTERRUPTED


if __name__ == "__main__":
    run_program(main)
