"""The options of `python -m theory_checks`, checked before anything heavy is imported."""

import argparse
from pathlib import Path

from central_path.options import SEED, Parser

PROGRAM = "python -m theory_checks"

DESCRIPTION = """\
Check every numbered claim of Han, Papyan & Donoho (2022) numerically, and measure a verdict for each."""

EPILOG = """\
verdicts    holds              every comparison agrees to within its tolerance
            holds in part      one half of the statement holds, the other is refuted
            holds as amended   false as printed; true with a missing condition, or another constant
            fails as printed   false as printed, and no small change saves it
            misprint           a slip in the print; what is meant holds
            unclear            a comparison or a refutation failed, or the check itself did; never expected
table       residual and tolerance are of the comparison that comes nearest to its tolerance; fault is the residual
            of the same comparison with an error planted in it, which must exceed ten tolerances.
files       claims.json (one entry a claim, with its comparisons) and report.html (the same to read, with figures).
exit codes  0: every verdict is the expected one and every planted fault was caught; 1: one is not; 2: unusable
            arguments, and nothing is written.

example     python -m theory_checks
            python -m theory_checks --quick "Lemma 4" "Proposition 2\""""


def parser() -> Parser:
    """The options, as `--help` shows them."""
    p = Parser(PROGRAM, DESCRIPTION, EPILOG)
    p.add_argument("claims", nargs="*", metavar="CLAIM", help="ids as --list prints them (default every claim)")
    p.add_argument("--list", action="store_true", help="print the ids of all claims and stop")
    p.add_argument("--quick", action="store_true", help="each kind of instance once instead of four times")
    p.add_argument("--seed", type=SEED, default=0, metavar="INT", help="of the random instances (default 0)")
    folder = "claims.json and report.html (default runs/theory_checks)"
    p.add_argument("--output", type=Path, default=Path("runs/theory_checks"), metavar="DIR", help=folder)
    return p


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parsed options."""
    return parser().parse_args(argv)
