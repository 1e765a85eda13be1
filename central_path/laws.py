"""The closed form of the singular values: one family of laws with exponent k.

Along each solvable flow every singular value omega of the SNR matrix moves by itself:

    d omega/dt = (1/N) (1 + omega^2/C)^k omega / (C + omega^2)^2

which integrates to

    F_k(omega) = C^2 N  integral of (1 + w^2/C)^(2-k) dw/w  =  a + t

with the constant chosen so that F_k(omega) - C^2 N log omega -> 0 as omega -> 0. For k = 0, 1, 2 it is c1 log w + c2
w^2 + c3 w^4:

    k = 0   `riemannian`     (C^2 N, C N, N/4)      omega ~ t^(1/4)         Proposition 2
    k = 1   `renormalized`   (C^2 N, C N/2, 0)      omega ~ t^(1/2)
    k = 2   `unnormalized`   (C^2 N, 0, 0)          omega = omega(0) exp(t/(C^2 N))

Other real k < 2 use Gauss-Legendre quadrature where omega^2 <= 3C and a series of positive terms above; omega ~
t^(1/(4-2k)). For k > 2 omega is infinite after a finite time.

Units: t in the time of the flow whose loss is L_LS (sum over classes, average over examples); omega has none.

Numerics. The inverse solves for the growth y = log(omega(t)/omega(0)), which satisfies

    g(y) = integral from 0 to y of (1 + s (e^(2v) - 1))^m dv = T (1 - s)^m,
    m = 2 - k,  s = x/(1+x),  x = omega(0)^2/C,  T = t/(C^2 N).

g is convex and increasing, and g(y) >= y and g(y) >= (R^m - 1)/(2m), R = 1 + s (e^(2y) - 1), give a start above the
root at which g is at most about m + 1 times too large: Newton's method descends from it monotonically. No
intermediate overflows, and every sum is of positive terms, so the error of y is a few rounding errors of max(y, 1)
over the whole range. Needs float64 for that (`jax_enable_x64`).

Source: Han, Papyan & Donoho (2022), Proposition 2 (Eq. 9), Corollary 1, Lemma 5; the family in k is this project's.
"""

import math
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, ArrayLike, Float

from central_path.problem import require_float64

SPLIT = (
    3.0  # of x = omega^2/C: quadrature in x below it, a series in 1/(1+x) above; both reach rounding in some 25 terms
)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(22)
_TERMS = np.arange(30.0)  # (1 + SPLIT)^-30 < 1e-18
_MAX_NEWTON_STEPS = 100
SMALLEST, LARGEST = 1e-150, 1e150  # omega^2 must be a normal number


class Constants(NamedTuple):
    """Coefficients of c1 log w + c2 w^2 + c3 w^4 = a + t."""

    c1: float
    c2: float
    c3: float


def _relative_expm1(z: Array) -> Array:
    """(e^z - 1)/z, and 1 at z = 0, with a derivative there."""
    small = jnp.abs(z) < 1e-5
    safe = jnp.where(small, 1.0, z)
    return jnp.where(small, 1 + z / 2 + z**2 / 6, jnp.expm1(safe) / safe)


def _along_last(values: np.ndarray, like: Array) -> np.ndarray:
    """Values along an axis after those of `like`."""
    return values.reshape((1,) * like.ndim + (-1,))


def _low(x: Array, length: Array, m: Array) -> Array:
    """1/2 integral from x to x + length of ((1+s)^m - 1)/s ds by quadrature, for x + length <= SPLIT."""
    s = x[..., None] + length[..., None] * _along_last((1 + _NODES) / 2, x)
    s = jnp.maximum(s, jnp.finfo(s.dtype).tiny)
    return length / 4 * ((jnp.expm1(m[..., None] * jnp.log1p(s)) / s) @ _WEIGHTS)


def _high(w: Array, log_ratio: Array, m: Array) -> Array:
    """1/2 integral from w to w e^log_ratio of (v/w)^m dv/(v-1), by expansion in 1/v, for w >= 1 + SPLIT."""
    terms = _along_last(_TERMS, w)
    powers = m[..., None] - terms
    return log_ratio / 2 * jnp.sum(w[..., None] ** -terms * _relative_expm1(powers * log_ratio[..., None]), axis=-1)


class _Start(NamedTuple):
    """Functions of omega(0)^2/C = x that the inverse needs, none of which cancels or overflows."""

    x: Array
    log_x: Array
    rho: Array  # 1/(1+x)
    sigma: Array  # x/(1+x)


def _start(omega0: Array, C: int) -> _Start:
    x = omega0**2 / C
    return _Start(x, jnp.log(x), 1 / (1 + x), x / (1 + x))


def _expm1_double(scale: Array, y: Array) -> Array:
    """The product of scale and e^(2y) - 1, finite wherever it can be."""
    half = jnp.expm1(y)
    return scale * half * (half + 2)


def _log_ratio(y: Array, start: _Start) -> Array:
    """Logarithm of R = (1 + omega(t)^2/C)/(1 + omega(0)^2/C)."""
    huge = y > 300
    near = jnp.log1p(_expm1_double(start.sigma, jnp.where(huge, 1.0, y)))
    far = jnp.logaddexp(jnp.log(start.rho), jnp.log(start.sigma) + 2 * y)
    return jnp.where(huge, far, near)


def _g_polynomial(k: int, y: Array, start: _Start, m: Array) -> tuple[Array, Array]:
    """Value and slope of g for k = 0, 1, 2."""
    del m
    rho, sigma = start.rho, start.sigma
    q = _expm1_double(sigma, y)
    if k == 2:
        return y, jnp.ones_like(y)
    if k == 1:
        return rho * y + q / 2, 1 + q
    return rho * (rho * y + q) + q * (q + 2 * sigma) / 4, (1 + q) ** 2


def _g_real(y: Array, start: _Start, m: Array) -> tuple[Array, Array]:
    """Value and slope of g for real m = 2 - k > 0."""
    log_R = _log_ratio(y, start)
    growth_below = jnp.clip((math.log(SPLIT) - start.log_x) / 2, 0.0, y)
    length_below = jnp.clip(_expm1_double(start.x, y), 0.0, jnp.maximum(SPLIT - start.x, 0.0))
    below = start.rho**m * (growth_below + _low(jnp.minimum(start.x, SPLIT), length_below, m))
    log_w = jnp.maximum(math.log1p(SPLIT) + jnp.log(start.rho), 0.0)  # of (1+SPLIT)/(1+x), from a start below
    above = jnp.exp(m * log_w) * _high(jnp.maximum(1 + start.x, 1 + SPLIT), jnp.maximum(log_R - log_w, 0.0), m)
    return below + above, jnp.exp(m * log_R)


def _newton(g, start: _Start, T: Array, m: Array) -> Array:
    """The growth y with g(y) = T (1-s)^m, from above."""
    target = T * start.rho**m
    log_bound = jnp.log1p(2 * m * target) / jnp.where(m > 0, m, 1.0)  # log R of the bound g >= (R^m - 1)/(2m)
    log_excess = log_bound + jnp.log(-jnp.expm1(-log_bound)) - jnp.log(start.sigma)
    y = jnp.where(m > 0, jnp.minimum(target, jnp.logaddexp(0.0, log_excess) / 2), target)

    def unfinished(carry):
        y, step, count = carry
        return jnp.any(step > 1e-9 * jnp.minimum(y, 1.0)) & (count < _MAX_NEWTON_STEPS)

    def descend(carry):
        y, _, count = carry
        value, slope = g(y, start, m)
        step = (value - target) / slope
        return jnp.maximum(y - step, 0.0), jnp.abs(step), count + 1

    return jax.lax.while_loop(unfinished, descend, (y, jnp.full_like(y, jnp.inf), 0))[0]


_POLYNOMIALS = {k: partial(_g_polynomial, k) for k in (0, 1, 2)}


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _solution(g, C: int, omega0: Array, T: Array, m: Array) -> tuple[Array, Array]:
    """The growth y and omega0 e^y."""
    y = _newton(g, _start(omega0, C), T, m)
    half = jnp.exp(y / 2)
    return y, half * omega0 * half


@partial(_solution.defjvp, symbolic_zeros=True)
def _solution_jvp(g, C, primals, tangents):
    """Implicit differentiation of integral (1 + x e^(2v))^m dv = T: exact, and differentiable again.

    y and omega have rules of their own: in omega0 they differ by 1, beside which the derivative of omega may be lost.
    """
    omega0, T, m = primals
    d_omega0, d_T, d_m = tangents
    y, omega = _solution(g, C, omega0, T, m)
    start = _start(omega0, C)
    log_shrink = -m * _log_ratio(y, start)  # of ((1 + x) / (1 + x e^(2y)))^m
    shrink = jnp.exp(log_shrink)
    dy, d_log_omega = jnp.zeros_like(y), jnp.zeros_like(y)
    if not isinstance(d_omega0, SymbolicZero):
        dy += d_omega0 / omega0 * jnp.expm1(log_shrink)
        d_log_omega += d_omega0 / omega0 * shrink
    if not isinstance(d_T, SymbolicZero):
        dy += d_T * start.rho**m * shrink
        d_log_omega += d_T * start.rho**m * shrink
    if not isinstance(d_m, SymbolicZero):
        value, by_m = jax.jvp(lambda m: _g_real(y, start, m)[0], (m,), (d_m,))
        by_k = (d_m * jnp.log(start.rho) * value - by_m) * shrink
        dy += by_k
        d_log_omega += by_k
    return (y, omega), (dy, omega * d_log_omega)


_compiled_solution = jax.jit(_solution, static_argnums=(0, 1))  # so that calls outside a program compile once


def _refuse(x: Array, bad: Array, message: str) -> Array:
    """Raise where a value is bad: `ValueError` outside jit, `equinox.error_if` inside."""
    if isinstance(bad, Tracer):
        return eqx.error_if(x, bad, message)
    if np.any(np.asarray(bad)):
        raise ValueError(message)
    return x


def _positive(omega: ArrayLike, name: str) -> Array:
    require_float64()
    omega = jnp.asarray(omega, float)
    message = (
        f"Need {name} from {SMALLEST:g} to {LARGEST:g}: omega = 0 never grows, and omega^2 must not under- or overflow."
    )
    return _refuse(omega, ~((omega >= SMALLEST) & (omega <= LARGEST)), message)


def _time(t: ArrayLike) -> Array:
    t = jnp.asarray(t, float)
    return _refuse(t, ~((t >= 0) & jnp.isfinite(t)), "Need finite t >= 0: the laws run forwards from omega(0).")


class Law(eqx.Module):
    """The law with exponent k of C balanced classes of N examples; see the module's page.

    k is a Python number (0, 1, 2 use their polynomials) or a traced scalar (any real k < 2, differentiable in k). All
    methods broadcast, and work under jit, vmap and grad.

    Raises:
        ValueError: if k > 2 (omega is infinite after a finite time), C < 2 or N < 1.
    """

    k: int | float | Float[Array, ""]
    C: int = eqx.field(static=True)
    N: int = eqx.field(static=True)

    def __check_init__(self):
        if self.C < 2 or self.N < 1:
            raise ValueError(f"Need C >= 2 and N >= 1, got C = {self.C}, N = {self.N}.")
        if not isinstance(self.k, Tracer):
            self._m  # noqa: B018

    @property
    def _m(self) -> Array:
        """2 - k >= 0."""
        message = f"Need k <= 2, got k = {self.k}: beyond it omega is infinite after a finite time, so no law holds."
        m = jnp.asarray(2.0 - self.k, float)
        return _refuse(m, ~(m >= 0), message)

    @property
    def _polynomial(self) -> bool:
        return isinstance(self.k, (int, float)) and self.k in (0, 1, 2)

    @property
    def _g(self):
        return _POLYNOMIALS[int(self.k)] if self._polynomial else _g_real

    @property
    def constants(self) -> Constants:
        """(c1, c2, c3) of Proposition 2's form.

        Raises:
            ValueError: unless k is 0, 1 or 2.
        """
        if not self._polynomial:
            raise ValueError(
                f"Need k = 0, 1 or 2 for c1 log w + c2 w^2 + c3 w^4 = a + t, got k = {self.k}: use `forward`."
            )
        C, N = self.C, self.N
        return Constants(C * C * N, *((C * N, N / 4), (C * N / 2, 0.0), (0.0, 0.0))[int(self.k)])

    def rate(self, omega: Float[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
        """The speed d omega/dt = (1/N) (1 + omega^2/C)^k omega/(C + omega^2)^2, for omega up to 1e150."""
        omega = jnp.asarray(omega, float)
        return omega / (self.C**2 * self.N) * (1 + omega**2 / self.C) ** (self.k - 2)

    def forward(self, omega: Float[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
        """F_k(omega) = a + t, the left-hand side of Equation 9; infinite where it exceeds float64.

        Raises:
            ValueError: unless 1e-150 <= omega <= 1e150.
        """
        omega = _positive(omega, "omega")
        if self._polynomial:
            c1, c2, c3 = self.constants
            return c1 * jnp.log(omega) + c2 * omega**2 + c3 * omega**4
        m, x = jnp.broadcast_to(2.0 - self.k, omega.shape), omega**2 / self.C
        low = _low(jnp.zeros_like(x), jnp.minimum(x, SPLIT), m)
        w = jnp.full_like(x, 1 + SPLIT)
        high = w**m * _high(w, jnp.maximum(jnp.log1p(x) - math.log1p(SPLIT), 0.0), m)
        log_below = jnp.minimum(jnp.log(omega), 0.5 * math.log(SPLIT * self.C))
        return self.C**2 * self.N * (log_below + low + high)

    def elapsed(
        self, omega0: Float[ArrayLike, "*#shape"], growth: Float[ArrayLike, "*#shape"]
    ) -> Float[Array, "*shape"]:
        """Time in which omega grows from omega0 to omega0 e^growth.

        F_k of the end minus F_k of the start, without their cancellation.

        Raises:
            ValueError: unless growth >= 0 and 1e-150 <= omega0 <= 1e150.
        """
        omega0 = _positive(omega0, "omega0")
        growth = jnp.asarray(growth, float)
        good = (growth >= 0) & jnp.isfinite(growth)
        growth = _refuse(growth, ~good, "Need finite growth >= 0: the laws run forwards from omega0.")
        omega0, growth, m = jnp.broadcast_arrays(omega0, growth, self._m)
        start = _start(omega0, self.C)
        return self.C**2 * self.N * self._g(growth, start, m)[0] * (1 + start.x) ** m

    def _solve(self, t: ArrayLike, omega0: ArrayLike) -> tuple[Array, Array]:
        omega0, t = _positive(omega0, "omega0"), _time(t)
        return _compiled_solution(self._g, self.C, *jnp.broadcast_arrays(omega0, t / (self.C**2 * self.N), self._m))

    def growth(self, t: Float[ArrayLike, "*#shape"], omega0: Float[ArrayLike, "*#shape"]) -> Float[Array, "*shape"]:
        """log(omega(t)/omega(0)): finite where omega(t) itself is beyond float64.

        Error at most 8 machine epsilons times max(1, growth), for omega0 from 1e-100 to 1e70 and t from 0 to 1e280, of
        the law with 2 - k as float64 has it.

        Raises:
            ValueError: unless t >= 0 and 1e-150 <= omega0 <= 1e150 (inside jit `RuntimeError`, by equinox.filter_jit).
        """
        return self._solve(t, omega0)[0]

    def omega(self, t: Float[ArrayLike, "*#shape"], omega0: Float[ArrayLike, "*#shape"]) -> Float[Array, "*shape"]:
        """The value at time t from omega0 at time 0: the inverse of `forward`; infinite where it exceeds float64.

        Raises:
            ValueError: as `growth`.
        """
        return self._solve(t, omega0)[1]

    def asymptote(self, t: Float[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
        """The common limit ((4-2k) t / (N C^k))^(1/(4-2k)) that every omega_j(t) approaches in ratio, for k < 2.

        For k = 0 this is Corollary 1.

        Raises:
            ValueError: for k = 2, where omega_i/omega_j stays constant for ever.
        """
        p = self._power
        return (p * _time(t) / (self.N * self.C ** (2 - p / 2))) ** (1 / p)

    @property
    def exponent(self) -> float | Float[Array, ""]:
        """Growth exponent 1/(4-2k) of omega ~ t^exponent, for k < 2.

        Raises:
            ValueError: for k = 2, where growth is exponential.
        """
        return 1 / self._power

    @property
    def _power(self) -> float | Float[Array, ""]:
        message = f"Need k < 2 for a power law, got k = {self.k}: at 2 growth is exponential, at the rate 1/(C^2 N)."
        if isinstance(self.k, (int, float)):
            if self.k == 2:
                raise ValueError(message)
            return 4.0 - 2.0 * self.k
        return _refuse(4.0 - 2.0 * self.k, ~(self.k < 2), message)
