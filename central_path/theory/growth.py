"""The growth of omega along its law: log(omega(t)/omega(0)), to a few rounding errors for every start and time.

The law F_k(omega) = a + t of `laws` is inverted for the growth y = log(omega(t)/omega(0)), which satisfies

    g(y) = integral from 0 to y of (1 + s (e^(2v) - 1))^m dv = T (1 - s)^m,
    m = 2 - k,  s = x/(1+x),  x = omega(0)^2/C,  T = t/(C^2 N).

g is convex and increasing, and g(y) >= y and g(y) >= (R^m - 1)/(2m), R = 1 + s (e^(2y) - 1), give a start above the
root at which g is at most about m + 1 times too large: Newton's method descends from it monotonically. No
intermediate overflows, and every sum is of positive terms, so the error of y is a few rounding errors of max(y, 1), for
omega(0) from 1e-100 to 1e70, t up to 1e280 and m from 0 to 52.

For m = 0, 1, 2 g is a polynomial in e^(2y) and y. For other m it is a quadrature in x below SPLIT and a series in
1/(1+x) above, both of which reach rounding in 22 and 30 terms up to m = 52 (and no longer at m = 200).

A `Family` is what the inverse needs of a family of laws with one parameter; the one in m is here, the one of the
features' kernel in `kernel_growth`.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

SPLIT = 3.0  # of x = omega^2/C
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(22)  # pragma: no mutate
_TERMS = np.arange(30.0)  # (1 + SPLIT)^-30 < 1e-18  # pragma: no mutate
_MAX_NEWTON_STEPS = 100  # pragma: no mutate


def _relative_expm1(z: Array) -> Array:
    """(e^z - 1)/z, and 1 at z = 0, with a derivative there."""
    small = jnp.abs(z) < 1e-5
    safe = jnp.where(small, 1.0, z)
    return jnp.where(small, 1 + z / 2 + z**2 / 6, jnp.expm1(safe) / safe)


def along_last(values: np.ndarray, like: Array) -> np.ndarray:
    """Values along an axis after those of `like`."""
    return values.reshape((1,) * like.ndim + (-1,))


def integral_below(x: Array, length: Array, m: Array) -> Array:
    """1/2 integral from x to x + length of ((1+s)^m - 1)/s ds by quadrature, for x + length <= SPLIT."""
    s = x[..., None] + length[..., None] * along_last((1 + _NODES) / 2, x)
    s = jnp.maximum(s, jnp.finfo(s.dtype).tiny)
    return length / 4 * ((jnp.expm1(m[..., None] * jnp.log1p(s)) / s) @ _WEIGHTS)


def integral_above(w: Array, log_ratio: Array, m: Array) -> Array:
    """1/2 integral from w to w e^log_ratio of (v/w)^m dv/(v-1), by expansion in 1/v, for w >= 1 + SPLIT."""
    terms = along_last(_TERMS, w)
    powers = m[..., None] - terms
    return log_ratio / 2 * jnp.sum(w[..., None] ** -terms * _relative_expm1(powers * log_ratio[..., None]), axis=-1)


class InitialOmega(NamedTuple):
    """Functions of omega(0)^2/C = x that the inverse needs, none of which cancels or overflows."""

    x: Array
    log_x: Array
    rho: Array  # 1/(1+x)
    sigma: Array  # x/(1+x)


def start_of(omega0: Array, C: int) -> InitialOmega:
    """The quantities of a start."""
    x = omega0**2 / C
    return InitialOmega(x, jnp.log(x), 1 / (1 + x), x / (1 + x))


def expm1_double(scale: Array, y: Array) -> Array:
    """The product of scale and e^(2y) - 1, finite wherever it can be."""
    half = jnp.expm1(y)
    return scale * half * (half + 2)


def log_ratio(scale: Array, rest: Array, y: Array) -> Array:
    """log(1 + scale (e^(2y) - 1)), for 0 <= scale <= 1 and rest = 1 - scale."""
    huge = y > 300  # where either form holds  # pragma: no mutate
    near = jnp.log1p(expm1_double(scale, jnp.where(huge, 1.0, y)))
    far = jnp.logaddexp(jnp.log(rest), jnp.log(jnp.where(huge, scale, 1.0)) + 2 * y)
    return jnp.where(huge, far, near)


def _log_ratio(y: Array, start: InitialOmega) -> Array:
    """Logarithm of R = (1 + omega(t)^2/C)/(1 + omega(0)^2/C)."""
    return log_ratio(start.sigma, start.rho, y)


def g_polynomial(k: int, y: Array, start: InitialOmega, m: Array) -> tuple[Array, Array]:
    """Value and slope of g for k = 0, 1, 2."""
    del m
    rho, sigma = start.rho, start.sigma
    q = expm1_double(sigma, y)
    if k == 2:
        return y, jnp.ones_like(y)
    if k == 1:
        return rho * y + q / 2, 1 + q
    return rho * (rho * y + q) + q * (q + 2 * sigma) / 4, (1 + q) ** 2


def g_real(y: Array, start: InitialOmega, m: Array) -> tuple[Array, Array]:
    """Value and slope of g for real m = 2 - k > 0."""
    log_R = _log_ratio(y, start)
    growth_below = jnp.clip((math.log(SPLIT) - start.log_x) / 2, 0.0, y)
    length_below = jnp.minimum(expm1_double(start.x, y), jnp.maximum(SPLIT - start.x, 0.0))
    below = start.rho**m * (growth_below + integral_below(jnp.minimum(start.x, SPLIT), length_below, m))
    log_w = jnp.maximum(math.log1p(SPLIT) + jnp.log(start.rho), 0.0)  # of (1+SPLIT)/(1+x), from a start below
    above = jnp.exp(m * log_w) * integral_above(jnp.maximum(1 + start.x, 1 + SPLIT), jnp.maximum(log_R - log_w, 0.0), m)
    return below + above, jnp.exp(m * log_R)


def growth_of_excess(log_bound: Array, start: InitialOmega) -> Array:
    """The growth y at which log R is a bound."""
    log_excess = log_bound + jnp.log(-jnp.expm1(-log_bound)) - jnp.log(start.sigma)
    return jnp.logaddexp(0.0, log_excess) / 2


def _first_by_m(start: InitialOmega, target: Array, m: Array) -> Array:
    """The least growth that g >= (R^m - 1)/(2m) and g >= y allow: the solution or beyond it."""
    log_bound = jnp.log1p(2 * m * target) / m  # of log R; for m = 0 it is NaN and not used
    return jnp.where(m > 0, jnp.minimum(target, growth_of_excess(log_bound, start)), target)


class Family(NamedTuple):
    """Laws integral from x(0) to x(t) of h(x) dx/(2x) = T with a positive integrand h, which has one parameter p.

    With g(y) = integral of h/h(x(0)) up to the growth y, the equation is g(y) = T scale.
    """

    g: Callable[[Array, InitialOmega, Array], tuple[Array, Array]]  # value and slope at y
    scale: Callable[[InitialOmega, Array], Array]  # 1/h(x(0))
    log_slope: Callable[[Array, InitialOmega, Array], Array]  # log(h(x)/h(x(0))) at y
    first: Callable[[InitialOmega, Array, Array], Array]  # where Newton's method starts, from g(y) = target
    g_of_parameter: Callable[[Array, InitialOmega, Array], tuple[Array, Array]]  # g, where it depends on p


def _scale_by_m(start: InitialOmega, m: Array) -> Array:
    return start.rho**m


def _log_slope_by_m(y: Array, start: InitialOmega, m: Array) -> Array:
    return m * _log_ratio(y, start)


def _in_m(g: Callable) -> Family:
    return Family(g, _scale_by_m, _log_slope_by_m, _first_by_m, g_real)


REAL = _in_m(g_real)  # h = (1 + x)^m, for real m
POLYNOMIALS = {k: _in_m(partial(g_polynomial, k)) for k in (0, 1, 2)}


def _newton(family: Family, start: InitialOmega, T: Array, p: Array) -> Array:
    """The growth y with g(y) = T scale; from above where g is convex, from below where it is concave."""
    target = T * family.scale(start, p)

    def unfinished(carry):
        y, step, count = carry
        return jnp.any(step > 1e-9 * jnp.minimum(y, 1.0)) & (count < _MAX_NEWTON_STEPS)

    def descend(carry):
        y, _, count = carry
        value, slope = family.g(y, start, p)
        step = (value - target) / slope
        return jnp.maximum(y - step, 0.0), jnp.abs(step), count + 1

    y = family.first(start, target, p)
    return jax.lax.while_loop(unfinished, descend, (y, jnp.full_like(y, jnp.inf), 0))[0]


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _solution(family: Family, C: int, omega0: Array, T: Array, p: Array) -> tuple[Array, Array]:
    """The growth y and omega0 e^y."""
    y = _newton(family, start_of(omega0, C), T, p)
    half = jnp.exp(y / 2)
    return y, half * omega0 * half


@partial(_solution.defjvp, symbolic_zeros=True)
def _solution_jvp(family, C, primals, tangents):
    """Implicit differentiation of integral h(x e^(2v)) dv = T: exact, and differentiable again.

    y and omega have rules of their own: in omega0 they differ by 1, beside which the derivative of omega may be lost.
    """
    omega0, T, p = primals
    d_omega0, d_T, d_p = tangents
    y, omega = _solution(family, C, omega0, T, p)
    start = start_of(omega0, C)
    log_shrink = -family.log_slope(y, start, p)
    shrink = jnp.exp(log_shrink)
    dy, d_log_omega = jnp.zeros_like(y), jnp.zeros_like(y)
    if not isinstance(d_omega0, SymbolicZero):
        dy += d_omega0 / omega0 * jnp.expm1(log_shrink)
        d_log_omega += d_omega0 / omega0 * shrink
    if not isinstance(d_T, SymbolicZero):
        dy += d_T * family.scale(start, p) * shrink
        d_log_omega += d_T * family.scale(start, p) * shrink
    if not isinstance(d_p, SymbolicZero):
        value, by_p = jax.jvp(lambda p: family.g_of_parameter(y, start, p)[0], (p,), (d_p,))
        _, d_log_scale = jax.jvp(lambda p: jnp.log(family.scale(start, p)), (p,), (d_p,))
        along = (d_log_scale * value - by_p) * shrink
        dy += along
        d_log_omega += along
    return (y, omega), (dy, omega * d_log_omega)


solution = jax.jit(_solution, static_argnums=(0, 1))  # so that calls outside a program compile once
