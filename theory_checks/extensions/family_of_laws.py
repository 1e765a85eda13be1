"""The family of laws for real k, and a flow of class means for each.

    dM/dt = Sigma_T^k (-(1/N) dL_LS/dM),    Sigma_W = I,   Sigma_T = I + Mbar Mbar^T/C

with the gradient by autodiff and the power by eigendecomposition. Its singular values move by d omega/dt = (1/N)
(1 + omega^2/C)^k omega/(C + omega^2)^2, so

    F_k(omega) = C^2 N [log w + integral from 0 to w of ((1 + v^2/C)^(2-k) - 1) dv/v] = a + t

which is held against Gauss-Legendre quadrature in log v, on panels of length 1 (22 to 40 of them): the nearest
singularity, at v^2 = -C, is pi/2 away, and 30 nodes reach rounding.

Source: this project (docs/note/note.md).
"""

from collections.abc import Iterator
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from central_path.simulation import solve
from central_path.theory.laws import Law
from central_path.theory.loss import loss_of_moments
from central_path.theory.problem import contrasts
from theory_checks.extensions.laws import NOTE
from theory_checks.framework import instances
from theory_checks.framework.paths import PATH_REASON, PATH_TOLERANCE, RTOL
from theory_checks.framework.registry import EPS, Draw, Finding, claim, identity

EXPONENTS = (-0.5, 0.5, 1.5, 1.75)
SHAPE = (60, 3)  # saves and singular values of a path
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(30)


def field(M: Float[Array, "P C"], k: Float[Array, ""], *, N: int) -> Float[Array, "P C"]:
    """dM/dt of the family, for real k."""
    P, C = M.shape
    Mbar = M - jnp.mean(M, axis=1, keepdims=True)
    w, Q = jnp.linalg.eigh(jnp.eye(P) + Mbar @ Mbar.T / C)
    return (Q * (w**k)[None, :]) @ (Q.T @ (-jax.grad(loss_of_moments)(M, jnp.eye(P)) / N))


def _omega(M: Float[Array, "P C"], k: Float[Array, ""]) -> dict[str, Float[Array, " K"]]:
    return {"omega": jnp.linalg.svd(M @ contrasts(M.shape[1]), compute_uv=False)}


@jax.jit
def _follow(
    M: Float[Array, "P C"], k: Float[Array, ""], clock: solve.Clock, ts: Float[Array, " T"]
) -> Float[Array, "T K"]:
    N = instances.GENERIC[1]
    return solve.integrate(lambda M, k: field(M, k, N=N), M, k, clock, observe=_omega, ts=ts, rtol=RTOL, atol=RTOL).ys[
        "omega"
    ]


def follow(
    M: Float[np.ndarray, "P C"], k: int | float, t_max: float, ts: Float[np.ndarray, " T"]
) -> Float[np.ndarray, "T K"]:
    """Singular values (T, C-1) along the flow of class means with exponent k < 2 and N of GENERIC."""
    C, N, _ = instances.GENERIC
    omega = np.linalg.svd(M, compute_uv=False)[: C - 1]
    scale = C**2 * N * float(np.min((1 + omega**2 / C) ** (2 - k)))
    clock = solve.Clock(*(np.float64(value) for value in (t_max, scale, 4 - 2 * k)))
    return np.asarray(_follow(M, np.float64(k), clock, ts))


_velocity = jax.jit(lambda M, k: field(M, k, N=instances.GENERIC[1]))


def integral(f, low: float, high: float) -> float:
    """The integral of f(y) dy, by quadrature on panels of length at most 1."""
    edges = np.linspace(low, high, int(np.ceil(high - low)) + 1)
    half = np.diff(edges)[:, None] / 2
    y = edges[:-1, None] + half * (1 + _NODES[None, :])
    return float(np.sum(half * _WEIGHTS[None, :] * f(y)))


def forward(k: int | float, C: int, N: int, omega: float) -> float:
    """F_k by quadrature, from so far below that what is left out is rounding."""
    excess = integral(lambda y: np.expm1((2 - k) * np.log1p(np.exp(2 * y) / C)), -20.0, np.log(omega))
    return C**2 * N * (np.log(omega) + excess)


def elapsed(k: int | float, C: int, N: int, low: float, high: float) -> float:
    """F_k(high) - F_k(low) by quadrature."""
    return C**2 * N * integral(lambda y: (1 + np.exp(2 * y) / C) ** (2 - k), np.log(low), np.log(high))


def remainder(k: int | float, u0: float, u: float) -> float:
    """Bound on |omega(t)/asymptote(t) - 1| for u0 = omega(0)^2/C and u = omega(t)^2/C.

    With m = 2 - k, 2t/(C^2 N) is the integral from u0 to u of (1+v)^m dv/v, where the asymptote has u^m/m. As (1+v)^m -
    v^m is at most min(1, m v^(m-1)) for m < 1 and m 2^(m-1) max(1, v^(m-1)) for m >= 1, they differ by at most what is
    in brackets below; the 2m-th root divides the relative difference by 2m, times 2 for its second order.
    """
    m = 2 - k
    below = np.maximum(np.log(1 / u0), 0.0)
    if m < 1:
        tail = below + m / (1 - m)
    else:
        tail = m * 2 ** (m - 1) * (below + (np.log(u) if m == 1 else (u ** (m - 1) - 1) / (m - 1)))
    return float(2 / (2 * m) * m * u**-m * (tail + u0**m / m))


class Values(NamedTuple):
    """Methods of one law, at omega0, t, and growth."""

    rate: np.ndarray
    forward: np.ndarray
    elapsed: np.ndarray
    growth: np.ndarray
    omega: np.ndarray


@eqx.filter_jit
def _rate_forward_elapsed(law: Law, omega0: Array, growth: Array) -> tuple[Array, Array, Array]:
    return law.rate(omega0), law.forward(omega0), law.elapsed(omega0, growth)


def values(k: int | float, sizes: tuple[int, int], omega0: ArrayLike, t: ArrayLike, growth: ArrayLike) -> Values:
    """The law with exponent k, by its polynomial for a Python integer.

    In arrays of one shape, filled up by repetition, so that all real k and all uses share what is compiled.
    """
    law = Law(k if isinstance(k, int) else jnp.asarray(k), *sizes)
    given = np.broadcast_arrays(omega0, t, growth)
    w, t, growth = (jnp.asarray(np.resize(a, SHAPE)) for a in given)
    found = (*_rate_forward_elapsed(law, w, growth), law.growth(t, w), law.omega(t, w))
    return Values(*(np.asarray(a).ravel()[: given[0].size].reshape(given[0].shape) for a in found))


def class_sizes(draw: Draw) -> tuple[int, int]:
    """C and N of a law; those of GENERIC in the quick run, since each is compiled anew."""
    return instances.GENERIC[:2] if draw.quick else (int(draw.rng.choice([2, 4, 10])), int(draw.rng.choice([3, 50])))


def _flow(draw: Draw, k: int | float) -> Iterator[Finding]:
    """Singular values of the flow of class means, and their velocities at its start."""
    C, N, P = instances.GENERIC
    M = np.linalg.qr(draw.rng.standard_normal((P, P)))[0][:, :C] @ draw.rng.standard_normal((C, C))
    M -= M.mean(axis=1, keepdims=True)
    U, omega0, Vt = np.linalg.svd(M)
    U, omega0, Vt = U[:, : C - 1], omega0[: C - 1], Vt[: C - 1]
    t_max = elapsed(k, C, N, omega0[0], 6 * omega0[0])
    ts = np.concatenate([[0.0], np.geomspace(t_max / 1e4, t_max, SHAPE[0] - 1)])
    right, wrong = (values(float(e), (C, N), omega0[None, :], ts[:, None], 0.0) for e in (k, k - 0.25))
    dM = np.asarray(_velocity(M, np.float64(k)))
    yield identity(
        "Law.rate, against the flow of class means",
        U.T @ dM @ Vt.T,
        np.diag(right.rate[0]),
        fault=np.diag(wrong.rate[0]),
        condition=(omega0[0] / omega0[-1]) ** 2 * (1 + omega0[0] ** 2 / C),
        reason="200 eps, times the condition of Mbar squared and of Sigma_T",
    )
    grown = np.log(follow(M, k, t_max, ts) / omega0[None, :])
    yield identity(
        "Law.growth, against the flow of class means",
        grown,
        right.growth,
        fault=wrong.growth,
        scale=1.0,
        tolerance=PATH_TOLERANCE,
        reason=PATH_REASON,
    )


def _quadrature(draw: Draw, k: int | float) -> Iterator[Finding]:
    """F_k and its inverse against quadrature, for omega on both sides of sqrt(C)."""
    C, N = class_sizes(draw)
    low, high = np.exp(draw.rng.uniform(-6.0, 2.0)), np.exp(draw.rng.uniform(2.5, 8.0))
    t, growth = elapsed(k, C, N, low, high), np.log(high / low)
    found = values(k, (C, N), np.array([low, high]), t, growth)
    wrong = values(float(k - 0.25), (C, N), np.array([low, high]), t, growth)
    for w, by_law in zip((low, high), found.forward, strict=True):
        by_hand = forward(k, C, N, w)
        size = abs(by_hand) + C**2 * N
        yield identity("Law.forward, against quadrature", by_law, by_hand, fault=by_hand * (C - 1) / C, scale=size)
    yield identity("Law.elapsed, against quadrature", found.elapsed[0], t, fault=wrong.elapsed[0])
    how = {"condition": 1 + growth, "reason": "200 eps, times the growth"}
    yield identity("Law.growth inverts the quadrature", found.growth[0], growth, fault=wrong.growth[0], **how)
    yield identity("Law.omega inverts the quadrature", found.omega[0], high, fault=wrong.omega[0], **how)
    if k in (0, 1, 2):
        c1, c2, c3 = Law(k, C, N).constants
        w = np.sqrt(C)
        by_hand, wrong = (c1 / f * np.log(w) + c2 * w**2 + c3 * w**4 for f in (1, C))
        yield identity("Law.constants", by_hand, forward(k, C, N, w), fault=wrong)


def _far(draw: Draw, k: int | float) -> Iterator[Finding]:
    """Prefactor and exponent of the asymptote at large times."""
    C, N = class_sizes(draw)
    m, omega0 = 2 - k, float(np.exp(draw.rng.uniform(-3.0, 1.0)))
    u = 1e8 ** (1 / min(m, 1.0))
    t = C**2 * N * u**m / (2 * m)
    first, then = values(float(k), (C, N), np.array([omega0, omega0]), np.array([t, 10 * t]), 0.0).omega
    by_hand, without_C = ((2 * m * t / (N * c)) ** (1 / (2 * m)) for c in (C**k, C ** (k + 0.25)))
    bound = remainder(k, omega0**2 / C, u) + 200 * EPS
    reason = "bound on what the asymptote leaves out"
    how = {"tolerance": bound, "reason": reason}
    yield identity("omega against ((4-2k) t/(N C^k))^(1/(4-2k))", first, by_hand, fault=without_C, **how)
    law = Law(k, C, N)
    yield identity("Law.asymptote", float(law.asymptote(t)), by_hand, fault=without_C)
    how = {"tolerance": 2 * bound, "reason": reason, "scale": 1.0}
    yield identity("Law.exponent", np.log10(then / first), float(law.exponent), fault=1 / (4 - k), **how)


def _whole_range(draw: Draw) -> Iterator[Finding]:
    """Quadrature and series of real k at k = 0 and 1 against the polynomials, over the range of float64."""
    C, N, _ = instances.GENERIC
    omega0 = np.exp(draw.rng.uniform(np.log(1e-100), np.log(1e70), SHAPE))
    t = np.exp(draw.rng.uniform(np.log(1e-3), np.log(1e280), SHAPE))
    omega0[:20] = np.exp(draw.rng.uniform(-3, 4, (20, SHAPE[1])))  # both sides of the split, short and long growth
    t[:10] = C**2 * N * np.exp(draw.rng.uniform(-8, 8, (10, SHAPE[1])))
    for k in (0, 1):
        by_real, by_polynomial, wrong = (values(e, (C, N), omega0, t, 0.0).growth for e in (float(k), k, k + 0.25))
        size = np.maximum(1.0, by_polynomial)
        yield identity(
            "growth of real k at 0 and 1, against the polynomial",
            by_real / size,
            by_polynomial / size,
            fault=wrong / size,
            scale=1.0,
            tolerance=16 * EPS,
            reason="8 eps of each, times max(1, growth)",
        )


@eqx.filter_jit
def _derivatives_of_law(k: Array, sizes: tuple[int, int], omega0: Array, t: Array) -> tuple[tuple[Array, ...], ...]:
    """Of growth and omega, in t, omega0 and k; and the asymptote and exponent of a traced k."""

    def found(t, omega0, k):
        law = Law(k, *sizes)
        return law.growth(t, omega0), law.omega(t, omega0)

    law = Law(k, *sizes)
    return *jax.jacfwd(found, argnums=(0, 1, 2))(t, omega0, k), (law.asymptote(t), jnp.asarray(law.exponent))


def _derivatives(draw: Draw, k: int | float) -> Iterator[Finding]:
    """Derivatives of the inverse, against the rate of the flow and against quadrature."""
    C, N, _ = instances.GENERIC
    low, high = np.exp(draw.rng.uniform(-1.0, 0.5)), np.exp(draw.rng.uniform(1.0, 3.0))
    t, h = elapsed(k, C, N, low, high), 1e-4
    by_growth, by_omega, traced = _derivatives_of_law(jnp.asarray(float(k)), (C, N), jnp.asarray(low), jnp.asarray(t))
    rate = [w / N * (1 + w**2 / C) ** k / (C + w**2) ** 2 for w in (low, high)]
    how = {"condition": 1 + np.log(high / low), "reason": "200 eps, times the growth"}
    for i, (name, right) in enumerate((("t", rate[1]), ("omega(0)", rate[1] / rate[0]))):
        yield identity(f"d omega/d {name}, against the rates", by_omega[i], right, fault=right * (1 + 1 / C), **how)
    change = rate[1] / (rate[0] * high), 1 / low
    yield identity("d growth/d t", by_growth[0], rate[1] / high, fault=rate[1], **how)
    yield identity(
        "d growth/d omega(0)", by_growth[1], change[0] - change[1], fault=change[0], scale=max(change), **how
    )
    by_k = -(elapsed(k + h, C, N, low, high) - elapsed(k - h, C, N, low, high)) / (2 * h) * rate[1]
    how = {"tolerance": 10 * h**2, "reason": "central difference of the quadrature at steps of 1e-4"}
    yield identity("d omega/d k, against quadrature", by_omega[2], by_k, fault=-by_k, **how)
    yield identity("d growth/d k, against quadrature", by_growth[2], by_k / high, fault=by_k, **how)
    power = 4 - 2 * k
    by_hand = np.array([(power * t / (N * C**k)) ** (1 / power), 1 / power])
    yield identity("asymptote and exponent of a traced k", np.array(traced), by_hand, fault=by_hand * 1.01)


@claim(
    "Family of laws",
    source=f"{NOTE}, Proposition 3.4",
    statement="For real k < 2 the flow of class means dM/dt = Sigma_T^k (-(1/N) grad L_LS), Sigma_W = I, moves every "
    "singular value by itself along F_k(omega) = C^2 N integral of (1 + w^2/C)^(2-k) dw/w = a + t, so that omega ~ "
    "((4-2k) t/(N C^k))^(1/(4-2k)). k = 0, 1, 2 are c1 log w + c2 w^2 + c3 w^4.",
    assumptions="omega_j(0) > 0, balanced classes.",
    fault="k less by 1/4; C - 1 for C in F; C^(k + 1/4) in the asymptote; C N for c1; derivatives off by 1/C.",
)
def family_of_laws(draw: Draw) -> Iterator[Finding]:
    """The flow, its law by the package, and quadrature."""
    for _ in range(draw.repeats):
        yield from _whole_range(draw)
        for k in EXPONENTS:
            yield from _flow(draw, k)
            yield from _far(draw, k)
            yield from _derivatives(draw, k)
        for k in (*EXPONENTS, 0, 1, 2):
            yield from _quadrature(draw, k)
