"""The closed form inverted for a million starts and times, beside SciPy's root finders.

    python benchmarks/inverse.py
    python benchmarks/inverse.py --pairs 1000000 --loop 2000 --sample 200

Pairs (omega(0), t) whose omega(t) is anywhere above omega(0), both from 0.01 to 1000, C = 10, N = 50. Peers solve
c1 log w + c2 w^2 + c3 w^4 = F(omega(0)) + t as one writes it, between omega(0) and 1000 (and a little more): `brentq`
in a loop over the first `--loop` pairs, and `find_root`, which is vectorised, over all. Errors are of omega, relative,
against 40 digits of mpmath on `--sample` pairs. Ours is timed once compiled. Exit code 1 if a goal is missed.
"""

import argparse
import sys
import time

import mpmath
import numpy as np
from scipy.optimize import brentq
from scipy.optimize.elementwise import find_root

from central_path.cli.program import set_up_jax

C, N, LOW, HIGH = 10, 50, 1e-2, 1e3
SECONDS, ERROR = 0.5, 1e-14


def exact(constants, omega0, t, guess):
    """omega(t) to 40 digits."""
    c1, c2, c3 = (mpmath.mpf(c) for c in constants)

    def F(w):
        return c1 * mpmath.log(w) + c2 * w**2 + c3 * w**4

    target = F(mpmath.mpf(omega0)) + mpmath.mpf(t)
    return mpmath.findroot(lambda w: F(w) - target, (mpmath.mpf(guess) * (1 - mpmath.mpf(10) ** -9), mpmath.mpf(guess)))


def timed(call, repeats: int):
    """The value and the median seconds."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        values = call()
        seconds.append((time.perf_counter() - begin, values))
    return seconds[-1][1], float(np.median([each for each, _ in seconds]))


def main() -> int:
    """Measure and print; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    for name, value in {"pairs": 1_000_000, "loop": 2000, "sample": 200, "repeats": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=value, metavar="INT", help="default: %(default)s")
    args = parser.parse_args()
    set_up_jax()
    from central_path.theory.laws import Law

    mpmath.mp.dps = 40
    rng = np.random.default_rng(0)
    ends = np.sort(np.exp(rng.uniform(np.log(LOW), np.log(HIGH), (args.pairs, 2))), axis=1)
    sample = rng.choice(args.pairs, args.sample, replace=False)
    print(f"{args.pairs} pairs, omega from {LOW:g} to {HIGH:g}, C = {C}, N = {N}; {args.repeats} repeats")
    print(f"{'law':13}  {'method':22}  microseconds a pair  times ours  largest error")
    missed = False
    for name, k in (("riemannian", 0), ("renormalized", 1)):
        law = Law(k, C, N)
        omega0 = ends[:, 0]
        t = np.asarray(law.elapsed(omega0, np.log(ends[:, 1] / omega0)))
        c1, c2, c3 = law.constants

        def F(w, c1=c1, c2=c2, c3=c3):
            return c1 * np.log(w) + c2 * w**2 + c3 * w**4

        def ours(law=law, t=t, omega0=omega0):
            return np.asarray(law.omega(t, omega0))

        def vectorised(F=F, t=t, omega0=omega0):
            target = F(omega0) + t
            bracket = (omega0 * (1 - 1e-9), np.full_like(omega0, HIGH * (1 + 1e-9)))
            return find_root(lambda w, target: F(w) - target, bracket, args=(target,)).x

        def loop(F=F, t=t, omega0=omega0):
            targets = F(omega0[: args.loop]) + t[: args.loop]
            ends = zip(targets, omega0[: args.loop] * (1 - 1e-9), strict=True)
            found = [
                brentq(lambda w, a: F(w) - a, low, HIGH * (1 + 1e-9), args=(a,), xtol=1e-300, rtol=np.float64(1e-15))
                for a, low in ends
            ]
            return np.array(found)

        ours()
        base = None
        for method, call, size, repeats in (
            ("ours", ours, args.pairs, args.repeats),
            ("SciPy find_root", vectorised, args.pairs, 1),
            ("SciPy brentq, in a loop", loop, args.loop, 1),
        ):
            found, seconds = timed(call, repeats)
            base = base or seconds / size
            chosen = sample if size == args.pairs else np.arange(min(args.sample, args.loop))
            errors = [
                abs(float(mpmath.mpf(float(found[i])) / exact(law.constants, omega0[i], t[i], ends[i, 1]) - 1))
                for i in chosen
            ]
            each, worst = seconds / size, max(errors)
            print(f"{name:13}  {method:22}  {1e6 * each:19.3f}  {each / base:10.1f}  {worst:13.1e}")
            if method == "ours":
                whole = each * 1e6
                good = whole <= SECONDS and worst <= ERROR
                missed |= not good
                verdict = "met" if good else "not met"
                print(f"{'':13}  a million in {whole:.2f} s, goal {SECONDS:g} s at an error of {ERROR:g}: {verdict}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
