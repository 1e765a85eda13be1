"""The laws of a block kernel: class means move at the rate 1, deviations from them at the rate b.

Features that share parameters move as dH/dt = -Theta grad_H L. If Theta has equal entries within the class and between
classes, class means about the global mean and within-class deviations each have one rate, whose ratio is b. Then

    r = 2   `unnormalized`, from Sigma_W + b Sigma_B = I     d omega/dt = (1/N) (1 + b x)^2 omega/(C + omega^2)^2
    r = 1   `renormalized`, from Sigma_W = I                 d omega/dt = (1/N) (1 + b x) omega/(C + omega^2)^2

with x = omega^2/C, which integrate to

    C^2 N [log w + (1-b^2)/(2 b^2) log(1+b x) - (1-b)^2/(2 b^2) b x/(1+b x)] = a + t     r = 2
    (C^2 N/2) [log x + x/b - (1-b)^2/b^2 log(1+b x)] = a + t                             r = 1

b = 1 gives the flows of free features, and b = 0 gives Proposition 2 for both: it is the law of a kernel that moves
class means only. For r = 2 and b > 0 growth is exponential in the end, and the ratios of omega have limits.

Source: the block kernel of Seleznova et al. (2023); its laws are this project's.
"""

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

from central_path.theory.growth import Family
from central_path.theory.kernel_growth import KERNEL, l1, l2, l3
from central_path.theory.law import AbstractLaw, Constants, forward_time, positive, refuse
from central_path.theory.laws import Law

LARGEST_KERNEL = 1e3


def check_kernel(b: ArrayLike) -> Array:
    """The ratio b as float64.

    Raises:
        ValueError: unless 0 <= b <= 1000.
    """
    b = jnp.asarray(b, float)
    message = (
        f"Need a kernel 0 <= b <= {LARGEST_KERNEL:g}, the mobility of within-class deviations over that of class "
        f"means, got {b}."
    )
    return refuse(b, ~((b >= 0) & (b <= LARGEST_KERNEL)), message)


class KernelLaw(AbstractLaw):
    """The law with r = 1 or 2 and kernel b of C balanced classes of N examples; see the module's page.

    b is a Python number or a traced scalar, and every method is differentiable in it.

    Raises:
        ValueError: unless r is 1 or 2, 0 <= b <= 1000, C >= 2 and N >= 1.
    """

    b: float | Float[Array, ""]
    r: int = eqx.field(static=True)
    C: int = eqx.field(static=True)
    N: int = eqx.field(static=True)

    def __check_init__(self):
        if self.r not in (1, 2):
            raise ValueError(f"Need r = 1 (renormalized) or 2 (unnormalized), got r = {self.r}.")
        if not isinstance(self.b, Tracer):
            check_kernel(self.b)

    @property
    def _family(self) -> Family:
        return KERNEL[self.r]

    @property
    def _parameter(self) -> Array:
        return check_kernel(self.b)

    @property
    def is_polynomial(self) -> bool:
        """False."""
        return False

    @property
    def constants(self) -> Constants:
        """Only for b = 0 or 1, which `law_of_kernel` gives as `Law`.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"Need b = 0 or 1 for c1 log w + c2 w^2 + c3 w^4 = a + t, got b = {self.b}: use `forward`.")

    def rate(self, omega: Float[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
        """The speed d omega/dt = (1/N) (1 + b x)^r omega/(C + omega^2)^2, x = omega^2/C, for omega up to 1e150."""
        omega = jnp.asarray(omega, float)
        x = omega**2 / self.C
        return omega / (self.C**2 * self.N) * ((1 + self.b * x) / (1 + x)) ** self.r * (1 + x) ** (self.r - 2)

    def forward(self, omega: Float[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
        """The left-hand side of the law, a + t; infinite where it exceeds float64.

        Error at most 16 machine epsilons times 1 + 2 log(1 + omega^2/C) and max(1, b)^2, times the larger of the value
        and C^2 N.

        Raises:
            ValueError: unless 1e-150 <= omega <= 1e150.
        """
        omega, b = positive(omega, "omega"), self._parameter
        x = omega**2 / self.C
        z = b * x
        if self.r == 2:
            beyond = (1 - b) / 2 * (2 / (1 / x + b) + (1 + b) * x**2 * l3(z))
        else:
            beyond = ((2 - b) * x * l1(z) + x**2 * l2(z)) / 2
        return self.C**2 * self.N * (jnp.log(omega) + beyond)

    @property
    def is_power_law(self) -> bool:
        """Whether omega grows as a power of t in the end: for r = 1, and for b = 0."""
        return self.r == 1 or bool(self.b == 0)

    @property
    def exponent(self) -> float:
        """1/2 for r = 1 and b > 0, 1/4 for b = 0.

        Raises:
            ValueError: for r = 2 and b > 0, where growth is exponential.
        """
        if not self.is_power_law:
            raise ValueError(
                f"Need r = 1 or b = 0 for a power law, got r = 2 and b = {self.b}: growth is exponential, at the rate "
                "b^2/(C^2 N)."
            )
        return 0.25 if self.b == 0 else 0.5

    def asymptote(self, t: Float[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
        """(2 b t/(C N))^(1/2) for r = 1 and b > 0, (4 t/N)^(1/4) for b = 0.

        Raises:
            ValueError: for r = 2 and b > 0, where the ratios of omega have limits other than 1.
        """
        p = 1 / self.exponent
        scale = 4 / self.N if self.b == 0 else 2 * self.b / (self.C * self.N)
        return (scale * forward_time(t)) ** (1 / p)

    def limiting_log_ratio(
        self, larger: Float[ArrayLike, "*#shape"], smaller: Float[ArrayLike, "*#shape"]
    ) -> Float[Array, "*shape"]:
        """The limit of log(omega_i/omega_j) from omega_i(0) = larger >= omega_j(0) = smaller.

        0 where growth ends as a power of t, and for r = 2 and b > 0 b^2/(C^2 N) times the difference of `forward`.

        Raises:
            ValueError: as `elapsed`.
        """
        larger, smaller = positive(larger, "larger"), positive(smaller, "smaller")
        if self.is_power_law:
            return jnp.zeros(jnp.broadcast_shapes(larger.shape, smaller.shape))
        return self._parameter**2 * self.elapsed(smaller, jnp.log(larger / smaller)) / (self.C**2 * self.N)


def law_of_kernel(r: int, b: float | Float[Array, ""], C: int, N: int) -> AbstractLaw:
    """The law of a flow with r = 1 or 2 and kernel b: Proposition 2 for b = 0, of free features for b = 1.

    Example:
        >>> import central_path as cp
        >>> from central_path.theory.kernel_laws import law_of_kernel
        >>> cp.enable_x64()
        >>> [round(float(law_of_kernel(1, b, C=10, N=50).omega(1e6, 1.0)), 2) for b in (0.0, 0.3, 1.0)]
        [16.18, 35.19, 62.6]

    Raises:
        ValueError: as `KernelLaw`.
    """
    known = isinstance(b, (int, float)) and b in (0, 1)
    return Law(r if b else 0, C, N) if known else KernelLaw(b, r, C, N)
