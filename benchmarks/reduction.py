"""The exact reductions: class means and singular values at the sizes of ImageNet, against features where they fit.

    python benchmarks/reduction.py
    python benchmarks/reduction.py --quick
    python benchmarks/reduction.py --sizes 100 200 1024

First whole commands at C = 1000, N = 1300, P = 2048, of one flow with few saves and of the default flows with 200
saves: seconds, peak memory, the ratio of largest to smallest omega at the end, the error against the law. Then the
three levels from the same features: how far their omega part, and their times. Last the cost of a vector field against
C, N and P, as exponents fitted to doubled sizes (of `means` from class means that are not diagonal). Exit code 1 if a
goal is missed: 60 s and 1 GiB for `means`, 5 s for `spectrum` (the second time), 1.01.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from central_path.cli.program import set_up_jax

COMMAND = [sys.executable, "-m", "central_path.simulate", "--no-plots", "--quiet"]
IMAGENET = ["--C", "1000", "--N", "1300", "--P", "2048"]
RIEMANNIAN = ("--flow", "riemannian", "--saves", "5")
RUNS = {
    "spectrum, first": ("spectrum", RIEMANNIAN, None),
    "spectrum, second": ("spectrum", RIEMANNIAN, (5.0, 1024.0)),
    "means, 5 saves": ("means", RIEMANNIAN, (60.0, 1024.0)),
    "means, as it is": ("means", (), (60.0, 1024.0)),
}  # level, options, and the goals of seconds and MiB


def run(level: str, options: tuple[str, ...], sizes: list[str], cache: str) -> tuple[float, float, dict]:
    """Seconds, MiB and the summary of a command."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*COMMAND, *sizes, "--level", level, *options, "--output", folder]
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, env=os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begin
        with open(f"{folder}/summary.json", encoding="utf-8") as file:
            return seconds, usage.ru_maxrss / 2**10, json.load(file)


def commands(sizes: list[str]) -> bool:
    """Both levels as commands, `means` with the default flows and saves too; whether a goal is missed."""
    missed = False
    print(f"python -m central_path.simulate {' '.join(sizes)}")
    print(f"{'run':16}  seconds  MiB at most  flow          max/min omega  steps  largest error  goal")
    with tempfile.TemporaryDirectory() as cache:
        for name, (level, options, goals) in RUNS.items():
            seconds, mib, summary = run(level, options, sizes, cache)
            good, said = goals is None or (seconds <= goals[0] and mib <= goals[1]), ""
            for flow, found in summary["flows"].items():
                omega = np.array(found["omega_last"])
                ratio = omega.max() / omega.min()
                good &= ratio <= 1.01 and found["verdict"] == "agrees"
                if goals:
                    said = f"{goals[0]:g} s, {goals[1]:g} MiB: {'met' if good else 'not met'}"
                numbers = f"{seconds:7.1f}  {mib:11.0f}  {flow:12}  {ratio:13.4f}  {found['steps']:5d}"
                print(f"{name:16}  {numbers}  {found['max_relative_error']:13.1e}  {said}".rstrip())
            missed |= not good
    return missed


def timed(call, repeats: int = 5) -> float:
    """Median seconds after a first call."""
    import jax

    seconds = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds[1:]))


def levels(C: int, N: int, P: int) -> None:
    """The three levels from the same features."""
    from central_path.metrics import samples
    from central_path.simulation import experiment, starts

    begin = starts.renormalize(samples.random_features(C, N, P, seed=0), eps=float(np.finfo(float).eps))
    found = {}
    for level in ("features", "means", "spectrum"):
        options = {"level": level, "t_max": None, "saves": 10, "rtol": 1e-10, "atol": 1e-10}
        result = experiment.run_flow("riemannian", begin, **options)
        seconds = time.perf_counter()
        result = experiment.run_flow("riemannian", begin, **options)
        found[level] = result, time.perf_counter() - seconds
    print(f"\nC = {C}, N = {N}, P = {P}, riemannian, {8e-9 * C * N * P:.2f} GB of features, 10 times, compiled")
    print(f"{'level':9}  time / means  largest difference of omega from features  from the law")
    whole, base = found["features"][0].ys["omega"], found["means"][1]
    for level, (result, seconds) in found.items():
        apart = np.max(np.abs(result.ys["omega"] / whole - 1))
        print(f"{level:9}  {seconds / base:12.2f}  {apart:40.1e}  {result.max_relative_error:12.1e}")


def exponents(C: int, N: int, P: int) -> None:
    """Fitted exponents of a field's time in each size."""
    import jax
    import jax.numpy as jnp

    from central_path import flows
    from central_path.simulation.compiler import COMPILER_OPTIONS
    from central_path.theory import manifold

    def features(C: int, N: int, P: int) -> float:
        X = manifold.random_point(C, N, P, seed=0)
        field = jax.jit(lambda X: flows.FLOWS["riemannian"].features_field(X), compiler_options=COMPILER_OPTIONS)
        return timed(lambda: field(X))

    def means(C: int) -> float:
        M = jnp.asarray(np.random.default_rng(0).standard_normal((C - 1, C)))
        M -= jnp.mean(M, axis=1, keepdims=True)
        field = jax.jit(lambda M: flows.FLOWS["riemannian"].means_field(M, N=100), compiler_options=COMPILER_OPTIONS)
        return timed(lambda: field(M))

    def fit(sizes: list[int], seconds: list[float]) -> str:
        slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        return f"{slope:.2f}   (from {sizes[0]} to {sizes[-1]}: time times {seconds[-1] / seconds[0]:.1f})"

    print(f"\nexponents of a field's time, around C = {C}, N = {N}, P = {P}")
    for name, base, call in (
        ("features, in P", P, lambda s: features(C, N, s)),
        ("features, in N", N, lambda s: features(C, s, P)),
        ("features, in C", C, lambda s: features(s, N, P)),
        ("means, in C", N, means),
    ):
        sizes = [base * factor for factor in (1, 2, 4, 8)]
        print(f"{name:15}  {fit(sizes, [call(size) for size in sizes])}")
    print("means, in N and P: 0, its state is (C-1) x C")


def main() -> int:
    """Measure and print; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument(
        "--sizes", type=int, nargs=3, metavar=("C", "N", "P"), help="the three levels there, and no more"
    )
    args = parser.parse_args()
    if args.sizes:
        set_up_jax(blas_threads=None)
        levels(*args.sizes)
        return 0
    missed = commands(["--C", "100", "--N", "1300", "--P", "512"] if args.quick else IMAGENET)
    set_up_jax(blas_threads=None)
    levels(*((10, 50, 20) if args.quick else (100, 200, 512)))
    exponents(*((8, 80, 64) if args.quick else (16, 200, 128)))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
