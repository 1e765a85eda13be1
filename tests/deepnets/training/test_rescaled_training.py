"""The rescaled loss where it is trained: its objective, its least-squares classifier, its measurement."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from short_runs import CLASSES, new_trainer

from central_path.theory import rescaled
from deepnet_runs.measuring.measure import squared_error
from deepnet_runs.training.trainer import data_loss

K, M = 3.0, 2.0
RESCALED = ("--loss", "rescaled-mse", "--k", str(K), "--M", str(M), "--network", "densenet10")


def plain(outputs, labels):
    total = 0.0
    for f, y in zip(outputs, labels, strict=True):
        total += K * (f[y] - M) ** 2 + sum(f[j] ** 2 for j in range(len(f)) if j != y)
    return total


def test_the_loss_is_its_definition_by_loops():
    rng = np.random.default_rng(0)
    outputs, labels = rng.standard_normal((9, 4)), rng.integers(4, size=9)
    f, y = torch.tensor(outputs), torch.tensor(labels)
    assert float(squared_error(f, y, K, M)) == pytest.approx(plain(outputs, labels), rel=1e-14)
    assert float(data_loss(f, y, "rescaled-mse", k=K, M=M)) == pytest.approx(plain(outputs, labels) / 2, rel=1e-14)
    assert torch.equal(data_loss(f, y, "rescaled-mse", k=1.0, M=1.0), data_loss(f, y, "mse"))


def test_the_parts_are_those_of_the_loss_trained_and_its_gradient_vanishes_at_their_classifier():
    trainer = new_trainer(*RESCALED, "--lam", "0.02")
    trainer.train_epoch()
    row, seen = trainer.measure()
    parts = row.loss_nc1 + row.loss_nc23 + row.loss_ls_perp
    assert parts == pytest.approx(row.loss, rel=1e-12)
    head = trainer.network.head
    features, labels = (jnp.asarray(a) for a in (seen.features.double().numpy(), seen.labels.numpy()))
    W, b = (jnp.asarray(p.detach().double().numpy()) for p in (head.weight, head.bias))
    assert float(rescaled.rescaled_loss(W, b, features, labels, k=K, M=M, lam=0.02)) == pytest.approx(
        row.loss, rel=1e-12
    )

    def slope(lam):
        moments = jax.tree.map(jnp.asarray, seen.statistics.arrays())
        m = rescaled.Moments(*moments)
        W, b = rescaled.least_squares(m, seen.class_covariances(), k=K, M=M, lam=lam)
        extended = torch.nn.Linear(W.shape[1], CLASSES).double()
        with torch.no_grad():
            extended.weight.copy_(torch.tensor(np.asarray(W)))
            extended.bias.copy_(torch.tensor(np.asarray(b)))
        loss = data_loss(extended(seen.features.double()), seen.labels, "rescaled-mse", k=K, M=M) / len(seen.labels)
        decay = sum(p.square().sum() for p in extended.parameters())
        (loss + 0.01 * decay).backward()  # lambda/2 = 0.01 of the objective that the optimiser descends
        return max(float(p.grad.abs().max()) for p in extended.parameters())

    assert slope(0.02) < 1e-13
    assert slope(0.02 / CLASSES) > 1e-5


def test_the_stability_bound_is_of_the_largest_of_the_weighted_problems(capsys):
    trainer = new_trainer(*RESCALED)
    x = torch.zeros(20, 3)
    x[0, 0] = 10.0  # one example, of class 0, which counts three times there
    labels = torch.arange(20) % CLASSES
    trainer.recipe = trainer.recipe._replace(lr=1.0)
    trainer.warn_of_instability(x, labels)
    largest = (
        np.linalg.norm(np.sqrt(np.where(labels.numpy() == 0, K, 1))[:, None] * np.c_[x.numpy(), np.ones(20)], 2) ** 2
    )
    assert f"= {2 * 1.9 * 20 / largest:.2g} at the start" in capsys.readouterr().err
