"""One suite of invariants for both projections, and what tells them apart."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from central_path.theory import manifold, problem

C, N, P = 4, 6, 5
ROUNDING = 1e-11  # rounding of sums of CN products, times the condition of Sigma_W off the manifold (up to 100)
EPS = np.finfo(float).eps

PROJECTIONS = {
    "orthogonal": jax.jit(manifold.orthogonal_projection),
    "oblique": jax.jit(manifold.oblique_projection),
}
PLACES = ("on", "off")
retract = jax.jit(manifold.retract)
lyapunov = jax.jit(manifold.lyapunov)
omega = jax.jit(
    lambda X: problem.snr_singular_values(problem.class_means(X), within(X), problem.equal_priors(X.shape[1]))
)


def within(X):
    return problem.covariance(problem.deviations(X))


def point(place, seed):
    """Centred features, on the manifold or with a Sigma_W far from I."""
    X = manifold.random_point(C, N, P, seed=seed)
    if place == "on":
        return X
    A = np.eye(P) + 0.3 * np.random.default_rng(seed).standard_normal((P, P))
    return jnp.einsum("pq,qci->pci", A, X)


def vectors(seed, count=1):
    drawn = jnp.asarray(np.random.default_rng(seed + 1000).standard_normal((count, P, C, N)))
    return drawn[0] if count == 1 else drawn


def flat(X):
    return np.asarray(X).reshape(P, C * N)


def inner(A, B):
    return float(jnp.sum(A * B))


def normal_part(X, Z):
    """sym(E Z^T)/(CN): zero exactly for tangent vectors."""
    product = flat(problem.deviations(X)) @ flat(Z).T / (C * N)
    return (product + product.T) / 2


def tangent_vector(X, seed):
    """A tangent vector built without a projection: new class means, a rotation, and rows orthogonal to those of E."""
    rng = np.random.default_rng(seed + 2000)
    E = flat(problem.deviations(X))
    K = rng.standard_normal((P, P))
    moved = np.repeat(rng.standard_normal((P, C)), N, axis=1)
    rotated = (K - K.T) @ np.linalg.solve(E @ E.T, E) * C * N
    free = rng.standard_normal((P, C * N))
    return jnp.asarray((moved + rotated + free - free @ np.linalg.pinv(E) @ E).reshape(P, C, N))


def symmetric(seed):
    R = np.random.default_rng(seed + 3000).standard_normal((P, P))
    return R + R.T


def left_multiply(A, X):
    return jnp.einsum("pq,qci->pci", A, X)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("project", PROJECTIONS.values(), ids=PROJECTIONS)
class TestEveryProjection:
    def test_lands_in_the_tangent_space(self, project, place, seed):
        X, Z = point(place, seed), vectors(seed)
        assert np.abs(normal_part(X, Z)).max() > 0.01
        assert np.abs(normal_part(X, project(X, Z))).max() < ROUNDING

    def test_is_idempotent(self, project, place, seed):
        X, Z = point(place, seed), vectors(seed)
        once = project(X, Z)
        np.testing.assert_allclose(project(X, once), once, rtol=0, atol=ROUNDING)

    def test_keeps_tangent_vectors(self, project, place, seed):
        X = point(place, seed)
        Z = tangent_vector(X, seed)
        np.testing.assert_allclose(project(X, Z), Z, rtol=0, atol=ROUNDING * float(jnp.abs(Z).max()))

    def test_is_linear(self, project, place, seed):
        X, (Z1, Z2) = point(place, seed), vectors(seed, 2)
        expected = 2 * project(X, Z1) - 3 * project(X, Z2)
        np.testing.assert_allclose(project(X, 2 * Z1 - 3 * Z2), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("place", PLACES)
def test_only_the_orthogonal_projection_is_self_adjoint(place, seed):
    X, (Z1, Z2) = point(place, seed), vectors(seed, 2)
    gaps = {
        name: abs(inner(project(X, Z1), Z2) - inner(Z1, project(X, Z2))) / inner(Z1, Z1)
        for name, project in PROJECTIONS.items()
    }
    assert gaps["orthogonal"] < ROUNDING
    assert gaps["oblique"] > 1e-4


@pytest.mark.parametrize("place", PLACES)
def test_only_the_orthogonal_projection_removes_what_is_orthogonal_to_the_tangent_space(place, seed):
    X, Z = point(place, seed), vectors(seed)
    T = tangent_vector(X, seed)
    scale = np.sqrt(inner(Z, Z) * inner(T, T))
    products = {name: abs(inner(Z - project(X, Z), T)) / scale for name, project in PROJECTIONS.items()}
    assert products["orthogonal"] < ROUNDING
    assert products["oblique"] > 1e-4


@pytest.mark.parametrize("place", PLACES)
def test_the_kernels_are_SE_and_SX(place, seed):
    X, S = point(place, seed), symmetric(seed)
    kernels = {"orthogonal": left_multiply(S, problem.deviations(X)), "oblique": left_multiply(S, X)}
    for name, Z in kernels.items():
        other = kernels["oblique" if name == "orthogonal" else "orthogonal"]
        np.testing.assert_allclose(PROJECTIONS[name](X, Z), 0, rtol=0, atol=ROUNDING * float(jnp.abs(Z).max()))
        assert float(jnp.abs(PROJECTIONS[name](X, other)).max()) > 0.1


def test_the_oblique_flag_chooses_and_may_be_traced(seed):
    X, Z = point("off", seed), vectors(seed)
    project = jax.jit(manifold.projection)
    for oblique, name in ((False, "orthogonal"), (True, "oblique")):
        np.testing.assert_allclose(project(X, Z, jnp.asarray(oblique)), PROJECTIONS[name](X, Z), rtol=0, atol=1e-13)


def test_the_shortcut_for_S_is_right_on_the_manifold_only(seed):
    Z = vectors(seed)
    for place in PLACES:
        X = point(place, seed)
        S = normal_part(X, Z)  # planted off the manifold: no Lyapunov equation solved
        shortcut = Z - left_multiply(S, problem.deviations(X))
        left = np.abs(normal_part(X, shortcut)).max()
        assert left < ROUNDING if place == "on" else left > 1e-2


def test_lyapunov_is_the_solution_of_the_sylvester_equation(seed):
    A = np.random.default_rng(seed).standard_normal((P, 2 * P))
    Sigma, R = A @ A.T / P, symmetric(seed)
    S = lyapunov(jnp.asarray(Sigma), jnp.asarray(R))
    np.testing.assert_allclose(S, scipy.linalg.solve_sylvester(Sigma, Sigma, 2 * R), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(S, S.T, rtol=0, atol=ROUNDING)
    assert np.abs(np.linalg.solve(Sigma, R) - S).max() > 1e-2  # planted: Sigma and R do not commute


@pytest.mark.parametrize("distance", [0.0, 0.5, 0.99, 1.01, 2.0, 300.0])
def test_both_branches_of_lyapunov_agree_near_their_threshold(distance, seed):
    R, Delta = symmetric(seed), symmetric(seed + 1)
    Delta *= distance * np.sqrt(EPS) / np.linalg.norm(Delta)
    Sigma = np.eye(P) + Delta
    expected = scipy.linalg.solve_sylvester(Sigma, Sigma, 2 * R)
    S = lyapunov(jnp.asarray(Sigma), jnp.asarray(R))
    np.testing.assert_allclose(S, expected, rtol=0, atol=20 * EPS * np.linalg.norm(R))
    if distance:
        assert np.abs(R - expected).max() > 1e-10  # planted: no first-order term


def test_the_first_order_expansion_alone_would_be_wrong_far_from_the_identity(seed):
    R, Delta = symmetric(seed), 1e-3 * symmetric(seed + 1)
    Sigma = np.eye(P) + Delta
    expected = scipy.linalg.solve_sylvester(Sigma, Sigma, 2 * R)
    first_order = R - (Delta @ R + R @ Delta) / 2
    assert np.abs(first_order - expected).max() > 1e-7
    np.testing.assert_allclose(lyapunov(jnp.asarray(Sigma), jnp.asarray(R)), expected, rtol=0, atol=1e-13)


def test_retract_lands_on_the_manifold_by_the_symmetric_root(seed):
    H = left_multiply(symmetric(seed) + 4 * np.eye(P), jnp.asarray(problem.random_features(C, N, P, seed=seed)) + 2)
    X = retract(H)
    centred = flat(H - problem.global_mean(H)[:, None, None])
    A = flat(X) @ np.linalg.pinv(centred)
    np.testing.assert_allclose(problem.global_mean(X), 0, rtol=0, atol=ROUNDING)
    assert float(manifold.drift(X)) < ROUNDING
    np.testing.assert_allclose(A @ centred, flat(X), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(A, A.T, rtol=0, atol=ROUNDING)
    assert np.linalg.eigvalsh(A).min() > 0
    np.testing.assert_allclose(retract(X), X, rtol=0, atol=ROUNDING)
    triangular = np.linalg.inv(np.linalg.cholesky(within(H)))  # planted: on the manifold, but not the symmetric root
    assert float(manifold.drift(left_multiply(triangular, H))) < ROUNDING
    assert np.abs(triangular @ centred - flat(X)).max() > 0.01


def test_renormalizing_a_step_is_the_oblique_projection_to_second_order(seed):
    X, Z = point("on", seed), vectors(seed)
    Z -= problem.global_mean(Z)[:, None, None]
    steps = np.array([1e-2, 1e-3])
    slopes = {}
    for name, project in PROJECTIONS.items():
        errors = [float(jnp.abs(retract(X + h * Z) - X - h * project(X, Z)).max()) for h in steps]
        slopes[name] = np.log(errors[0] / errors[1]) / np.log(steps[0] / steps[1])
    assert abs(slopes["oblique"] - 2) < 0.1
    assert abs(slopes["orthogonal"] - 1) < 0.1  # planted: the other projection (Lemma 2 is about Proposition 4's)


def test_drift_is_the_largest_entry_of_the_distance_from_the_identity(seed):
    X = point("off", seed)
    E = flat(problem.deviations(X))
    expected = max(abs(E[p] @ E[q] / (C * N) - (p == q)) for p in range(P) for q in range(P))
    np.testing.assert_allclose(manifold.drift(X), expected, rtol=1e-12)


def test_inverse_root_is_symmetric_positive_and_inverts(seed):
    A = np.random.default_rng(seed).standard_normal((P, 2 * P))
    Sigma = A @ A.T / P
    root = np.asarray(manifold.inverse_root(jnp.asarray(Sigma)))
    np.testing.assert_allclose(root @ Sigma @ root, np.eye(P), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(root, root.T, rtol=0, atol=ROUNDING)
    assert np.linalg.eigvalsh(root).min() > 0


@pytest.mark.parametrize("lost", [0.0, 1e-17])
def test_inverse_root_refuses_singular_matrices_in_and_outside_jit(lost, seed):
    U = np.linalg.qr(np.random.default_rng(seed).standard_normal((P, P)))[0]
    spectrum = np.array([3.0, 2.0, 1.0, 0.5, lost])
    for root in (manifold.inverse_root, eqx.filter_jit(manifold.inverse_root)):
        with pytest.raises(RuntimeError, match="Need a covariance of full rank"):
            root(jnp.asarray((U * spectrum) @ U.T))
    scaled = 1e-12 * (U * np.array([3.0, 2.0, 1.0, 0.5, 0.1])) @ U.T  # small is not singular
    assert np.isfinite(manifold.inverse_root(jnp.asarray(scaled))).all()


def test_retract_refuses_features_of_deficient_rank(seed):
    H = jnp.asarray(problem.random_features(C, N, P, seed=seed)).at[0].set(1.0)
    with pytest.raises(RuntimeError, match="full rank"):
        manifold.retract(H)


def test_whitening_keeps_omega_and_makes_the_total_covariance_the_identity(seed):
    X = point("off", seed)
    Y = manifold.whiten_by_kernel(X, 1.0)
    np.testing.assert_allclose(flat(Y) @ flat(Y).T / (C * N), np.eye(P), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(problem.global_mean(Y), 0, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(omega(Y), omega(X), rtol=ROUNDING)
    S = omega(X) ** 2 / (C + omega(X) ** 2)  # singular values of the means of whitened features: sqrt(C s)
    means = np.linalg.svd(problem.class_means(Y), compute_uv=False)[: C - 1]
    np.testing.assert_allclose(means, np.sqrt(C * S), rtol=ROUNDING)


def test_random_points_are_renormalized_random_features(seed):
    X = manifold.random_point(C, N, P, seed=seed)
    np.testing.assert_allclose(
        X, retract(jnp.asarray(problem.random_features(C, N, P, seed=seed))), rtol=0, atol=ROUNDING
    )
    assert float(manifold.drift(X)) < ROUNDING
    with pytest.raises(ValueError, match=r"Need P <= C\(N-1\)"):
        manifold.random_point(C, 2, C + 1, seed=seed)
