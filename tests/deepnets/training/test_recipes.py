"""The objective that is trained, and the recipes of the paper."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from short_runs import CLASSES, new_trainer

from central_path.theory import loss, problem
from deepnet_runs.training import recipes
from deepnet_runs.training.config import NETWORKS
from deepnet_runs.training.recipes import Recipe, measured_epochs, rate_at, recipe


@pytest.mark.parametrize("lam", [0.005, pytest.param(0.3, marks=pytest.mark.slow)])
def test_a_step_of_the_last_layer_descends_the_loss_of_the_decomposition(lam):
    trainer = new_trainer("--lam", str(lam), "--weight-decay", "0.001")
    head = trainer.network.head
    before = {name: value.detach().double().numpy().copy() for name, value in head.named_parameters()}
    images = trainer.data.train.batch()
    H = trainer.network.train()(images.x)[0].detach().double().numpy()
    trainer.step(images, len(images.y), 29)
    y = images.y.numpy()
    m = problem.moments(jnp.asarray(np.stack([H[y == c].T for c in range(CLASSES)], axis=1)))

    def objective(W, b, lam):
        return loss.decompose(W, b, m, lam=lam).total

    def miss(lam):
        steps = jax.grad(objective, argnums=(0, 1))(jnp.asarray(before["weight"]), jnp.asarray(before["bias"]), lam)
        moved = [(head.weight, before["weight"], steps[0]), (head.bias, before["bias"], steps[1])]
        return max(
            np.abs(now.detach().numpy() - old + 0.1 * step).max() / (0.1 * np.abs(step).max())
            for now, old, step in moved
        )

    assert miss(lam) < 1e-4  # float32: weights of 0.1 to 1e-8, steps of 1e-3
    assert miss(lam / CLASSES) > 1e-3
    assert trainer.optimizer.param_groups[0]["weight_decay"] == 0.001


def test_converted_recipes_follow_the_path_of_the_published_ones():
    chosen = recipe("cifar10", "resnet50", "mse")
    published = recipes.PUBLISHED_MSE["cifar10", "resnet50"]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 7, generator=generator, dtype=torch.float64)
    y = torch.randint(CLASSES, (64,), generator=generator)
    target = torch.nn.functional.one_hot(y, CLASSES).double()

    def path(step_loss, lr, weight_decay):
        torch.manual_seed(0)
        layer = torch.nn.Linear(7, CLASSES).double()
        optimizer = torch.optim.SGD(layer.parameters(), lr=lr, weight_decay=weight_decay, momentum=chosen.momentum)
        for _ in range(5):
            optimizer.zero_grad()
            step_loss(layer(x)).backward()
            optimizer.step()
        return layer.weight.detach().numpy()

    def ours(outputs):
        return 0.5 * (outputs - target).square().sum() / len(x)

    theirs = path(lambda outputs: torch.nn.MSELoss()(outputs, target), published, 5e-4)
    converted = path(ours, chosen.lr, chosen.weight_decay)
    np.testing.assert_allclose(converted, theirs, rtol=1e-12, atol=1e-15)
    assert np.abs(path(ours, chosen.lr, 5e-4) - theirs).max() > 1e-5
    assert np.abs(path(ours, published, chosen.weight_decay) - theirs).max() > 1e-3


def test_every_pair_of_the_paper_has_its_learning_rate():
    assert len(recipes.PUBLISHED_MSE) == 15
    assert {dataset for dataset, _ in recipes.PUBLISHED_MSE} == {"mnist", "fashionmnist", "svhn", "cifar10", "stl10"}
    for (dataset, network), lr in recipes.PUBLISHED_MSE.items():
        chosen = recipe(dataset, network, "mse")
        assert network in NETWORKS
        assert chosen.epochs == 350
        assert chosen.batch_size == 128
        assert math.isclose(chosen.lr * CLASSES / 2, lr)
        assert math.isclose(chosen.weight_decay, 5e-4 * CLASSES / 2)
        assert recipe(dataset, network, "ce").weight_decay == 5e-4
    assert recipe("cifar10", "resnet18", "ce").lr == 0.13025


def test_measured_epochs_are_the_papers_scaled():
    paper = (
        *range(1, 15),
        16,
        17,
        19,
        20,
        22,
        24,
        27,
        29,
        32,
        35,
        38,
        42,
        45,
        50,
        54,
        59,
        65,
        71,
        77,
        85,
        92,
        101,
        110,
    )
    paper += (121, 132, 144, 158, 172, 188, 206, 225, 245, 268, 293, 320, 350)
    assert measured_epochs(350) == paper
    for epochs in (1, 2, 3, 8, 14, 120, 500):
        measured = measured_epochs(epochs)
        assert measured[0] == 1
        assert measured[-1] == epochs
        assert len(measured) <= len(paper)
        assert list(measured) == sorted(set(measured))
    assert measured_epochs(3) == (1, 2, 3)


def test_the_last_partial_batch_is_left_out_for_the_digits_unless_it_is_asked_for():
    left_out, kept = new_trainer(), new_trainer("--no-full-batches")
    assert (left_out.steps_per_epoch, kept.steps_per_epoch) == (10, 11)
    assert left_out.recipe.steps_per_epoch(100) == kept.recipe.steps_per_epoch(100) == 1
    assert not recipe("cifar10", "resnet18", "mse").full_batches


@pytest.mark.parametrize(("size", "full_batches", "sizes"), [(600, True, [600, 600]), (600, False, [600, 600, 200])])
def test_an_epoch_takes_its_batches_and_its_loss_is_their_mean(size, full_batches, sizes, monkeypatch):
    trainer = new_trainer("--batch-size", str(size))
    trainer.recipe = trainer.recipe._replace(full_batches=full_batches)
    seen = []

    def step(batch, total, number):
        seen.append(total)
        return torch.tensor(3.0 * len(batch.y))

    monkeypatch.setattr(trainer, "step", step)
    trainer.train_epoch()
    assert seen == sizes
    assert trainer.train_loss == 3.0


def test_the_rate_warms_up_and_drops_at_a_third_and_two_thirds():
    chosen = Recipe(epochs=30, lr=0.5, weight_decay=0.0, batch_size=128, momentum=0.9, warmup_steps=4)
    rates = np.array([rate_at(chosen, step, 10) for step in range(300)])
    expected = np.repeat([0.5, 0.05, 0.005], 100)
    expected[:4] = [0.125, 0.25, 0.375, 0.5]
    np.testing.assert_allclose(rates, expected, rtol=1e-14)
    assert rate_at(chosen._replace(warmup_steps=0), 0, 10) == 0.5
    assert rate_at(chosen._replace(epochs=1), 9, 10) == 0.5
