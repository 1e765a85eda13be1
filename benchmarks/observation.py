"""What 200 saved times cost of a small solve: everything that is observed, at each level and in each flow.

    python benchmarks/observation.py
    python benchmarks/observation.py --C 20 --N 200

Seconds of a compiled solve that saves 2 times, and of one that saves 200; both take the same steps. The share is what
the saved times add, of the whole. Exit code 1 if a share is above a third.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from central_path.cli.program import set_up_jax

GOAL = 1 / 3


def fastest(calls: Sequence[Callable[[], Any]], repeats: int) -> list[float]:
    """Least seconds of each call, after one that compiles; they take turns, so that other work slows all of them."""
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(repeats):
        for call, mine in zip(calls, seconds, strict=True):
            begin = time.perf_counter()
            call()
            mine.append(time.perf_counter() - begin)
    return [min(mine) for mine in seconds]


def main() -> int:
    """Measure and print; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    for name, value in {"C": 10, "N": 50, "repeats": 20, "saves": 200}.items():
        parser.add_argument(f"--{name}", type=int, default=value, metavar="INT", help="default: %(default)s")
    args = parser.parse_args()
    set_up_jax()
    from central_path.cli.inputs import random_features
    from central_path.flows import FLOWS, LEVELS
    from central_path.metrics.samples import unstack
    from central_path.simulation.experiment import integrate
    from central_path.simulation.general.dynamics import Dynamics
    from central_path.simulation.general.run import run_general
    from central_path.simulation.general.start import renormalized, start_of_samples

    C, N = args.C, args.N
    given = random_features(C, N, min(2 * C, C * (N - 1)), seed=0)
    begin = given.start()
    rows = unstack(given.values, given.index)
    how: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-10}
    missed = False
    print(f"C = {C}, N = {N}, P = {given.sizes[2]}, {args.saves} saved times, best of {args.repeats} runs")
    print("level     flow           steps  2 saves  all saves   share")

    def row(level: str, name: str, solve) -> bool:
        steps = solve(2)
        few, all_of_them = fastest([lambda: solve(2), lambda: solve(args.saves)], args.repeats)
        share = 1 - few / all_of_them
        print(f"{level:9} {name:13} {steps:6} {few:7.3f}s {all_of_them:8.3f}s   {share:.2f}")
        return share > GOAL

    for level in LEVELS:
        for name, flow in FLOWS.items():
            t_max = flow.horizon(begin.omega0, None, **begin.sizes).t_max

            def solve(saves: int, flow=flow, level=level, t_max=t_max) -> int:
                ts = flow.horizon(begin.omega0, t_max, **begin.sizes).times(saves)
                return int(integrate(flow, begin, ts, level=level, **how).stats["num_accepted_steps"])

            missed |= row(level, name, solve)
    labels = np.repeat(np.arange(C), N)
    for name, lam in (("unnormalized", 0.0), ("renormalized", 0.0), ("unnormalized", 0.01)):
        dynamics = Dynamics(name, lam=lam)
        start = start_of_samples(rows, labels, centred=dynamics.centred)
        start = start if lam else renormalized(start, dynamics.beta)
        t_max = run_general(start, dynamics, level="moments", t_max=None, saves=2, **how).t_max

        def solve_moments(saves: int, start=start, dynamics=dynamics, t_max=t_max) -> int:
            return run_general(start, dynamics, level="moments", t_max=t_max, saves=saves, **how).steps

        missed |= row("moments", name if not lam else f"lam = {lam:g}", solve_moments)
    print(f"goal: saved times at most a third of a solve: {'not met' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
