"""The growth of omega along the laws of a kernel: the integrand is (1 + x)^2/(1 + b x)^r, x = omega^2/C, r = 1 or 2.

b is the ratio of the mobility of within-class deviations to that of class means. In the notation of `growth`,

    g(y) = integral from 0 to y of R^2/B^r dv,    R = 1 + s e,  B = 1 + z,  z = beta e,
    e = e^(2v) - 1,  s = x/(1+x),  beta = b x/(1 + b x),  x = omega(0)^2/C

is elementary. As it is usually written, log x + x/b - (1-b)^2/b^2 log(1 + b x) for r = 1, it loses all digits near
b = 0. Here it is a sum of positive terms: for b <= 1 of (1+x)^2 - (1+bx)^r expanded about the start, with

    l1(z) = log(1+z)/z,    l2(z) = (z - log(1+z))/z^2,    l3(z) = (log(1+z) - z/(1+z))/z^2

which have limits 1, 1/2, 1/2 at z = 0; for b > 1 of powers of 1 + bx. So the growth is accurate for every b >= 0, and
b = 0 is Proposition 2 for both r.

Source: the block kernel of Seleznova et al. (2023); its laws are this project's.
"""

from functools import partial

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from central_path.theory.growth import Family, InitialOmega, expm1_double, growth_of_excess, log_ratio

_TAIL = 1 / (2 * np.arange(17.0, -1, -1) + 3)  # 9^-18 < 1e-17  # pragma: no mutate
FAR = 40.0  # of log B: e^-40 < 1e-17  # pragma: no mutate


def _atanh_tail(t: Array) -> Array:
    """(atanh(t) - t)/t^3, for |t| <= 1/3."""
    return jnp.polyval(_TAIL, t**2)


def l1(z: Array) -> Array:
    """log(1+z)/z, 1 at z = 0."""
    small = z < 1e-8
    safe = jnp.where(small, 1.0, z)
    return jnp.where(small, 1 - z / 2, jnp.log1p(safe) / safe)


def l2(z: Array) -> Array:
    """(z - log(1+z))/z^2, 1/2 at z = 0: with t = z/(2+z) and log(1+z) = 2 atanh(t) below z = 1."""
    low, high = jnp.minimum(z, 1.0), jnp.maximum(z, 1.0)
    t = low / (2 + low)
    series = 2 / (2 + low) ** 2 * (1 / (1 - t) - t * _atanh_tail(t))
    return jnp.where(z < 1, series, (1 - l1(high)) / high)


def l3(z: Array) -> Array:
    """(log(1+z) - z/(1+z))/z^2, 1/2 at z = 0."""
    low, high = jnp.minimum(z, 1.0), jnp.maximum(z, 1.0)
    t = low / (2 + low)
    series = 2 / (2 + low) ** 2 * (1 / (1 + t) + t * _atanh_tail(t))
    return jnp.where(z < 1, series, (l1(high) - 1 / (1 + high)) / high)


def _weights(start: InitialOmega, b: Array) -> tuple[Array, Array, Array]:
    """(1 + bx)/(1 + x), beta and 1 - beta."""
    ratio = start.rho + b * start.sigma
    return ratio, b * start.sigma / ratio, start.rho / ratio


def _scale(r: int, start: InitialOmega, b: Array) -> Array:
    ratio = _weights(start, b)[0]
    return ratio**2 if r == 2 else ratio * start.rho


def _log_slope(r: int, y: Array, start: InitialOmega, b: Array) -> Array:
    _, beta, rest = _weights(start, b)
    log_R, log_B = log_ratio(start.sigma, start.rho, y), log_ratio(beta, rest, y)
    late = log_B > FAR  # where R/B has its limit, and the logarithms may have lost the digits of their difference
    log_R_over_B = jnp.where(late, jnp.log(start.sigma) - jnp.log(jnp.where(late, beta, 1.0)), log_R - log_B)
    return (2 - r) * log_R + r * log_R_over_B


def _g_small(r: int, y: Array, start: InitialOmega, b: Array) -> Array:
    """The value of g for b <= 1."""
    rho, sigma = start.rho, start.sigma
    ratio, beta, rest = _weights(start, b)
    q, z, log_B = expm1_double(sigma, y), expm1_double(beta, y), log_ratio(beta, rest, y)
    late = z > 1  # there in terms of log B, which does not overflow
    early_q, early_z, late_z = jnp.where(late, 1.0, q), jnp.where(late, 1.0, z), jnp.where(late, z, 1.0)
    s_over_beta = ratio / jnp.where(late, b, 1.0)
    if r == 2:
        q_over_B = jnp.where(late, s_over_beta / (1 + 1 / late_z), early_q / (1 + early_z))
        part = jnp.where(late, s_over_beta**2 * (log_B - 1 / (1 + 1 / late_z)), early_q**2 * l3(early_z))
        return ratio**2 * y + (1 - b) / 2 * ((2 * rho + (1 + b) * sigma) * q_over_B + (1 + b) * part)
    first = jnp.where(late, s_over_beta * log_B, early_q * l1(early_z))
    second = jnp.where(late, s_over_beta * (q - s_over_beta * log_B), early_q**2 * l2(early_z))
    return rho * ratio * y + (((2 - b) * rho + sigma) * first + second) / 2


def _g_large(r: int, y: Array, start: InitialOmega, b: Array) -> Array:
    """The value of g for b > 1: with w = 1 + bx, (1 + x)^2 = (w + b - 1)^2/b^2.

    I1 and I2 are the integrals of 1/w and 1/w^2 over v.
    """
    ratio, beta, rest = _weights(start, b)
    zeta = rest / (1 / jnp.expm1(2 * y) + beta)
    I1 = jnp.log1p(zeta) / 2
    if r == 1:
        q = expm1_double(start.sigma, y)
        return start.rho * ratio / b**2 * ((2 * b - 1) * y + (b - 1) ** 2 * I1) + ratio * q / (2 * b)
    I2 = jnp.where(zeta < 1, rest * zeta - zeta**2 * l2(zeta), 2 * I1 - beta * zeta) / 2
    return (ratio / b) ** 2 * (y + 2 * (b - 1) * I1 + (b - 1) ** 2 * I2)


def _g(r: int, y: Array, start: InitialOmega, b: Array) -> tuple[Array, Array]:
    large = b > 1
    above, below = jnp.where(large, b, 1.0), jnp.where(large, 1.0, b)
    value = jnp.where(large, _g_large(r, y, start, above), _g_small(r, y, start, below))
    return value, jnp.exp(_log_slope(r, y, start, b))


def _first(r: int, start: InitialOmega, target: Array, b: Array) -> Array:
    """A growth beyond the solution at which g is a few times too large; below it where g is concave (r = 2, b > 1).

    For b <= 1, B <= 2 up to the growth y_beta at which z = 1, and B <= 2 z beyond.
    """
    ratio, beta, _ = _weights(start, b)
    s_over_beta = ratio / b
    by_2 = growth_of_excess(jnp.log1p(4 * 2**r * target) / 2, start)
    y_beta = jnp.log1p(1 / beta) / 2
    if r == 2:
        beyond = y_beta + 4 * target / s_over_beta**2
    else:
        beyond = jnp.logaddexp(2 * y_beta, jnp.log(4 * target) - jnp.log(s_over_beta) - jnp.log(start.sigma)) / 2
    below_1 = jnp.minimum(target, jnp.where(by_2 <= y_beta, by_2, beyond))
    if r == 2:
        return jnp.where(b > 1, target, below_1)
    scaled = target / s_over_beta  # R^2/B >= R/max(b, 1)
    above_1 = jnp.minimum(scaled, growth_of_excess(jnp.log1p(2 * scaled), start))
    return jnp.where(b > 1, above_1, below_1)


def _family(r: int) -> Family:
    return Family(partial(_g, r), partial(_scale, r), partial(_log_slope, r), partial(_first, r), partial(_g, r))


KERNEL = {r: _family(r) for r in (1, 2)}
