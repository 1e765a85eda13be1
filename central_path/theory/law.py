"""What every law of the singular values can do, by the growth of omega along it.

A law is an autonomous equation d omega/dt = rate(omega) in closed form. How its inverse is found is the matter of
`central_path.theory.growth`.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

from central_path.theory.growth import Family, solution, start_of
from central_path.theory.problem import require_float64

SMALLEST, LARGEST = 1e-150, 1e150  # omega^2 must be a normal number


class Constants(NamedTuple):
    """Coefficients of c1 log w + c2 w^2 + c3 w^4 = a + t."""

    c1: float
    c2: float
    c3: float


def refuse(x: Array, bad: Array, message: str) -> Array:
    """Raise where a value is bad: `ValueError` outside jit, `equinox.error_if` inside."""
    if isinstance(bad, Tracer):
        return eqx.error_if(x, bad, message)
    if np.any(np.asarray(bad)):
        raise ValueError(message)
    return x


def positive(omega: ArrayLike, name: str) -> Array:
    """Omega as float64, refused outside the range in which its square is a normal number."""
    require_float64()
    omega = jnp.asarray(omega, float)
    message = (
        f"Need {name} from {SMALLEST:g} to {LARGEST:g}: omega = 0 never grows, and omega^2 must not under- or overflow."
    )
    return refuse(omega, ~((omega >= SMALLEST) & (omega <= LARGEST)), message)


def forward_time(t: ArrayLike) -> Array:
    """A time as float64, refused if negative or infinite."""
    t = jnp.asarray(t, float)
    return refuse(t, ~((t >= 0) & jnp.isfinite(t)), "Need finite t >= 0: the laws run forwards from omega(0).")


class _Sizes:
    """C classes of N examples, which every law has as fields."""

    C: int
    N: int


class AbstractLaw(_Sizes, eqx.Module):
    """A law of C balanced classes of N examples. All methods broadcast, and work under jit, vmap and grad."""

    def __check_init__(self):
        if self.C < 2 or self.N < 1:
            raise ValueError(f"Need C >= 2 and N >= 1, got C = {self.C}, N = {self.N}.")

    @property
    @abc.abstractmethod
    def _family(self) -> Family:
        """What the inverse needs."""

    @property
    @abc.abstractmethod
    def _parameter(self) -> Array:
        """The parameter of the family."""

    @property
    @abc.abstractmethod
    def is_polynomial(self) -> bool:
        """Whether the law is c1 log w + c2 w^2 + c3 w^4 = a + t."""

    @property
    @abc.abstractmethod
    def constants(self) -> Constants:
        """(c1, c2, c3) of Proposition 2's form.

        Raises:
            ValueError: if the law is not of that form.
        """

    @property
    @abc.abstractmethod
    def is_power_law(self) -> bool:
        """Whether omega grows as a power of t in the end, and all omega_j approach each other, or exponentially."""

    @property
    @abc.abstractmethod
    def exponent(self) -> float | Float[Array, ""]:
        """The exponent of omega ~ t^exponent.

        Raises:
            ValueError: if growth is exponential.
        """

    @abc.abstractmethod
    def rate(self, omega: Float[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
        """The speed d omega/dt, for omega up to 1e150."""

    @abc.abstractmethod
    def forward(self, omega: Float[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
        """F(omega) = a + t, F(omega) - C^2 N log omega -> 0 as omega -> 0.

        Raises:
            ValueError: unless 1e-150 <= omega <= 1e150.
        """

    @abc.abstractmethod
    def asymptote(self, t: Float[ArrayLike, "*shape"]) -> Float[Array, "*shape"]:
        """The function of t that every omega_j(t) approaches in ratio, where growth ends as a power of t.

        Raises:
            ValueError: if growth is exponential.
        """

    def elapsed(
        self, omega0: Float[ArrayLike, "*#shape"], growth: Float[ArrayLike, "*#shape"]
    ) -> Float[Array, "*shape"]:
        """Time in which omega grows from omega0 to omega0 e^growth.

        F of the end minus F of the start, without their cancellation: the relative error is at most 8 machine
        epsilons times 1 + m log(1 + omega^2/C), with omega the value at the end and omega^(2m) its power in F.

        Raises:
            ValueError: unless growth >= 0 and 1e-150 <= omega0 <= 1e150.
        """
        omega0 = positive(omega0, "omega0")
        growth = jnp.asarray(growth, float)
        good = (growth >= 0) & jnp.isfinite(growth)
        growth = refuse(growth, ~good, "Need finite growth >= 0: the laws run forwards from omega0.")
        omega0, growth, p = jnp.broadcast_arrays(omega0, growth, self._parameter)
        start = start_of(omega0, self.C)
        return self.C**2 * self.N * self._family.g(growth, start, p)[0] / self._family.scale(start, p)

    def _solve(self, t: ArrayLike, omega0: ArrayLike) -> tuple[Array, Array]:
        omega0, t = positive(omega0, "omega0"), forward_time(t)
        return solution(self._family, self.C, *jnp.broadcast_arrays(omega0, t / (self.C**2 * self.N), self._parameter))

    def growth(self, t: Float[ArrayLike, "*#shape"], omega0: Float[ArrayLike, "*#shape"]) -> Float[Array, "*shape"]:
        """log(omega(t)/omega(0)): finite where omega(t) itself is beyond float64.

        Error at most 8 machine epsilons times max(1, growth), for omega0 from 1e-100 to 1e70 and t from 0 to 1e280, of
        the law with its parameter as float64 has it (for the exponent, 2 - k).

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
