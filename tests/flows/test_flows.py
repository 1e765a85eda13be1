"""The vector fields of the three flows against the formulas that an SVD of the means gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path import flows
from central_path.theory import loss, manifold, problem

C, N, P = 4, 6, 5
ROUNDING = 1e-12  # hundreds of rounding errors of fields of order 1/N
FLOWS = pytest.mark.parametrize("flow", flows.FLOWS.values(), ids=list(flows.FLOWS))
RIEMANNIAN, RENORMALIZED, PLAIN = (flows.FLOWS[name] for name in ("riemannian", "renormalized", "unnormalized"))
PROJECTED = pytest.mark.parametrize("flow", [RIEMANNIAN, RENORMALIZED], ids=["riemannian", "renormalized"])

features_field = jax.jit(lambda X, flow: flow.features_field(X))
means_field = jax.jit(lambda M, flow, N: flow.means_field(M, N=N), static_argnames="N")
spectrum_field = jax.jit(lambda omega, flow, N: flow.spectrum_field(omega, N=N), static_argnames="N")
start = jax.jit(lambda X, flow, level: flow.start(X, level), static_argnames="level")
gradient = jax.jit(jax.grad(loss.central_path_loss))
project = jax.jit(manifold.projection, static_argnames="oblique")


def within(X):
    return problem.covariance(problem.deviations(X))


@jax.jit
def omega_and_velocity(X, dX):
    """omega of features X, and d omega/dt where they move by dX/dt."""
    return jax.jvp(lambda X: problem.snr_singular_values(*problem.moments(X)), (X,), (dX,))


@jax.jit
def omega_and_velocity_of_means(M, dM, flow):
    def omega(M):
        return problem.snr_singular_values(M, flow.within_covariance_of_means(M), problem.equal_priors(M.shape[1]))

    return jax.jvp(omega, (M,), (dM,))


@jax.jit
def within_velocity(X, dX):
    return jax.jvp(within, (X,), (dX,))[1]


@jax.jit
def total_velocity(X, dX):
    return jax.jvp(problem.covariance, (X,), (dX,))[1]


def renormalized(seed):
    return manifold.random_point(C, N, P, seed=seed)


def off_the_manifold(seed):
    A = np.eye(P) + 0.3 * np.random.default_rng(seed).standard_normal((P, P))
    return jnp.einsum("pq,qci->pci", A, renormalized(seed))


def state(seed, flow):
    """Features where a flow starts."""
    return start(renormalized(seed), flow, "features")


def flat(X):
    return np.asarray(X).reshape(P, C * N)


def svd_of_means(X):
    U, omega, Vt = np.linalg.svd(np.asarray(problem.class_means(X)))
    return U[:, : C - 1], omega[: C - 1], Vt[: C - 1].T


def analytic_field(X, flow):
    """dX/dt at renormalized X, of the plain flow at Sigma_T^(-1/2) X, by the formulas for the SVD of the means."""
    U, omega, V = svd_of_means(X)
    E = np.asarray(problem.deviations(X))
    g = 1 / (C + omega**2) ** 2
    if flow is RIEMANNIAN:  # the within-class part of -grad L is normal: projected away
        return np.repeat((((U * omega * g) @ V.T) / N)[:, :, None], N, axis=2)
    if flow is RENORMALIZED:  # -S X adds U diag(omega^2 g) U^T M/(CN)
        return np.repeat((((U * omega * g * (C + omega**2) / C) @ V.T) / N)[:, :, None], N, axis=2)
    root = np.sqrt(1 + omega**2 / C)  # Sigma_T^(1/2) in range(U): the gradient at A X is A^(-T) times that at X
    means = (U * root * omega * g) @ V.T / N
    return means[:, :, None] - np.einsum("pj,qj,qci->pci", U * root * omega**2 * g, U, E) / (C * N)


def test_the_gradient_at_renormalized_features_is_the_one_by_svd(seed):
    X = renormalized(seed)
    U, omega, V = svd_of_means(X)
    g = 1 / (C + omega**2) ** 2
    means = (U * omega * g) @ V.T / N
    inside = -np.einsum("pj,qj,qci->pci", U * omega**2 * g, U, problem.deviations(X)) / (C * N)
    np.testing.assert_allclose(-gradient(X), means[:, :, None] + inside, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(features_field(X, PLAIN), -gradient(X), rtol=0, atol=ROUNDING)
    assert np.abs(inside).max() > 1e-4  # so that the second part is seen


@FLOWS
def test_the_field_is_the_analytic_one(flow, seed):
    X = renormalized(seed)
    field = features_field(state(seed, flow), flow)
    expected = analytic_field(X, flow)
    np.testing.assert_allclose(field, expected, rtol=0, atol=ROUNDING)
    for other in set(flows.FLOWS.values()) - {flow}:  # planted: the fields of the other flows
        assert np.abs(analytic_field(X, other) - expected).max() > 1e-4


@FLOWS
def test_deviations_stay_in_the_projected_flows_and_shrink_in_the_plain_one(flow, seed):
    X = state(seed, flow)
    E, dE = flat(problem.deviations(X)), flat(problem.deviations(features_field(X, flow)))
    if flow is not PLAIN:
        np.testing.assert_allclose(dE, 0, rtol=0, atol=ROUNDING)
        return
    U = svd_of_means(X)[0]
    np.testing.assert_allclose(dE, U @ U.T @ dE, rtol=0, atol=ROUNDING)
    assert np.all(np.diag(U.T @ dE @ E.T @ U) < -1e-4)


def test_the_gradient_is_orthogonal_to_all_linear_maps_of_the_features(seed):
    X = off_the_manifold(seed) + 1.0  # on the manifold or off it, centred or not
    product = flat(gradient(X)) @ flat(X).T
    np.testing.assert_allclose(product, 0, rtol=0, atol=ROUNDING)
    E = flat(problem.deviations(X))
    assert np.abs(flat(gradient(X)) @ E.T).max() > 1e-3  # planted: deviations in the place of features


@FLOWS
def test_what_each_flow_conserves(flow, seed):
    X = state(seed, flow)
    field = features_field(X, flow)
    conserved, other = (total_velocity, within_velocity) if flow is PLAIN else (within_velocity, total_velocity)
    np.testing.assert_allclose(conserved(X, field), 0, rtol=0, atol=ROUNDING)
    assert float(jnp.abs(other(X, field)).max()) > 1e-4  # planted: the other covariance is not
    np.testing.assert_allclose(problem.global_mean(field), 0, rtol=0, atol=ROUNDING)


def test_the_plain_flow_conserves_second_moments_from_any_start(seed):
    X = off_the_manifold(seed)
    product = flat(features_field(X, PLAIN)) @ flat(X).T
    np.testing.assert_allclose(product + product.T, 0, rtol=0, atol=ROUNDING)


@PROJECTED
def test_the_projected_flows_keep_the_within_covariance_off_the_manifold_too(flow, seed):
    X = off_the_manifold(seed)
    np.testing.assert_allclose(within_velocity(X, features_field(X, flow)), 0, rtol=0, atol=10 * ROUNDING)
    Z, E = -gradient(X), problem.deviations(X)
    S = flat(E) @ flat(Z).T / (C * N)  # planted: no Lyapunov equation
    shortcut = Z - jnp.einsum("pq,qci->pci", (S + S.T) / 2, E if flow is RIEMANNIAN else X)
    assert float(jnp.abs(within_velocity(X, shortcut)).max()) > 1e-3


@FLOWS
def test_omega_moves_by_its_law(flow, seed):
    X = state(seed, flow)
    omega, velocity = omega_and_velocity(X, features_field(X, flow))
    np.testing.assert_allclose(omega, svd_of_means(renormalized(seed))[1], rtol=1e-11)
    np.testing.assert_allclose(velocity, flow.law(C, N).rate(omega), rtol=1e-10)
    for other in set(flows.FLOWS.values()) - {flow}:  # planted: the other laws
        assert np.abs(velocity / other.law(C, N).rate(omega) - 1).max() > 1e-2


@PROJECTED
def test_the_other_projection_gives_another_law(flow, seed):
    other = RENORMALIZED if flow is RIEMANNIAN else RIEMANNIAN
    X = renormalized(seed)
    swapped = project(X, -gradient(X), oblique=flow is RIEMANNIAN)  # planted: oblique for orthogonal, and the reverse
    omega, velocity = omega_and_velocity(X, swapped)
    assert np.abs(velocity / flow.law(C, N).rate(omega) - 1).max() > 1e-2
    np.testing.assert_allclose(velocity, other.law(C, N).rate(omega), rtol=1e-10)


@FLOWS
def test_the_class_means_move_as_the_level_of_means_says(flow, seed):
    X = state(seed, flow)
    M = problem.class_means(X)
    dM = means_field(M, flow, N=N)
    np.testing.assert_allclose(dM, problem.class_means(features_field(X, flow)), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(flow.within_covariance_of_means(M), within(X), rtol=0, atol=ROUNDING)
    omega, velocity = omega_and_velocity_of_means(M, dM, flow)
    np.testing.assert_allclose(velocity, spectrum_field(omega, flow, N=N), rtol=1e-10)


@FLOWS
def test_singular_vectors_of_the_means_stay(flow, seed):
    M = np.asarray(problem.class_means(state(seed, flow)))
    U, _, Vt = np.linalg.svd(M)
    rotated = U.T @ np.asarray(means_field(jnp.asarray(M), flow, N=N)) @ Vt.T
    off_diagonal = rotated.copy()
    np.fill_diagonal(off_diagonal, 0)
    np.testing.assert_allclose(off_diagonal, 0, rtol=0, atol=ROUNDING)
    assert np.all(np.diag(rotated)[: C - 1] > 1e-5)


def test_singular_vectors_turn_in_the_plain_flow_from_another_total_covariance(seed):
    X = off_the_manifold(seed)
    w, R = np.linalg.eigh(flat(X) @ flat(X).T / (C * N))
    white, A = (R / np.sqrt(w)) @ R.T, (R / w) @ R.T  # Sigma_T^(-1/2), Sigma_T^(-1): both are conserved
    means = white @ np.asarray(problem.class_means(X))
    moving = white @ np.asarray(problem.class_means(features_field(X, PLAIN)))
    S, dS = means @ means.T / C, (moving @ means.T + means @ moving.T) / C
    half = A @ (np.eye(P) - S) @ S / (C**2 * N)
    np.testing.assert_allclose(dS, half + half.T, rtol=0, atol=ROUNDING)
    U = np.linalg.svd(means)[0][:, : C - 1]
    turning = U.T @ dS @ U
    assert np.abs(turning - np.diag(np.diag(turning))).max() > 1e-3 * np.abs(turning).max()


@FLOWS
def test_the_loss_falls_along_every_flow_by_the_chain_rule_of_omega(flow, seed):
    X = state(seed, flow)
    slope = float(jnp.sum(gradient(X) * features_field(X, flow)))
    omega = svd_of_means(renormalized(seed))[1]
    expected = -np.sum(omega / (C + omega**2) ** 2 * np.asarray(flow.law(C, N).rate(omega)))
    np.testing.assert_allclose(slope, expected, rtol=1e-10)


@FLOWS
def test_the_levels_start_from_the_same_omega(flow, seed):
    X = renormalized(seed)
    omega = svd_of_means(X)[1]
    features, means = start(X, flow, "features"), start(X, flow, "means")
    M = problem.class_means(features)
    np.testing.assert_allclose(M.T @ M, means.T @ means, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(omega_and_velocity(features, X)[0], omega, rtol=1e-11)
    np.testing.assert_allclose(omega_and_velocity_of_means(means, means, flow)[0], omega, rtol=1e-11)
    np.testing.assert_allclose(start(X, flow, "spectrum"), omega, rtol=1e-11)


@FLOWS
@pytest.mark.parametrize("level", flows.LEVELS)
def test_one_field_for_every_level(level, flow):
    own = {
        "features": features_field,
        "means": lambda M, flow: means_field(M, flow, N=N),
        "spectrum": lambda omega, flow: spectrum_field(omega, flow, N=N),
    }
    begin = start(renormalized(0), flow, level)
    np.testing.assert_allclose(flow.field(begin, level=level, N=N), own[level](begin, flow), rtol=0, atol=ROUNDING)


@FLOWS
@pytest.mark.parametrize("level", flows.LEVELS)
def test_one_program_for_all_flows_gives_each_its_own_start_and_field(level, flow):
    @jax.jit
    def both(X, index):
        flow = flows.OneOf(index)
        begin = flow.start(X, level)
        return begin, flow.field(begin, level=level, N=N)

    X = renormalized(0)
    begin = start(X, flow, level)
    expected = begin, flow.field(begin, level=level, N=N)
    other = next(name for name in flows.FLOWS if name != flow.name)
    for found, wanted in zip(both(X, flows.index_of(flow.name)), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=ROUNDING)
    assert np.abs(both(X, flows.index_of(other))[1] - expected[1]).max() > 1e-4  # planted: another flow's index


def test_a_flow_has_the_name_of_its_file_and_the_kernel_is_all_that_it_holds():
    for name, flow in flows.FLOWS.items():
        assert flow.name == name
        assert type(flow).__module__ == f"central_path.flows.{name}"
        assert jax.tree.leaves(flow) == [1.0]
        assert jax.tree.leaves(flows.with_kernel(name, 0.3)) == [0.3]


def test_unknown_levels_are_refused():
    X = renormalized(0)
    message = "Need a level among features, means, spectrum, got 'logits'"
    with pytest.raises(ValueError, match=message):
        RIEMANNIAN.start(X, "logits")
    with pytest.raises(ValueError, match=message):
        RIEMANNIAN.field(X, level="logits", N=N)
