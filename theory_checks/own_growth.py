"""Growth exponents and prefactors, seen in features at late times.

With m = 2 - k and F' = d F_k/d omega = C^2 N (1 + omega^2/C)^m/omega, along the flow with exponent k < 2

    d log omega/d log t             = t/(omega F'(omega))                       -> 1/(2m)
    omega_1/omega_{C-1} - 1         = (F_k(omega_1) - F_k(omega_{C-1}))/(2 m t) at late times
    d log(omega_1 - omega_{C-1})/d log t                                        -> (1-2m)/(2m) = (2k-3)/(4-2k)

A slope fitted over a decade of time is a mean of local slopes with positive weights, so it lies as near to its limit as
the local slopes of the law do, which are computed here from the law: that is the tolerance. The last line says that
differences of the norms of class means, NC2 in the paper's words, vanish iff k < 3/2, where their ratios do for k < 2.

Source: this project (docs/paper_map.md).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from theory_checks import instances, own_family, paths
from theory_checks.own_features import means
from theory_checks.own_laws import SOURCE
from theory_checks.paths import PATH_REASON, PATH_TOLERANCE, fitted_slope
from theory_checks.registry import Draw, Finding, claim, identity

LATE = (1e3, 1e5)  # omega^2/C at the end of a path, k = 0 and 1: the law leaves its asymptote as C/omega^2
REASON = "distance of the law's own local slopes from their limit over the decade that is fitted, plus 1e-7/spread"


class Window(NamedTuple):
    """The last decade of a path: times (T,), omega (T, C-1) by features, by the law; F_k(omega(0)) differences."""

    t: np.ndarray
    omega: np.ndarray
    law: np.ndarray
    difference: float  # F_k(omega_1(0)) - F_k(omega_{C-1}(0))


def _window(ts: np.ndarray, omega: np.ndarray, k: float) -> Window:
    C, N, _ = instances.GENERIC
    last = ts >= ts[-1] / 10
    growth = own_family.values(k, (C, N), omega[:1], ts[:, None], 0.0).growth
    difference = own_family.elapsed(k, C, N, omega[0, -1], omega[0, 0])
    return Window(ts[last], omega[last], (omega[:1] * np.exp(growth))[last], difference)


def _resistance(k: float, omega: np.ndarray) -> np.ndarray:
    """d F_k/d log omega."""
    C, N, _ = instances.GENERIC
    return C**2 * N * (1 + omega**2 / C) ** (2 - k)


def _noise(w: Window) -> float:
    """What the error of omega makes of the slope of a difference of omega."""
    return PATH_TOLERANCE / float(np.min(w.law[:, 0] / w.law[:, -1] - 1))


def _late_path(draw: Draw, k: int) -> paths.Path:
    """Features followed until omega^2 = LATE[k] C, from spread omega."""
    C, N, _ = instances.GENERIC
    omega0 = np.array([8.0, 4.0, 1.0]) * draw.rng.uniform(0.7, 1.4, 3)
    H = instances.with_snr(draw.rng, instances.GENERIC, omega0)
    return paths.follow(H, k, t_max=own_family.elapsed(k, C, N, float(omega0.min()), np.sqrt(LATE[k] * C)))


def _bound(w: Window, k: float) -> float:
    """On |(omega_1/omega_{C-1} - 1) 2 m t/(F(omega_1) - F(omega_{C-1})) - 1|.

    log(omega_1/omega_{C-1}) is the difference of F over d F/d log omega somewhere between, and r - 1 exceeds log r by
    at most the factor r.
    """
    between = (4 - 2 * k) * w.t[:, None] / _resistance(k, w.law[:, [0, -1]])
    ratio = w.law[:, 0] / w.law[:, -1]
    return float(max(np.max(np.abs(between - 1)), np.max(np.abs(between * ratio[:, None] - 1))))


def _difference_slope(w: Window, k: float, name: str) -> Finding:
    """Slope of omega_1 - omega_{C-1}."""
    speed = w.law / _resistance(k, w.law)
    local = w.t * (speed[:, 0] - speed[:, -1]) / (w.law[:, 0] - w.law[:, -1])
    limit = (2 * k - 3) / (4 - 2 * k)
    tolerance = float(np.max(np.abs(local - limit))) + _noise(w)
    slope = fitted_slope(w.t, w.omega[:, 0] - w.omega[:, -1])
    fault = -0.75 if k == 1 else -0.5  # of the other flow
    return identity(name, slope, limit, fault=fault, scale=1.0, tolerance=tolerance, reason=REASON)


def _spread_of_norms(M: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(M, axis=-2)
    return np.ptp(norms, axis=-1)


@claim(
    "NC2 in absolute terms",
    source=SOURCE,
    statement="|omega_1 - omega_{C-1}|, and with it max_c ||mu_c|| - min_c ||mu_c|| of renormalized features, goes as "
    "t^((2k-3)/(4-2k)): it vanishes iff k < 3/2. Ratios tend to 1 for every k < 2.",
    assumptions="all omega_j(0) > 0, not all equal; k = 0, 1 from features, k = 1.75 from the flow of class means.",
    fault="the exponent of another flow, -3/4 or -1/2; for the norms the law with exponent k + 1/2.",
)
def nc2_in_absolute_terms(draw: Draw) -> Iterator[Finding]:
    """Fitted slopes over the last decade, and the norms of class means against the law's."""
    C, N, _P = instances.GENERIC
    for _ in range(draw.repeats):
        for k in (0, 1):
            path = _late_path(draw, k)
            w = _window(path.ts, path.omega, k)
            yield _difference_slope(w, k, f"slope of omega_1 - omega_(C-1) is {(2 * k - 3) / (4 - 2 * k):g}, k = {k}")
            U, _, Vt = np.linalg.svd(means(path)[0], full_matrices=False)
            built = [
                np.einsum("pk,tk,kc->tpc", U[:, : C - 1], path.omega[:1] * np.exp(values.growth), Vt[: C - 1])
                for values in (
                    own_family.values(e, (C, N), path.omega[:1], path.ts[:, None], 0.0) for e in (k, k + 0.5)
                )
            ]
            seen, right, wrong = (_spread_of_norms(M) for M in (means(path), *built))
            yield identity(
                "max - min of the norms of class means, by the law",
                seen,
                right,
                fault=wrong,
                tolerance=PATH_TOLERANCE,
                reason=PATH_REASON,
                scale=float(np.max(path.omega)),
            )
        k = 1.75
        omega0 = np.array([2.0, 1.0, 0.5]) * draw.rng.uniform(0.7, 1.4, 3)
        M = instances.with_snr(draw.rng, instances.GENERIC, omega0).mean(axis=2)
        t_max = own_family.elapsed(k, C, N, float(omega0.min()), 2e5)
        ts = np.concatenate([[0.0], np.geomspace(t_max / 1e4, t_max, own_family.SHAPE[0] - 1)])
        omega = own_family.follow(M, k, t_max, ts)
        w = _window(ts, omega, k)
        yield _difference_slope(w, k, "slope of omega_1 - omega_(C-1) is 1, k = 1.75")
        ratio, right = w.omega[:, 0] / w.omega[:, -1], w.law[:, 0] / w.law[:, -1]
        yield identity(
            "their ratio still tends to 1, by the law, k = 1.75",
            ratio - 1,
            right - 1,
            fault=(right - 1) * w.t / w.t[0],
            tolerance=PATH_TOLERANCE,
            reason=PATH_REASON,
            scale=1.0,
        )


@claim(
    "Growth exponents",
    source=SOURCE,
    statement="omega_j grows as t^(1/4) in the Riemannian flow (k = 0) and as t^(1/2) in the renormalized one (k = 1), "
    "and omega_1/omega_{C-1} - 1 falls as 1/t in both, with prefactors (F(omega_1) - F(omega_{C-1}))/(4t) and /(2t).",
    assumptions="all omega_j(0) > 0.",
    fault="the exponent and the prefactor of the other flow.",
)
def growth_exponents(draw: Draw) -> Iterator[Finding]:
    """Fitted slopes over the last decade of features, and the ratio's distance from 1."""
    for _ in range(draw.repeats):
        for k in (0, 1):
            path = _late_path(draw, k)
            w = _window(path.ts, path.omega, k)
            limit, other = 1 / (4 - 2 * k), (0.5, 0.25)[k]
            local = w.t[:, None] / _resistance(k, w.law)
            slopes = np.array([fitted_slope(w.t, values) for values in w.omega.T])
            by_law = np.array([fitted_slope(w.t, values) for values in w.law.T])
            how = {"fault": np.full_like(slopes, other), "scale": 1.0}
            yield identity(
                f"slope of log omega is {limit:g}, k = {k}",
                slopes,
                np.full_like(slopes, limit),
                tolerance=float(np.max(np.abs(local - limit))) + PATH_TOLERANCE,
                reason=REASON,
                **how,
            )
            yield identity(
                f"slope of log omega is the law's, k = {k}",
                slopes,
                by_law,
                tolerance=PATH_TOLERANCE,
                reason=PATH_REASON,
                **how,
            )
            spread = w.omega[:, 0] / w.omega[:, -1] - 1
            prefactor = w.difference / ((4 - 2 * k) * w.t)
            yield identity(
                f"omega_1/omega_(C-1) - 1 over its prefactor/t, k = {k}",
                spread / prefactor,
                np.ones_like(spread),
                fault=np.full_like(spread, (4 - 2 * k) / (2 + 2 * k)),
                tolerance=_bound(w, k) + _noise(w),
                reason=REASON,
            )
            yield identity(
                f"slope of omega_1/omega_(C-1) - 1 is -1, k = {k}",
                fitted_slope(w.t, spread),
                -1.0,
                fault=-other,
                tolerance=2 * _bound(w, k) + _noise(w),
                reason=REASON,
            )
