"""Growth exponents and prefactors: features follow their law, and the law's slopes far away are the exponents.

With m = 2 - k and F' = d F_k/d omega = C^2 N (1 + omega^2/C)^m/omega, along the flow with exponent k < 2

    d log omega/d log t             = t/(omega F'(omega))                       -> 1/(2m)
    omega_1/omega_{C-1} - 1         = (F_k(omega_1) - F_k(omega_{C-1}))/(2 m t) at late times
    d log(omega_1 - omega_{C-1})/d log t                                        -> (1-2m)/(2m) = (2k-3)/(4-2k)

All of them are reached up to a power of C/omega^2. Features are followed until omega^2 is 1e3 C or 1e5 C and compared
with the law along the way, to the digits that the solver keeps; the law is followed until what is left of C/omega^2
moves no slope by 1e-3. A slope fitted over a decade of time is a mean of local slopes with positive weights, so it lies
as near to its limit as the local slopes of the law do: that is its tolerance. The last line says that differences of
the norms of class means, NC2 in the paper's words, vanish iff k < 3/2, where their ratios do for k < 2.

Source: this project (docs/note/note.md).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from central_path.flows import AbstractFlow
from central_path.theory.laws import Law
from theory_checks.extensions import family_of_laws
from theory_checks.extensions.features_along_flows import means
from theory_checks.extensions.laws import NOTE
from theory_checks.framework import instances, paths
from theory_checks.framework.paths import EQUATION_5, PATH_REASON, PATH_TOLERANCE, fitted_slope
from theory_checks.framework.registry import EPS, Draw, Finding, claim, identity

LATE = {"riemannian": 1e3, "renormalized": 1e5}  # omega^2/C at the end of a path of features
FAR = 1e5  # (omega^2/C)^min(m, 1) at the beginning of the decade over which the law's slopes are fitted
REASON = "distance of the law's own local slopes from their limit over the decade that is fitted, plus its rounding"


class Decade(NamedTuple):
    """A decade of times (T,) with the law's omega (T, 2), of the largest and the smallest, and F_k's difference."""

    k: int | float
    t: np.ndarray
    omega: np.ndarray
    difference: float  # F_k(omega_1(0)) - F_k(omega_{C-1}(0)), which stays

    @property
    def spread(self) -> np.ndarray:
        """omega_1/omega_{C-1} - 1."""
        return self.omega[:, 0] / self.omega[:, 1] - 1

    @property
    def local(self) -> np.ndarray:
        """Slopes of log omega in log t, (T, 2)."""
        return self.t[:, None] / _resistance(self.k, self.omega)

    @property
    def noise(self) -> float:
        """What rounding of omega makes of the spread, relative to it."""
        return 100 * EPS / float(np.min(self.spread))


def _resistance(k: int | float, omega: np.ndarray) -> np.ndarray:
    """The derivative of F_k in log omega."""
    C, N, _ = instances.GENERIC
    return C**2 * N * (1 + omega**2 / C) ** (2 - k)


def _far(k: int | float, omega0: np.ndarray) -> Decade:
    """The law of the package from the largest and the smallest omega(0), where it has nearly reached its asymptote."""
    C, N, _ = instances.GENERIC
    begin = omega0[[0, -1]]
    difference = family_of_laws.elapsed(k, C, N, float(begin[1]), float(begin[0]))
    t = family_of_laws.elapsed(k, C, N, float(begin[1]), np.sqrt(C * FAR ** (1 / min(2 - k, 1)))) * np.geomspace(
        1, 10, 20
    )
    growth = family_of_laws.values(k, (C, N), begin[None, :], t[:, None], 0.0).growth
    return Decade(k, t, begin * np.exp(growth), difference)


def _late_path(draw: Draw, flow: AbstractFlow) -> paths.Path:
    """Features followed until omega^2 = LATE C, from spread omega."""
    C, N, _ = instances.GENERIC
    omega0 = np.array([8.0, 4.0, 1.0]) * draw.rng.uniform(0.7, 1.4, 3)
    H = instances.with_snr(draw.rng, instances.GENERIC, omega0)
    law = flow.law(C, N)
    assert isinstance(law, Law)  # of free features
    k = int(law.k)
    t_max = family_of_laws.elapsed(k, C, N, float(omega0.min()), np.sqrt(LATE[flow.name] * C))
    return paths.follow(H, flow, t_max=t_max)


def _by_law(k: int | float, ts: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """Omega (T, C-1) at times by the law with exponent k, from the first of omega."""
    C, N, _ = instances.GENERIC
    return omega[:1] * np.exp(family_of_laws.values(k, (C, N), omega[:1], ts[:, None], 0.0).growth)


def _spread_of_norms(M: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(M, axis=-2)
    return np.ptp(norms, axis=-1)


def _difference_slope(far: Decade, name: str, *, fault: float) -> Finding:
    """Slope of omega_1 - omega_{C-1}."""
    moved = far.omega * far.local
    local = (moved[:, 0] - moved[:, 1]) / (far.omega[:, 0] - far.omega[:, 1])
    limit = (2 * far.k - 3) / (4 - 2 * far.k)
    found = fitted_slope(far.t, far.omega[:, 0] - far.omega[:, 1])
    tolerance = float(np.max(np.abs(local - limit))) + far.noise
    return identity(name, found, limit, fault=fault, tolerance=tolerance, scale=1.0, reason=REASON)


@claim(
    "NC2 in absolute terms",
    source=f"{NOTE}, Corollary 3.5",
    statement="|omega_1 - omega_{C-1}|, and with it max_c ||mu_c|| - min_c ||mu_c|| of renormalized features, goes as "
    "t^((2k-3)/(4-2k)): it vanishes iff k < 3/2. Ratios tend to 1 for every k < 2.",
    assumptions="all omega_j(0) > 0, not all equal; k = 0, 1 from features, k = 1.75 from the flow of class means.",
    fault="the exponent of another flow, -3/4 or -1/2; for the norms and the ratio the law with exponent k + 1/2 or k "
    "- 1/4.",
)
def nc2_in_absolute_terms(draw: Draw) -> Iterator[Finding]:
    """The norms of class means against the law's, and the law's slopes far away."""
    C, N, _ = instances.GENERIC
    how = {"tolerance": PATH_TOLERANCE, "reason": PATH_REASON}
    for _ in range(draw.repeats):
        for flow in EQUATION_5:
            path = _late_path(draw, flow)
            k = path.k
            U, _, Vt = np.linalg.svd(means(path)[0], full_matrices=False)
            laws = (_by_law(e, path.ts, path.omega) for e in (float(k), k + 0.5))
            built = (np.einsum("pk,tk,kc->tpc", U[:, : C - 1], omega, Vt[: C - 1]) for omega in laws)
            seen, right, wrong = (_spread_of_norms(M) for M in (means(path), *built))
            size = float(np.max(path.omega))
            name = f"max - min of the norms of class means, by the law, k = {k}"
            yield identity(name, seen, right, fault=wrong, scale=size, **how)
            name = f"slope of omega_1 - omega_(C-1) is {(2 * k - 3) / (4 - 2 * k):g}, k = {k}"
            yield _difference_slope(_far(k, path.omega[0]), name, fault=(-0.5, -0.75)[k])
        k = 1.75
        omega0 = np.array([2.0, 1.0, 0.5]) * draw.rng.uniform(0.7, 1.4, 3)
        M = instances.with_snr(draw.rng, instances.GENERIC, omega0).mean(axis=2)
        t_max = family_of_laws.elapsed(k, C, N, float(omega0.min()), 2e5)
        ts = np.concatenate([[0.0], np.geomspace(t_max / 1e4, t_max, family_of_laws.SHAPE[0] - 1)])
        omega = family_of_laws.follow(M, k, t_max, ts)
        ratio, right, wrong = (a[:, 0] / a[:, -1] for a in (omega, *(_by_law(e, ts, omega) for e in (k, k - 0.25))))
        yield identity("their ratio tends to 1 by the law, k = 1.75", ratio, right, fault=wrong, **how)
        far = _far(k, np.sort(omega0)[::-1])
        yield _difference_slope(far, "slope of omega_1 - omega_(C-1) is 1, k = 1.75", fault=-0.5)
        yield from _spread(far)


def _spread(far: Decade) -> Iterator[Finding]:
    """Prefactor and slope of omega_1/omega_{C-1} - 1.

    log(omega_1/omega_{C-1}) is the difference of F over d F/d log omega somewhere between, and r - 1 exceeds log r by
    at most the factor r.
    """
    k, power = far.k, 4 - 2 * far.k
    between = power * far.local
    bound = max(float(np.max(np.abs(between * r[:, None] - 1))) for r in (np.ones_like(far.spread), 1 + far.spread))
    prefactor = far.difference / (power * far.t)
    found = far.spread / prefactor
    fault = np.full_like(found, power / (2 + 2 * k))
    how = {"tolerance": bound + far.noise, "reason": REASON}
    name = f"omega_1/omega_(C-1) - 1 over its prefactor/t, k = {k:g}"
    yield identity(name, found, np.ones_like(found), fault=fault, **how)
    how = {"tolerance": 2 * bound + far.noise, "reason": REASON}
    name = f"slope of omega_1/omega_(C-1) - 1 is -1, k = {k:g}"
    yield identity(name, fitted_slope(far.t, far.spread), -1.0, fault=-1 / power, **how)


@claim(
    "Growth exponents",
    source=f"{NOTE}, Corollary 3.5",
    statement="omega_j grows as t^(1/4) in the Riemannian flow (k = 0) and as t^(1/2) in the renormalized one (k = 1), "
    "and omega_1/omega_{C-1} - 1 falls as 1/t in both, with prefactors (F(omega_1) - F(omega_{C-1}))/(4t) and /(2t).",
    assumptions="all omega_j(0) > 0.",
    fault="the exponent, the prefactor and the law of the other flow.",
)
def growth_exponents(draw: Draw) -> Iterator[Finding]:
    """Slopes of features against the law's, and the law's slopes and prefactors far away."""
    for _ in range(draw.repeats):
        for flow in EQUATION_5:
            path = _late_path(draw, flow)
            k = path.k
            late = path.ts >= path.ts[-1] / 10
            right, wrong = (_by_law(e, path.ts, path.omega) for e in (k, 1 - k))
            seen, by_law, other = (
                np.array([fitted_slope(path.ts[late], values) for values in omega[late].T])
                for omega in (path.omega, right, wrong)
            )
            how = {"tolerance": PATH_TOLERANCE, "reason": PATH_REASON}
            yield identity(f"slope of log omega is the law's, k = {k}", seen, by_law, fault=other, **how)
            ratio, of_law, of_other = (a[:, 0] / a[:, -1] - 1 for a in (path.omega, right, wrong))
            name = f"omega_1/omega_(C-1) - 1 is the law's, k = {k}"
            yield identity(name, ratio, of_law, fault=of_other, **how)
            far = _far(k, path.omega[0])
            slopes = np.array([fitted_slope(far.t, values) for values in far.omega.T])
            limit = 1 / (4 - 2 * k)
            yield identity(
                f"slope of log omega is {limit:g}, k = {k}",
                slopes,
                np.full_like(slopes, limit),
                fault=np.full_like(slopes, (0.5, 0.25)[k]),
                scale=1.0,
                tolerance=float(np.max(np.abs(far.local - limit))) + 100 * EPS,
                reason=REASON,
            )
            yield from _spread(far)
