"""The rescaled square loss: its least-squares classifier, its decomposition, and what M and k do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.theory import loss, problem, rescaled

C, P = 5, 7
COUNTS = (9, 21, 12, 30, 8)
SETTINGS = [(1.0, 1.0, 0.0), (15.0, 30.0, 0.03), (3.0, 2.0, 0.0), (0.5, 1.0, 1e-3)]
ROUNDING = 1e-12  # a thousand rounding errors, as for the plain loss

CONSTANTS = ("k", "M", "lam")
rescaled_loss = jax.jit(rescaled.rescaled_loss, static_argnames=CONSTANTS)
slope = jax.jit(jax.grad(rescaled.rescaled_loss, argnums=(0, 1)), static_argnames=CONSTANTS)
moments_of_samples = jax.jit(problem.moments_of_samples, static_argnames="C")


def draw(seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(C), COUNTS)
    spread = rng.standard_normal((C, P, P)) / 2
    noise = np.einsum("npq,nq->np", spread[labels], rng.standard_normal((len(labels), P)))
    features = jnp.asarray(1 + rng.standard_normal((C, P))[labels] + noise)
    W, b = rng.standard_normal((C, P)), rng.standard_normal(C)
    return features, jnp.asarray(labels), jnp.asarray(W), jnp.asarray(b)


def statistics(features, labels):
    return (
        moments_of_samples(features, labels, C=C),
        list(rescaled.class_covariances(features, labels, C=C)),
    )


def plain_loss(W, b, features, labels, k, M, lam):
    total = 0.0
    for h, y in zip(np.asarray(features), np.asarray(labels), strict=True):
        outputs = np.asarray(W) @ h + np.asarray(b)
        total += k * (outputs[y] - M) ** 2 + sum(outputs[j] ** 2 for j in range(C) if j != y)
    return total / 2 / len(labels) + lam / 2 * (np.sum(np.asarray(W) ** 2) + np.sum(np.asarray(b) ** 2))


@pytest.mark.parametrize(("k", "M", "lam"), SETTINGS)
def test_the_parts_add_up_to_the_loss_of_any_classifier(k, M, lam, seed):
    features, labels, W, b = draw(seed)
    m, covariances = statistics(features, labels)
    parts = rescaled.decompose(W, b, m, covariances, k=k, M=M, lam=lam)
    expected = plain_loss(W, b, features, labels, k, M, lam)
    assert float(rescaled_loss(W, b, features, labels, k=k, M=M, lam=lam)) == pytest.approx(expected, rel=1e-13)
    assert float(parts.total) == pytest.approx(expected, rel=ROUNDING)
    assert min(parts.loss_nc1, parts.loss_nc23, parts.loss_ls_perp) > 0
    if k != 1:  # planted: the pooled covariance in place of each class's own
        pooled = rescaled.decompose(W, b, m, [m.Sigma_W] * C, k=k, M=M, lam=lam)
        assert abs(float(pooled.total) - expected) > 1e-5 * expected


@pytest.mark.parametrize(("k", "M", "lam"), SETTINGS)
def test_the_gradient_vanishes_at_the_least_squares_classifier_and_its_loss_is_in_closed_form(k, M, lam, seed):
    features, labels, _, _ = draw(seed)
    m, covariances = statistics(features, labels)
    W, b = rescaled.least_squares(m, covariances, k=k, M=M, lam=lam)
    scale = k * M
    assert max(float(jnp.abs(g).max()) for g in slope(W, b, features, labels, k=k, M=M, lam=lam)) < ROUNDING * scale
    wrong = rescaled.least_squares(m, covariances, k=k, M=M, lam=lam / C + 1e-3)
    assert max(float(jnp.abs(g).max()) for g in slope(*wrong, features, labels, k=k, M=M, lam=lam)) > 1e-5 * scale
    outputs = jnp.sum(W * m.M.T, axis=1) + b
    closed = k * M / 2 * float(jnp.sum(m.pi * (M - outputs)))
    assert float(rescaled_loss(W, b, features, labels, k=k, M=M, lam=lam)) == pytest.approx(closed, rel=1e-11)


def test_at_one_and_one_it_is_the_mse_loss(seed):
    features, labels, W, b = draw(seed)
    m, covariances = statistics(features, labels)
    ours = rescaled.decompose(W, b, m, covariances, k=1.0, M=1.0, lam=0.02)
    plain = loss.decompose(W, b, m, lam=0.02)
    for name in ("loss_nc1", "loss_nc23", "loss_ls_perp"):
        assert float(getattr(ours, name)) == pytest.approx(float(getattr(plain, name)), rel=ROUNDING)


def test_the_target_scales_and_a_map_of_the_features_changes_nothing_without_decay(seed):
    features, labels, _, _ = draw(seed)
    m, covariances = statistics(features, labels)
    W, b = rescaled.least_squares(m, covariances, k=3.0, M=1.0, lam=0.01)
    larger, offset = rescaled.least_squares(m, covariances, k=3.0, M=4.0, lam=0.01)
    np.testing.assert_allclose(larger, 4 * W, rtol=1e-12)
    np.testing.assert_allclose(offset, 4 * b, rtol=1e-12)
    A = np.random.default_rng(seed).standard_normal((P, P))
    moved = features @ A.T + 3.0

    def outputs(features):
        W, b = rescaled.least_squares(*statistics(features, labels), k=3.0, M=2.0, lam=0.0)
        return features @ W.T + b[None, :]

    np.testing.assert_allclose(outputs(moved), outputs(features), rtol=0, atol=1e-9)


def test_what_cannot_be_is_refused():
    features, labels, _, _ = draw(0)
    m, covariances = statistics(features, labels)
    with pytest.raises(ValueError, match=r"got k = -1\.0"):
        rescaled.least_squares(m, covariances, k=-1.0, M=1.0, lam=0.0)
    with pytest.raises(ValueError, match="lam"):
        rescaled.least_squares(m, covariances, k=1.0, M=1.0, lam=-1.0)
    with pytest.raises(ValueError, match="zip"):
        rescaled.least_squares(m, covariances[:-1], k=1.0, M=1.0, lam=0.0)
