"""The least-squares classifier and the decomposition: normal equations in 60 digits, and sums over examples."""

import mpmath
import numpy as np
import pytest

from central_path.metrics.decomposition import decompose, least_squares, loss
from central_path.metrics.snr import Moments

PI = np.array([0.1, 0.2, 0.3, 0.4])
C = len(PI)


def draw(scales, seed):
    """Moments of features whose directions have these scales, about a global mean that is not 0."""
    rng = np.random.default_rng(seed)
    D, F = np.diag(scales), rng.standard_normal((len(scales), 9))
    return Moments(D @ (rng.standard_normal((len(scales), C)) + 0.5), D @ F @ F.T @ D / 9, PI)


def by_normal_equations(m, lam, *, bias, digits=60):
    """[W, b] of the least of 1/2 Ave ||W h + b - y||^2 + lambda/2 (||W||^2 + ||b||^2)."""
    with mpmath.workdps(digits):
        M, Sigma_W, D = (mpmath.matrix(a.tolist()) for a in (m.M, m.Sigma_W, np.diag(PI)))
        P, ones = M.rows, mpmath.matrix([[1] * C])
        second, mean = Sigma_W + M * D * M.T, M * D * ones.T
        A, Y = mpmath.zeros(P + bias), mpmath.zeros(C, P + bias)
        A[:P, :P], Y[:, :P] = second + lam * mpmath.eye(P), D * M.T
        if bias:
            A[:P, P], A[P, :P], A[P, P], Y[:, P] = mean, mean.T, mpmath.mpf(1) + lam, D * ones.T
        solved = (Y * A**-1).tolist()
    solved = np.array(solved, dtype=float)
    return solved[:, :P], solved[:, P] if bias else np.zeros(C)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lam", [0.0, 1e-3, 0.3, 2.0])
def test_the_classifier_solves_the_normal_equations(lam, bias, seed):
    m = draw(np.array([3.0, 1.0, 0.1]), seed)
    W, b = least_squares(m, lam=lam, bias=bias)
    expected_W, expected_b = by_normal_equations(m, lam, bias=bias)
    np.testing.assert_allclose(W, expected_W, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(b, expected_b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("lam", [1e-18, 1e-9])
def test_decay_that_is_small_beside_the_features_is_not_rounded_away(lam):
    """Directions that lambda = 0 would take for rounding are solved where lambda bounds them."""
    scales = np.array([1.0, 1e-9])
    m = Moments(
        scales[:, None] * np.array([[1.0, -1.0, 0, 0], [0, 0, 1.0, -1.0]]), np.diag(scales**2), np.full(C, 1 / C)
    )
    W, _ = least_squares(m, lam=lam)
    np.testing.assert_allclose(W, m.M.T / C / (np.diag(m.Sigma_T) + lam), rtol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lam", [0.0, 0.05])
def test_the_parts_are_sums_over_examples(lam, bias, seed):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(C), (3, 6, 9, 12))
    h = rng.standard_normal((len(y), 5)) + 3 * rng.standard_normal((C, 5))[y]
    M = np.array([h[y == c].mean(axis=0) for c in range(C)]).T
    e = h - M.T[y]
    m = Moments(M, e.T @ e / len(y), PI)
    W, b = rng.standard_normal((C, 5)), bias * rng.standard_normal(C)
    W_LS, b_LS = by_normal_equations(m, lam, bias=bias)

    def loss_of(W, b, h):
        squares = np.mean(np.sum((h @ W.T + b - np.eye(C)[y]) ** 2, axis=1))
        return 0.5 * (squares + lam * (np.sum(W**2) + np.sum(b**2)))

    parts = decompose(W, b, m, lam=lam, bias=bias)
    decay = 0.5 * lam * (np.sum(W_LS**2) + np.sum(b_LS**2))
    assert float(parts.loss_nc1) == pytest.approx(0.5 * np.mean(np.sum((e @ W_LS.T) ** 2, axis=1)) + decay, rel=1e-9)
    assert float(parts.loss_nc23) == pytest.approx(loss_of(W_LS, b_LS, M.T[y]) - decay, rel=1e-9)
    assert float(parts.loss_ls_perp) == pytest.approx(loss_of(W, b, h) - loss_of(W_LS, b_LS, h), rel=1e-9)
    assert float(parts.total) == pytest.approx(loss_of(W, b, h), rel=1e-12)
    assert float(loss(W, b, m, lam=lam)) == pytest.approx(loss_of(W, b, h), rel=1e-12)
