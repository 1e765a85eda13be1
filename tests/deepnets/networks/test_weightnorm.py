"""A homogeneous network, and layers of fixed norm with one free radius."""

import copy

import pytest
import torch
from short_runs import check_row, new_trainer
from torch import nn

from deepnet_runs import networks
from deepnet_runs.networks import weightnorm

LAYERS = (nn.Conv2d, nn.Linear)


def weights(network):
    return [module.weight for module in network.modules() if isinstance(module, LAYERS)]


def test_the_plain_network_is_homogeneous_in_every_layer():
    torch.manual_seed(0)
    network = networks.build("plain7", channels=1, size=8, classes=10).double()
    x = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    outputs = network(x)[1]
    for weight in weights(network):
        with torch.no_grad():
            weight.mul_(3)
        torch.testing.assert_close(network(x)[1], 3 * outputs)
        with torch.no_grad():
            weight.div_(3)
    trained = [p for p in network.parameters() if p.requires_grad]
    assert len(trained) == len(weights(network)) == 7
    assert not network.head.bias.any()


@pytest.mark.parametrize("network", ["plain7", "resnet8"])
def test_with_fixed_norms_training_moves_directions_and_one_radius(network):
    trainer = new_trainer("--network", network, "--weight-norm", "--device", "cpu")
    plain = new_trainer("--network", network, "--device", "cpu")
    before = [weight.detach().clone() for weight in weights(trainer.network)]
    for weight, other in zip(before, weights(plain.network), strict=True):
        torch.testing.assert_close(weight, other)
    trainer.train_epoch()
    after = weights(trainer.network)
    for weight, old in zip(after[:-1], before[:-1], strict=True):
        torch.testing.assert_close(weight.norm(), old.norm())
        assert (weight - old).norm() > 1e-3 * old.norm()
    assert abs(after[-1].norm() / before[-1].norm() - 1) > 1e-3
    torch.testing.assert_close(weightnorm.rho(trainer.network).squeeze(), after[-1].norm())
    check_row(trainer.measure()[0].to_dict())


def test_weight_decay_shrinks_the_radius_and_nothing_else():
    trainer = new_trainer("--network", "plain7", "--weight-norm", "--weight-decay", "0.25")
    before = [weight.detach().clone() for weight in weights(trainer.network)]
    for parameter in trainer.network.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    for group in trainer.optimizer.param_groups:
        group["lr"] = 1.0
    trainer.optimizer.step()
    after = weights(trainer.network)
    for weight, old in zip(after[:-1], before[:-1], strict=True):
        torch.testing.assert_close(weight, old)
    torch.testing.assert_close(after[-1], 0.75 * before[-1])


def test_a_run_with_fixed_norms_goes_on_from_its_state():
    arguments = ("--network", "plain7", "--weight-norm")
    trainer, other = new_trainer(*arguments), new_trainer(*arguments)
    trainer.train_epoch()
    other._restore(copy.deepcopy(trainer.state()))  # optimisers share what they load
    trainer.train_epoch()
    other.train_epoch()
    for weight, resumed in zip(weights(trainer.network), weights(other.network), strict=True):
        assert torch.equal(weight, resumed)
