"""Simulate the central path: features to collapse, held against the closed form.

    python -m central_path.simulate --C 10 --N 50
    python -m central_path.simulate --features FILE.npz

Takes random or given features, renormalizes them (Sigma_W = I), integrates renormalized gradient flow on them and
compares every singular value omega_j(t) of the SNR matrix with the closed form c1 log w + c2 w^2 + c3 w^4 = a + t
that starts from the same omega(0). Writes summary.json, trajectory.npz and three figures. Exit code 0: every flow
agrees with its law; 1: one disagrees, or the solver failed; 2: unusable arguments or input.
"""

import argparse
import gc
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from central_path.experiment import FlowResult
    from central_path.samples import Range, Samples

FLOW_NAMES = ("riemannian", "renormalized", "unnormalized")
LEVEL_NAMES = ("features", "means", "spectrum")
FIGURE_NAMES = ("omega.png", "loss.png", "collapse.png")
LONG_WORK = 2e7  # P^2 C N beyond which a solve takes long enough for a progress bar of its own

EPILOG = """\
horizon: by default each flow runs until its own law has brought the largest omega within 1 % of the smallest (then collapse shows);
`unnormalized`, whose ratios stay constant, until every omega has grown tenfold, or the largest has reached 2e4.
times: logarithmic, from the time at which the fastest omega has grown by 1 %; evenly spaced for `unnormalized`.
exit codes: 0 every flow agrees with its law; 1 one disagrees or the solver failed; 2 unusable arguments or input, and nothing is written."""


class Parser(argparse.ArgumentParser):
    """argparse with one line on stderr for an error."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def _checked(convert: type, test: Any, need: str) -> Any:
    def parse(text: str) -> Any:
        try:
            value = convert(text)
        except ValueError:
            value = None
        if value is None or not test(value):
            raise argparse.ArgumentTypeError(f"need {need}, got {text}")
        return value

    return parse


_positive = _checked(float, lambda x: 0 < x < math.inf, "a positive finite number")
_tolerance = _checked(
    float, lambda x: 1e-15 <= x < 1, "a solver tolerance of at least 1e-15 (float64's rounding) and below 1"
)


def parser() -> Parser:
    """The options of the command."""
    p = Parser(
        prog="python -m central_path.simulate",
        description="Integrate renormalized gradient flow from full features and hold every omega_j(t) against the closed form.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    start = p.add_argument_group("start: random features, or given ones")
    start.add_argument("--C", type=_checked(int, lambda C: C >= 2, "at least 2 classes"), metavar="INT", help="classes")
    start.add_argument(
        "--N",
        type=_checked(int, lambda N: N >= 2, "at least 2 examples per class"),
        metavar="INT",
        help="examples per class",
    )
    start.add_argument(
        "--P",
        type=_checked(int, lambda P: P >= 1, "a positive dimension"),
        metavar="INT",
        help="feature dimension (default 2C, at most C(N-1))",
    )
    start.add_argument("--features", type=Path, metavar="FILE.npz", help="arrays `features` (n, P) and `labels` (n,)")
    start.add_argument(
        "--balance", action="store_true", help="random subsample of every class to the smallest (by --seed)"
    )
    start.add_argument(
        "--restrict-rank", action="store_true", help="restrict to the range of Sigma_W, where it has not full rank"
    )
    start.add_argument(
        "--seed",
        type=_checked(int, lambda s: 0 <= s < 2**63, "an integer from 0 to 2^63-1"),
        default=0,
        metavar="INT",
        help="(default 0)",
    )
    flow = p.add_argument_group("flow")
    flow.add_argument(
        "--flow",
        action="append",
        choices=[*FLOW_NAMES, "all"],
        help="repeatable (default: riemannian and renormalized)",
    )
    flow.add_argument("--level", choices=LEVEL_NAMES, default="features", help="(default features)")
    flow.add_argument("--t-max", type=_positive, metavar="T", help="horizon (default: by each flow's law, see below)")
    flow.add_argument(
        "--saves",
        type=_checked(int, lambda n: 2 <= n <= 10**6, "from 2 to 1000000 times"),
        default=200,
        metavar="INT",
        help="times observed (default 200)",
    )
    flow.add_argument(
        "--rtol", type=_tolerance, default=1e-10, metavar="X", help="relative tolerance of the solver (default 1e-10)"
    )
    flow.add_argument(
        "--atol", type=_tolerance, default=1e-10, metavar="X", help="absolute tolerance of the solver (default 1e-10)"
    )
    flow.add_argument(
        "--tolerance",
        type=_positive,
        default=1e-6,
        metavar="X",
        help="largest relative error of omega for the verdict (default 1e-6)",
    )
    output = p.add_argument_group("output")
    output.add_argument(
        "--output", type=Path, default=Path("runs/simulate"), metavar="DIR", help="(default runs/simulate)"
    )
    output.add_argument("--no-plots", action="store_true", help="no figures")
    output.add_argument("--quiet", action="store_true", help="no table and no progress bar")
    return p


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Parsed options, with the conflicts between them refused and the flows in their order."""
    p = parser()
    args = p.parse_args(argv)
    if args.features is not None:
        given = [f"--{name}" for name in ("C", "N", "P") if getattr(args, name) is not None]
        if given:
            p.error(f"--features brings its own sizes, got {', '.join(given)} too: leave them out")
    else:
        if args.C is None or args.N is None:
            p.error("need --C and --N for random features, or --features FILE.npz")
        given = [
            flag for flag, value in (("--balance", args.balance), ("--restrict-rank", args.restrict_rank)) if value
        ]
        if given:
            p.error(f"{' and '.join(given)} only with --features: random features are balanced and of full rank")
        args.P = min(2 * args.C, args.C * (args.N - 1)) if args.P is None else args.P
    chosen = args.flow or ["riemannian", "renormalized"]
    args.flow = [name for name in FLOW_NAMES if name in chosen or "all" in chosen]
    return args


class Painter:
    """A process of its own that loads matplotlib while the flows are integrated, and then draws."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "central_path.plots", "-"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def draw(self, folder: Path) -> None:
        """Draw the figures of a folder that holds a trajectory.npz.

        Raises:
            OSError: if they could not be drawn.
        """
        _, complaint = self._process.communicate(f"{folder.absolute()}\n")
        if self._process.returncode:
            raise OSError(
                f"the figures could not be drawn: {complaint.strip().splitlines()[-1] if complaint.strip() else 'killed'}"
            )

    def dismiss(self) -> None:
        """End the process; harmless after `draw`."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def painter(wanted: bool) -> Iterator[Painter | None]:
    """A `Painter` if one is wanted, gone when the block ends."""
    if not wanted:
        yield None
        return
    started = Painter()
    try:
        yield started
    finally:
        started.dismiss()


def set_up_jax() -> None:
    """Flags that belong to a program: float64, and compiled programs kept in the user's cache folder (safe to delete).

    Equinox's runtime errors are host callbacks, which keep a program out of that cache; set to NaN they show in the
    result, which is checked.
    """
    os.environ.setdefault("EQX_ON_ERROR", "nan")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the cache's loader logs the machine's features as errors
    import jax
    from platformdirs import user_cache_path

    jax.config.update("jax_enable_x64", True)
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(user_cache_path("central_path") / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def load(args: argparse.Namespace) -> "tuple[Samples, Range]":
    """Samples of --features, balanced and restricted as asked; refused where they are not what the laws need."""
    from central_path import records, samples

    given = samples.check_samples(*records.read_samples(args.features))
    if args.balance:
        given = samples.balance(given, seed=args.seed)
    samples.check_balance(given)
    within = samples.range_of_within_covariance(given)
    if args.restrict_rank:
        given = samples.restrict(given, within)
        note = f"rank of Sigma_W: {within.rank} of {len(within.basis)}"
        if within.signal_lost > within.rounding:
            note += f"; the directions left out carry {within.signal_lost:.3g} of |Mbar|^2: the restricted problem is another one"
        print(note, file=sys.stderr)
    else:
        samples.check_rank(given, within)
    return given, within


def progress_meter(args: argparse.Namespace, C: int, N: int, P: int) -> Any:
    """Diffrax's bar for a long solve on a terminal, else None.

    It is a host callback, and such a program is compiled anew each time, which long work does not notice.
    """
    if args.quiet or not sys.stderr.isatty() or args.level != "features" or P * P * C * N < LONG_WORK:
        return None
    import diffrax

    return diffrax.TqdmProgressMeter()


def flow_runs(args: argparse.Namespace, begin: Any, meter: Any) -> "list[FlowResult]":
    """Integrate the flows asked for, with a progress bar on a terminal."""
    from central_path.experiment import run_flow

    options = {
        "level": args.level,
        "t_max": args.t_max,
        "saves": args.saves,
        "rtol": args.rtol,
        "atol": args.atol,
        "meter": meter,
    }
    if args.quiet or not sys.stderr.isatty() or meter is not None:
        return [run_flow(name, begin, **options) for name in args.flow]
    from tqdm import tqdm

    return [
        run_flow(name, begin, **options)
        for name in tqdm(args.flow, desc="flows", unit="flow", file=sys.stderr, leave=False)
    ]


def simulate(args: argparse.Namespace, paint: Painter | None) -> int:
    """Run, write and report; the exit code.

    Raises:
        ValueError: for unusable input, before anything is written.
        OSError: if the results cannot be written; then nothing is.
    """
    started = time.perf_counter()
    import numpy as np

    from central_path import experiment, problem, records, report, samples

    if args.features is None:
        H = problem.random_features(args.C, args.N, args.P, seed=args.seed)
        index = np.arange(args.C * args.N).reshape(args.C, args.N)
        labels, eps = np.repeat(np.arange(args.C), args.N), float(np.finfo(float).eps)
        extra = {"P_input": args.P, "rank": args.P, "signal_lost": 0.0}
    else:
        given, within = load(args)
        H, index = samples.stack(given)
        labels, eps = given.labels, given.eps
        extra = {"P_input": len(within.basis), "rank": within.rank, "signal_lost": within.signal_lost}
    P, C, N = H.shape
    meter = progress_meter(args, C, N, P)
    experiment.programs(C, N, P, args.level, args.saves, meter)
    begin = experiment.renormalize(H, eps=eps)
    flows = flow_runs(args, begin, meter)

    summary = {
        "C": C,
        "N": N,
        "P": P,
        **extra,
        "seed": args.seed,
        "level": args.level,
        "rtol": args.rtol,
        "atol": args.atol,
    }
    summary |= {
        "t_max": args.t_max,
        "tolerance": args.tolerance,
        "seconds": time.perf_counter() - started,
        "versions": report.versions(),
    }
    summary["flows"] = {flow.name: report.flow_summary(flow, tolerance=args.tolerance) for flow in flows}
    arrays = {"features": samples.unstack(begin.X, index), "labels": labels}
    for flow in flows:
        arrays |= report.flow_arrays(flow)
    with records.staging(args.output, last="summary.json", stale=FIGURE_NAMES if paint is None else ()) as stage:
        np.savez(stage / "trajectory.npz", **arrays)
        if paint is not None:
            paint.draw(stage)
        records.write_json(stage / "summary.json", summary)
    if not args.quiet:
        print(report.table(summary["flows"], C=C, N=N))
        print(f"C = {C}, N = {N}, P = {P}, level {args.level}; results in {args.output}")
    return 0 if all(flow.agrees(args.tolerance) for flow in flows) else 1


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parse(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a terminated run leaves no unfinished files
    try:
        from central_path import records

        records.check_destination(args.output)
        with painter(not args.no_plots) as paint:
            set_up_jax()
            return simulate(args, paint)
    except (ValueError, OSError) as error:
        print(f"{parser().prog}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser().prog}: interrupted; nothing written", file=sys.stderr)
        return 130


if __name__ == "__main__":
    gc.disable()  # a process that lives for one run: the collector would only slow its imports and traces down, by a tenth
    sys.exit(main())
