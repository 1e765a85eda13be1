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

Other real k from -50 to 2 use Gauss-Legendre quadrature where omega^2 <= 3C and a series of positive terms above; omega
~ t^(1/(4-2k)). For k > 2 omega is infinite after a finite time.

Units: t in the time of the flow whose loss is L_LS (sum over classes, average over examples); omega has none.

The laws of a kernel are in `central_path.theory.kernel_laws`. What the inverse is accurate to, `Law.growth` says.

Source: Han, Papyan & Donoho (2022), Proposition 2 (Eq. 9), Corollary 1, Lemma 5; the family in k is this project's.
"""

import math

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

from central_path.theory.growth import POLYNOMIALS, REAL, SPLIT, Family, integral_above, integral_below
from central_path.theory.law import AbstractLaw, Constants, forward_time, positive, refuse

LOWEST_K = -50.0  # the quadrature and the series of `growth` have their digits down to about -100


def _two_minus(k: int | float | Array) -> Array:
    """The exponent m = 2 - k of the integrand, from 0 to 52."""
    message = (
        f"Need {LOWEST_K:g} <= k <= 2, got k = {k}: above 2 omega is infinite after a finite time, so no law holds, "
        "and below the inverse loses digits."
    )
    m = jnp.asarray(2.0 - k, float)
    return refuse(m, ~((m >= 0) & (m <= 2 - LOWEST_K)), message)


class Law(AbstractLaw):
    """The law with exponent k of C balanced classes of N examples; see the module's page.

    k is a Python number (0, 1, 2 use their polynomials) or a traced scalar (any real k from -50 to 2, differentiable in
    k). All methods broadcast, and work under jit, vmap and grad.

    Example:
        >>> import central_path as cp
        >>> from central_path.theory.laws import Law
        >>> cp.enable_x64()
        >>> law = Law(k=0, C=10, N=50)  # Proposition 2
        >>> round(float(law.omega(1e6, 1.0)), 6)  # at t = 1e6, from omega(0) = 1
        16.175647

    Raises:
        ValueError: if k > 2 (omega is infinite after a finite time) or k < -50, C < 2 or N < 1.
    """

    k: int | float | Float[Array, ""]
    C: int = eqx.field(static=True)
    N: int = eqx.field(static=True)

    def __check_init__(self):
        if not isinstance(self.k, Tracer):
            _two_minus(self.k)

    @property
    def _parameter(self) -> Array:
        return _two_minus(self.k)

    @property
    def is_polynomial(self) -> bool:
        """Whether the law is c1 log w + c2 w^2 + c3 w^4 = a + t: for k = 0, 1, 2."""
        return isinstance(self.k, (int, float)) and self.k in (0, 1, 2)

    @property
    def _family(self) -> Family:
        return POLYNOMIALS[int(self.k)] if self.is_polynomial else REAL

    @property
    def constants(self) -> Constants:
        """(c1, c2, c3) of Proposition 2's form.

        Raises:
            ValueError: unless k is 0, 1 or 2.
        """
        if not self.is_polynomial:
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

        Error at most 4 machine epsilons times 1 + (2 - k) log(1 + omega^2/C) times the larger of |F_k| and C^2 N.

        Raises:
            ValueError: unless 1e-150 <= omega <= 1e150.
        """
        omega = positive(omega, "omega")
        if self.is_polynomial:
            c1, c2, c3 = self.constants
            return c1 * jnp.log(omega) + c2 * omega**2 + c3 * omega**4
        m, x = jnp.broadcast_to(2.0 - self.k, omega.shape), omega**2 / self.C
        low = integral_below(jnp.zeros_like(x), jnp.minimum(x, SPLIT), m)
        w = jnp.full_like(x, 1 + SPLIT)
        high = w**m * integral_above(w, jnp.maximum(jnp.log1p(x) - math.log1p(SPLIT), 0.0), m)
        log_below = jnp.minimum(jnp.log(omega), 0.5 * math.log(SPLIT * self.C))
        return self.C**2 * self.N * (log_below + low + high)

    def asymptote(self, t: Float[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
        """The common limit ((4-2k) t / (N C^k))^(1/(4-2k)) that every omega_j(t) approaches in ratio, for k < 2.

        For k = 0 this is Corollary 1.

        Raises:
            ValueError: for k = 2, where omega_i/omega_j stays constant for ever.
        """
        p = self._power
        return (p * forward_time(t) / (self.N * self.C ** (2 - p / 2))) ** (1 / p)

    @property
    def exponent(self) -> float | Float[Array, ""]:
        """Growth exponent 1/(4-2k) of omega ~ t^exponent, for k < 2.

        Raises:
            ValueError: for k = 2, where growth is exponential.
        """
        return 1 / self._power

    @property
    def is_power_law(self) -> bool:
        """Whether omega grows as a power of t (k < 2) and all omega_j approach each other, or exponentially (k = 2)."""
        return bool(self.k < 2)

    @property
    def _power(self) -> float | Float[Array, ""]:
        message = f"Need k < 2 for a power law, got k = {self.k}: at 2 growth is exponential, at the rate 1/(C^2 N)."
        if isinstance(self.k, (int, float)):
            if self.k == 2:
                raise ValueError(message)
            return 4.0 - 2.0 * self.k
        return refuse(4.0 - 2.0 * self.k, ~(self.k < 2), message)
