"""The vector field of the level `features` against the matrix products that it cannot do without.

    python benchmarks/vector_field.py
    python benchmarks/vector_field.py --P 512 --C 100 --N 500

With n = CN, products of P x n matrices are the field's cost, 2 P^2 n operations each:

    autodiff    Sigma_W = E E^T/n, its pull-back onto the examples, E Z^T, S E        4 products, 8 P^2 n
    analytic    Sigma_W, and (S - G) E, where -grad L is a column a class minus G E   2 products, 4 P^2 n

The floor is the time of as many plain products of those shapes, X X^T and A X, by jax.numpy; bytes are counted as one
reading or writing of a P x n array each, the least number that the formulas allow. Exit code 1 if the goal is missed.
"""

import argparse
import sys
import time

import numpy as np

from central_path.cli.program import set_up_jax

GOAL = 2.0


def medians(calls: dict, repeats: int) -> dict[str, float]:
    """Median seconds, the calls taking turns."""
    import jax

    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(repeats + 1):
        for name, call in calls.items():
            begin = time.perf_counter()
            jax.block_until_ready(call())
            if round_:
                seconds[name].append(time.perf_counter() - begin)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def main() -> int:
    """Measure and print; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    for name, value in {"P": 512, "C": 100, "N": 500, "repeats": 7}.items():
        parser.add_argument(f"--{name}", type=int, default=value, metavar="INT", help="default: %(default)s")
    args = parser.parse_args()
    set_up_jax(blas_threads=None)
    import jax
    import jax.numpy as jnp

    from central_path import flows
    from central_path.simulation.compiler import COMPILER_OPTIONS
    from central_path.theory import loss, manifold, problem

    P, C, N = args.P, args.C, args.N
    n = C * N
    X = manifold.random_point(C, N, P, seed=0)

    def compiled(f):
        return jax.jit(f, compiler_options=COMPILER_OPTIONS)

    @compiled
    def analytic(X):
        """The riemannian field: -grad L = M' 1^T/N + G E/n with P x P matrices alone between the two products."""
        M, E = problem.class_means(X), problem.deviations(X)
        Sigma = problem.covariance(E)
        dM, dSigma = jax.grad(loss.loss_of_moments, argnums=(0, 1))(M, Sigma)
        G = -(dSigma + dSigma.T) / n
        S = manifold.lyapunov(Sigma, manifold.sym(Sigma @ G.T))
        return (-dM / N)[:, :, None] + ((G - S) @ E.reshape(P, -1)).reshape(E.shape)

    gram = compiled(lambda X: X.reshape(P, -1) @ X.reshape(P, -1).T)
    left = compiled(lambda A, X: A @ X.reshape(P, -1))
    A = jnp.asarray(np.random.default_rng(0).standard_normal((P, P)))
    fields = {name: compiled(flow.features_field) for name, flow in flows.FLOWS.items()}
    calls = {name: (lambda f=f: f(X)) for name, f in fields.items()}
    calls |= {"analytic": lambda: analytic(X), "X X^T": lambda: gram(X), "A X": lambda: left(A, X)}
    seconds = medians(calls, args.repeats)
    error = float(jnp.max(jnp.abs(analytic(X) - fields["riemannian"](X))) / jnp.max(jnp.abs(analytic(X))))
    pair = seconds["X X^T"] + seconds["A X"]
    print(f"P = {P}, C = {C}, N = {N}: a product is {2e-9 * P * P * n:.1f} Gflop, a P x n array {8e-9 * P * n:.2f} GB")
    print(f"analytic against autodiff: largest difference {error:.1e} of the largest entry")
    print(f"{'field':25}  Gflop  GB at least  time / floor of its own count  time / analytic")
    missed = False
    rows = {"riemannian": (2, 9), "renormalized": (2, 9), "unnormalized": (1, 5), "analytic": (1, 5)}
    for name, (pairs, arrays) in rows.items():
        label = "analytic, riemannian" if name == "analytic" else f"autodiff, {name}"
        ratio = seconds[name] / (pairs * pair)
        missed |= ratio > GOAL
        flops, size = 4e-9 * pairs * P * P * n, 8e-9 * arrays * P * n
        print(f"{label:25}  {flops:5.0f}  {size:11.1f}  {ratio:29.2f}  {seconds[name] / seconds['analytic']:15.2f}")
    print(f"goal: at most {GOAL:g} times the floor: {'not met' if missed else 'met'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
