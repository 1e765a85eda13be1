"""Contrasts, moments and omega against their definitions, written out slowly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from central_path.theory import problem

C, N, P = 4, 6, 5
COUNTS = (3, 9, 5, 7)  # unbalanced, and as many examples as C * N
ROUNDING = 1e-13  # a few hundred rounding errors of numbers of order 1

sizes = settings(deadline=None, max_examples=15, derandomize=True, database=None)
moments = jax.jit(problem.moments)
moments_of_samples = jax.jit(problem.moments_of_samples, static_argnames="C")
omega = jax.jit(lambda m: problem.snr_singular_values(m.M, m.Sigma_W, m.pi))


def skewed_features(seed):
    """Balanced features whose Sigma_W is far from I and whose global mean is far from 0."""
    rng = np.random.default_rng(seed)
    H = rng.standard_normal((P, C, 1)) + rng.standard_normal((P, C, N))
    return np.einsum("pq,qci->pci", rng.standard_normal((P, P)), H) + rng.standard_normal((P, 1, 1))


def unbalanced_samples(seed):
    """Rows in random order, with COUNTS[c] examples of class c."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(C), COUNTS))
    return rng.standard_normal((C, P))[labels] + rng.standard_normal((len(labels), P)), labels


def moments_by_loops(features, labels):
    n = len(labels)
    M, pi = np.zeros((P, C)), np.zeros(C)
    for h, c in zip(features, labels, strict=True):
        pi[c] += 1 / n
        M[:, c] += h
    M /= n * pi
    mu_G = sum(h for h in features) / n
    Sigma_W, Sigma_B = np.zeros((P, P)), np.zeros((P, P))
    for h, c in zip(features, labels, strict=True):
        Sigma_W += np.outer(h - M[:, c], h - M[:, c]) / n
    for c in range(C):
        Sigma_B += pi[c] * np.outer(M[:, c] - mu_G, M[:, c] - mu_G)
    return {"M": M, "pi": pi, "mu_G": mu_G, "Mbar": M - mu_G[:, None], "Sigma_W": Sigma_W, "Sigma_B": Sigma_B}


def inverse_symmetric_root(Sigma):
    return np.linalg.inv(scipy.linalg.sqrtm(Sigma))


@sizes
@given(C=st.integers(2, 40))
def test_contrasts_are_an_orthonormal_basis_of_the_vectors_that_sum_to_zero(C):
    Q = problem.contrasts(C)
    centring = np.eye(C) - 1 / C
    np.testing.assert_allclose(Q.T @ Q, np.eye(C - 1), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(Q @ Q.T, centring, rtol=0, atol=ROUNDING)
    assert np.abs(Q[:, 1:] @ Q[:, 1:].T - centring).max() > 1 / (2 * C)  # planted: one contrast too few


def test_moments_are_their_definitions(seed):
    H = skewed_features(seed)
    m = moments(jnp.asarray(H))
    rows = [(H[:, c, i], c) for c in range(C) for i in range(N)]
    for name, value in moments_by_loops(*zip(*rows, strict=True)).items():
        np.testing.assert_allclose(getattr(m, name), value, rtol=0, atol=ROUNDING * np.abs(H).max() ** 2, err_msg=name)


def test_moments_of_unbalanced_samples_are_their_definitions(seed):
    features, labels = unbalanced_samples(seed)
    m = moments_of_samples(features, labels, C=C)
    expected = moments_by_loops(features, labels)
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(m, name), value, rtol=0, atol=ROUNDING, err_msg=name)
    middle_of_means = expected["M"].mean(axis=1)  # planted: unbalanced, the mean of the class means is not mu_G
    assert np.abs(middle_of_means - m.mu_G).max() > 1e-2


def test_samples_run_class_by_class_and_have_the_same_moments(seed):
    H = jnp.asarray(skewed_features(seed))
    features, labels = problem.samples(H)
    for c in range(C):
        for i in range(N):
            assert labels[c * N + i] == c
            np.testing.assert_array_equal(features[c * N + i], H[:, c, i])
    again = moments_of_samples(features, labels, C=C)
    for one, other in zip(jax.tree.leaves(moments(H)), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=ROUNDING * 100)  # entries up to 100


@pytest.mark.parametrize("balanced", [True, False])
def test_within_plus_between_is_the_covariance_of_all_samples(balanced, seed):
    features, labels = problem.samples(jnp.asarray(skewed_features(seed))) if balanced else unbalanced_samples(seed)
    m = moments_of_samples(features, labels, C=C)
    expected = np.cov(np.asarray(features).T, bias=True)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(m.Sigma_T, expected, rtol=0, atol=ROUNDING * scale)
    equal_weights = m.Sigma_W + m.Mbar @ m.Mbar.T / C  # planted: 1/C for pi_c
    assert (np.abs(equal_weights - expected).max() > 1e-2 * scale) == (not balanced)


def test_snr_is_the_symmetric_root_times_the_centred_means(seed):
    m = moments(jnp.asarray(skewed_features(seed)))
    root = inverse_symmetric_root(m.Sigma_W)
    condition = np.linalg.cond(m.Sigma_W)
    expected = root @ (m.M - np.mean(m.M, axis=1, keepdims=True))
    np.testing.assert_allclose(
        problem.snr(m), expected, rtol=0, atol=1e-15 * condition * np.abs(expected).max() + ROUNDING
    )
    triangular = np.linalg.solve(np.linalg.cholesky(m.Sigma_W), m.Mbar)  # planted: a root, but not the symmetric one
    assert np.abs(triangular - expected).max() > 1e-2


def test_omega_are_the_singular_values_of_the_snr_matrix(seed):
    m = moments(jnp.asarray(skewed_features(seed)))
    singular_values = np.linalg.svd(inverse_symmetric_root(m.Sigma_W) @ m.Mbar, compute_uv=False)
    np.testing.assert_allclose(singular_values[C - 1 :], 0, rtol=0, atol=1e-10)  # centring loses one
    np.testing.assert_allclose(omega(m), singular_values[: C - 1], rtol=1e-15 * np.linalg.cond(m.Sigma_W) + ROUNDING)


def test_omega_does_not_change_under_invertible_affine_maps(seed):
    rng = np.random.default_rng(seed + 100)
    H = skewed_features(seed)
    A = rng.standard_normal((P, P)) + 3 * np.eye(P)
    AH = np.einsum("pq,qci->pci", A, H) + rng.standard_normal((P, 1, 1))
    before, after = moments(jnp.asarray(H)), moments(jnp.asarray(AH))
    np.testing.assert_allclose(omega(after), omega(before), rtol=1e-10)  # eps times the conditions of both Sigma_W
    means_alone = [np.linalg.svd(m.Mbar, compute_uv=False)[: C - 1] for m in (before, after)]
    assert np.abs(np.log(means_alone[0] / means_alone[1])).max() > 0.1  # planted: no whitening


def test_gram_is_quadratic_with_the_derivative_of_plain_autodiff_in_both_modes(seed):
    rng = np.random.default_rng(seed)
    A, D = jnp.asarray(rng.standard_normal((2, P, N)))
    weight = jnp.asarray(rng.standard_normal((P, P)))  # not symmetric: both halves of T + T^T are seen

    def weighted(product):
        return lambda A: jnp.sum(weight * product(A))

    def plain(A):
        return A @ A.T

    value, forwards = jax.jvp(problem.gram, (A,), (D,))
    differences = (plain(A + D) - plain(A - D)) / 2  # exact for a quadratic form
    np.testing.assert_allclose(value, plain(A), rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(forwards, differences, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(jax.grad(weighted(problem.gram))(A), jax.grad(weighted(plain))(A), rtol=0, atol=ROUNDING)
    assert np.abs(2 * D @ A.T - differences).max() > 0.1  # planted: 2T for T + T^T


def test_gram_is_differentiable_twice():
    A, D = jnp.asarray(np.random.default_rng(0).standard_normal((2, P, N)))

    def along(A):
        return jax.jvp(lambda A: jax.grad(lambda A: jnp.sum(problem.gram(A) ** 2))(A), (A,), (D,))[1]

    def slow(A):
        return jax.jvp(lambda A: jax.grad(lambda A: jnp.sum((A @ A.T) ** 2))(A), (A,), (D,))[1]

    np.testing.assert_allclose(along(A), slow(A), rtol=1e-12, atol=1e-11)


@sizes
@given(C=st.integers(2, 6), N=st.integers(1, 5), P=st.integers(1, 30), seed=st.integers(0, 2**32 - 1))
def test_sizes_are_accepted_exactly_where_generic_features_renormalize(C, N, P, seed):
    rng = np.random.default_rng(seed)
    H = rng.standard_normal((P, C, 1)) + rng.standard_normal((P, C, N))
    means = H.mean(axis=2, keepdims=True)
    rank_within = np.linalg.matrix_rank((H - means).reshape(P, -1))
    rank_means = np.linalg.matrix_rank(means[:, :, 0] - means.mean(axis=(1, 2))[:, None])
    if N >= 2 and rank_within == P and rank_means == C - 1:
        problem.check_sizes(C, N, P)
    else:
        with pytest.raises(ValueError, match="Need "):
            problem.check_sizes(C, N, P)


@pytest.mark.parametrize(
    ("C", "N", "P", "message"),
    [
        (1, 5, 3, r"Need C >= 2 classes, got C = 1"),
        (4, 1, 3, r"Need N >= 2 examples per class, got N = 1"),
        (4, 5, 2, r"Need P >= C - 1 = 3 .* got P = 2"),
        (4, 5, 17, r"Need P <= C\(N-1\) = 16 .* got P = 17"),
    ],
)
def test_refused_sizes_name_the_bound_and_the_value(C, N, P, message):
    with pytest.raises(ValueError, match=message):
        problem.check_sizes(C, N, P)
    with pytest.raises(ValueError, match=message):
        problem.random_features(C, N, P, seed=0)


def test_an_empty_class_is_refused():
    with pytest.raises(ValueError, match=r"Need an example of each of the C = 3 classes, got counts \[2, 0, 1\]"):
        problem.moments_of_samples(np.zeros((3, P)), np.array([0, 2, 0]), C=3)
    for outside in (-1, 3):
        with pytest.raises(ValueError, match="Need labels from 0 to C - 1 = 2"):
            problem.moments_of_samples(np.zeros((4, P)), np.array([0, 1, 2, outside]), C=3)


def test_random_features_are_set_by_their_seed(seed):
    H = problem.random_features(C, N, P, seed=seed)
    np.testing.assert_array_equal(H, problem.random_features(C, N, P, seed=seed))
    assert np.abs(H - problem.random_features(C, N, P, seed=seed + 1)).min() > 0
