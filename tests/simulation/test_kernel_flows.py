"""Flows of features with a kernel follow its laws from full features, conserve what they should, and have horizons."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path import flows
from central_path.simulation import descent, solve
from central_path.theory import manifold, problem
from central_path.theory.kernel_laws import KernelLaw

C, N, P, SAVES = 4, 8, 6, 12
KERNELS = (0.0, 0.05, 0.3, 1.5)
TOLERANCE = 1e-10


@partial(jax.jit, static_argnames=("level", "N"))
def integrate(X, index, kernel, clock, **options):
    return solve.solve(X, flows.OneOf(index, kernel), clock, **options)


@pytest.fixture(scope="module")
def X():
    return manifold.random_point(C, N, P, seed=2)


@pytest.fixture(scope="module")
def omega0(X):
    return np.asarray(flows.FLOWS["riemannian"].start(X, "spectrum"))


@pytest.mark.parametrize("level", flows.LEVELS)
@pytest.mark.parametrize("b", [0.0, 0.3, *(pytest.param(b, marks=pytest.mark.slow) for b in (0.05, 1.5))])
def test_every_level_follows_the_law_of_its_kernel_and_no_other(level, b, X, omega0):
    for name in flows.FLOWS:
        flow = flows.with_kernel(name, b)
        law = flow.law(C, N)
        chosen = flow.horizon(omega0, float(law.elapsed(omega0[0], np.log(30.0))), C=C, N=N)
        clock = solve.Clock(*map(jnp.asarray, chosen))
        arguments = {"N": N, "ts": jnp.asarray(chosen.times(SAVES)), "rtol": TOLERANCE, "atol": TOLERANCE}
        found = integrate(X, flows.index_of(name), jnp.asarray(b), clock, level=level, **arguments)

        def error(law, found=found):
            expected = np.log(omega0)[None, :] + np.asarray(law.growth(np.asarray(found.ts)[:, None], omega0[None, :]))
            return np.max(np.abs(np.log(found.ys["omega"]) - expected))

        assert error(law) < 1e-7, name
        if name != "riemannian":  # whose law no kernel changes
            r = {"renormalized": 1, "unnormalized": 2}[name]
            assert error(KernelLaw(b + 0.05, r, C, N)) > 1e-2  # planted: another kernel
        if level == "features":
            assert np.max(found.ys["drift"]) < 1e-8


@pytest.mark.parametrize("b", KERNELS)
@pytest.mark.parametrize("name", flows.FLOWS)
def test_the_default_horizon_ends_where_the_law_says(name, b):
    omega0 = np.array([7.0, 2.0, 0.3])
    flow = flows.with_kernel(name, b)
    law = flow.law(C, N)
    end = omega0 * np.exp(np.asarray(law.growth(flow.horizon(omega0, C=C, N=N).t_max, omega0)))
    if law.is_power_law:
        assert end[0] / end[-1] == pytest.approx(1.0099, rel=1e-6)
    else:
        assert min(end / omega0) == pytest.approx(10) or max(end) == pytest.approx(2e4)
        assert max(end) < 2e4 * (1 + 1e-9)
    times = flow.horizon(omega0, C=C, N=N).times(20)
    assert np.all(np.diff(times) > 0)


def test_the_starts_conserve_their_covariance(X, omega0):
    for b in KERNELS:
        flow = flows.with_kernel("unnormalized", b)
        Y = flow.start(X, "features")
        m = problem.moments(Y)
        np.testing.assert_allclose(m.Sigma_W + b * m.Sigma_B, np.eye(P), atol=1e-12)
        np.testing.assert_allclose(problem.snr_singular_values(m.M, m.Sigma_W, m.pi), omega0, rtol=1e-10)
        _, change = jax.jvp(lambda Y, flow=flow: flow.conserved(problem.moments(Y)), (Y,), (flow.features_field(Y),))
        assert np.max(np.abs(change)) < 1e-14


@partial(jax.jit, static_argnames="steps")
def descend(X, eta, b, *, steps):
    def omega(X):
        m = problem.moments(X)
        return {"omega": problem.snr_singular_values(m.M, m.Sigma_W, m.pi)}

    return descent.descend(X, descent.sgd_of_kernel(eta, b), steps=steps, every=steps, observe=omega)


@pytest.mark.parametrize("b", [0.0, 0.4])
def test_descent_with_renormalization_converges_to_the_law_with_order_1(b, X, omega0):
    T = 0.5 * C**2 * N
    expected = np.asarray(flows.with_kernel("renormalized", b).law(C, N).growth(T, omega0))
    errors = []
    for steps in (40, 80, 160):
        found = descend(X, T / steps, b, steps=steps).ys["omega"][-1]
        errors.append(np.max(np.abs(np.log(found / omega0) - expected)))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", flows.FLOWS)
def test_a_kernel_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match="Need a kernel 0 <= b <= 1000"):
        flows.with_kernel(name, -0.5)
