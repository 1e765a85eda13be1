"""The laws against 60-digit arithmetic, and what every solution of an autonomous equation satisfies."""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from exact_law import ExactLaw
from mpmath import mpf

from central_path.theory.laws import Constants, Law

EPS = np.finfo(float).eps
TOLERANCE = 8 * EPS  # of max(1, growth), as documented
SIZES = ((2, 3), (10, 50), (1000, 7))
C, N = 4, 12
COUNT = 40  # one shape for all, so that every method is compiled once for each branch
EXPONENTS = (0, 1, 2, 0.5, 1.9, -0.7)


def law_of(k, C=C, N=N):
    """Polynomials for 0, 1, 2; otherwise a traced k, which shares one program."""
    return Law(k if k in (0, 1, 2) and isinstance(k, int) else jnp.asarray(float(k)), C, N)


def compiled(name):
    return eqx.filter_jit(lambda law, *args: getattr(law, name)(*args))


growth, omega, forward, elapsed, rate = map(compiled, ("growth", "omega", "forward", "elapsed", "rate"))


@eqx.filter_jit
def omega_slopes(law, t, omega0):
    """omega, and its derivatives in t and in omega0."""
    value, slopes = jax.vmap(jax.value_and_grad(law.omega, argnums=(0, 1)))(t, omega0)
    return value, *slopes


@eqx.filter_jit
def omega_hessian(law, t, omega0):
    return jax.vmap(jax.hessian(law.omega, argnums=(0, 1)))(t, omega0)


@jax.jit
def growth_slope_in_k(k, t, omega0):
    return jax.jacfwd(lambda k: Law(k, C, N).growth(t, omega0))(k)


def full(value):
    return jnp.asarray(np.full(COUNT, value))


@pytest.fixture(autouse=True)
def sixty_digits():
    with mpmath.workdps(60):
        yield


def draw(seed, k, C=C, N=N):
    """Starts and times over the whole documented range; two in three where growth begins, one near omega = 1."""
    rng = np.random.default_rng(seed)
    log_start, log_t = rng.uniform(-100, 70, COUNT), rng.uniform(-30, 280, COUNT)
    kind = np.arange(COUNT) % 3
    log_start = np.where(kind == 2, rng.uniform(-2, 3, COUNT), log_start)
    begins = np.log10(C**2 * N) + (2 - k) * np.maximum(2 * log_start - np.log10(C), 0)
    log_t = np.where(kind > 0, np.minimum(begins + rng.uniform(-3, 3, COUNT), 280), log_t)
    t, omega0 = 10**log_t, 10**log_start
    t[:3], omega0[:3] = (0.0, 1e280, 1e280), (1.0, 1e-100, 1e70)
    return t, omega0


def relative_errors(values, exact, t, omega0, C, N):
    errors = []
    for y, time, start in zip(np.asarray(values).tolist(), t.tolist(), omega0.tolist(), strict=True):
        expected = exact.growth(mpf(time) / (C * C * N), start, y)
        errors.append(float(abs(y - expected) / max(expected, 1)))
    return np.array(errors)


@pytest.mark.parametrize(("C", "N"), SIZES)
@pytest.mark.parametrize("k", [0, 1, 2])
def test_growth_is_exact_to_rounding_over_the_whole_range(k, C, N, seed):
    t, omega0 = draw(seed, k, C, N)
    values = growth(law_of(k, C, N), jnp.asarray(t), jnp.asarray(omega0))
    assert relative_errors(values, ExactLaw(2 - k, C), t, omega0, C, N).max() <= TOLERANCE


@pytest.mark.parametrize("k", [-4.0, -1.0, -0.7, 0.5, 1.0, 1.3, 1.9, 1.99])
def test_growth_for_real_k_is_exact_to_rounding_over_the_whole_range(k, seed):
    t, omega0 = draw(seed, k)
    values = growth(law_of(k), jnp.asarray(t), jnp.asarray(omega0))
    exact = ExactLaw(2.0 - k, C)  # as float64 rounds it: omega^(2-k) makes hundreds of roundings of one in the exponent
    assert relative_errors(values, exact, t, omega0, C, N).max() <= TOLERANCE


@pytest.mark.parametrize("k", [0, 1])
def test_a_law_with_a_wrong_constant_is_seen(k, seed):
    t, omega0 = draw(seed, k)
    values = growth(law_of(k), jnp.asarray(t), jnp.asarray(omega0))
    wrong = ExactLaw(2 - k, C, wrong=2)  # planted: c2 twice too large
    assert relative_errors(values, wrong, t, omega0, C, N).max() > 1e12 * TOLERANCE


@pytest.mark.parametrize("k", EXPONENTS)
def test_forward_is_the_left_hand_side_with_its_constant(k):
    exact, tiny = ExactLaw(2.0 - k, C), mpf(10) ** -100
    values = 10 ** np.linspace(-60, 50, COUNT)
    for value, F in zip(values.tolist(), forward(law_of(k), jnp.asarray(values)).tolist(), strict=True):
        integral = exact.integral(tiny**2 / C, mpmath.log(value / tiny))
        expected = C * C * N * (mpmath.log(tiny) + integral)  # F - C^2 N log omega -> 0 as omega -> 0
        error = abs(F - expected) / max(abs(expected), C * C * N)
        assert error <= 4 * EPS * (1 + (2 - k) * mpmath.log1p(value**2 / C))  # a power w^m costs m log w roundings


def test_the_constants_are_those_of_equation_9():
    assert Law(0, C, N).constants == Constants(C**2 * N, C * N, N / 4)  # Proposition 2
    assert Law(1, C, N).constants == Constants(C**2 * N, C * N / 2, 0.0)
    assert Law(2, C, N).constants == Constants(C**2 * N, 0.0, 0.0)


@pytest.mark.parametrize("k", EXPONENTS)
def test_forward_and_rate_belong_together(k):
    law, values = law_of(k), 10 ** jnp.linspace(-20.0, 20.0, COUNT)
    slope = jax.jit(jax.vmap(jax.grad(law.forward)))(values)
    np.testing.assert_allclose(slope * rate(law, values), 1, rtol=1e-12)
    by_hand = values / (C + values**2) ** 2 * (1 + values**2 / C) ** float(k) / N
    np.testing.assert_allclose(rate(law, values), by_hand, rtol=1e-12)


def moderate(seed):
    """Times and starts for which F does not swallow t."""
    rng = np.random.default_rng(seed)
    return jnp.asarray(10 ** rng.uniform(0, 4, COUNT)), jnp.asarray(10 ** rng.uniform(-1, 1, COUNT))


@pytest.mark.parametrize("k", EXPONENTS)
def test_omega_inverts_forward(k, seed):
    (t, omega0), law = moderate(seed), law_of(k)
    difference = forward(law, omega(law, t, omega0)) - forward(law, omega0)
    scale = jnp.abs(forward(law, omega0)) + t
    np.testing.assert_allclose(difference / scale, t / scale, rtol=0, atol=1e-13)


@pytest.mark.parametrize("k", EXPONENTS)
def test_elapsed_is_the_difference_of_forward_and_the_inverse_of_growth(k, seed):
    law, rng = law_of(k), np.random.default_rng(seed)
    omega0, y = jnp.asarray(10 ** rng.uniform(-1, 1, COUNT)), jnp.asarray(rng.uniform(0, 3, COUNT))
    difference = forward(law, omega0 * jnp.exp(y)) - forward(law, omega0)
    np.testing.assert_allclose(elapsed(law, omega0, y), difference, rtol=1e-12, atol=1e-12 * C**2 * N)
    np.testing.assert_allclose(growth(law, elapsed(law, omega0, y), omega0), y, rtol=1e-13, atol=1e-14)
    large, little = 1e6 * omega0, full(1e-13)  # where the difference cancels
    np.testing.assert_allclose(elapsed(law, large, little), little * large / rate(law, large), rtol=1e-12)


@pytest.mark.parametrize("k", EXPONENTS)
def test_two_legs_make_one_journey(k, seed):
    (t, omega0), law = moderate(seed), law_of(k)
    first = growth(law, t, omega0)
    second = growth(law, t[::-1], omega0 * jnp.exp(first))
    np.testing.assert_allclose(first + second, growth(law, t + t[::-1], omega0), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("k", EXPONENTS)
def test_omega_solves_the_differential_equation(k, seed):
    (t, omega0), law = moderate(seed), law_of(k)
    value, by_t, _ = omega_slopes(law, t.at[0].set(0.0), omega0)
    np.testing.assert_allclose(by_t, rate(law, value), rtol=1e-11)
    wrong = rate(law_of(k - 0.1), value)  # planted: another exponent
    assert jnp.abs(by_t / wrong - 1).max() > 1e-2


@pytest.mark.parametrize("k", EXPONENTS)
def test_the_derivative_in_the_start_is_the_ratio_of_rates(k, seed):
    (t, omega0), law = moderate(seed), law_of(k)
    value, _, by_start = omega_slopes(law, t, omega0)
    np.testing.assert_allclose(by_start, rate(law, value) / rate(law, omega0), rtol=1e-11)
    h = 1e-5 * omega0  # relative errors of the difference: h^2 = 1e-10, and eps/h = 1e-11
    difference = (omega(law, t, omega0 + h) - omega(law, t, omega0 - h)) / (2 * h)
    np.testing.assert_allclose(by_start, difference, rtol=1e-7)


def test_the_derivative_in_k_is_its_finite_difference(seed):
    (t, omega0), h = moderate(seed), 1e-5
    for k in (0.0, 0.5, 1.0, 1.9, -0.7):
        difference = (growth(law_of(k + h), t, omega0) - growth(law_of(k - h), t, omega0)) / (2 * h)
        np.testing.assert_allclose(growth_slope_in_k(k, t, omega0), difference, rtol=1e-7, atol=1e-9)
        assert jnp.abs(difference).max() > 1e-2


@pytest.mark.parametrize("k", [0, 2, 0.5])
def test_second_derivatives_are_finite_and_those_of_the_rate(k):
    (t, omega0), law = moderate(0), law_of(k)
    t = t.at[0].set(0.0)
    (by_tt, by_tw), (by_wt, by_ww) = omega_hessian(law, t, omega0)
    value = omega(law, t, omega0)
    acceleration = jax.vmap(jax.grad(law.rate))(value) * rate(law, value)
    np.testing.assert_allclose(by_tt, acceleration, rtol=1e-9)
    np.testing.assert_allclose(by_tw, by_wt, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(by_tw, acceleration / rate(law, omega0), rtol=1e-9)
    assert np.isfinite(by_ww).all()


@pytest.mark.parametrize("k", [0, 0.5])
def test_plain_compiled_and_mapped_calls_agree(k):
    (t, omega0), law = moderate(0), law_of(k)
    once = growth(law, t, omega0)
    outer = law.growth(t[:, None], omega0[None, :])  # plain, and broadcast
    np.testing.assert_allclose(jnp.diag(outer), once, rtol=4 * EPS)
    np.testing.assert_allclose(jax.jit(jax.vmap(law.growth))(t, omega0), once, rtol=4 * EPS)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_the_branch_for_real_k_contains_the_polynomials(k, seed):
    polynomial, real = law_of(k), law_of(float(k))
    t, omega0 = (jnp.asarray(drawn) for drawn in draw(seed, k))
    one, other = growth(polynomial, t, omega0), growth(real, t, omega0)
    np.testing.assert_allclose((other - one) / jnp.maximum(one, 1), 0, rtol=0, atol=2 * TOLERANCE)
    values = 10 ** jnp.linspace(-3.0, 5.0, COUNT)
    np.testing.assert_allclose(rate(real, values), rate(polynomial, values), rtol=1e-13)
    np.testing.assert_allclose(forward(real, values), forward(polynomial, values), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("k", [0, 1, 0.5, 1.5, -0.7])
def test_every_omega_approaches_the_asymptote(k):
    law, starts = law_of(k), 10 ** jnp.linspace(-1.0, 1.0, COUNT)
    early, late = full(1e20), full(1e22)
    first, last = omega(law, early, starts), omega(law, late, starts)
    corrections = [C / jnp.min(w) ** 2 + jnp.log(w) * C**2 * N / t for w, t in ((first, early), (last, late))]
    for w, t, correction in zip((first, last), (early, late), corrections, strict=True):
        assert jnp.all(jnp.abs(w / law.asymptote(t) - 1) <= 2 * correction + 1e-14)  # the next terms of F_k
    slope = jnp.log(last / first) / jnp.log(100.0)
    np.testing.assert_allclose(slope, law.exponent, rtol=0, atol=float(jnp.max(corrections[0])) + 1e-14)
    assert float(law.exponent) == pytest.approx(1 / (4 - 2 * k))
    assert jnp.max(last) / jnp.min(last) - 1 < 1e-8 < jnp.max(starts) / jnp.min(starts) - 1


def test_at_k_2_growth_is_exponential_and_ratios_stay_for_ever():
    starts, t = 10 ** jnp.linspace(-1.0, 1.0, COUNT), full(5.0 * C**2 * N)
    np.testing.assert_allclose(omega(law_of(2), t, starts), starts * np.exp(5.0), rtol=1e-14)


@pytest.mark.parametrize("k", EXPONENTS)
def test_all_laws_coincide_while_omega_squared_is_far_below_C(k):
    y = growth(law_of(k), full(100.0), full(1e-6))
    np.testing.assert_allclose(y, 100.0 / (C**2 * N), rtol=1e-10)


@pytest.mark.parametrize("k", [0, 1, 2])
@pytest.mark.parametrize("t", [1e-3, 1e4, 1e16, 1e24])
def test_the_derivative_of_omega_in_its_start_is_the_ratio_of_rates_however_large_the_growth(k, t):
    law, omega0 = Law(k, 4, 12), jnp.asarray(1.0)
    t = min(t, 1e5) if k == 2 else t
    expected = law.rate(law.omega(t, omega0)) / law.rate(omega0)  # omega runs along one orbit
    derivative = jax.grad(law.omega, argnums=1)(t, omega0)
    np.testing.assert_allclose(derivative, expected, rtol=1e-12, atol=0)  # log(growth) times rounding
