"""What the growth of omega is made of, against 30 digits."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from central_path.theory import growth, kernel_growth
from central_path.theory.growth import _relative_expm1


def test_relative_expm1_and_its_derivative_near_zero():
    """To a rounding on both sides of the change of formula at 1e-5."""
    z = np.array([0.0, 1e-300, 1e-12, 1e-8, 9.9e-6, -9.9e-6, 1.1e-5, -1.1e-5, 1e-3, -2.0])
    with mpmath.workdps(30):
        digits = [mpmath.mpf(float(x)) for x in z]
        exact = [float(mpmath.expm1(x) / x) if x else 1.0 for x in digits]
        slopes = [float((mpmath.exp(x) * (x - 1) + 1) / x**2) if abs(x) > 1e-12 else 0.5 for x in digits]
    np.testing.assert_allclose(_relative_expm1(jnp.asarray(z)), exact, rtol=5e-16)
    found = jax.vmap(jax.grad(_relative_expm1))(jnp.asarray(z))
    np.testing.assert_allclose(found, slopes, rtol=1e-10)  # expm1(z)/z cancels in its derivative, at 1e-5 to 1e-11


KERNELS = {r: kernel_growth._family(r) for r in (1, 2)}
FIRSTS = {  # family, its parameter from u in [0, 1], and how much of the time the first growth may take at most
    **{f"k = {k}": (growth.POLYNOMIALS[k], lambda u, k=k: 0 * u + 2 - k, 2.5) for k in (0, 1, 2)},
    "real k": (growth.REAL, lambda u: 0.05 + 2.95 * u, 3.0),
    **{f"kernel b <= 1, r = {r}": (KERNELS[r], lambda u: 10 ** (-12 * u), 7.0) for r in (1, 2)},
    "kernel b > 1, r = 1": (KERNELS[1], lambda u: 10 ** (6 * u), 1e6),  # g is nearly linear there
}


@pytest.mark.parametrize(("family", "parameter", "most"), FIRSTS.values(), ids=list(FIRSTS))
def test_newtons_method_starts_beyond_the_growth_but_not_far(family, parameter, most):
    """From there it descends on a convex g, and never past the solution."""
    rng = np.random.default_rng(0)
    omega0, T = (jnp.asarray(10 ** rng.uniform(*span, 2000)) for span in ((-4, 4), (-8, 30)))
    p, C = jnp.asarray(parameter(rng.uniform(size=2000))), 10
    start = growth.start_of(omega0, C)
    target = T * family.scale(start, p)
    first = family.first(start, target, p)
    y = growth.solution(family, C, omega0, T, p)[0]
    there = (target > 1e-300) & (y < 300)
    assert np.sum(there) > 400
    assert np.all((first >= y * (1 - 1e-12))[there])
    assert np.all((family.g(first, start, p)[0] <= most * target * (1 + 1e-12))[there])
