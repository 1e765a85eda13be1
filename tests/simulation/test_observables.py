"""The omega of class means, against the general definition; what all levels observe is in test_solve.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path import flows
from central_path.cli import inputs
from central_path.simulation import aligned, observables
from central_path.theory import loss, problem

C, N, P = 4, 6, 8


def omega_of(B, flow, R):
    """Of several class means at once, as an ensemble observes them."""
    observe = jax.vmap(lambda B: observables.OBSERVE["means"](B, flow, R)["omega"])
    return np.asarray(jax.jit(observe)(B))


def started(X, flow, level):
    """`aligned.start`, compiled as one program."""
    return jax.jit(lambda X: aligned.start(X, flow, level))(jnp.asarray(X))


def renormalized_features(seed):
    """Renormalized random features."""
    return inputs.random_start(C, N, P, "features", seed=seed).start().X


@pytest.mark.parametrize("flow", flows.FLOWS.values(), ids=list(flows.FLOWS))
def test_omega_of_means_is_that_of_their_snr_matrix(flow):
    begun = [inputs.random_start(C, N, P, "means", seed=seed).start() for seed in range(3)]
    for one in begun:
        B, R = started(one.X, flow, "means")
        M = flow.start(jnp.asarray(one.X), "means")
        expected = problem.snr_singular_values(M, flow.within_covariance_of_means(M), problem.equal_priors(C))
        np.testing.assert_allclose(omega_of(B[None], flow, R)[0], expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("flow", flows.FLOWS.values(), ids=list(flows.FLOWS))
def test_what_the_spectrum_observes_is_what_features_observe_by_definition(flow, seed):
    state, R = started(renormalized_features(seed), flow, "features")
    of_features = jax.jit(lambda state: observables.of_features(state, flow, R))(state)
    M, Sigma_W = np.asarray(state.B @ R.T), np.cov(np.asarray(state.E).reshape(P, C * N), bias=True)
    by_definition = np.trace(M @ M.T @ np.linalg.inv(Sigma_W)) / C  # sum of omega_j^2/C
    of_spectrum = observables.of_spectrum(of_features["omega"])
    assert float(jnp.sum(of_spectrum["omega"] ** 2)) == pytest.approx(C * by_definition, rel=1e-10)
    for name, value in of_spectrum.items():
        np.testing.assert_allclose(value, of_features[name], rtol=1e-10, err_msg=name)
    of_moments = np.trace(np.linalg.pinv(M @ M.T, rcond=1e-10) @ Sigma_W)  # tr(Sigma_W Sigma_B^+)/C
    assert float(of_spectrum["nc1"]) == pytest.approx(of_moments, rel=1e-9)


@pytest.mark.parametrize("name", ["renormalized", "riemannian"])
def test_omega_of_means_in_any_coordinates_and_of_any_spread_is_that_of_their_snr_matrix(name, seed):
    """Means off the diagonal need a singular value decomposition; diagonal ones keep a small omega's own accuracy."""
    flow = flows.FLOWS[name]
    B, R = started(inputs.random_start(C, N, P, "means", seed=seed).start().X, flow, "means")
    K = B.shape[0]
    turned = B + 0.3 * np.random.default_rng(seed).standard_normal((K, K))
    observe = jax.jit(lambda B: observables.of_means(B, flow, R))
    found = observe(turned)
    m = problem.Moments(turned @ R[:, : C - 1].T, jnp.eye(K), problem.equal_priors(C))
    np.testing.assert_allclose(found["omega"], problem.snr_singular_values(*m), rtol=1e-12)
    assert float(found["nc1"]) == pytest.approx(float(jnp.sum(found["omega"] ** -2)), rel=1e-10)
    W, _ = loss.central_path_classifier(m.M, m.Sigma_W)
    dual = np.sum((np.asarray(W.T) / np.linalg.norm(W) - np.asarray(m.Mbar) / np.linalg.norm(m.Mbar)) ** 2)
    assert float(found["self_duality"]) == pytest.approx(dual, rel=1e-10)
    spread = np.array([1e6, 1.0, 1e-6])
    rounded = np.eye(K) + np.finfo(float).eps * np.random.default_rng(seed).uniform(-1, 1, (K, K))
    nearly = jnp.asarray(np.sqrt(np.outer(spread, spread)) * rounded)
    np.testing.assert_allclose(observe(nearly)["omega"], spread, rtol=1e-15 * K)


def test_means_without_an_omega_have_nan_and_leave_the_others_alone():
    on_manifold, on_sphere = flows.FLOWS["riemannian"], flows.FLOWS["unnormalized"]
    B, R = started(inputs.random_start(C, N, P, "means", seed=0).start().X, on_manifold, "means")
    bad = jnp.stack([B, jnp.full_like(B, jnp.inf), jnp.where(jnp.arange(C - 1) == 1, jnp.nan, B)])
    found = omega_of(bad, on_manifold, R)
    np.testing.assert_array_equal(found[0], omega_of(B[None], on_manifold, R)[0])
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1:]).all()
    beyond = B * 1.1 * np.sqrt(C) / found[0, 0]  # s > C^(1/2): off the sphere that the unnormalized flow keeps
    assert np.isnan(omega_of(beyond[None], on_sphere, R)).any()


@pytest.mark.parametrize("flow", flows.FLOWS.values(), ids=list(flows.FLOWS))
def test_drift_and_mismatch_of_features_are_their_definitions_off_the_manifold_too(flow, seed):
    X = renormalized_features(seed)
    state, R = aligned.start(jnp.asarray(X), flow, "features")
    A = jnp.asarray(np.random.default_rng(seed).standard_normal((P, P)))  # for isotropic Sigma_W the two rules agree
    state = flows.Features(0.5 * state.B, jnp.tensordot(A, state.E, axes=1))
    found = jax.jit(observables.of_features)(state, flow, R)
    H = np.asarray(state.B @ R.T)[:, :, None] + np.asarray(state.E)
    M = H.mean(axis=2)
    m = problem.moments(jnp.asarray(H))
    drift = np.abs(np.asarray(flow.conserved(m)) - np.eye(P)).max()
    assert float(found["drift"]) == pytest.approx(drift, rel=1e-12)
    W, b = (np.asarray(part) for part in loss.central_path_classifier(m.M, m.Sigma_W))
    rows = [H[:, c, i] for c in range(C) for i in range(N)]
    apart = [np.argmax(W @ h + b) != np.argmin(np.linalg.norm(h[:, None] - M, axis=0)) for h in rows]
    assert 0 < np.mean(apart) < 1
    assert float(found["ncc_mismatch"]) == pytest.approx(np.mean(apart))
