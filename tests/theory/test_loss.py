"""Propositions about the loss: the decomposition, its minimiser, and Lemma 1."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.linalg

from central_path.theory import loss, problem

C, N, P = 4, 6, 5
BALANCED, UNBALANCED = (6, 6, 6, 6), (3, 11, 4, 6)
LAMBDAS = (0.0, 0.03, 2.0)
ROUNDING = 1e-12  # thousands of rounding errors of numbers of order 1, and a well-conditioned solve

decompose = jax.jit(loss.decompose, static_argnames="lam")
least_squares = jax.jit(loss.least_squares, static_argnames="lam")
moments = jax.jit(problem.moments)
moments_of_samples = jax.jit(problem.moments_of_samples, static_argnames="C")
mse_gradient = jax.jit(jax.grad(loss.mse_loss, argnums=(0, 1)))
central_path_loss = jax.jit(loss.central_path_loss)
loss_of_moments = jax.jit(loss.loss_of_moments)


def draw(seed, counts=BALANCED):
    """Samples, labels and a random classifier."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(C), counts)
    features = 1 + rng.standard_normal((C, P))[labels] + rng.standard_normal((len(labels), P))
    return jnp.asarray(features), jnp.asarray(labels), jnp.asarray(rng.standard_normal((C, P + 1)))


def draw_features(seed):
    rng = np.random.default_rng(seed)
    return jnp.asarray(1 + rng.standard_normal((P, C, 1)) + rng.standard_normal((P, C, N)))


def slow_loss(classifier, features, labels, lam):
    total = 0.0
    for h, y in zip(np.asarray(features), np.asarray(labels), strict=True):
        for c in range(C):
            total += (classifier[c, :P] @ h + classifier[c, P] - (c == y)) ** 2 / len(labels)
    return total / 2 + lam / 2 * np.sum(classifier**2)


def gradient_norm(W, b, features, labels, lam):
    return float(jnp.sqrt(sum(jnp.sum(g**2) for g in mse_gradient(W, b, features, labels, lam=lam))))


def points_with_omega(omega, seed):
    """Class means whose SNR matrix has the singular values omega, for Sigma_W = I."""
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((P, C - 1)))[0]
    V = problem.contrasts(C) @ np.linalg.qr(rng.standard_normal((C - 1, C - 1)))[0]
    return (U * omega) @ V.T, U, V


@pytest.mark.parametrize("counts", [BALANCED, UNBALANCED])
@pytest.mark.parametrize("lam", LAMBDAS)
def test_the_three_parts_add_up_to_the_loss_of_any_classifier(lam, counts, seed):
    features, labels, classifier = draw(seed, counts)
    W, b = classifier[:, :P], classifier[:, P]
    parts = decompose(W, b, moments_of_samples(features, labels, C=C), lam=lam)
    expected = slow_loss(np.asarray(classifier), features, labels, lam)
    np.testing.assert_allclose(loss.mse_loss(W, b, features, labels, lam=lam), expected, rtol=ROUNDING)
    np.testing.assert_allclose(parts.total, expected, rtol=ROUNDING)
    np.testing.assert_allclose(parts.total, parts.loss_nc1 + parts.loss_nc23 + parts.loss_ls_perp, rtol=1e-15)
    assert min(parts.loss_nc1, parts.loss_nc23, parts.loss_ls_perp) > 0
    other_lam = decompose(W, b, moments_of_samples(features, labels, C=C), lam=lam + 0.01)  # planted: another lambda
    assert abs(other_lam.total - expected) > 1e-3 * expected


@pytest.mark.parametrize("counts", [BALANCED, UNBALANCED])
@pytest.mark.parametrize("lam", LAMBDAS)
def test_the_least_squares_classifier_is_where_the_gradient_vanishes(lam, counts, seed):
    features, labels, _ = draw(seed, counts)
    m = moments_of_samples(features, labels, C=C)
    assert gradient_norm(*least_squares(m, lam=lam), features, labels, lam) < ROUNDING
    wrong = least_squares(m, lam=lam / C)  # planted: lambda in the normalisation of an average over classes
    assert (gradient_norm(*wrong, features, labels, lam) > 1e-4) == (lam > 0)


def test_the_identity_cannot_see_a_wrong_lambda_but_the_gradient_can(seed):
    features, labels, classifier = draw(seed)
    W, b, m = classifier[:, :P], classifier[:, P], moments_of_samples(features, labels, C=C)
    trained, believed = 0.2, 0.2 / C
    parts = decompose(W, b, m, lam=believed)
    np.testing.assert_allclose(parts.total, loss.mse_loss(W, b, features, labels, lam=believed), rtol=ROUNDING)
    assert gradient_norm(*least_squares(m, lam=believed), features, labels, trained) > 1e-3


@pytest.mark.parametrize("counts", [BALANCED, UNBALANCED])
def test_equal_weights_for_the_classes_are_right_for_balanced_data_only(counts, seed):
    features, labels, classifier = draw(seed, counts)
    m, lam, balanced = moments_of_samples(features, labels, C=C), 0.03, counts == BALANCED
    rows, pi = np.column_stack([features, np.ones(len(labels))]), np.array(counts) / len(labels)
    M, classifier = np.vstack([m.M, np.ones(C)]), np.asarray(classifier)
    second_moment = rows.T @ rows / len(labels) + lam * np.eye(P + 1)
    printed = np.linalg.solve(second_moment, M / C).T  # D = I/C where the classes need D = diag(pi)
    away = classifier - printed
    between = np.sum(pi * (printed @ M - np.eye(C)) ** 2)
    within = np.trace(printed @ (second_moment - (M * pi) @ M.T) @ printed.T)
    parts = (within + between + np.trace(away @ second_moment @ away.T)) / 2
    gap = parts - slow_loss(classifier, features, labels, lam)
    assert (abs(gap) < ROUNDING) == balanced
    assert (abs(gap) > 1e-3) == (not balanced)
    slope = gradient_norm(jnp.asarray(printed[:, :P]), jnp.asarray(printed[:, P]), features, labels, lam)
    assert (slope < ROUNDING) == balanced
    assert (slope > 1e-2) == (not balanced)


@pytest.mark.parametrize("lam", [0.0, 0.03])
def test_the_identity_survives_a_singular_total_covariance(lam, seed):
    features, labels, classifier = draw(seed, UNBALANCED)
    flat = features.at[:, 3:].set(features[:, :2] + features[:, 1:3])  # two dependent coordinates
    m = moments_of_samples(flat, labels, C=C)
    parts = decompose(classifier[:, :P], classifier[:, P], m, lam=lam)
    np.testing.assert_allclose(parts.total, slow_loss(np.asarray(classifier), flat, labels, lam), rtol=1e-11)
    W, b = least_squares(m, lam=lam)
    assert gradient_norm(W, b, flat, labels, lam) < 1e-11
    if lam == 0:
        targets, flat = np.eye(C)[labels], np.asarray(flat)
        least_norm = scipy.linalg.lstsq(flat - flat.mean(axis=0), targets - targets.mean(axis=0), cond=1e-12)[0].T
        np.testing.assert_allclose(W, least_norm, rtol=0, atol=1e-11)
        np.testing.assert_allclose(b, targets.mean(axis=0) - least_norm @ flat.mean(axis=0), rtol=0, atol=1e-11)
        lost = jnp.asarray([1.0, 1.0, 0.0, -1.0, 0.0])  # no sample varies along it, so W_LS is not unique
        other = decompose(W + lost[None, :], b, m, lam=0.0)
        assert float(other.loss_ls_perp) < 1e-11


@pytest.mark.parametrize("lam", [0.0, 1e-6, 0.03, 10.0])
def test_the_bias_eliminated_is_the_extended_classifier_of_proposition_1(lam, seed):
    features, labels, _ = draw(seed, UNBALANCED)
    m = moments_of_samples(features, labels, C=C)
    extended, pi = np.vstack([m.M, np.ones(C)]), np.asarray(m.pi)
    second_moment = np.pad(m.Sigma_W, (0, 1)) + (extended * pi) @ extended.T + lam * np.eye(P + 1)
    expected = np.linalg.solve(second_moment, extended * pi).T
    np.testing.assert_allclose(np.column_stack(least_squares(m, lam=lam)), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("offset", [0.0, 1e4, 1e7])
def test_neither_offset_nor_scale_of_the_features_matters_without_weight_decay(offset, scale, seed):
    features, labels, _ = draw(seed, UNBALANCED)
    reference = moments_of_samples(features, labels, C=C)
    moved = moments_of_samples(scale * (features + offset), labels, C=C)
    rounding = 1e-13 + 1e-14 * offset  # what the features themselves lose beside the offset
    for m in (reference, moved):
        parts = decompose(jnp.zeros((C, P)), jnp.zeros(C), m, lam=0.0)
        best = decompose(*least_squares(m, lam=0.0), m, lam=0.0)
        if m is reference:
            expected = parts.loss_ls
        np.testing.assert_allclose(parts.loss_ls, expected, rtol=rounding, atol=0)
        np.testing.assert_allclose(parts.total, 0.5, rtol=rounding)  # of the classifier that says 0
        assert float(best.loss_ls_perp) < rounding


def test_a_negative_lambda_is_refused():
    m = moments(draw_features(0))
    with pytest.raises(ValueError, match=r"Need lam >= 0, got lam = -0\.1"):
        loss.least_squares(m, lam=-0.1)
    with pytest.raises(ValueError, match=r"Need lam >= 0"):
        loss.decompose(jnp.zeros((C, P)), jnp.zeros(C), m, lam=-0.1)


def test_lemma_1_part_by_part(seed):
    H = draw_features(seed)
    m = moments(H)
    parts = decompose(jnp.zeros((C, P)), jnp.zeros(C), m, lam=0.0)
    omega = problem.snr_singular_values(m.M, m.Sigma_W, m.pi)
    total, nc1, nc23 = loss.spectral_losses(omega, C=C)
    np.testing.assert_allclose(parts.loss_nc1, nc1, rtol=ROUNDING)
    np.testing.assert_allclose(parts.loss_nc23, nc23, rtol=ROUNDING)
    np.testing.assert_allclose([parts.loss_ls, central_path_loss(H)], total, rtol=ROUNDING)
    by_hand = [sum(1 / (w**2 + C) for w in omega), sum(w**2 / (w**2 + C) ** 2 for w in omega)]
    np.testing.assert_allclose([total, nc1, total - nc1], np.array([*by_hand, by_hand[0] - by_hand[1]]) / 2, rtol=1e-13)


def test_without_the_bias_the_loss_of_centred_features_is_larger_by_one_over_2C(seed):
    H = draw_features(seed)
    rows, labels = problem.samples(H - problem.global_mean(H)[:, None, None])
    Y = np.eye(C)[labels]
    fitted = rows @ np.linalg.lstsq(rows, Y)[0]
    without_bias = np.sum((fitted - Y) ** 2) / (2 * C * N)
    np.testing.assert_allclose(without_bias - central_path_loss(H), 1 / (2 * C), rtol=1e-11)


def test_loss_nc1_rises_until_omega_squared_is_C_and_the_others_fall():
    slopes = [jax.vmap(jax.grad(lambda w, i=i: loss.spectral_losses(w[None], C=C)[i])) for i in range(3)]
    omega = jnp.sqrt(C * jnp.array([0.5, 0.99, 1.01, 2.0]))
    np.testing.assert_array_equal(jnp.sign(slopes[1](omega)), [1, 1, -1, -1])
    assert max(slopes[0](omega).max(), slopes[2](omega).max()) < 0


def test_the_central_path_loss_does_not_change_under_invertible_affine_maps(seed):
    rng = np.random.default_rng(seed + 100)
    H = draw_features(seed)
    A = rng.standard_normal((P, P)) + 3 * np.eye(P)
    AH = jnp.einsum("pq,qci->pci", A, H) + rng.standard_normal((P, 1, 1))
    np.testing.assert_allclose(central_path_loss(AH), central_path_loss(H), rtol=1e-11)
    zero = jnp.zeros((C, P)), jnp.zeros(C)
    decayed = [decompose(*zero, moments(features), lam=0.1).loss_ls for features in (H, AH)]
    assert abs(decayed[0] / decayed[1] - 1) > 1e-3  # planted: with weight decay it does


def test_the_central_path_classifier_is_the_least_squares_one(seed):
    m = moments(draw_features(seed))
    W, b = loss.central_path_classifier(m.M, m.Sigma_W)
    W_LS, b_LS = least_squares(m, lam=0.0)
    np.testing.assert_allclose(W, W_LS, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(b, b_LS, rtol=0, atol=ROUNDING)
    assert np.abs(least_squares(m, lam=0.01)[0] - W).max() > 1e-4  # planted: a little weight decay


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e6])
def test_the_loss_of_moments_keeps_its_digits_at_large_omega(scale, seed):
    omega = scale * np.array([3.0, 2.0, 1.0])
    M, _, _ = points_with_omega(omega, seed)
    with mpmath.workdps(40):
        exact = float(sum(1 / (mpmath.mpf(w) ** 2 + C) for w in omega) / 2)
    np.testing.assert_allclose(loss_of_moments(jnp.asarray(M), jnp.eye(P)), exact, rtol=1e-12)
    np.testing.assert_allclose(loss.spectral_losses(jnp.asarray(omega), C=C)[0], exact, rtol=1e-15)
    if scale == 1e6:  # planted: the equal form through Sigma_T^(-1) subtracts numbers that agree in 12 digits
        Sigma_T = np.eye(P) + M @ M.T / C
        cancelling = (1 - 1 / C - np.trace(M.T @ np.linalg.solve(Sigma_T, M)) / C**2) / 2
        assert abs(cancelling / exact - 1) > 1e-6


def test_the_loss_of_moments_loses_digits_only_to_the_spread_of_omega(seed):
    for spread in (1e1, 1e3, 1e5):
        omega = np.array([spread, np.sqrt(spread), 1.0])
        M, _, _ = points_with_omega(omega, seed)
        relative = float(loss_of_moments(jnp.asarray(M), jnp.eye(P))) / np.sum(0.5 / (omega**2 + C)) - 1
        assert abs(relative) < 20 * np.finfo(float).eps * spread**2  # the condition of C I + (MQ)^T MQ


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_the_gradient_of_the_loss_of_moments_keeps_its_digits(scale, seed):
    omega = scale * np.array([3.0, 2.0, 1.0])
    M, U, V = points_with_omega(omega, seed)
    exact = -(U * omega / (C + omega**2) ** 2) @ V.T
    gradient = jax.grad(loss_of_moments)(jnp.asarray(M), jnp.eye(P))
    np.testing.assert_allclose(gradient, exact, rtol=0, atol=1e-12 * np.abs(exact).max())


def test_the_gradient_of_the_central_path_loss_is_its_finite_difference(seed):
    H = draw_features(seed)
    D = jnp.asarray(np.random.default_rng(seed + 100).standard_normal((P, C, N)))
    h = 1e-4  # the error of the difference is h^2 = 1e-8 and eps/h = 1e-12, times numbers of order 1
    difference = (central_path_loss(H + h * D) - central_path_loss(H - h * D)) / (2 * h)
    slope = jnp.sum(jax.grad(central_path_loss)(H) * D)
    np.testing.assert_allclose(slope, difference, rtol=0, atol=1e-7)
    assert abs(slope) > 1e-4  # so that the comparison sees something
