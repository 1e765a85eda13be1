import jax, jax.numpy as jnp, numpy as np, pytest
from central_path import experiment as ex, flows, laws, loss, manifold, observables, problem, collapse


@pytest.mark.parametrize("level", flows.LEVELS)
@pytest.mark.parametrize("name", flows.FLOWS)
def test_run(level, name):
    H = problem.random_features(4, 12, 7, seed=0)
    b = ex.renormalize(H, eps=2e-16)
    r = ex.run_flow(name, b, level=level, t_max=None, saves=50, rtol=1e-10, atol=1e-10)
    assert r.agrees(1e-7), r


def test_all():
    H = jnp.asarray(problem.random_features(4, 12, 7, seed=0))
    m = problem.moments(H)
    f, y = problem.samples(H)
    m2 = problem.moments_of_samples(f, y, C=4)
    for lam in (0.0, 0.1):
        W, b = loss.least_squares(m, lam=lam)
        W = W + 0.1
        d = loss.decompose(W, b, m2, lam=lam)
        np.testing.assert_allclose(d.total, loss.mse_loss(W, b, f, y, lam=lam), rtol=1e-12)
    problem.snr(m)
    collapse.nc1(m)
    for k in (0, 1, 2, 0.5, 1.3):
        L = laws.Law(k, 4, 12)
        w = jnp.array([0.1, 3.0, 50.0])
        L.forward(w)
        L.omega(jnp.array([1.0, 2.0, 3.0]), w)
        L.elapsed(w, jnp.ones(3))
        L.rate(w)
        jax.grad(lambda t: L.omega(t, 1.0))(3.0)
        jax.jit(jax.vmap(lambda t, w: L.omega(t, w)))(jnp.ones(3), w)
    g = jax.grad(lambda k: laws.Law(k, 4, 12).omega(1e4, 1.0))(0.5)
    h = 1e-5
    np.testing.assert_allclose(
        g, (laws.Law(0.5 + h, 4, 12).omega(1e4, 1.0) - laws.Law(0.5 - h, 4, 12).omega(1e4, 1.0)) / (2 * h), rtol=1e-7
    )
