"""A measurement: the loss of the objective that is trained, in its parts."""

import math

import numpy as np
import pytest
import torch
from small_problem import COUNTS, LAM, C, problem_of, row_of

from central_path.metrics.snr import Moments
from central_path.theory.loss import least_squares
from deepnet_runs.datasets.data import DataSet, Images
from deepnet_runs.training.config import TrainConfig
from deepnet_runs.training.trainer import Trainer, data_loss


@pytest.mark.parametrize("sizes", COUNTS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_parts_sum_to_the_loss_and_that_is_the_objective_example_by_example(sizes, dtype, seed, device):
    network, data = problem_of(seed, sizes, dtype=dtype, device=device)
    row, seen = row_of(network, data)
    parts = row["loss_nc1"] + row["loss_nc23"] + row["loss_ls_perp"]
    assert parts == pytest.approx(row["loss"], rel=1e-12)
    W, b = (parameter.detach().double().cpu() for parameter in (network.head.weight, network.head.bias))
    total = 0.0
    for h, y in zip(seen.features.double().cpu(), seen.labels.tolist(), strict=True):
        target = torch.eye(C, dtype=torch.float64)[y]
        total += 0.5 * float((W @ h + b - target).square().sum())
    objective = total / len(data.train.y) + LAM / 2 * float(W.square().sum() + b.square().sum())
    assert row["loss"] == pytest.approx(objective, rel=1e-12)
    assert min(row["loss_nc1"], row["loss_nc23"], row["loss_ls_perp"]) > 0


def objective(network, images, lam):
    """What is trained: the summed loss of `trainer.data_loss` over n, and weight decay on W and b."""
    W, b = network.head.weight, network.head.bias
    mean = data_loss(network(images.x)[1], images.y, "mse") / len(images.y)
    return mean + lam / 2 * (W.square().sum() + b.square().sum())


def gradient_norm(network, images, lam):
    network.eval()
    gradients = torch.autograd.grad(objective(network, images, lam), list(network.head.parameters()))
    return math.sqrt(sum(float(g.square().sum()) for g in gradients))


def put_least_squares(network, seen, lam):
    W, b = least_squares(Moments(*seen.statistics.arrays()), lam=lam)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(np.array(W)))
        network.head.bias.copy_(torch.from_numpy(np.array(b)))


@pytest.mark.parametrize("sizes", COUNTS)
def test_the_gradient_of_the_trained_objective_vanishes_at_the_least_squares_classifier(sizes, seed):
    network, data = problem_of(seed, sizes)
    _, seen = row_of(network, data)
    before = gradient_norm(network, data.train, LAM)
    put_least_squares(network, seen, LAM)
    assert gradient_norm(network, data.train, LAM) < 1e-12 * before
    row, _ = row_of(network, data, fresh_batchnorm=False)
    assert row["loss_ls_perp"] < 1e-24
    for wrong in (
        LAM * C,
        LAM / C,
    ):  # the planted fault: a loss averaged over classes, or its weight decay, taken for L
        put_least_squares(network, seen, wrong)
        assert gradient_norm(network, data.train, LAM) > 1e-3 * before


def trainer_of(data, lam, weight_decay, lr=0.1):
    given = {"epochs": 3, "lr": lr, "weight_decay": weight_decay, "lam": lam, "batch_size": 10_000, "warmup_steps": 0}
    return Trainer(TrainConfig.from_recipe(**given, full_batches=False), data, torch.device("cpu"))


def small_set():
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
    prototypes = torch.randn(3, 1, 8, 8, generator=generator)
    pair = (Images(prototypes[labels] + torch.randn(12, 1, 8, 8, generator=generator), labels) for _ in range(2))
    return DataSet(*pair, 3)


def test_the_first_step_of_the_optimiser_on_the_whole_set_goes_down_the_gradient_of_the_objective():
    data = small_set()
    trainer = trainer_of(data, lam=0.2, weight_decay=0.05)
    network, n = trainer.network, len(data.train.y)
    lam = trainer.optimizer.param_groups[1]["weight_decay"]
    assert lam == 0.2
    network.train()
    head, body = list(network.head.parameters()), list(network.body.parameters())
    before = [parameter.detach().clone() for parameter in (*head, *body)]
    decay = 0.05 / 2 * sum(parameter.square().sum() for parameter in body)
    gradients = torch.autograd.grad(objective(network, data.train, lam) + decay, [*head, *body])
    wrong = torch.autograd.grad(objective(network, data.train, lam / 3), head)  # the planted fault, lambda over C
    trainer.step(data.train.batch(), n, 0)
    moved = [(start - parameter.detach()) / 0.1 for start, parameter in zip(before, (*head, *body), strict=True)]
    for found, gradient in zip(moved, gradients, strict=True):
        # float32: the rounding of the parameters over the learning rate
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-5)
    for found, gradient in zip(moved, wrong, strict=False):
        assert float((found - gradient).norm() / gradient.norm()) > 1e-3


def test_weight_decay_alone_shrinks_the_bias_and_the_normalization_as_the_weights():
    data = small_set()
    trainer = trainer_of(data, lam=0.2, weight_decay=0.05)
    with torch.no_grad():
        trainer.network.head.bias.fill_(0.7)
    for group in trainer.optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    before = {name: parameter.detach().clone() for name, parameter in trainer.network.named_parameters()}
    trainer.optimizer.step()
    for name, parameter in trainer.network.named_parameters():
        factor = 1 - 0.1 * (0.2 if name.startswith("head") else 0.05)
        torch.testing.assert_close(parameter.detach(), factor * before[name])
