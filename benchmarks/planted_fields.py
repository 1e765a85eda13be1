"""The field test on parametrisations whose kernel is known, and the rate at which its null models are rejected.

    python benchmarks/planted_fields.py
    python benchmarks/planted_fields.py --seeds 20 --C 10 --N 14

Every planted kernel is measured as a network's is: by products with Theta, probes and draws. `z` is the deviation of
an estimate in its own standard errors (root mean square over estimates and seeds, 1 if the errors are right); `cosine`
and `cosine*` are those of the true model, whole and without the common factor, the smallest over the seeds; `b` is the
largest error of the block kernel's ratio. Then, for 1000 draws of a true null, the share that is rejected at 5 %. Exit
code 1 if a truth is missed.
"""

import argparse
import sys
import time

import numpy as np
import torch

from deepnet_runs.dynamics import agreement, planted_fields
from deepnet_runs.dynamics.field import gradient
from deepnet_runs.dynamics.field_test import field_test
from deepnet_runs.dynamics.planted_fields import block_kernel, features, planted
from deepnet_runs.dynamics.snr_frame import SNRFrame, class_means

NOMINAL, DRAWS = 0.05, 1000
FAR_RATE = 3.3 * (2 * NOMINAL * (1 - NOMINAL) / DRAWS) ** 0.5
FAR_Z = 1.8  # of a root mean square of standard scores
P = 8


def truths(C, N, seed):
    """By name: a kernel, the K that is true, the name of the true model, and its b."""
    H, y = features(C, N, P, seed=seed)
    n = len(y)
    I = torch.eye(n, dtype=torch.float64)  # noqa: E741
    generator = torch.Generator().manual_seed(seed)
    A = torch.diag(torch.exp(1.5 * torch.randn(P, generator=generator, dtype=torch.float64)))
    X, _ = features(C, N, 6, seed=seed + 1000)
    R = torch.randn(n, 6, generator=generator, dtype=torch.float64)
    yield "H free", planted(H, y, I), I, "free", 1.0
    for b in (0.0, 0.1, 0.5, 1.0, 1.5, 2.0):
        K = block_kernel(y, means=0.7, within=0.7 * b, overall=4.0)
        name = "class means shared" if b == 0 else f"block kernel, b = {b:g}"
        yield name, planted(H, y, K), K, "class_means" if b == 0 else "block", b
    yield "H = A theta", planted(H, y, I, A), I * A.trace() / P, None, None
    yield "any K of the examples", planted(H, y, R @ R.T), R @ R.T, "sample_kernel", None
    yield "linear network", *planted_fields.linear(X, y, 12, P, seed=seed), None, None
    yield "10,000 random features", *planted_fields.wide(X, y, 10_000, P, seed=seed), "sample_kernel", None


def scores(kernel, K, seed, spread):
    """Deviations of the traces from the true ones in standard errors; `spread` is added, relative to the truth."""
    traces = kernel.traces(sketch=4, probes=8, seed=seed)
    parts = zip(kernel.classes.parts(K), kernel.classes.ranks, strict=True)
    true = [float(torch.trace(part)) / rank for part, rank in parts]
    rounding, found = 1e-9 * max(true), []
    for estimate, value in zip((traces.overall, traces.means, traces.within), true, strict=True):
        if estimate.error > rounding:
            found.append((estimate.value - value) / np.hypot(estimate.error, spread * value))
        else:  # exact: it has no score, and may not be off
            assert abs(estimate.value - value) < 10 * rounding + 4 * spread * value
    return found


def rejected(C, N, seed):
    """By null and model: the share of 1000 draws of the null that are rejected at 5 %."""
    rng = np.random.default_rng(seed)
    H, y = (x.numpy() for x in features(C, N, P, seed=seed))
    frame, G = SNRFrame.of(H, y), gradient(H, y)
    M = class_means(G, y)[y]
    pair, common = (frame.rates(-M), frame.rates(M - G)), np.diag(frame.omega)
    chance, truth = frame.random_rates(DRAWS, rng), frame.random_rates(DRAWS, rng)
    scale = 3 * np.linalg.norm(truth, axis=(1, 2)).mean() / np.linalg.norm(common)
    found = {}
    for null, change in (
        ("a random velocity", lambda X: X),
        ("a common factor and a random velocity, *", lambda X: agreement.without(X, common)),
    ):
        drawn = change(truth if null == "a random velocity" else truth + scale * common)
        B, D = (change(X) for X in pair)
        random = change(chance)
        cases = {
            "free": lambda A, B=B, D=D, random=random: agreement.match(A, B + D, random),
            "class means": lambda A, B=B, random=random: agreement.match(A, B, random),
            "block, best b": lambda A, B=B, D=D, random=random: agreement.match_mixture(A, B, D, random),
        }
        for name, test in cases.items():
            found[null, name] = float(np.mean([test(A).p <= NOMINAL for A in drawn]))
    return found


def main() -> int:
    """Measure and print; 1 if a truth is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    for name, value in {"C": 5, "N": 8, "seeds": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=value, metavar="INT", help="default: %(default)s")
    args = parser.parse_args()
    begin, missed = time.perf_counter(), False
    seen: dict[str, list] = {}
    for seed in range(args.seeds):
        for name, kernel, K, model, b in truths(args.C, args.N, seed):
            field = field_test(kernel, sample_kernel=kernel.sample_kernel(draws=64, seed=seed), seed=seed)
            z = scores(kernel, K, seed, 1 / 100 if "random" in name else 0.0)
            match = field.models[model] if model else None
            off = 0.0 if b is None else max(abs(field.b - b), abs((field.models["block_best"].whole.b or 0.0) - b))
            seen.setdefault(name, []).append((z, match, off, b, field.velocity_cosine))
    print(f"C = {args.C}, N = {args.N}, P = {P}, {args.seeds} seeds")
    print(f"{'planted':24}{'z':>7}{'cosine':>9}{'cosine*':>9}{'b':>10}{'cos(V,-G)':>11}")
    for name, found in seen.items():
        z = [score for one in found for score in one[0]]
        size = float(np.sqrt(np.mean(np.square(z)))) if z else 0.0
        whole, rest = (
            min((getattr(m, part).cosine for _, m, *_ in found if m), default=np.nan) for part in ("whole", "residual")
        )
        off, cos = max(one[2] for one in found), float(np.mean([one[4] for one in found]))
        exact = found[0][1] is not None and "K" not in name and "random" not in name
        missed |= size > FAR_Z or off > 1e-4 or (exact and min(whole, rest) < 1 - 1e-6)
        b = f"{off:10.1e}" if found[0][3] is not None else f"{'':10}"
        print(f"{name:24}{size:7.2f}{whole:9.4f}{rest:9.4f}{b}{cos:11.3f}")
    print(f"\nrejected at {NOMINAL:.0%} of {DRAWS} draws")
    for (null, model), rate in rejected(args.C, args.N, 0).items():
        missed |= abs(rate - NOMINAL) > FAR_RATE
        print(f"{null:42}{model:16}{rate:7.1%}")
    print(f"\n{time.perf_counter() - begin:.0f} s; truths {'missed' if missed else 'recovered'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
