"""What the growth of omega is made of, against 30 digits."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np

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
