"""The options of `python -m central_path.models`, checked before anything heavy is imported."""

import argparse
import os
from pathlib import Path

from central_path.cli.options import SEED, Parser, checked
from central_path.models.catalogue import CLASSES

PROGRAM = "python -m central_path.models"

DESCRIPTION = """\
Run the other models of neural collapse, each by its own flow or optimiser to its end state, and hold that against the
closed form."""

EPILOG = f"""\
models      {", ".join(CLASSES)}
tables      What is minimised and predicted; then how near the runs come: NC1 to NC4 at the end of the first one, and of
            all sizes and starts the largest distance of the loss from its predicted minimum (`gap`, at most 1e-9) and
            of everything else that the end state fixes, such as W W^T (`Grams`, at most 1e-6); then rates, thresholds
            and saddles, each with the distance that a planted fault would show, which must be ten times the tolerance.
files       models.json (all of it) and a figure for each model, NAME.png.
            Ctrl-C keeps the models that are finished; beside the results of an earlier run, in DIR/interrupted.
exit codes  0: every end state and number as predicted; 1: one is not; 2: unusable arguments, and nothing is written;
            130: ended by Ctrl-C or SIGTERM.

example     python -m central_path.models
            python -m central_path.models fang zhu --output runs/two"""

JOBS = checked(int, lambda n: 1 <= n <= 256, "from 1 to 256 processes")
STARTS = checked(int, lambda n: 1 <= n <= 1000, "from 1 to 1000 starts")


def parser() -> Parser:
    """The options, as `--help` shows them."""
    p = Parser(PROGRAM, DESCRIPTION, EPILOG)
    p.add_argument("models", nargs="*", metavar="NAME", help="models (default every one)")
    p.add_argument("--starts", type=STARTS, default=3, metavar="INT", help="random starts of each size (default 3)")
    p.add_argument("--seed", type=SEED, default=0, metavar="INT", help="of the first start (default 0)")
    folder = "models.json and figures (default runs/models)"
    p.add_argument("--output", type=Path, default=Path("runs/models"), metavar="DIR", help=folder)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    p.add_argument("--jobs", type=JOBS, default=cores, metavar="INT", help="processes at once (default: the cores)")
    p.add_argument("--no-plots", action="store_true", help="no figures; those of an earlier run are removed")
    return p


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parsed options, the models in the order in which they are shown."""
    p = parser()
    args = p.parse_args(argv)
    unknown = [name for name in dict.fromkeys(args.models) if name not in CLASSES]
    if unknown:
        p.error(f"need models among {', '.join(CLASSES)}, got {', '.join(unknown)}")
    args.models = [name for name in CLASSES if not args.models or name in args.models]
    return args
