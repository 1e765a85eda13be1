"""One thing about a training changed at a time: width, depth, BatchNorm, momentum, the drops of the rate."""

import numpy as np
import pytest
import torch
from short_runs import check_row, new_trainer, short
from torch import nn

from deepnet_runs.networks import Variant, build
from deepnet_runs.networks.variant import Shift
from deepnet_runs.training import recipes


def network(name, **variant):
    torch.manual_seed(0)
    return build(name, channels=1, size=8, classes=10, variant=Variant(**variant))


def convolutions(module):
    return [m for m in module.modules() if isinstance(m, nn.Conv2d)]


@pytest.mark.parametrize(("name", "per_depth"), [("vgg7", 6), ("resnet8", 6), ("densenet10", 6)])
def test_width_scales_the_features_and_depth_the_layers(name, per_depth):
    plain, wide, deep = network(name), network(name, width=2.0), network(name, depth=2)
    assert wide.head.in_features == pytest.approx(2 * plain.head.in_features, abs=2)
    assert len(convolutions(deep)) == len(convolutions(plain)) + per_depth
    assert len(convolutions(wide)) == len(convolutions(plain))
    same = network(name, width=1.0, depth=1)
    for a, b in zip(plain.parameters(), same.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["vgg7", "resnet8"])
def test_without_batchnorm_an_image_does_not_depend_on_its_batch(name):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(6, 1, 8, 8, generator=generator)

    def alone_and_together(net):
        net.train()
        return net(images[:1])[0], net(images)[0][:1]

    bare = network(name, batchnorm=False)
    torch.testing.assert_close(*alone_and_together(bare))
    assert not [m for m in bare.modules() if isinstance(m, nn.BatchNorm2d)]
    shifts = [m for m in bare.modules() if isinstance(m, Shift)]
    assert len(shifts) == len([m for m in network(name).modules() if isinstance(m, nn.BatchNorm2d)])
    alone, together = alone_and_together(network(name))  # planted: with it, it does
    assert not torch.allclose(alone, together, rtol=1e-2)
    with torch.no_grad():
        for m in shifts:
            m.beta += 1
    assert not torch.allclose(bare(images)[0], network(name, batchnorm=False)(images)[0], rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "variant"),
    [("plain7", {"width": 2.0}), ("densenet10", {"batchnorm": False})],
)
def test_a_variant_that_a_network_does_not_have_is_refused(name, variant):
    with pytest.raises(ValueError, match=f"Need vgg7 or resnet8 for another width or depth .*, got {name} with"):
        network(name, **variant)


def test_the_summed_rate_is_the_sum_of_the_rates_of_all_steps_taken():
    trainer = new_trainer("--epochs", "6", "--batch-size", "350")
    taken = []
    step = trainer.optimizer.step

    def noted():
        taken.append(trainer.optimizer.param_groups[0]["lr"])
        step()

    trainer.optimizer.step = noted
    for epoch in range(1, 4):
        trainer.train_epoch()
        assert recipes.summed_rate(trainer.recipe, epoch, trainer.steps_per_epoch) == pytest.approx(
            sum(taken), rel=1e-12
        )
    assert len(taken) == 12
    row, _ = trainer.measure()
    assert row.lr_sum == pytest.approx(sum(taken), rel=1e-12)


def test_a_constant_rate_stays_after_its_warm_up_and_the_recipes_drops():
    recipe = recipes.recipe("digits", "resnet8", "mse")
    constant = recipe._replace(constant_rate=True)
    rates = np.array([[recipes.rate_at(r, step, 10) for step in range(1200)] for r in (recipe, constant)])
    np.testing.assert_array_equal(rates[0, :400], rates[1, :400])
    np.testing.assert_allclose(rates[:, -1], [1e-3, 0.1], rtol=1e-12)
    assert np.all(rates[1, 30:] == 0.1)


@pytest.mark.parametrize(
    "more",
    [
        ("--no-batchnorm", "--lr", "0.03"),
        ("--momentum", "0", "--constant-rate", "--weight-decay", "0"),
        ("--network", "densenet10", "--width", "0.5", "--depth", "2"),
    ],
)
def test_variants_train_and_are_measured(tmp_path, more):
    code, rows = short(tmp_path / "run", *more)
    assert code == 0
    for row in rows:
        check_row(row)
        V = np.array(row["snr_right"])
        np.testing.assert_allclose(V @ V.T, np.eye(9), rtol=0, atol=1e-9)
        assert 0 < row["mean_output_gap"] < np.inf
