"""Many starts by one compiled program, beside a loop over SciPy's solve_ivp.

    python benchmarks/ensemble.py
    python benchmarks/ensemble.py --starts 1000 --loop 50 --C 10 --N 50 --P 20

Both integrate the class means of the same random features over the same horizon at the same tolerances, look at omega
at the same times, and are held against the same law. SciPy's DOP853 gets the field in NumPy as one writes it, all P
dimensions, and runs on the first `--loop` starts, once in t and once in the clock of `solve.Clock`; its time is for
those, multiplied up. Ours is the second call, compiled; the first is printed too. Exit code 1 below the goal.
"""

import argparse
import sys
import time

import numpy as np
from scipy.integrate import solve_ivp

from central_path.cli.program import set_up_jax

GOAL = 20.0
RTOL = ATOL = 1e-10
SAVES = 50


def by_scipy(M, ts, C, N, law_clock):
    """omega (T, K) of one start by DOP853."""
    shape = M.shape

    def field(_, y):
        M = y.reshape(shape)
        Mbar = M - M.mean(axis=1, keepdims=True)
        K = C * np.eye(C) + Mbar.T @ Mbar
        return (np.linalg.solve(K, np.linalg.solve(K, Mbar.T)).T / N).ravel()

    if law_clock is None:
        seen = solve_ivp(field, (0, ts[-1]), M.ravel(), "DOP853", t_eval=ts, rtol=RTOL, atol=ATOL)
    else:
        speed, s = law_clock

        def clocked(s, y):
            return speed(s) * field(s, y)

        seen = solve_ivp(clocked, (0, 1), M.ravel(), "DOP853", t_eval=s, rtol=RTOL, atol=ATOL)
    Ms = seen.y.T.reshape(-1, *shape)
    return np.linalg.svd(Ms - Ms.mean(axis=2, keepdims=True), compute_uv=False)[:, : C - 1]


def main() -> int:
    """Measure and print; 1 below the goal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    sizes = {"starts": 1000, "loop": 50, "C": 10, "N": 50, "P": 20, "repeats": 5}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value, metavar="INT", help="default: %(default)s")
    args = parser.parse_args()
    set_up_jax()
    from central_path.flows import FLOWS
    from central_path.metrics import samples
    from central_path.simulation import ensemble, starts

    C, N, P = args.C, args.N, args.P
    eps = float(np.finfo(float).eps)
    features = [samples.random_features(C, N, P, seed=seed) for seed in range(args.starts)]
    begin = time.perf_counter()
    gathered = starts.stack([starts.renormalize(H, eps=eps) for H in features], "means")
    preparing = time.perf_counter() - begin

    def ours():
        options = {"level": "means", "t_max": None, "saves": SAVES, "rtol": RTOL, "atol": ATOL}
        begin = time.perf_counter()
        result = ensemble.run_flow("riemannian", gathered, **options)
        return result, time.perf_counter() - begin

    result, first = ours()
    flow = FLOWS["riemannian"]
    law = flow.law(C, N)
    t_max = result.ts[-1]
    clocks = [flow.horizon(omega0, t_max, C=C, N=N) for omega0 in gathered.omega0[: args.loop]]

    def loop(in_clock: bool):
        worst, begin = 0.0, time.perf_counter()
        for X, omega0, (_, scale, power) in zip(gathered.X, gathered.omega0, clocks, strict=False):
            b = np.expm1(np.log1p(t_max / scale) / power)
            clock = None
            if in_clock:
                s = np.clip(np.expm1(np.log1p(result.ts / scale) / power) / b, 0, 1)
                clock = (lambda s, b=b, scale=scale, power=power: scale * power * b * (1 + b * s) ** (power - 1), s)
            omega = by_scipy(X, result.ts, C, N, clock)
            worst = max(worst, float(np.max(np.abs(omega / law.omega(result.ts[:, None], omega0) - 1))))
        return worst, (time.perf_counter() - begin) / args.loop

    seconds: dict[str, list[float]] = {"ours": [], "SciPy in t": [], "SciPy in the clock": []}
    errors = {"ours": float(result.max_relative_error.max())}
    for _ in range(args.repeats):
        seconds["ours"].append(ours()[1] / args.starts)
        for name, in_clock in (("SciPy in t", False), ("SciPy in the clock", True)):
            errors[name], each = loop(in_clock)
            seconds[name].append(each)
    print(f"{args.starts} starts, C = {C}, N = {N}, P = {P}, level means, riemannian to t = {t_max:.3g}, {SAVES} times")
    print(f"{'':19}  ms a start  times ours  largest error")
    base = float(np.median(seconds["ours"]))
    for name, values in seconds.items():
        each = float(np.median(values))
        print(f"{name:19}  {1e3 * each:10.2f}  {each / base:10.1f}  {errors[name]:13.1e}")
    print(
        f"first call, with compiling: {first / (base * args.starts):.1f} times the second; "
        f"renormalizing the features: {preparing / (base * args.starts):.2f}"
    )
    ratio = float(np.median(seconds["SciPy in t"])) / base
    print(f"SciPy in t / ours: {ratio:.1f}, goal {GOAL:g}: {'met' if ratio >= GOAL else 'not met'}")
    return int(ratio < GOAL)


if __name__ == "__main__":
    sys.exit(main())
