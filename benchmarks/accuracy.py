"""Accuracy: every flow from full features against its own closed form, and against the two that it does not follow.

    python benchmarks/accuracy.py
    python benchmarks/accuracy.py --quick --features FILE.npz

Random features of C = 2, 3, 10, 20, 50 classes, and real ones: of the file that comes with the package and of those
given (balanced, and restricted to the range of Sigma_W where that is needed). Each start is run with

    riemannian, renormalized    the command's tolerances to t = 1e12          omega within 1e-6 of the law
                                rtol = 1e-11 to t = 1e8                       omega within 1e-8
    unnormalized                the command's tolerances to omega = 2e4       omega within 1e-6

`error` is the largest relative error of any omega_j at any of 200 times, `cross` the smallest of the distances
max |log omega - log law| to the laws of the two other flows, which has to be above 1e-2. The exit code is 1 if a
bound fails.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import jax
import numpy as np

from central_path.cli.inputs import features_of_samples
from central_path.cli.records import read_samples
from central_path.flows import FLOWS
from central_path.flows.horizon import LARGEST_UNNORMALIZED
from central_path.metrics.samples import check_samples
from central_path.simulation.experiment import FlowResult, run_flow
from central_path.simulation.starts import Start, renormalize
from central_path.theory.problem import random_features

SIZES = ((2, 50), (3, 50), (10, 50), (20, 30), (50, 20))  # C, N; P = 2C
QUICK = SIZES[:3]
DEFAULT, TIGHT = 1e-10, 1e-11  # rtol; atol is the default
CROSS = 1e-2  # least distance to a law that is not the flow's own
LOOSE_BOUND, TIGHT_BOUND = 1e-6, 1e-8
SAVES = 200


def starts(sizes: tuple[tuple[int, int], ...], given: list[Path], *, seed: int) -> Iterator[tuple[str, Start]]:
    """Names and renormalized features."""
    for C, N in sizes:
        H = random_features(C, N, min(2 * C, C * (N - 1)), seed=seed)
        yield "random", renormalize(H, eps=float(np.finfo(float).eps))
    packaged = sorted(Path(str(files("central_path") / "data")).glob("*.npz"))
    for path in [*packaged, *given]:
        read = check_samples(*read_samples(path))
        features, _ = features_of_samples(read, balance=True, restrict_rank=True, seed=seed)
        yield path.stem, features.start()


def runs(begin: Start) -> Iterator[tuple[FlowResult, float, float]]:
    """Every flow of a start, with its tolerance and its bound."""
    _, C, N = begin.X.shape
    largest = float(np.max(begin.omega0))
    for name, flow_of_name in FLOWS.items():
        law = flow_of_name.law(C, N)
        if not law.is_power_law:
            end = float(law.elapsed(largest, math.log(LARGEST_UNNORMALIZED / largest)))
            cases = ((end, DEFAULT, LOOSE_BOUND),)
        else:
            cases = ((1e12, DEFAULT, LOOSE_BOUND), (1e8, TIGHT, TIGHT_BOUND))
        for t_max, tolerance, bound in cases:
            flow = run_flow(name, begin, level="features", t_max=t_max, saves=SAVES, rtol=tolerance, atol=DEFAULT)
            yield flow, tolerance, bound


def main() -> int:
    """Run and print; 1 if a bound fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="random features of C = 2, 3, 10 only")
    parser.add_argument("--features", type=Path, nargs="+", default=[], metavar="FILE.npz", help="more real features")
    parser.add_argument("--seed", type=int, default=0, help="of the random features; default: %(default)s")
    args = parser.parse_args()
    jax.config.update("jax_enable_x64", True)

    columns = (
        "features                   C    N    P  flow          t_max    rtol   error   drift    mean  steps   cross"
    )
    print(f"{columns}  bound")
    failed = 0
    for source, begin in starts(QUICK if args.quick else SIZES, args.features, seed=args.seed):
        P, C, N = begin.X.shape
        for flow, tolerance, bound in runs(begin):
            cross = min(flow.error_against.values())
            holds = flow.agrees(bound) and cross > CROSS
            failed += not holds
            drift, mean = (float(np.max(flow.ys[key])) for key in ("drift", "global_mean"))
            sizes = f"{source[:24]:24} {C:3d} {N:4d} {P:4d}  {flow.name:12}"
            numbers = f"{flow.t_max:.1e}  {tolerance:.0e} {flow.max_relative_error:.1e} {drift:.1e} {mean:.1e}"
            verdict = f"{bound:.0e}: {'holds' if holds else f'FAILS ({flow.result})'}"
            print(f"{sizes} {numbers}  {flow.steps:5d} {cross:.1e}  {verdict}", flush=True)
    print("every bound holds" if not failed else f"{failed} bounds fail")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
