"""Random starts whose singular values are spread over eight decades, each flow at two levels against its own law.

    python benchmarks/spread_starts.py
    python benchmarks/spread_starts.py --starts 1000 --seed 0
    python benchmarks/spread_starts.py --starts 200 --kernel 0.05

Start number i has omega(0) drawn log-uniformly from 1e-4 to 1e4, every direction by itself, singular vectors drawn
uniformly, and features whose Sigma_W is that of white noise, all from `numpy.random.default_rng([seed, i])`; its size
is one of five, C = 2 to 20, so that five programs a level are compiled. Every start is renormalized as the command does
it, and run with the command's default options at the levels `features` and `means`. It agrees if every omega_j is
within 1e-6 of its law at all times that are saved; it is refused if the package says that before it integrates.

The exit code is 1 if a start neither agrees nor is refused. `worst` lists the seeds of the largest errors.
"""

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from central_path.cli.program import set_up_jax
from central_path.flows import FLOWS
from central_path.simulation.experiment import FlowResult, run_flow
from central_path.simulation.starts import Start, renormalize
from central_path.theory.problem import contrasts

SIZES = ((2, 3, 2), (3, 3, 4), (5, 3, 7), (10, 3, 14), (20, 3, 26))  # C, N, P
LEVELS = ("features", "means")
LOWEST, HIGHEST = 1e-4, 1e4
OPTIONS: dict[str, Any] = {"t_max": None, "saves": 200, "rtol": 1e-10, "atol": 1e-10}  # the command's
BOUND = 1e-6
LISTED = 3  # worst starts


def uniform_frame(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Orthonormal columns, uniformly distributed."""
    Q, T = np.linalg.qr(rng.standard_normal((rows, columns)))
    return Q * np.sign(np.diag(T))[None, :]


def spread_start(seed: int, i: int) -> Start:
    """The renormalized features of start number i.

    Raises:
        ValueError: as `starts.renormalize`.
    """
    rng = np.random.default_rng([seed, i])
    C, N, P = SIZES[rng.integers(len(SIZES))]
    omega = np.exp(rng.uniform(np.log(LOWEST), np.log(HIGHEST), C - 1))
    E = rng.standard_normal((P, C, N))
    E -= E.mean(axis=2, keepdims=True)
    w, R = np.linalg.eigh(E.reshape(P, -1) @ E.reshape(P, -1).T / (C * N))
    SNR = (uniform_frame(rng, P, C - 1) * omega[None, :]) @ uniform_frame(rng, C - 1, C - 1).T @ contrasts(C).T
    return renormalize(E + ((R * np.sqrt(w)) @ R.T @ SNR)[:, :, None], eps=float(np.finfo(float).eps))


@dataclass
class Row:
    """What was seen of one flow at one level."""

    agree: int = 0
    errors: list[tuple[float, int]] = field(default_factory=list)  # with the number of the start
    steps: list[int] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, i: int, flow: FlowResult) -> None:
        """Count a start that was integrated."""
        self.agree += flow.agrees(BOUND)
        self.errors.append((flow.max_relative_error, i))
        self.steps.append(flow.steps)
        if not flow.agrees(BOUND):
            self.failures.append(f"start {i}: error {flow.max_relative_error:.1e}, {flow.result}")


def follow(rows: dict[tuple[str, str], Row], seed: int, i: int, kernel: float = 1.0) -> None:
    """Run one start by every flow with a kernel at every level."""
    try:
        begin = spread_start(seed, i)
    except ValueError as error:
        for row in rows.values():
            row.refusals[str(error)] += 1
        return
    for (name, level), row in rows.items():
        started = time.perf_counter()
        try:
            row.add(i, run_flow(name, begin, level=level, kernel=kernel, **OPTIONS))
        except ValueError as error:
            row.refusals[str(error)] += 1
        row.seconds += time.perf_counter() - started


def main() -> int:
    """Run and print; 1 if a start neither agrees nor is refused."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--starts", type=int, default=1000, metavar="INT", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="INT", help="default: %(default)s")
    parser.add_argument("--kernel", type=float, default=1.0, metavar="B", help="default: %(default)s")
    args = parser.parse_args()
    set_up_jax()
    rows = {(name, level): Row() for name in FLOWS for level in LEVELS}
    for i in range(args.starts):
        follow(rows, args.seed, i, args.kernel)
    sizes = "; ".join(f"{C}, {N}, {P}" for C, N, P in SIZES)
    drawn = f"{args.starts} starts of seeds [{args.seed}, 0] to [{args.seed}, {args.starts - 1}]"
    print(f"{drawn}, kernel {args.kernel:g}; C, N, P = {sizes}")
    print("flow          level     starts  agree  refused  worst error  steps: median    max  seconds  worst starts")
    for (name, level), row in rows.items():
        worst = sorted(row.errors, reverse=True)
        counts = f"{args.starts:6d}  {row.agree:5d}  {row.refusals.total():7d}"
        numbers = f"{worst[0][0]:11.1e}  {np.median(row.steps):13.0f}  {max(row.steps):5d}  {row.seconds:7.0f}"
        print(f"{name:12}  {level:8}  {counts}  {numbers}  {', '.join(str(i) for _, i in worst[:LISTED])}")
    for sentence, count in sum((row.refusals for row in rows.values()), Counter()).items():
        print(f"refused {count} times: {sentence}")
    failures = [f"{name}, {level}, {text}" for (name, level), row in rows.items() for text in row.failures]
    print("\n".join(failures) if failures else f"every start agrees with its law within {BOUND:g}, or is refused")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
