"""The aligned coordinates hold all of the features, their field is that of the features, and errors are omega's."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path import flows
from central_path.simulation import aligned, observables
from central_path.theory import manifold, problem

C, N, P = 4, 6, 5
ROUNDING = 1e-12
FLOWS = pytest.mark.parametrize("flow", flows.FLOWS.values(), ids=list(flows.FLOWS))
ON_MANIFOLD, PLAIN = flows.FLOWS["riemannian"], flows.FLOWS["unnormalized"]
TOLERANCE = 1e-10

start = jax.jit(aligned.start, static_argnames="level")
features_field = jax.jit(aligned.features_field)
relative_error = jax.jit(aligned.relative_error, static_argnames="level")
own_field = eqx.filter_jit(lambda flow, X: flow.features_field(X))
observe = {level: jax.jit(of) for level, of in observables.OBSERVE.items()}


@jax.jit
def directions(X):
    return jnp.linalg.svd(problem.class_means(X) @ problem.contrasts(C))[0]


def to_aligned(X, U, R):
    return flows.Features(U.T @ problem.class_means(X) @ R, jnp.tensordot(U.T, problem.deviations(X), axes=1))


def from_aligned(state, U, R):
    return jnp.tensordot(U, (state.B @ R.T)[:, :, None] + state.E, axes=1)


def off_the_manifold(seed):
    A = np.eye(P) + 0.3 * np.random.default_rng(seed).standard_normal((P, P))
    return jnp.einsum("pq,qci->pci", A, manifold.random_point(C, N, P, seed=seed)) + 0.5


def test_the_start_is_all_of_the_features_in_orthonormal_coordinates(seed):
    X = manifold.random_point(C, N, P, seed=seed)
    U = directions(X)
    state, R = start(X, ON_MANIFOLD, "features")
    np.testing.assert_allclose(R.T @ R, np.eye(C), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(from_aligned(state, U, R), X, rtol=0, atol=ROUNDING)
    omega = np.linalg.svd(np.asarray(problem.class_means(X)), compute_uv=False)[: C - 1]
    np.testing.assert_allclose(state.B[: C - 1, : C - 1], np.diag(omega), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(start(X, ON_MANIFOLD, "means")[0], state.B[: C - 1, : C - 1], rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(
        start(problem.class_means(X), ON_MANIFOLD, "means")[0], np.diag(omega), rtol=0, atol=ROUNDING
    )


def test_the_plain_flow_starts_from_identity_total_covariance_with_the_same_omega(seed):
    X = manifold.random_point(C, N, P, seed=seed)
    state, R = start(X, PLAIN, "features")
    total = problem.covariance(state.E) + state.B @ state.B.T / C
    np.testing.assert_allclose(total, np.eye(P), rtol=0, atol=ROUNDING)
    omega = observe["features"](start(X, ON_MANIFOLD, "features")[0], ON_MANIFOLD, R)["omega"]
    np.testing.assert_allclose(observe["features"](state, PLAIN, R)["omega"], omega, rtol=1e-11)
    means = observe["means"](start(X, PLAIN, "means")[0], PLAIN, R)
    np.testing.assert_allclose(means["omega"], omega, rtol=1e-11)


@FLOWS
@pytest.mark.parametrize("place", ["on", "off"])
def test_the_field_is_that_of_the_features(flow, place, seed):
    X = manifold.random_point(C, N, P, seed=seed) if place == "on" else off_the_manifold(seed)
    other = manifold.random_point(C, N, P, seed=seed + 100)  # the coordinates need not be of X itself
    for U, R in (
        (directions(X), start(X, ON_MANIFOLD, "features")[1]),
        (directions(other), start(other, ON_MANIFOLD, "features")[1]),
    ):
        found = from_aligned(features_field(to_aligned(X, U, R), flow), U, R)
        np.testing.assert_allclose(found, own_field(flow, X), rtol=0, atol=ROUNDING)
        for wrong in set(flows.FLOWS.values()) - {flow}:  # planted: the fields of the other flows
            assert np.abs(found - own_field(wrong, X)).max() > 1e-4


@FLOWS
@pytest.mark.parametrize("level", flows.LEVELS)
def test_a_step_that_is_kept_moves_no_omega_by_more_than_its_tolerance(level, flow, seed):
    """Random errors of the size that the measure allows, and a measure that allows too much."""
    X = manifold.random_point(C, N, P, seed=seed)
    SNR = np.asarray(problem.class_means(X))
    U, omega, Vt = np.linalg.svd(SNR, full_matrices=False)
    spread = omega * np.array([1e3, 1, 1e-3, 0])
    X = X + jnp.asarray((U * (spread - omega)[None, :]) @ Vt)[:, :, None]
    state, R = start(X, flow, level)
    rng = np.random.default_rng(seed)
    error = jax.tree.map(lambda x: jnp.asarray(rng.standard_normal(x.shape)) * jnp.maximum(jnp.abs(x), 1e-7), state)
    size = 1e-6
    allowed = float(relative_error(state, error, flow, size, 0.0, level=level))
    moved = jax.tree.map(lambda x, dx: x + dx / allowed, state, error)

    def measured(state):
        return np.asarray(observe[level](state, flow, R)["omega"])

    change = np.abs(measured(moved) / measured(state) - 1).max()
    assert change < 2.5 * size  # of B, and of E, in the same direction at most
    far = jax.tree.map(lambda x, dx: x + 1e3 * dx / allowed, state, error)  # planted: a measure 1000 times too small
    assert not np.abs(measured(far) / measured(state) - 1).max() < 2.5 * size


def test_atol_is_of_omega_of_order_1_and_of_nothing_smaller():
    omega = jnp.array([100.0, 1.0, 1e-3])
    for j, expected in enumerate((1e-8, 1e-10, 1e-13)):
        error = jnp.zeros(3).at[j].set(expected)
        found = float(relative_error(omega, error, ON_MANIFOLD, 1e-10, 0.0, level="spectrum"))
        assert found == pytest.approx(1, rel=1e-5)
        found = float(relative_error(omega, error, ON_MANIFOLD, 0.0, 1e-10, level="spectrum"))
        assert found == pytest.approx(100 if j == 0 else 1, rel=1e-2)


def test_the_units_of_a_step_are_those_of_the_page():
    """One entry in error at a time, at the levels that hold means: B in units of s, E in units of e."""
    omega = np.array([100.0, 1.0, 1e-3])
    entries = np.array([[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]])
    s = np.maximum(omega[entries[0]], omega[entries[1]])
    rtol, atol = 3e-7, 5e-8  # far above rounding
    of_B = rtol * s + atol * np.minimum(s, 1)
    for (i, j), unit in zip(entries.T, of_B, strict=True):
        error = jnp.zeros((3, 3)).at[i, j].set(unit)
        found = float(relative_error(jnp.diag(omega), error, ON_MANIFOLD, rtol, atol, level="means"))
        assert found == pytest.approx(1, rel=1e-5), (i, j)
    e = np.array([0.005, 0.5, 3.0])  # b = omega e on both sides of 1
    E = e[:, None, None] * np.ones((3, C, N)) * np.where(np.arange(N) % 2, 1, -1)
    B = np.column_stack([np.diag(omega * e), np.zeros(3)])
    state = flows.Features(jnp.asarray(B), jnp.asarray(E))
    for i in range(3):
        unit = e[i] * (rtol + atol * min(1, 1 / omega[i]))
        error = flows.Features(jnp.zeros((3, C)), jnp.zeros((3, C, N)).at[i].set(unit))
        found = float(relative_error(state, error, PLAIN, rtol, atol, level="features"))
        assert found == pytest.approx(1, rel=1e-5), i
