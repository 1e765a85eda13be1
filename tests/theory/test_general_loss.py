"""L_LS for any priors, decay and covariance: against least squares, autodiff and Lemma 1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from central_path.metrics.decomposition import decompose, least_squares
from central_path.metrics.snr import Moments
from central_path.theory import general_loss
from central_path.theory.loss import loss_of_moments, spectral_losses

C, P = 4, 5
PRIORS = {"balanced": np.full(C, 1 / C), "unbalanced": np.array([0.01, 0.19, 0.3, 0.5])}
ROUNDING = 1e-12  # thousands of rounding errors of numbers of order 1, and well-conditioned solves


def draw(seed):
    rng = np.random.default_rng(seed)
    F = rng.standard_normal((P, P))
    return 1 + rng.standard_normal((P, C)), F @ F.T / P + 0.1 * np.eye(P)


def by_least_squares(M, Sigma_W, pi, lam, decay_bias):
    """L_LS and its parts as sums over classes, with the classifier from the normal equations of W~."""
    H = np.concatenate([M, np.ones((1, C))])
    D, decay = np.diag(pi), lam * np.eye(P + 1)
    decay[-1, -1] *= decay_bias
    within = np.zeros((P + 1, P + 1))
    within[:P, :P] = Sigma_W
    W = np.linalg.solve(H @ D @ H.T + within + decay, H @ D).T
    return 0.5 * np.trace(W @ (within + decay) @ W.T), 0.5 * np.sum(pi * np.sum((W @ H - np.eye(C)) ** 2, axis=0)), W


@pytest.mark.parametrize("decay_bias", [True, False])
@pytest.mark.parametrize("lam", [0.0, 0.03])
@pytest.mark.parametrize("priors", PRIORS)
def test_value_parts_and_classifier_are_those_of_least_squares(priors, lam, decay_bias):
    (M, Sigma_W), pi = draw(1), PRIORS[priors]
    nc1, nc23, W = by_least_squares(M, Sigma_W, pi, lam, decay_bias)
    classes, c = general_loss.classes_of(pi), general_loss.bias_weight(lam, decay_bias=decay_bias)
    B = general_loss.weighted(jnp.asarray(M @ classes.to_contrasts), c)
    response = general_loss.respond(B, jnp.asarray(Sigma_W + lam * np.eye(P)))
    parts = general_loss.parts_of_loss(response, general_loss.targets(classes, c), c)
    np.testing.assert_allclose(parts, [nc1 + nc23, nc1, nc23], rtol=ROUNDING)
    np.testing.assert_allclose(general_loss.classifier_of(response, classes, c), W[:, :P], atol=ROUNDING)
    value = general_loss.general_loss(jnp.asarray(M), jnp.asarray(Sigma_W), pi, lam=lam, decay_bias=decay_bias)
    np.testing.assert_allclose(value, nc1 + nc23, rtol=ROUNDING)
    if decay_bias:
        m = Moments(M, Sigma_W, pi)
        np.testing.assert_allclose(decompose(*least_squares(m, lam=lam), m, lam=lam).total, value, rtol=ROUNDING)
    wrong = by_least_squares(M, Sigma_W, np.roll(pi, 1), lam + 0.01, decay_bias)
    assert abs(wrong[0] + wrong[1] - value) > 1e-4


@pytest.mark.parametrize("decay_bias", [True, False])
def test_the_gradient_is_that_of_autodiff(decay_bias, seed):
    M, Sigma_W = map(jnp.asarray, draw(seed))
    pi = PRIORS["unbalanced"]
    lam = 0.0 if seed == 0 else 10.0 ** (-seed)

    def loss(M, Sigma_W):
        return general_loss.general_loss(M, Sigma_W, pi, lam=lam, decay_bias=decay_bias)

    of_M, of_Sigma = jax.grad(loss, argnums=(0, 1))(M, Sigma_W)
    found = general_loss.general_gradient(M, Sigma_W, pi, lam=lam, decay_bias=decay_bias)
    np.testing.assert_allclose(found[0], of_M, atol=ROUNDING)
    np.testing.assert_allclose(found[1], (of_Sigma + of_Sigma.T) / 2, atol=ROUNDING)


def test_balanced_classes_without_decay_are_lemma_1(seed):
    M, Sigma_W = map(jnp.asarray, draw(seed))
    found = general_loss.general_loss(M, Sigma_W, PRIORS["balanced"], lam=0.0)
    np.testing.assert_allclose(found, loss_of_moments(M, Sigma_W), rtol=ROUNDING)


def test_nothing_cancels_at_large_omega():
    omega = np.array([1e7, 1e6, 1e5])
    classes = general_loss.classes_of(PRIORS["balanced"])
    B = np.zeros((P, C))
    B[:3, :3] = np.diag(omega) / np.sqrt(C)
    response = general_loss.respond(jnp.asarray(B), jnp.eye(P))
    found = general_loss.parts_of_loss(response, general_loss.targets(classes, jnp.zeros(())), jnp.zeros(()))
    np.testing.assert_allclose(found, spectral_losses(jnp.asarray(omega), C=C), rtol=ROUNDING)


def test_a_constant_matrix_gives_the_same_response(seed):
    """From S = Sigma_W + beta B B^T, without Sigma_W."""
    (M, Sigma_W), pi, beta = draw(seed), PRIORS["unbalanced"], 0.7
    classes = general_loss.classes_of(pi)
    B = general_loss.weighted(jnp.asarray(M @ classes.to_contrasts), jnp.zeros(()))
    S = jnp.asarray(Sigma_W) + beta * B @ B.T
    direct = general_loss.respond(B, jnp.asarray(Sigma_W))
    other = general_loss.Response.of(B, jnp.linalg.solve(S, B), jnp.asarray(1 - beta))
    np.testing.assert_allclose(other.V, direct.V, atol=ROUNDING)
    np.testing.assert_allclose(other.K_inverse, direct.K_inverse, atol=ROUNDING)


def test_priors_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"^Need positive priors that sum to 1, got .*: drop the classes"):
        general_loss.classes_of(np.array([0.5, 0.5, 0.0]))
