"""The options of `python -m theory_checks`, checked before anything heavy is imported."""

import argparse
from pathlib import Path

from central_path.cli.options import SEED, Parser, checked

PROGRAM = "python -m theory_checks"
SEEDS = checked(int, lambda K: 1 <= K <= 10**6, "from 1 to 1000000 seeds")

DESCRIPTION = """\
Check every numbered claim of Han, Papyan & Donoho (2022) numerically, and measure a verdict for each."""

EPILOG = """\
verdicts    holds             every comparison agrees, and none refutes the
                              printed statement
            holds in part     a part of the statement holds, another is refuted
            holds as amended  false as printed; true with a hypothesis more, or
                              with another constant
            fails as printed  false as printed, and no small change saves it
            misprint          a slip in the print; what was intended holds
            unclear           a comparison or a refutation failed, or the check
                              itself did; never expected
            The word follows from the comparisons by one rule, which
            report.html prints.
table       off by: the least distance of the printed statement from true, where
            it is refuted. residual, tolerance: of the comparison, of what does
            hold, that comes nearest to its tolerance. fault: the residual of
            the same comparison with an error planted in it, on the instance
            that shows it least; it must exceed ten tolerances.
files       claims.json (one entry a claim, with its comparisons) and
            report.html (the same to read, with figures). A partial run (some
            claims, --quick, or one that ended early) does not replace a full
            report: if DIR holds one, it writes to DIR-partial and says so. Any
            other results of an earlier run are replaced, and the program says
            so. Ctrl-C keeps the claims that are finished, as a partial run.
time        40 seconds of one processor core for one seed, 20 for each further
            seed; a minute more for compiling in the first run.
exit codes  0: every verdict is the expected one and every planted fault was
            caught; 1: one is not; 2: unusable arguments, and nothing is
            written; 130: interrupted.

example     python -m theory_checks
            python -m theory_checks --seeds 20
            python -m theory_checks --quick "Lemma 4" "Proposition 2\""""


def parser() -> Parser:
    """The options, as `--help` shows them."""
    p = Parser(PROGRAM, DESCRIPTION, EPILOG)
    p.add_argument("claims", nargs="*", metavar="CLAIM", help="ids as --list prints them (default every claim)")
    p.add_argument("--list", action="store_true", help="print the ids of all claims and stop")
    p.add_argument("--quick", action="store_true", help="each kind of instance once instead of four times")
    p.add_argument("--seed", type=SEED, default=0, metavar="INT", help="of the random instances (default 0)")
    seeds = "check on the instances of K seeds, from --seed on (default 1)"
    p.add_argument("--seeds", type=SEEDS, default=1, metavar="K", help=seeds)
    p.add_argument("--exit-first", action="store_true", help="stop at the first claim that is not as expected")
    folder = "claims.json and report.html (default runs/theory_checks)"
    p.add_argument("--output", type=Path, default=Path("runs/theory_checks"), metavar="DIR", help=folder)
    return p


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parsed options."""
    return parser().parse_args(argv)
