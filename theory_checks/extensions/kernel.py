"""The laws of a block kernel: class means move at the rate 1, deviations from them at the rate b.

With x = omega^2/C and G the left side over C^2 N,

    r = 2   `unnormalized`, Sigma_W + b Sigma_B = I   log w + (1-b^2)/(2b^2) log(1+bx) - (1-b)^2/(2b^2) bx/(1+bx)
    r = 1   `renormalized`, Sigma_W = I               (1/2) [log x + x/b - (1-b)^2/b^2 log(1+bx)]

and Proposition 2 for both as b -> 0. Every path is integrated from full features, by the autodiff gradient times the
kernel, and projection; the laws are written out here in NumPy.

Source: the block kernel of Seleznova et al. (2023); its laws are this project's (docs/note/note.md).
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from central_path.flows import AbstractFlow, with_kernel
from central_path.simulation.experiment import run_flow
from central_path.simulation.starts import renormalize
from central_path.theory.general_loss import general_loss
from central_path.theory.kernel_laws import law_of_kernel
from theory_checks.extensions.general_path import SIZES, drawn
from theory_checks.extensions.laws import NOTE, PATH_REASON, PATH_TOLERANCE, law_by_hand, sizes, starts
from theory_checks.framework import definitions, instances, paths
from theory_checks.framework.paths import Path
from theory_checks.framework.registry import Draw, Finding, claim, identity

KERNELS = (0.0, 0.05, 0.3, 1.7)
EXPONENT = {"renormalized": 1, "unnormalized": 2}  # r
LARGEST = 50.0  # omega at the end of a path of features: class means that approach a sphere magnify errors
SMALLEST_GROWTH = np.log(3.0)
MAGNIFIED = PATH_REASON + "; times 1 + b omega^2/C, by which class means near their sphere magnify it"
FAR = 1e4  # omega at the end of a run towards the limit of ratios
LIMIT_TOLERANCE = 1e-5  # of log omega there: C/(b omega^2) is 1e-6 at most, and the run keeps 1e-8


def by_hand(r: int, b: float, C: int, N: int, omega: np.ndarray) -> np.ndarray:
    """The left side of the law with kernel b, as this module's page prints it."""
    if b == 0:
        return law_by_hand(0, C, N, omega)
    x = omega**2 / C
    if r == 1:
        return C**2 * N * (np.log(omega) + (x / b - (1 - b) ** 2 / b**2 * np.log1p(b * x)) / 2)
    logarithm = (1 - b**2) / (2 * b**2) * np.log1p(b * x)
    return C**2 * N * (np.log(omega) + logarithm - (1 - b) ** 2 / (2 * b**2) * b * x / (1 + b * x))


def follow(H: np.ndarray, flow: AbstractFlow) -> Path:
    """The path of a flow until the largest omega is LARGEST, or has tripled."""
    _, C, N = H.shape
    omega = float(np.max(np.asarray(paths.omega_of(paths.renormalized(H)))))
    growth = max(np.log(LARGEST / omega), SMALLEST_GROWTH)
    return paths.follow(H, flow, t_max=float(flow.law(C, N).elapsed(omega, growth)))


def in_log_omega(path: Path, spent: np.ndarray) -> np.ndarray:
    """Times (T, K) as they are seen in log omega: over d F/d log omega."""
    return spent * np.asarray(path.law.rate(path.omega)) / path.omega


@claim(
    "Laws of a kernel",
    source=f"{NOTE}, Theorem 5.1",
    statement="If class means move at the rate 1 and within-class deviations at the rate b, every omega_j follows the "
    "law of its kernel: r = 2 without a projection, from Sigma_W + b Sigma_B = I, and r = 1 with Proposition 4's. For "
    "b = 0 both are Proposition 2, for b = 1 the flows of free features.",
    assumptions="lambda = 0, balanced classes, bias included, Sigma_W of full rank, 0 <= b.",
    fault="the law of a kernel larger by 0.05.",
)
def laws_of_a_kernel(draw: Draw) -> Iterator[Finding]:
    """Features integrated with a kernel, against the law by hand and the package's."""
    for H in starts(draw):
        for name, r in EXPONENT.items():
            for b in KERNELS:
                path = follow(H, with_kernel(name, b))
                C, N = sizes(path)

                def spent(b: float, path: Path = path, r: int = r) -> np.ndarray:
                    F = by_hand(r, b, *sizes(path), path.omega)
                    return in_log_omega(path, F - F[:1])

                clock = in_log_omega(path, np.broadcast_to(path.ts[:, None], path.omega.shape))
                magnified = 1 + b * float(np.max(path.omega)) ** 2 / C if r == 2 else 1.0
                how: dict[str, Any] = {"tolerance": PATH_TOLERANCE, "reason": MAGNIFIED if r == 2 else PATH_REASON}
                how |= {"condition": magnified, "scale": max(1.0, float(np.max(clock)))}
                yield identity(f"law by hand, r = {r}, b = {b:g}", clock, spent(b), fault=spent(b + 0.05), **how)
                a = np.log(path.omega / path.omega[:1])
                right, wrong = (
                    np.asarray(law_of_kernel(r, kernel, C, N).growth(path.ts[:, None], path.omega[:1]))
                    for kernel in (b, b + 0.05)
                )
                how["scale"] = 1.0
                yield identity(f"KernelLaw.growth, r = {r}, b = {b:g}", a, right, fault=wrong, **how)


def _unbalanced_velocities(features, labels, b: float):
    """d/dt of Sigma_B + Sigma_W/b, of the same with equal priors in Sigma_B, and of Sigma_W/b, by autodiff."""
    pi = np.bincount(labels) / len(labels)
    members = np.eye(len(pi))[labels]  # (n, C)
    average = members / (len(labels) * pi)

    def moments(X):
        M = X.T @ average
        E = X - members @ M.T
        return M, E.T @ E / len(labels)

    def conserved(X, weights):
        M, Sigma_W = moments(X)
        Mbar = M - (M @ pi)[:, None]
        return (Mbar * weights[None, :]) @ Mbar.T + Sigma_W / b

    G = jax.grad(lambda X: general_loss(*moments(X), pi, lam=0.0))(jnp.asarray(features))
    within = G - members @ (average.T @ G)
    velocity = (-(G - within) - b * within,)
    of_K, of_wrong = (
        jax.jvp(partial(conserved, weights=weights), (jnp.asarray(features),), velocity)[1]
        for weights in (pi, np.full(len(pi), 1 / len(pi)))
    )
    return of_K, of_wrong, jax.jvp(moments, (jnp.asarray(features),), velocity)[1][1] / b


@claim(
    "Conservation under a kernel",
    source=f"{NOTE}, Theorem 6.2",
    statement="The gradient flow of L_LS in which class means move at the rate 1 and deviations at the rate b > 0 "
    "conserves K = Sigma_B + Sigma_W/b and the global mean, for any class sizes.",
    assumptions="lambda = 0, Sigma_W(0) > 0; any class sizes, any global mean, any start.",
    fault="Sigma_T, which is conserved for b = 1; for unbalanced classes Sigma_B of equal priors.",
)
def conservation_under_a_kernel(draw: Draw) -> Iterator[Finding]:
    """Both covariances along a path of features as they are."""
    for H in starts(draw):
        C, N = H.shape[1:]
        fastest = 1 / np.linalg.eigvalsh(definitions.statistics_of(H).Sigma_T)[0]  # of all omega, over C^2 N
        for b in (0.05, 0.3, 1.7):
            flow = with_kernel("unnormalized", b)
            path = paths.follow(H, flow, t_max=C**2 * N * np.log(10) / fastest / max(b, 1), as_they_are=True)
            of = [definitions.statistics_of(X) for X in path.X[::6]]
            K, total = (np.stack([s.Sigma_B + s.Sigma_W / kernel for s in of]) for kernel in (b, 1.0))
            size = float(np.max(np.abs(K)))
            moved, fault = (A - A[:1] for A in (K, total))
            how: dict[str, Any] = {"tolerance": PATH_TOLERANCE, "reason": PATH_REASON, "scale": size}
            yield identity(f"Sigma_B + Sigma_W/b, b = {b:g}", moved, 0 * moved, fault=fault, **how)
    for _ in range(draw.repeats):
        features, labels = drawn(draw, SIZES)
        for b in (0.05, 0.3, 1.7):
            of_K, of_wrong, parts = (np.asarray(a) for a in _unbalanced_velocities(features, labels, b))
            yield identity(
                f"d/dt (Sigma_B + Sigma_W/b) of unbalanced classes, b = {b:g}",
                of_K,
                0 * of_K,
                fault=of_wrong,
                scale=float(np.max(np.abs(parts))),
                condition=float(np.linalg.cond(definitions.statistics(features.T, labels, len(SIZES)).Sigma_W)),
                reason="200 eps, times the condition of Sigma_W",
            )


@claim(
    "Limit of the ratios under a kernel",
    source=f"{NOTE}, Corollary 5.2",
    statement="For r = 2 and b > 0 growth is exponential in the end, and omega_i/omega_j -> exp(b^2 (G(omega_i(0)) - "
    "G(omega_j(0)))): no Simplex ETF in the SNR matrix, but nearer to one the smaller b.",
    assumptions="lambda = 0, balanced classes, Sigma_W + b Sigma_B = I at the start.",
    fault="the ratios of the start, which are those of b = 1.",
)
def limit_of_the_ratios(draw: Draw) -> Iterator[Finding]:
    """Features integrated until omega is about 1e4, where the ratios are within C/(b omega^2) of their limits."""
    for _ in range(draw.repeats):
        H = instances.with_snr(draw.rng, instances.GENERIC, draw.rng.uniform(0.5, 1.5) * np.array([4.0, 2.0, 1.0]))
        begin = renormalize(H, eps=float(np.finfo(float).eps))
        C, N = H.shape[1:]
        for b in (0.3, 0.6):
            law = law_of_kernel(2, b, C, N)
            t_max = float(law.elapsed(begin.omega0[-1], np.log(FAR / begin.omega0[-1])))
            options = {"level": "features", "saves": 20, "rtol": 1e-11, "atol": 1e-11}
            found = run_flow("unnormalized", begin, kernel=b, t_max=t_max, **options)
            G = by_hand(2, b, C, N, begin.omega0) / (C**2 * N)
            ratios, limits = -np.diff(np.log(found.ys["omega"][-1])), -(b**2) * np.diff(G)
            at_start = -np.diff(np.log(begin.omega0))
            how = {"tolerance": LIMIT_TOLERANCE, "reason": "what is left of C/(b omega^2) at omega = 1e4"}
            yield identity(f"log omega_i/omega_j, b = {b:g}", ratios, limits, fault=at_start, scale=1.0, **how)
