"""Each metric against its definition in loops, and its value where it is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.metrics import collapse
from central_path.metrics.snr import Moments
from central_path.theory import problem

C, N, P = 4, 6, 5
ROUNDING = 1e-12

nc1 = jax.jit(collapse.nc1)
moments = jax.jit(problem.moments)
moments_of_samples = jax.jit(problem.moments_of_samples, static_argnames="C")
METRICS = {name: jax.jit(getattr(collapse, name)) for name in ("equinorm", "equiangularity", "max_angle")}
self_duality = jax.jit(collapse.self_duality)


def draw_features(seed):
    """Features whose Sigma_W is far from the identity, so that the range of Mbar is not invariant under it."""
    rng = np.random.default_rng(seed)
    H = 1 + rng.standard_normal((P, C, 1)) + rng.standard_normal((P, C, N)) * np.arange(1, P + 1)[:, None, None]
    return jnp.asarray(H)


def draw_matrix(seed, shape=(P, C)):
    return np.random.default_rng(seed + 50).standard_normal(shape)


def rotation(seed):
    return np.linalg.qr(draw_matrix(seed, (P, P)))[0]


def simplex_etf(seed, alpha=1.0):
    """Columns of equal norm with cosines -1/(C-1), turned at random in P dimensions."""
    return alpha * rotation(seed)[:, : C - 1] @ problem.contrasts(C).T


def sum_of_inverse_squares(m):
    return float(jnp.sum(problem.snr_singular_values(m.M, m.Sigma_W, m.pi) ** -2.0))


def cosines_by_loops(A):
    return [
        sum(A[p, i] * A[p, j] for p in range(len(A))) / np.sqrt(sum(A[:, i] ** 2) * sum(A[:, j] ** 2))
        for i in range(A.shape[1])
        for j in range(A.shape[1])
        if i != j
    ]


def test_nc1_in_a_case_by_hand():
    # Means (1, 0) and (-1, 0): mu_G = 0, Sigma_B = ((1, 0)(1, 0)^T + (-1, 0)(-1, 0)^T)/2 = diag(1, 0) = Sigma_B^+.
    # Sigma_W = [[2, 1], [1, 5]]: Sigma_W Sigma_B^+ = [[2, 0], [1, 0]], trace 2, over C = 2 classes: 1.
    m = problem.Moments(
        jnp.array([[1.0, -1.0], [0.0, 0.0]]), jnp.array([[2.0, 1.0], [1.0, 5.0]]), jnp.array([0.5, 0.5])
    )
    assert float(nc1(m)) == pytest.approx(1.0, rel=1e-14)
    # Sigma_W^(-1) = [[5, -1], [-1, 2]]/9: omega^2 = 2 * 5/9 = 10/9, and 1/omega^2 = 9/10 is smaller than 1.
    assert sum_of_inverse_squares(m) == pytest.approx(0.9, rel=1e-14)


@pytest.mark.parametrize("balanced", [True, False])
def test_nc1_is_the_trace_with_the_pseudo_inverse_over_C(balanced, seed):
    H = draw_features(seed)
    features, labels = problem.samples(H)
    if not balanced:
        labels = labels.at[: N // 2].set(1)
    m = moments_of_samples(features, labels, C=C)
    Sigma_B = sum(m.pi[c] * np.outer(m.Mbar[:, c], m.Mbar[:, c]) for c in range(C))
    trace = np.trace(np.asarray(m.Sigma_W) @ np.linalg.pinv(Sigma_B, rtol=1e-10))
    np.testing.assert_allclose(nc1(m), trace / C, rtol=1e-10)  # pinv squares the condition of Mbar
    assert float(nc1(m)) < 0.5 * trace  # planted: without the 1/C


def test_nc1_is_never_below_the_sum_over_omega_and_above_it_unless_the_range_is_invariant(seed):
    m = moments(draw_features(seed))
    assert float(nc1(m)) > 1.01 * sum_of_inverse_squares(m)
    isotropic = problem.Moments(m.M, 0.3 * jnp.eye(P), m.pi)
    np.testing.assert_allclose(nc1(isotropic), sum_of_inverse_squares(isotropic), rtol=1e-11)
    U = np.linalg.svd(m.Mbar)[0][:, : C - 1]
    inside = U @ np.diag([0.5, 1.0, 2.0]) @ U.T + 3 * (np.eye(P) - U @ U.T)
    invariant = problem.Moments(m.M, jnp.asarray(inside), m.pi)
    np.testing.assert_allclose(nc1(invariant), sum_of_inverse_squares(invariant), rtol=1e-11)


def test_nc1_does_not_change_with_scale_rotation_or_shift(seed):
    H = draw_features(seed)
    moved = 3.7 * jnp.einsum("pq,qci->pci", rotation(seed), H) + 2.0
    np.testing.assert_allclose(nc1(moments(moved)), nc1(moments(H)), rtol=1e-11)
    sheared = H * jnp.arange(1.0, P + 1)[:, None, None]  # planted: not an invariant of all linear maps
    assert abs(nc1(moments(sheared)) / nc1(moments(H)) - 1) > 1e-3


def test_nc1_is_nan_where_all_class_means_coincide():
    m = problem.Moments(jnp.ones((P, 2)), jnp.eye(P), jnp.array([0.5, 0.5]))
    assert np.isnan(float(collapse.nc1(m)))


@pytest.mark.parametrize("width", [2, P])
def test_nc1_is_the_pseudo_inverse_for_dependent_means_and_for_more_classes_than_dimensions(width, seed):
    H = np.array(draw_features(seed))[:width]
    H[:, 1] += np.mean(H[:, 0] - H[:, 1], axis=-1, keepdims=True)  # two class means coincide
    m = moments(jnp.asarray(H))
    trace = np.trace(np.asarray(m.Sigma_W) @ np.linalg.pinv(np.asarray(m.Sigma_B), rtol=1e-10))
    np.testing.assert_allclose(nc1(m), trace / C, rtol=1e-10)


def test_nc1_works_for_the_smallest_dimension(seed):
    m = moments(draw_features(seed)[: C - 1])
    trace = np.trace(np.asarray(m.Sigma_W) @ np.linalg.inv(m.Sigma_B))
    np.testing.assert_allclose(nc1(m), trace / C, rtol=1e-10)


def test_the_norm_and_angle_metrics_are_their_definitions(seed):
    A = draw_matrix(seed)
    norms = [np.sqrt(sum(x**2 for x in A[:, c])) for c in range(C)]
    cosines = cosines_by_loops(A)

    def spread(values):
        mean = sum(values) / len(values)
        return np.sqrt(sum((v - mean) ** 2 for v in values) / len(values))

    expected = {
        "equinorm": spread(norms) / (sum(norms) / C),
        "equiangularity": spread(cosines),
        "max_angle": sum(abs(cosine + 1 / (C - 1)) for cosine in cosines) / (C * (C - 1)),
    }
    for name, metric in METRICS.items():
        np.testing.assert_allclose(metric(jnp.asarray(A)), expected[name], rtol=ROUNDING, err_msg=name)
    ((table, pairs),) = collapse.cosines(jnp.asarray(A))
    np.testing.assert_allclose(sorted(table[pairs == 1]), sorted(cosines), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
class TestEveryMetricOfColumns:
    def test_vanishes_for_a_simplex_etf_alone(self, metric, seed):
        etf = simplex_etf(seed, alpha=2.5)
        assert float(metric(jnp.asarray(etf))) < ROUNDING
        off = etf + 0.1 * draw_matrix(seed)  # planted: near to one
        assert float(metric(jnp.asarray(off))) > 1e-3

    def test_does_not_change_with_scale_and_rotation(self, metric, seed):
        A = draw_matrix(seed)
        value = float(metric(jnp.asarray(A)))
        np.testing.assert_allclose(metric(jnp.asarray(3.7 * rotation(seed) @ A)), value, rtol=1e-11)
        assert abs(float(metric(jnp.asarray(A * np.arange(1, P + 1)[:, None]))) - value) > 1e-4  # planted: a shear


def test_orthogonal_means_are_equiangular_and_equal_in_norm_but_not_at_the_maximal_angle(seed):
    A = jnp.asarray(rotation(seed)[:, :C])
    assert max(float(METRICS[name](A)) for name in ("equinorm", "equiangularity")) < ROUNDING
    np.testing.assert_allclose(METRICS["max_angle"](A), 1 / (C - 1), rtol=1e-11)


def test_self_duality_is_a_distance_of_directions(seed):
    W, Mbar = draw_matrix(seed, (C, P)), draw_matrix(seed + 1)
    total = 0.0
    for p in range(P):
        for c in range(C):
            total += (W[c, p] / np.sqrt(np.sum(W**2)) - Mbar[p, c] / np.sqrt(np.sum(Mbar**2))) ** 2
    W, Mbar = jnp.asarray(W), jnp.asarray(Mbar)
    np.testing.assert_allclose(self_duality(W, Mbar), total, rtol=ROUNDING)
    np.testing.assert_allclose(self_duality(3.0 * W, 0.2 * Mbar), total, rtol=ROUNDING)
    Q = rotation(seed)
    np.testing.assert_allclose(self_duality(W @ Q.T, Q @ Mbar), total, rtol=1e-11)
    assert float(self_duality(2.0 * Mbar.T, Mbar)) < ROUNDING
    np.testing.assert_allclose(self_duality(-Mbar.T, Mbar), 4.0, rtol=ROUNDING)
    assert abs(float(self_duality(W @ Q.T, Mbar)) - total) > 1e-3  # planted: only one of the two rotated


def decisions(seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in ((C, P), (C,), (P, C), (C * N, P))]


def nearest_by_loops(M, features):
    return [min(range(C), key=lambda c, h=h: np.sqrt(sum((h - M[:, c]) ** 2))) for h in features]


def test_ncc_mismatch_is_the_share_of_explicit_disagreements(seed):
    W, b, M, features = decisions(seed)
    by_classifier = [max(range(C), key=lambda c, h=h: W[c] @ h + b[c]) for h in features]
    by_center = nearest_by_loops(M, features)
    share = sum(one != other for one, other in zip(by_classifier, by_center, strict=True)) / len(features)
    arrays = [jnp.asarray(array) for array in (W, b, M, features)]
    np.testing.assert_array_equal(collapse.decide_by_classifier(*arrays[:2], arrays[3]), by_classifier)
    np.testing.assert_array_equal(collapse.decide_by_center(*arrays[2:]), by_center)
    assert float(collapse.ncc_mismatch(*arrays)) == pytest.approx(share, rel=1e-14)
    without_norms = np.argmax(features @ M, axis=1)  # planted: the largest inner product is not the nearest center
    assert (without_norms != by_center).any()


def test_the_nearest_center_is_found_far_from_the_origin_too(seed):
    _, _, M, features = decisions(seed)
    M, features = M + 1e7, features + 1e7  # squared norms of 1e14 would leave differences of order 1 no digits
    found = collapse.decide_by_center(jnp.asarray(M), jnp.asarray(features))
    np.testing.assert_array_equal(found, nearest_by_loops(M, features))


def test_ncc_mismatch_vanishes_for_the_classifier_of_the_nearest_center(seed):
    _, _, M, features = decisions(seed)
    W, b = M.T, -np.sum(M**2, axis=0) / 2
    arrays = [jnp.asarray(array) for array in (W, b, M, features)]
    assert float(collapse.ncc_mismatch(*arrays)) == 0.0
    assert float(collapse.ncc_mismatch(-arrays[0], *arrays[1:])) > 0.1  # planted: the opposite classifier


def test_tiles_of_classes_and_more_classes_than_dimensions_change_no_number(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((4, 11))
    m = Moments(A, np.diag(rng.uniform(1, 2, 4)), np.full(11, 1 / 11))
    whole = [metric(A) for metric in METRICS.values()]
    slow = np.trace(m.Sigma_W @ np.linalg.pinv(m.Sigma_B)) / 11
    for tile in (1, 3, 10):
        monkeypatch.setattr(collapse, "TILE", tile)
        np.testing.assert_allclose([metric(A) for metric in METRICS.values()], whole, rtol=1e-13)
        assert collapse.nc1(m) == pytest.approx(slow, rel=1e-12)
