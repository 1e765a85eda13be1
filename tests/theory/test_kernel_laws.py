"""The laws of a kernel against many digits, against the laws that they join, and what they refuse."""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mpf

from central_path.theory.kernel_laws import KernelLaw, check_kernel, law_of_kernel
from central_path.theory.laws import Law

EPS = np.finfo(float).eps
C, N = 6, 9
COUNT = 60
BOTH = pytest.mark.parametrize("r", [1, 2])


def compiled(name):
    """A method of laws with kernels b (n,), for arguments (n,)."""

    def call(b, r, *args):
        return jax.vmap(lambda b, *args: getattr(KernelLaw(b, r, C, N), name)(*args))(jnp.asarray(b), *args)

    return eqx.filter_jit(call)


growth, forward, elapsed, rate = map(compiled, ("growth", "forward", "elapsed", "rate"))


@pytest.fixture(autouse=True)
def many_digits():
    with mpmath.workdps(120):
        yield


def exact_forward(omega, b, r):
    """The left-hand side over C^2 N, as it is usually written; the limit at b = 0."""
    omega, b = mpf(omega), mpf(b)
    x = omega**2 / C
    if b == 0:
        return mpmath.log(omega) + x + x**2 / 4
    if r == 2:
        log_part = (1 - b**2) / (2 * b**2) * mpmath.log1p(b * x)
        return mpmath.log(omega) + log_part - (1 - b) ** 2 / (2 * b**2) * b * x / (1 + b * x)
    return mpmath.log(omega) + (x / b - (1 - b) ** 2 / b**2 * mpmath.log1p(b * x)) / 2


def exact_growth(T, omega0, b, r, guess):
    y = mpf(guess)
    for _ in range(60):
        omega = mpf(omega0) * mpmath.exp(y)
        x = omega**2 / C
        slope = (1 + x) ** 2 / (1 + mpf(b) * x) ** r
        step = (exact_forward(omega, b, r) - exact_forward(omega0, b, r) - T) / slope
        y -= step
        if abs(step) < mpf(10) ** -22 * max(y, 1):
            return y
    raise AssertionError("no convergence")


def draw(seed):
    """Kernels, times and starts: where growth begins and passes over, and at the ends of the documented range."""
    rng = np.random.default_rng(seed)
    known = np.array([0, 1e-14, 1e-8, 1e-3, 0.05, 0.5, 0.999, 1, 1.001, 1.7, 2, 30, 1000])
    b = np.where(rng.random(COUNT) < 0.5, rng.choice(known, COUNT), 10 ** rng.uniform(-10, 3, COUNT))
    wide = np.arange(COUNT) % 3 == 0
    omega0 = 10 ** np.where(wide, rng.uniform(-100, 70, COUNT), rng.uniform(-4, 5, COUNT))
    T = 10 ** np.where(wide, rng.uniform(-20, 270, COUNT), rng.uniform(-6, 9, COUNT))
    return b, omega0, T


@BOTH
def test_the_growth_is_accurate_to_8_machine_epsilons_for_every_kernel(r, seed):
    b, omega0, T = draw(seed)
    found = np.asarray(growth(b, r, T * (C * C * N), omega0))
    assert np.isfinite(found).all()
    for i in range(COUNT):
        exact = exact_growth(mpf(T[i] * (C * C * N)) / (C * C * N), omega0[i], b[i], r, found[i])
        assert abs(found[i] - exact) <= 8 * EPS * max(exact, 1), (b[i], omega0[i], T[i])
    found = float(KernelLaw(0.3, r, C, N).growth(50.0 * C * C * N, 3.0))
    assert abs(found - exact_growth(mpf(50), 3.0, 0.3 * (1 + 1e-12), r, found)) > 8 * EPS * found  # planted


@BOTH
def test_forward_and_elapsed_are_the_law(r, seed):
    b, omega0, _ = draw(seed)
    b, omega0 = np.minimum(b, 2), np.clip(omega0, 1e-100, 1e70)
    y = 10 ** np.random.default_rng(seed).uniform(-8, 1.5, COUNT)
    F, t = np.asarray(forward(b, r, omega0)), np.asarray(elapsed(b, r, omega0, y))
    for i in range(COUNT):
        exact = C * C * N * exact_forward(omega0[i], b[i], r)
        scale = (1 + 2 * np.log1p(omega0[i] ** 2 / C)) * max(abs(exact), C * C * N)
        assert abs(F[i] - exact) <= 16 * max(1, b[i]) ** 2 * EPS * scale
        end = mpf(omega0[i]) * mpmath.exp(mpf(y[i]))
        exact = C * C * N * (exact_forward(end, b[i], r) - exact_forward(omega0[i], b[i], r))
        log_end = 2 * (np.log(omega0[i]) + y[i]) - np.log(C)
        assert abs(t[i] - exact) <= 8 * EPS * (1 + 2 * np.logaddexp(0, log_end)) * exact


@BOTH
def test_the_rate_is_the_inverse_slope_of_forward(r, seed):
    b, omega0, _ = draw(seed)
    omega = np.clip(omega0, 1e-3, 1e3)
    b = np.minimum(b, 3)
    slope = jax.grad(lambda w: jnp.sum(forward(b, r, w)))(jnp.asarray(omega))
    np.testing.assert_allclose(np.asarray(rate(b, r, omega)) * slope, 1, rtol=1e-9)


@BOTH
def test_the_ends_of_the_family_are_proposition_2_and_the_free_flow(r):
    omega0, t = np.array([0.1, 1.0, 30.0]), np.array([3.0, 3e3, 3e7])
    for b, k in ((0.0, 0), (1.0, r)):
        np.testing.assert_allclose(KernelLaw(b, r, C, N).growth(t, omega0), Law(k, C, N).growth(t, omega0), rtol=1e-14)
        assert isinstance(law_of_kernel(r, b, C, N), Law)
        assert law_of_kernel(r, b, C, N).k == k
    assert isinstance(law_of_kernel(r, 0.5, C, N), KernelLaw)


@BOTH
def test_the_growth_is_differentiable_in_the_kernel_the_time_and_the_start(r):
    def of(b, t, w):
        return KernelLaw(b, r, C, N).growth(t, w)

    for b in (0.0, 1e-3, 0.4, 1.0, 1.6):
        at = np.array([b, 4e3, 1.3])
        slopes = np.array(jax.grad(of, argnums=(0, 1, 2))(*map(jnp.asarray, at)))
        steps = np.diag([1e-6, 1e-3, 1e-6])
        ahead = np.array([of(*map(jnp.asarray, at + h)) for h in steps])
        behind = np.array([of(*map(jnp.asarray, at - h)) for h in (steps if b else steps * [[0], [1], [1]])])
        width = np.diag(steps) * np.array([2 if b else 1, 2, 2])
        np.testing.assert_allclose((ahead - behind) / width, slopes, rtol=2e-5)


def test_growth_ends_as_a_power_of_t_or_with_a_limit_of_the_ratios():
    late = 1e14 * C * C * N
    for law in (KernelLaw(0.3, 1, C, N), KernelLaw(0.0, 2, C, N)):
        assert law.is_power_law
        found = np.log(0.7) + float(law.growth(late, 0.7))
        assert found == pytest.approx(float(np.log(law.asymptote(late))), abs=1e-5)
        assert float(law.limiting_log_ratio(3.0, 0.7)) == 0
    law = KernelLaw(0.3, 2, C, N)
    t = np.array([1e4, 2e4]) * C * C * N
    y = np.asarray(law.growth(t[:, None], np.array([[3.0, 0.7]])))
    assert (y[1] - y[0]) / (t[1] - t[0]) == pytest.approx(0.3**2 / (C * C * N), rel=1e-9)  # omega ~ exp(b^2 t/(C^2 N))
    limit = float(law.limiting_log_ratio(3.0, 0.7))
    assert limit == pytest.approx(np.log(3.0 / 0.7) + y[1, 0] - y[1, 1], rel=1e-9)
    assert 0 < limit < np.log(3.0 / 0.7)
    assert float(KernelLaw(0.1, 2, C, N).limiting_log_ratio(3.0, 0.7)) < limit  # nearer to an ETF the smaller b
    with pytest.raises(ValueError, match="growth is exponential"):
        law.asymptote(1.0)


@pytest.mark.parametrize("b", [-0.1, float("nan"), float("inf"), 2e3])
def test_a_kernel_that_is_none_is_refused(b):
    with pytest.raises(ValueError, match="Need a kernel 0 <= b <= 1000"):
        KernelLaw(b, 1, C, N)
    with pytest.raises(ValueError, match="Need a kernel 0 <= b <= 1000"):
        check_kernel(b)


def test_other_exponents_and_constants_are_refused():
    with pytest.raises(ValueError, match="Need r = 1"):
        KernelLaw(0.5, 3, C, N)
    with pytest.raises(ValueError, match="Need b = 0 or 1"):
        _ = KernelLaw(0.5, 1, C, N).constants
