"""A = U^T (dSNR/dt) V against differences of the SNR matrix itself, and of its singular values."""

import numpy as np
import pytest

from central_path.metrics.decomposition import decompose, least_squares
from deepnet_runs.dynamics.field import gradient
from deepnet_runs.dynamics.snr_frame import SNRFrame, moments_of


def made(seed, *, C=4, N=7, P=6, sizes=None):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(C), N if sizes is None else sizes)
    H = 2 * rng.standard_normal((C, P))[y] + rng.standard_normal((len(y), P)) * np.exp(rng.uniform(-1, 1, P))
    return H, y, rng.standard_normal((len(y), P))


def snr(H, y):
    m = moments_of(H, y)
    w, Q = np.linalg.eigh(m.Sigma_W)
    return (Q / np.sqrt(w)) @ Q.T @ m.Mbar


@pytest.mark.parametrize("sizes", [None, (3, 9, 5, 20)])
def test_it_is_the_derivative_of_the_snr_matrix(seed, sizes):
    H, y, V = made(seed, sizes=sizes)
    frame, h = SNRFrame.of(H, y), 1e-5
    difference = (snr(H + h * V, y) - snr(H - h * V, y)) / (2 * h)
    U = frame.basis @ frame.U
    np.testing.assert_allclose(frame.rates(V), U.T @ difference @ frame.V, rtol=0, atol=1e-7 * np.abs(difference).max())
    omega = [np.linalg.svd(snr(H + e * V, y), compute_uv=False)[:3] for e in (h, -h)]
    np.testing.assert_allclose(np.diagonal(frame.rates(V)), (omega[0] - omega[1]) / (2 * h), rtol=1e-6)
    outside = 1 - np.sum((U.T @ difference) ** 2) / np.sum((difference @ frame.V) ** 2)
    assert frame.outside(V) == pytest.approx(outside, abs=1e-6)


def test_a_linear_map_of_features_moves_no_singular_value_and_a_scale_nothing(seed):
    H, y, V = made(seed)
    frame = SNRFrame.of(H, y)
    assert np.abs(np.diagonal(frame.rates(H @ V[:6]))).max() < 1e-10 * np.abs(frame.rates(V)).max()
    assert np.abs(frame.rates(H)).max() < 1e-12
    np.testing.assert_allclose(SNRFrame.of(3 * H, y).rates(3 * V) ** 2, frame.rates(V) ** 2, rtol=1e-8)


def test_dead_coordinates_and_equal_means_are_left_out_and_said(seed):
    H, y, V = made(seed)
    dead = np.concatenate([H, np.zeros((len(H), 2))], axis=1)
    frame = SNRFrame.of(dead, y)
    assert frame.basis.shape == (8, 6)
    assert frame.signal_lost < 1e-14
    np.testing.assert_allclose(frame.omega, SNRFrame.of(H, y).omega, rtol=1e-10)
    shown = SNRFrame.of(np.concatenate([H, y[:, None] / 10.0], axis=1), y)  # class means differ where nothing varies
    assert shown.signal_lost > 1e-5
    with pytest.raises(ValueError, match="Need features that vary within classes"):
        SNRFrame.of(moments_of(V, y).M.T[y], y)


def test_random_rates_are_those_of_random_velocities(seed):
    H, y, _ = made(seed, sizes=(3, 9, 5, 20))
    frame, rng = SNRFrame.of(H, y), np.random.default_rng(seed)
    drawn = frame.random_rates(4000, rng).reshape(4000, -1)
    plain = np.stack([frame.rates(rng.standard_normal(H.shape)).ravel() for _ in range(4000)])
    sizes = np.sqrt(np.outer(np.var(plain, axis=0), np.var(plain, axis=0)))
    assert np.abs(np.cov(drawn.T) - np.cov(plain.T)).max() < 0.12 * sizes.max()
    assert np.abs(np.var(drawn, axis=0) / np.var(plain, axis=0) - 1).max() < 0.15


@pytest.mark.parametrize("lam", [0.0, 0.03])
@pytest.mark.parametrize("sizes", [None, (3, 9, 5, 20)])
def test_the_gradient_is_that_of_the_loss_at_the_least_squares_classifier(seed, sizes, lam):
    H, y, V = made(seed, sizes=sizes)

    def loss(X):
        m = moments_of(X, y)
        return decompose(*least_squares(m, lam=lam), m, lam=lam).total

    h = 1e-5
    difference = (loss(H + h * V) - loss(H - h * V)) / (2 * h)
    assert np.sum(gradient(H, y, lam) * V) == pytest.approx(difference, rel=1e-6, abs=1e-10)
