"""Coverage of the interval of `deepnet_runs.which_law` for the exponent k, on planted laws.

    python benchmarks/law_intervals.py

Every seed has an exponent of its own, k = mean + SD z with standard normal z (a random effect), and omega along that
law with 0.3 % noise. A row takes groups of n seeds and counts how often the 95 % interval of the group contains the
mean: Student's t interval, which `which_law` prints, with the standard error of the count, and beside it the percentile
bootstrap of the mean over the seeds. 4,500 runs, about a minute of one core.
"""

import jax
import numpy as np

from central_path.theory.laws import Law
from deepnet_runs.dynamics.law_of_run import exponent, t_interval

C, N, EPOCHS, NOISE, RUNS = 10, 50, 25, 0.003, 4500
MEAN, SD = 1.0, 0.1  # of the exponents


def planted(k: float, rng: np.random.Generator) -> np.ndarray:
    """Omega (T, K) along the law k from a random start, fivefold at the end, with relative noise."""
    law, omega0 = Law(k, C, N), np.sort(rng.uniform(2.0, 12.0, C - 1))[::-1]
    end = float(law.elapsed(omega0[-1], np.log(5.0)))
    ts = np.concatenate([[0.0], end * np.sort(rng.uniform(1e-3, 1, EPOCHS - 1)) ** 3])
    omega = np.asarray(law.omega(ts[:, None], omega0[None, :]))
    return omega * np.exp(NOISE * rng.standard_normal(omega.shape))


def coverage(estimates: np.ndarray, mean: float, n: int, rng: np.random.Generator) -> tuple[int, float, float]:
    """Number of groups of n seeds, and shares whose t interval, and whose bootstrap interval, contains the mean."""
    groups = estimates[: len(estimates) // n * n].reshape(-1, n)
    found = np.zeros(2)
    for group in groups:
        resampled = np.quantile(rng.choice(group, (200, n)).mean(axis=1), [0.025, 0.975])
        for i, interval in enumerate((t_interval(group.tolist()), resampled)):
            assert interval is not None  # n >= 2
            found[i] += interval[0] <= mean <= interval[1]
    t, bootstrap = found / len(groups)
    return len(groups), float(t), float(bootstrap)


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    print("mean k  SD    seeds  groups  Student's t    bootstrap")
    estimates = np.array([exponent(planted(k, rng))[0] for k in rng.normal(MEAN, SD, RUNS)])
    for n in (2, 3, 5, 9):
        groups, t, bootstrap = coverage(estimates, MEAN, n, rng)
        error = np.sqrt(t * (1 - t) / groups)
        print(f"{MEAN:<6}  {SD:<4}  {n:<5}  {groups:<6}  {t:.1%} +- {error:.1%}  {bootstrap:.1%}")


if __name__ == "__main__":
    main()
