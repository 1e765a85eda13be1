"""What the laws refuse: exponents, sizes, times and starts without a law, plain and compiled."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.theory.laws import Law

C, N = 4, 12


@pytest.mark.parametrize("k", [2.1, 3, float("nan"), float("inf")])
def test_a_law_beyond_k_2_is_refused(k):
    with pytest.raises(ValueError, match="Need -50 <= k <= 2, got k ="):
        Law(k, C, N)


@pytest.mark.parametrize(("C", "N"), [(1, 5), (3, 0)])
def test_a_law_without_classes_or_examples_is_refused(C, N):
    with pytest.raises(ValueError, match="Need C >= 2 and N >= 1"):
        Law(0, C, N)


omega = eqx.filter_jit(lambda law, *args: law.omega(*args))

REFUSED = [
    (1.0, 0.0, "Need omega0"),
    (1.0, -1.0, "Need omega0"),
    (1.0, 1e200, "Need omega0"),
    (1.0, float("nan"), "Need omega0"),
    (-1.0, 1.0, "Need finite t >= 0"),
    (float("nan"), 1.0, "Need finite t >= 0"),
    (float("inf"), 1.0, "Need finite t >= 0"),
]


@pytest.mark.parametrize(("t", "omega0", "message"), REFUSED)
@pytest.mark.parametrize("method", ["omega", "growth"])
def test_times_and_starts_without_a_law_are_refused(method, t, omega0, message):
    call = getattr(Law(0, C, N), method)
    with pytest.raises(ValueError, match=message):
        call(t, omega0)
    with pytest.raises(ValueError, match=message):
        call(np.array([1.0, t]), np.array([1.0, omega0]))  # one bad value among good ones


@pytest.mark.parametrize(("t", "omega0", "message"), REFUSED)
def test_times_and_starts_without_a_law_are_refused_inside_jit(t, omega0, message):
    with pytest.raises(RuntimeError, match=message):
        omega(Law(0, C, N), jnp.full(3, t), jnp.full(3, omega0))


def test_what_only_polynomials_or_power_laws_have_is_refused_elsewhere():
    with pytest.raises(ValueError, match=r"Need k = 0, 1 or 2 .* got k = 0\.5"):
        _ = Law(0.5, C, N).constants
    for call in (lambda law: law.asymptote(1.0), lambda law: law.exponent):
        with pytest.raises(ValueError, match="Need k < 2 for a power law, got k = 2"):
            call(Law(2, C, N))
    with pytest.raises(ValueError, match="Need omega from"):
        Law(0, C, N).forward(0.0)
    with pytest.raises(ValueError, match="Need finite growth >= 0"):
        Law(0, C, N).elapsed(1.0, -0.1)


@pytest.mark.parametrize("k", [3.0, float("nan")])
def test_an_array_k_beyond_2_is_refused(k):
    with pytest.raises(ValueError, match="Need -50 <= k <= 2"):
        Law(jnp.asarray(k), 4, 12)
    with pytest.raises(ValueError, match="Need k < 2"):
        _ = Law(jnp.asarray(2.0), 4, 12).exponent
