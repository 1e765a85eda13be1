"""The singular values along integrated flows, Section 3.3: Proposition 2 and Corollary 1."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from central_path.flows import AbstractFlow
from central_path.theory.laws import Law
from theory_checks.framework import instances
from theory_checks.framework.extrapolation import fitted_limit, fitted_rate
from theory_checks.framework.paths import (
    PATH_REASON,
    PATH_TOLERANCE,
    RENORMALIZED,
    RIEMANNIAN,
    Path,
    follow,
)
from theory_checks.framework.registry import EPS, Draw, Finding, claim, identity, largest, refutation

LIMIT_REASON = "orders in t^(-1/2) beyond those fitted, and log t/t, over some decades; rounding of the ratio less 1"
SHAPES = (instances.GENERIC, instances.TWO_CLASSES, instances.JUST_FULL_RANK, instances.WIDE, instances.MANY)
GROWING = np.array([1.5, 0.6, 0.2])  # omega(0) from which each of the three terms leads for a while


def _paths(draw: Draw, flow: AbstractFlow) -> Iterator[Path]:
    for _ in range(draw.repeats):
        for shape in SHAPES[:2] if draw.quick else SHAPES:
            yield follow(instances.random_features(draw.rng, shape), flow)


@jax.jit
def _of_law(ts, omega, like):
    """Proposition 2's omega(t), the time that it needs to reach omega, and F(omega) - F(omega(0))."""
    law = Law(0, *like.shape)
    predicted = law.omega(ts[:, None], omega[None, 0])
    elapsed = law.elapsed(omega[None, 0], jnp.maximum(jnp.log(omega / omega[None, 0]), 0.0))
    return predicted, elapsed, law.forward(omega) - law.forward(omega[None, 0])


def _fitted_constants(path: Path) -> np.ndarray:
    """c1, c2, c3 of c1 log(w/w0) + c2 (w^2 - w0^2) + c3 (w^4 - w0^4) = t, by least squares over j and t."""
    w, w0, t = path.omega[1:], path.omega[:1], path.ts[1:, None]
    rows = np.stack([np.log(w / w0), w**2 - w0**2, w**4 - w0**4], axis=-1) / t[..., None]
    rows = rows.reshape(-1, 3)
    size = np.linalg.norm(rows, axis=0)
    return np.linalg.lstsq(rows / size, np.ones(len(rows)), rcond=None)[0] / size


def _distance(path: Path, law: Law) -> float:
    return largest(np.log(path.omega) - np.asarray(np.log(law.omega(path.ts[:, None], path.omega[:1]))))


@claim(
    "Proposition 2",
    source="Section 3.3, Equation 9; constants in Appendix D.4",
    expected="holds as amended",
    statement="Under Equation 5, c1 log omega_j + c2 omega_j^2 + c3 omega_j^4 = a_j + t with c1 = C^2 N, c2 = C N, "
    "c3 = N/4.",
    amendment="For the orthogonal projection (`riemannian`). For the flow as printed, with Proposition 4's "
    "projection (`renormalized`): c1 = C^2 N, c2 = C N/2, c3 = 0.",
    assumptions="Balanced classes, with the bias; Sigma_W = I at the start.",
    fault="the law of C + 1 classes.",
    figure="laws",
)
def proposition_2(draw: Draw) -> Iterator[Finding]:
    """Full features integrated, their singular values against the closed form, in omega and in t."""
    compare = partial(identity, tolerance=PATH_TOLERANCE, reason=PATH_REASON)
    for path in _paths(draw, RIEMANNIAN):
        _, _, C, N = path.X.shape
        predicted, elapsed, risen = map(np.asarray, _of_law(path.ts, path.omega, np.zeros((C, N))))
        wrong = np.asarray(Law(0, C + 1, N).omega(path.ts[:, None], path.omega[:1]))
        w, w0 = path.omega, path.omega[:1]
        direct, direct_wrong = (
            C**2 * N * np.log(w / w0) + C * N * (w**2 - w0**2) + c3 * (w**4 - w0**4) for c3 in (N / 4, N / 2)
        )
        t = np.broadcast_to(path.ts[:, None], w.shape)
        yield compare(
            "omega(t) of the `riemannian` flow, against the law",
            np.log(w / predicted),
            0 * w,
            fault=np.log(w / wrong),
            scale=1.0,
            of="amended",
        )
        scaled = partial(compare, scale=path.ts[-1], of="amended")
        yield scaled("c1 log w + c2 w^2 + c3 w^4 - a, against t", direct, t, fault=t + direct - direct_wrong)
        yield scaled("Law.elapsed, against t", elapsed, t, fault=t + direct - direct_wrong)
        yield scaled("Law.forward, against t", risen, t, fault=t + direct - direct_wrong)
    for _ in range(draw.repeats):
        shape = instances.GENERIC
        grown = follow(instances.with_snr(draw.rng, shape, GROWING * draw.rng.uniform(0.8, 1.2)), RIEMANNIAN, t_max=1e5)
        measured, laws = (
            _fitted_constants(grown),
            (np.array(Law(0, shape[0] + more, shape[1]).constants) for more in (0, 1)),
        )
        right, wrong = laws
        for name, found, law, fault in zip(("c1", "c2", "c3"), measured, right, wrong, strict=True):
            yield identity(
                f"{name} fitted to omega(t) of the features, against Law.constants",
                found,
                law,
                fault=fault if name != "c3" else 2 * law,
                tolerance=1e-5,
                reason="solver tolerance 1e-11, times some tens of steps and the condition of the fit",
                of="amended",
            )
    for path in _paths(draw, RENORMALIZED):
        _, _, C, N = path.X.shape
        yield compare(
            "omega(t) of the `renormalized` flow, against its own law",
            _distance(path, Law(1, C, N)),
            0.0,
            fault=_distance(path, Law(1, C + 1, N)),
            scale=1.0,
            of="instead",
        )
        yield refutation("|log omega - log law| of Equation 5 as printed", _distance(path, Law(0, C, N)))


@claim(
    "Corollary 1",
    source="Section 3.3, Corollary 1",
    statement="Singular values that follow Equation 9 grow without bound, omega_j(t)/(t/c3)^(1/4) -> 1, and max_j "
    "omega_j/min_j omega_j -> 1. More precisely omega_j = (t/c3)^(1/4) (1 - C (t/c3)^(-1/2) + ...) and max/min - 1 = "
    "(F(omega_1(0)) - F(omega_{C-1}(0)))/(4t) + ....",
    assumptions="Equation 9 with c3 > 0, so the `riemannian` flow. For `renormalized` omega_j ~ (2t/(CN))^(1/2), and "
    "the ratio tends to 1 too.",
    fault="c3 = N/2; C - 1 in the second order; the ratio's rate of the other flow, /(2t).",
    figure="growth",
)
def corollary_1(draw: Draw) -> Iterator[Finding]:
    """Full features integrated far beyond the onset of growth; and the law at times that only it can reach."""
    for _ in range(draw.repeats):
        C, N, _ = instances.GENERIC
        omega0 = np.sort(draw.rng.uniform(1.0, 4.0, C - 1))[::-1] + np.arange(C - 1, 0, -1) / 4
        path = follow(instances.with_snr(draw.rng, instances.GENERIC, omega0), RIEMANNIAN, t_max=1e12)
        late = path.ts > 1e7
        T = path.ts[late, None] / (N / 4)
        compare = partial(identity, tolerance=5e-4, scale=1.0, reason=LIMIT_REASON)
        grown = path.omega[late, 0] / T[:, 0] ** 0.25
        yield identity(
            "limit of omega_1/(t/c3)^(1/4), against 1",
            fitted_limit(path.ts[late], grown, step=0.5),
            1.0,
            fault=2**-0.25,
            tolerance=1e-6,
            reason=LIMIT_REASON,
        )
        second = (path.omega[late] / T**0.25 - 1) * T**0.5
        yield compare(
            "second order of omega_j (t/c3)^(-1/4), against -C",
            second[path.ts[late] > 1e11] / C,
            np.full_like(second[path.ts[late] > 1e11], -1.0),
            fault=1 / C - 1,
        )
        window = (path.ts > 1e5) & (path.ts < 1e9)
        ts, ratio = path.ts[window], path.omega[window, 0] / path.omega[window, -1] - 1
        w = path.omega[0]
        gap = C**2 * N * np.log(w[0] / w[-1]) + C * N * (w[0] ** 2 - w[-1] ** 2) + N / 4 * (w[0] ** 4 - w[-1] ** 4)
        prefactor = fitted_limit(ts, ratio * 4 * ts / gap, step=0.5)
        yield compare(
            "limit of (max/min - 1) 4t/(F(omega_1(0)) - F(omega_{C-1}(0))), against 1",
            prefactor,
            1.0,
            fault=2.0,
        )
        rate = fitted_rate(ts, ratio, step=0.5)
        yield compare("rate of max/min - 1", rate, -1.0, fault=-0.5)
        law = Law(0, C, N)
        t = np.array([1e180, 1e220])
        far = np.asarray(law.omega(t[:, None], path.omega[:1]))
        exact, wrong = ((t / c3) ** 0.25 for c3 in (N / 4, N / 2))
        compare = partial(identity, tolerance=200 * EPS, reason="200 eps of powers of numbers up to 1e220")
        yield compare(
            "the law at t = 1e180 and 1e220, against (t/c3)^(1/4)",
            far,
            np.broadcast_to(exact[:, None], far.shape),
            fault=np.broadcast_to(wrong[:, None], far.shape),
        )
        yield compare("Law.asymptote", np.asarray(law.asymptote(t)), exact, fault=wrong)
        yield compare(
            "max/min there",
            far.max(axis=1) / far.min(axis=1),
            np.ones(2),
            fault=np.full(2, path.omega[0, 0] / path.omega[0, -1]),
        )
