"""The closed laws beyond the paper: what the three flows of features do, seen in the features themselves.

    flow             law of every omega_j                                      also
    `renormalized`   C^2 N log w + (CN/2) w^2 = a + t                          E frozen
    `unnormalized`   omega = omega(0) exp(t/(C^2 N)), from Sigma_T(0) = I      X X^T conserved, s_j logistic

with s_j = omega_j^2/(C + omega_j^2). Every path is integrated from full features by autodiff and projection; laws are
written out here in NumPy, and the package's `laws.Law` is held against the same path.

Source: this project (docs/note/note.md); the flows are those of Han, Papyan & Donoho (2022), Section 3.2, Appendix D.
"""

from collections.abc import Iterator

import numpy as np

from central_path.flows import FLOWS, AbstractFlow
from central_path.theory.law import AbstractLaw
from central_path.theory.laws import Law
from theory_checks.framework import instances, paths
from theory_checks.framework.paths import PATH_REASON, PATH_TOLERANCE, RENORMALIZED, UNNORMALIZED, Path
from theory_checks.framework.registry import Draw, Finding, claim, identity

NOTE = "docs/note/note.md"
LARGEST = 50.0  # omega at the end of the unnormalized flow
SPHERE_REASON = PATH_REASON + "; times omega^2/C, by which class means near their sphere magnify it"


def starts(draw: Draw) -> Iterator[np.ndarray]:
    """Random features, and features with small and with spread omega."""
    for _ in range(draw.repeats):
        yield instances.random_features(draw.rng, instances.GENERIC)
        yield instances.with_snr(draw.rng, instances.GENERIC, draw.rng.uniform(0.1, 0.3) * np.array([4.0, 2.0, 1.0]))
        if not draw.quick:
            yield instances.random_features(draw.rng, instances.TWO_CLASSES)
            yield instances.with_snr(draw.rng, instances.JUST_FULL_RANK, np.array([30.0, 0.5]))


def follow(H: np.ndarray, flow: AbstractFlow) -> Path:
    """The path of a flow to its default horizon; of `unnormalized` until the largest omega is LARGEST, or has tripled.

    Its class means approach a sphere, and errors of omega are 1 + omega^2/C times those of the features.
    """
    if flow is not UNNORMALIZED:
        return paths.follow(H, flow)
    _, C, N = H.shape
    omega = float(np.max(np.asarray(paths.omega_of(paths.renormalized(H)))))
    return paths.follow(H, flow, t_max=C**2 * N * np.log(max(LARGEST / omega, 3.0)))


def sizes(path: Path) -> tuple[int, int]:
    """C, N."""
    return path.X.shape[2], path.X.shape[3]


def law_by_hand(k: int, C: int, N: int, omega: np.ndarray) -> np.ndarray:
    """c1 log w + c2 w^2 + c3 w^4, as the docstring of `central_path.theory.laws` prints it."""
    c1, c2, c3 = C**2 * N, (C * N, C * N / 2, 0.0)[k], (N / 4, 0.0, 0.0)[k]
    return c1 * np.log(omega) + c2 * omega**2 + c3 * omega**4


def slope_by_hand(k: int, C: int, N: int, omega: np.ndarray) -> np.ndarray:
    """d F_k/d log omega: what a relative error of omega makes of F_k."""
    return C**2 * N * (1 + omega**2 / C) ** (2 - k)


def elapsed_by_hand(k: int, path: Path) -> np.ndarray:
    """F_k(omega(t)) - F_k(omega(0)) along a path, in units in which it shows relative errors of omega."""
    C, N = sizes(path)
    gone = law_by_hand(k, C, N, path.omega) - law_by_hand(k, C, N, path.omega[0])
    return gone / slope_by_hand(path.k, C, N, path.omega)


def clock(path: Path) -> np.ndarray:
    """Times, in the same units."""
    C, N = sizes(path)
    return path.ts[:, None] / slope_by_hand(path.k, C, N, path.omega)


def log_omega(law: AbstractLaw, path: Path) -> np.ndarray:
    """Logarithm of omega(t) by a law of the package, from the path's start."""
    return np.log(path.omega[:1]) + np.asarray(law.growth(path.ts[:, None], path.omega[:1]))


def sphere(path: Path) -> float:
    """1 + omega^2/C at its largest for `unnormalized`, whose class means approach a sphere; 1 for the other flows."""
    return 1 + float(np.max(path.omega)) ** 2 / path.X.shape[2] if path.flow is UNNORMALIZED else 1.0


def on_path(name: str, a, b, path: Path, *, fault, scale: float | None = None, magnified: bool = True) -> Finding:
    """Identity of something seen along a path; `magnified` unless class means on their sphere do no harm to it."""
    magnified &= path.flow is UNNORMALIZED
    how = {"reason": SPHERE_REASON if magnified else PATH_REASON, "condition": sphere(path) if magnified else 1.0}
    return identity(name, a, b, fault=fault, tolerance=PATH_TOLERANCE, scale=scale, **how)


def _package_law(path: Path, wrong: int) -> Iterator[Finding]:
    """`Law` of the package against a path: forward, growth and omega, elapsed."""
    right, other = path.law, Law(wrong, *sizes(path))
    unit = slope_by_hand(path.k, *sizes(path), path.omega)
    gone = (np.asarray(right.forward(path.omega)) - np.asarray(right.forward(path.omega[:1]))) / unit
    gone_wrong = (np.asarray(other.forward(path.omega)) - np.asarray(other.forward(path.omega[:1]))) / unit
    size = max(1.0, float(np.max(clock(path))))
    yield on_path("Law.forward, against the clock", clock(path), gone, path, fault=gone_wrong, scale=size)
    a, b = np.log(path.omega), log_omega(right, path)
    yield on_path("Law.growth, against the features", a, b, path, fault=log_omega(other, path), scale=1.0)
    ratio = np.asarray(right.omega(path.ts[:, None], path.omega[:1])) / path.omega
    wrong_ratio = np.asarray(other.omega(path.ts[:, None], path.omega[:1])) / path.omega
    yield on_path("Law.omega, against the features", np.ones_like(ratio), ratio, path, fault=wrong_ratio)
    growth = np.maximum(np.log(path.omega / path.omega[:1]), 0.0)
    spent, spent_wrong = (np.asarray(law.elapsed(path.omega[:1], growth)) / unit for law in (right, other))
    yield on_path("Law.elapsed, against the clock", clock(path), spent, path, fault=spent_wrong, scale=size)


@claim(
    "Law of the renormalized flow",
    source=f"{NOTE}, Theorem 3.2",
    statement="Along Equation 5 with Proposition 4's projection every singular value of the SNR matrix obeys C^2 N log "
    "w + (CN/2) w^2 = a + t, and so grows as sqrt(2t/(CN)).",
    assumptions="lambda = 0, balanced classes, bias included, Sigma_W of full rank.",
    fault="Proposition 2's law, with C N w^2 + N w^4/4 in place of (CN/2) w^2.",
)
def law_of_the_renormalized_flow(draw: Draw) -> Iterator[Finding]:
    """Features integrated with the oblique projection, against the law by hand and the package's."""
    for H in starts(draw):
        path = follow(H, RENORMALIZED)
        size = max(1.0, float(np.max(clock(path))))
        a, b, fault = clock(path), elapsed_by_hand(1, path), elapsed_by_hand(0, path)
        yield on_path("C^2 N log w + (CN/2) w^2 = a + t", a, b, path, fault=fault, scale=size)
        yield from _package_law(path, wrong=0)


@claim(
    "Law of the unnormalized flow",
    source=f"{NOTE}, Theorem 3.2",
    statement="Along the plain gradient flow of L_LS on the features, from Sigma_T(0) = I, omega_j(t) = omega_j(0) "
    "exp(t/(C^2 N)) for every j.",
    assumptions="lambda = 0, balanced classes, bias included, Sigma_T(0) = I.",
    fault="the law of the renormalized flow; for the law by hand the rate 1/(C N).",
)
def law_of_the_unnormalized_flow(draw: Draw) -> Iterator[Finding]:
    """Features integrated without projection, against the exponential and the package's law."""
    for H in starts(draw):
        path = follow(H, UNNORMALIZED)
        C, N = sizes(path)
        grown = np.log(path.omega / path.omega[:1])
        expected, wrong = (np.broadcast_to(path.ts[:, None] / rate, grown.shape) for rate in (C**2 * N, C * N))
        yield on_path("log omega(t)/omega(0) = t/(C^2 N)", grown, expected, path, fault=wrong, scale=1.0)
        yield from _package_law(path, wrong=1)


def _invariant(k: int, path: Path) -> np.ndarray:
    """F_k(omega_j) - F_k(omega_{j+1}), minus what it was at the start, as relative errors of omega."""
    C, N = sizes(path)
    differences = -np.diff(law_by_hand(k, C, N, path.omega), axis=1)
    return (differences - differences[:1]) / slope_by_hand(path.k, C, N, path.omega[:, :-1])


@claim(
    "Time-free invariant",
    source=f"{NOTE}, Theorem 3.2",
    statement="F_k(omega_i(t)) - F_k(omega_j(t)) is constant along the flow with exponent k, whatever its clock, and "
    "not for another k.",
    assumptions="lambda = 0, balanced classes, bias included; Sigma_T(0) = I for k = 2.",
    fault="F of the flow with the next k.",
)
def time_free_invariant(draw: Draw) -> Iterator[Finding]:
    """Differences of F_k along features, for k = 0, 1, 2; the times do not enter."""
    for _ in range(draw.repeats):
        H = instances.random_features(draw.rng, instances.GENERIC)
        for flow in FLOWS.values():
            path = follow(H, flow)
            k = path.k
            seen = _invariant(k, path)
            name = f"F_{k}(omega_i) - F_{k}(omega_j) constant, k = {k}"
            fault = seen - _invariant((k + 1) % 3, path)
            yield on_path(name, seen, np.zeros_like(seen), path, fault=fault, scale=1.0)
