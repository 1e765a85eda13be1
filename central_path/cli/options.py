"""The options of `python -m central_path.simulate`, checked before anything heavy is imported."""

import argparse
import math
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from central_path.cli.config import ALL_DEVICES, SAVES_OF_ENSEMBLE, SAVES_OF_ONE, SimulateConfig, flows_in_order
from central_path.names import FLOW_NAMES, LEVEL_NAMES

PROGRAM = "python -m central_path.simulate"
WIDEST = 120  # columns of a help text

DESCRIPTION = """\
Integrate renormalized gradient flow from full features and compare every singular value omega_j(t) of the SNR matrix
with the closed form c1 log w + c2 w^2 + c3 w^4 = a + t."""

EPILOG = """\
horizon     By default each flow runs until its own law has brought the largest omega within 1 % of the smallest, so
            that collapse shows (where all are so from the start, as for C = 2, until the smallest has grown
            tenfold); `unnormalized`, whose ratios stay constant, until every omega has grown tenfold or the largest
            has reached 2e4.
times       0, then logarithmic from the time at which the fastest omega has grown by 1 %; evenly spaced for
            `unnormalized`.
exit codes  0: every flow agrees with its law; 1: one disagrees, or the solver failed; 2: unusable arguments or
            input, and nothing is written.

example     python -m central_path.simulate --C 10 --N 50"""


class Layout(argparse.HelpFormatter):
    """Help as wide as the terminal, broken between words alone, with the columns of its texts kept.

    A line `term   text` begins an entry; lines below its text, at the same column, go on with it. Those below
    `example` are commands, each by itself.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        del indent
        entries: list[tuple[str, str]] = []  # what stands before the text, and the text
        command = False
        for line in text.splitlines():
            body = line.lstrip()
            column = len(line) - len(body)
            gap = re.search(r"(?<=\S) {2,}(?=\S)(?!.*\S {2,}\S)", line)
            if gap:
                column, body = gap.end(), line[gap.end() :]
                command = line.startswith("example")
            if gap or command or not body or not entries or not entries[-1][1] or len(entries[-1][0]) != column:
                entries.append((line[:column], body))
            else:
                entries[-1] = entries[-1][0], f"{entries[-1][1]} {body}"
        return "\n".join(self._entry(head, body, min(width, WIDEST)) for head, body in entries)

    def _entry(self, head: str, body: str, width: int) -> str:
        if not body:
            return head.rstrip()
        ending = " \\" if body.startswith(("python", "torchrun")) else ""  # a command goes on in the next line
        lines = textwrap.wrap(
            body,
            width - len(ending),
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        )
        return f"{ending}\n".join(lines)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """argparse with one line on stderr for an error, no abbreviated options, and its texts in their columns."""

    def __init__(self, prog: str, description: str, epilog: str):
        super().__init__(prog, description=description, epilog=epilog, formatter_class=Layout, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def checked(convert: Callable[[str], Any], good: Callable[[Any], bool], need: str) -> Callable[[str], Any]:
    """A type for argparse: `convert`, refused with what is needed unless good."""

    def parse_value(text: str) -> Any:
        try:
            value = convert(text)
        except ValueError:
            value = None
        if value is None or not good(value):
            raise argparse.ArgumentTypeError(f"need {need}, got {text}")
        return value

    return parse_value


CLASSES = checked(int, lambda C: C >= 2, "at least 2 classes")
EXAMPLES = checked(int, lambda N: N >= 2, "at least 2 examples per class")
DIMENSION = checked(int, lambda P: P >= 1, "a positive dimension")
SEED = checked(int, lambda seed: 0 <= seed < 2**63, "an integer from 0 to 2^63 - 1")
KERNEL = checked(float, lambda b: 0 <= b <= 1000, "a kernel from 0 to 1000, the mobility of within-class deviations")
DECAY = checked(float, lambda x: 0 <= x < math.inf, "a weight decay of at least 0")
HORIZON = checked(float, lambda t: 1e-100 <= t <= 1e280, "a time from 1e-100 to 1e280")
POSITIVE = checked(float, lambda x: 0 < x < math.inf, "a positive finite number")
SOLVER_TOLERANCE = checked(float, lambda x: 1e-15 <= x < 1, "a tolerance from 1e-15 (float64's rounding) to below 1")
ENSEMBLE = checked(int, lambda S: 2 <= S <= 10**6, "from 2 to 1000000 starts")
DEVICES = checked(
    lambda text: ALL_DEVICES if text == "all" else int(text), lambda n: n >= ALL_DEVICES, "a number of devices or all"
)
SAVES = checked(int, lambda n: 2 <= n <= 10**6, "from 2 to 1000000 times")


def parser() -> Parser:
    """The options, in the groups in which `--help` shows them."""
    p = Parser(PROGRAM, DESCRIPTION, EPILOG)
    start = p.add_argument_group("start: random features, or given ones")
    start.add_argument("--C", type=CLASSES, metavar="INT", help="classes")
    start.add_argument("--N", type=EXAMPLES, metavar="INT", help="examples per class")
    start.add_argument("--P", type=DIMENSION, metavar="INT", help="feature dimension (default 2C, at most C(N-1))")
    start.add_argument("--features", type=Path, metavar="FILE.npz", help="arrays `features` (n, P) and `labels` (n,)")
    start.add_argument("--balance", action="store_true", help="random subsample of every class to the smallest")
    start.add_argument("--restrict-rank", action="store_true", help="restrict to the range of Sigma_W")
    start.add_argument(
        "--seed", type=SEED, default=0, metavar="INT", help="of random features and --balance (default 0)"
    )
    many = "this many random starts, of seeds SEED, SEED + 1, ..., by one compiled program; omega alone is observed"
    start.add_argument("--ensemble", type=ENSEMBLE, metavar="S", help=many)
    flow = p.add_argument_group("flow")
    flows = f"{', '.join(FLOW_NAMES)} or all; repeatable (default riemannian and renormalized)"
    flow.add_argument("--flow", action="append", choices=[*FLOW_NAMES, "all"], metavar="NAME", help=flows)
    mobility = "mobility of within-class deviations over that of class means (default 1; at 0 class means alone move)"
    flow.add_argument("--kernel", type=KERNEL, default=1.0, metavar="B", help=mobility)
    decay = "weight decay lambda of the classifier and its bias (default 0); with it no law holds"
    flow.add_argument("--lam", type=DECAY, default=0.0, metavar="X", help=decay)
    state = f"state of the flow: {', '.join(LEVEL_NAMES)}, or moments, (M, Sigma_W) of any features (default features)"
    flow.add_argument("--level", choices=[*LEVEL_NAMES, "moments"], default="features", metavar="LEVEL", help=state)
    flow.add_argument("--t-max", type=HORIZON, metavar="T", help="horizon (default by each flow's law, see below)")
    flow.add_argument("--saves", type=SAVES, metavar="INT", help="times observed (default 200, of an ensemble 50)")
    flow.add_argument("--rtol", type=SOLVER_TOLERANCE, default=1e-10, metavar="X", help="of the solver (default 1e-10)")
    flow.add_argument("--atol", type=SOLVER_TOLERANCE, default=1e-10, metavar="X", help="of the solver (default 1e-10)")
    verdict = "largest relative error of omega that agrees (default 1e-6)"
    flow.add_argument("--tolerance", type=POSITIVE, default=1e-6, metavar="X", help=verdict)
    machine = p.add_argument_group("machine")
    spread = "spread features over so many devices, or `all` of them (default 1)"
    machine.add_argument("--devices", type=DEVICES, default=1, metavar="INT|all", help=spread)
    launched = "one of several processes, started by Slurm or MPI; implies --devices all"
    machine.add_argument("--distributed", action="store_true", help=launched)
    output = p.add_argument_group("output")
    folder = "summary.json, trajectory.npz (of an ensemble ensemble.npz) and figures (default runs/simulate)"
    output.add_argument("--output", type=Path, default=Path("runs/simulate"), metavar="DIR", help=folder)
    output.add_argument("--no-plots", action="store_true", help="no figures; those of an earlier run are removed")
    output.add_argument("--quiet", action="store_true", help="no table and no progress bar")
    return p


def parse(argv: list[str] | None) -> SimulateConfig:
    """Parsed options: conflicts refused, the flows in their order, the default number of times filled in."""
    p = parser()
    given = vars(p.parse_args(argv))
    given["flow"] = flows_in_order(given["flow"])
    given["devices"] = ALL_DEVICES if given["distributed"] else given["devices"]
    given["saves"] = given["saves"] or (SAVES_OF_ENSEMBLE if given["ensemble"] else SAVES_OF_ONE)
    try:
        return SimulateConfig(**given)
    except ValueError as conflict:
        p.error(str(conflict))
