"""What the laws assume, measured on features whose answer is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from central_path.theory import problem
from deepnet_runs.dynamics import assumptions
from deepnet_runs.storage.row import Row

C, N, P = 5, 30, 12


def features(seed=0):
    H = problem.random_features(C, N, P, seed=seed)  # (P, C, N)
    return np.asarray(H).reshape(P, C * N).T, np.repeat(np.arange(C), N)


def save(folder, epoch, h, labels):
    (folder / "features").mkdir(exist_ok=True)
    np.savez(folder / "features" / f"epoch_{epoch:04d}.npz", features=h.astype(np.float32), labels=labels)


def test_a_linear_map_and_other_means_leave_E_frozen_and_noise_does_not(tmp_path):
    h, labels = features()
    rng = np.random.default_rng(1)
    A = rng.standard_normal((P, P))
    save(tmp_path, 1, h, labels)
    save(tmp_path, 2, h @ A + 3 * rng.standard_normal((C, P))[labels], labels)
    save(tmp_path, 3, rng.standard_normal((C * N, P)), labels)
    found = assumptions.of_features(tmp_path, [1, 2, 3])["overlap_E"]
    assert found[0] == pytest.approx(1, abs=1e-9)
    assert found[1] == pytest.approx(1, abs=1e-6)
    assert abs(found[2] - P / (C * N - C)) < 0.1
    assert assumptions.of_features(tmp_path, [1, 2, 3])["chance_E"] == pytest.approx([P / (C * N - C)] * 3)
    assert assumptions.saved_dimension(tmp_path, 1) == P
    assert assumptions.saved_dimension(tmp_path, 9) is None


def test_left_vectors_are_those_of_the_snr_matrix_and_turn_with_the_features(tmp_path):
    h, labels = features()
    m = problem.moments(jnp.asarray(h.T.reshape(P, C, N)))
    w, Q = np.linalg.eigh(np.asarray(m.Sigma_W))
    M = np.asarray(m.M)
    snr = (Q / np.sqrt(w)) @ Q.T @ (M - M.mean(axis=1, keepdims=True))
    U = np.linalg.svd(snr)[0][:, : C - 1]
    assert assumptions.largest_angle(assumptions.frame(h, labels).U, U) < 1e-6
    turn = np.eye(P)
    angle = np.radians(20)
    direction, away = U[:, 0], np.linalg.svd(U)[0][:, C]  # in the span, and across it
    turn += (np.cos(angle) - 1) * (np.outer(direction, direction) + np.outer(away, away))
    turn += np.sin(angle) * (np.outer(away, direction) - np.outer(direction, away))
    save(tmp_path, 1, h, labels)
    save(tmp_path, 2, h @ turn.T, labels)
    found = assumptions.of_features(tmp_path, [1, 2])["angle_U"]
    assert found[0] < 1e-3
    assert found[1] == pytest.approx(20, abs=0.01)


def row(V, perp, gap):
    parts = {"loss_ls_perp": perp, "loss_nc1": 1.0, "loss_nc23": 3.0}
    return Row(epoch=1, snr_right=V.T.tolist(), mean_output_gap=gap, **parts)


def test_right_vectors_are_paired_by_rank_whatever_their_sign():
    V = np.linalg.qr(np.random.default_rng(0).standard_normal((C, C - 1)))[0]
    swapped = V[:, [1, 0, 2, 3]]
    found = assumptions.of_rows([row(V, 0.4, 0.1), row(-V, 0.2, 0.3), row(swapped, 0.0, 0.0)])
    np.testing.assert_allclose(found["overlap_V"], [1, 1, 0.5], atol=1e-12)
    np.testing.assert_allclose(found["angle_V"], [0, 0, 0], atol=1e-5)  # the span of the first two is the same
    assert found["loss_ls_perp_over_loss_ls"] == [0.1, 0.05, 0]
    assert found["mean_output_gap"] == [0.1, 0.3, 0]


def test_features_that_are_not_there_say_nothing_and_of_other_examples_are_refused(tmp_path):
    h, labels = features()
    save(tmp_path, 1, h, labels)
    assert assumptions.of_features(tmp_path, [1, 2]) == {}
    save(tmp_path, 2, h, labels[::-1])
    with pytest.raises(ValueError, match=r"got other labels in .*epoch_0002.npz"):
        assumptions.of_features(tmp_path, [1, 2])
    (tmp_path / "features" / "epoch_0002.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="Need features of a run, got"):
        assumptions.of_features(tmp_path, [1, 2])
