"""The passes of a measurement: batch normalization estimated anew, batches, what is left as it was."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from small_problem import C, problem_of, row_of

from central_path.torch import batchnorm
from deepnet_runs.datasets.data import Images
from deepnet_runs.measuring.measure import batches, evaluating, forward_pass
from deepnet_runs.networks.batchnorm import Layers


def normalization_inputs(network, images):
    """What each batch normalization sees of the whole set, in training mode and in one batch."""
    seen, hooks = {}, []
    for name, module in network.named_modules():
        if isinstance(module, Layers):
            hooks.append(module.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]})))
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with torch.no_grad():
        network.train()(images.x)
    network.load_state_dict(before, strict=False)
    for hook in hooks:
        hook.remove()
    return {name: values.transpose(0, 1).flatten(1) for name, values in seen.items()}


def test_estimated_from_one_batch_the_running_statistics_are_those_of_the_whole_set(seed, device):
    network, data = problem_of(seed, "unbalanced", device=device)
    inputs = normalization_inputs(network, data.train)
    for _ in range(3):
        network(data.test.x)  # what the running statistics saw before does not count
    batchnorm.estimate(network, [data.train.x])
    assert len(inputs) == 2
    for name, values in inputs.items():
        layer = network.get_submodule(name)
        torch.testing.assert_close(layer.running_mean, values.mean(dim=1), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(layer.running_var, values.var(dim=1), rtol=1e-12, atol=1e-12)


def test_estimated_from_batches_of_one_size_the_first_means_are_those_of_the_whole_set(seed):
    network, data = problem_of(seed)
    values = normalization_inputs(network, data.train)["body.1"]
    batchnorm.estimate(network, (batch.x for batch in batches(data.train, 16)))  # four of 15
    layer = network.get_submodule("body.1")
    torch.testing.assert_close(layer.running_mean, values.mean(dim=1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer.running_var, values.var(dim=1), rtol=0.15, atol=0)  # classes shared out at random


def test_a_measurement_estimates_the_statistics_and_stale_ones_give_another_row(seed):
    network, data = problem_of(seed)
    stale, _ = row_of(network, data, fresh_batchnorm=False)
    fresh, _ = row_of(network, data)
    again, _ = row_of(network, data, fresh_batchnorm=False)  # now they are not stale any more
    assert (stale["batchnorm_reestimated"], fresh["batchnorm_reestimated"]) == (False, True)
    assert abs(stale["nc1_train"] / fresh["nc1_train"] - 1) > 1e-3
    assert abs(stale["loss"] / fresh["loss"] - 1) > 1e-3
    assert again | {"batchnorm_reestimated": True} == fresh


@pytest.mark.parametrize("training", [True, False])
def test_a_measurement_leaves_the_mode_the_parameters_and_the_momentum_as_they_were(training):
    network, data = problem_of(0)
    network.train(training)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    row_of(network, data)
    assert network.training is training
    assert {module.momentum for module in network.modules() if isinstance(module, Layers)} == {0.1}
    for parameter, value in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter, value)
        assert parameter.grad is None


@pytest.mark.parametrize("ends_well", [True, False])
def test_while_it_measures_the_network_is_in_full_precision_and_afterwards_as_it_was(ends_well, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    network, _ = problem_of(0)
    convolution = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    data = convolution.weight.data
    with nullcontext() if ends_well else pytest.raises(RuntimeError), evaluating(network.train()):
        network.eval()
        assert torch.backends.cudnn.allow_tf32 is False
        assert torch.equal(convolution.weight, data)
        assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
        if not ends_well:
            raise RuntimeError
    assert torch.backends.cudnn.allow_tf32 is True
    assert network.training
    assert convolution.weight.data.data_ptr() == data.data_ptr()


@pytest.mark.parametrize("n", [4, 5, 16, 17, 64, 65, 129])
@pytest.mark.parametrize("size", [4, 16, 64, 200])
def test_the_batches_of_a_measurement_hold_every_example_once_in_order_and_none_holds_one_alone(n, size):
    images = Images(torch.arange(n, dtype=torch.float32).reshape(n, 1, 1, 1), torch.zeros(n, dtype=torch.int64))
    found = [batch.x.flatten() for batch in batches(images, size)]
    assert torch.cat(found).tolist() == list(range(n))
    lengths = [len(batch) for batch in found]
    assert len(lengths) == math.ceil(n / size)
    assert max(lengths) - min(lengths) <= 1
    assert 2 <= min(lengths) <= max(lengths) <= size


def test_rows_do_not_depend_on_the_batch_size_to_rounding(seed):
    network, data = problem_of(seed, "unbalanced")
    rows = [row_of(network, data, batch_size=size, fresh_batchnorm=False)[0] for size in (1, 7, 16, 1000)]
    for row in rows[1:]:
        assert row.keys() == rows[0].keys()
        for key, value in row.items():
            tolerance = {"rtol": 0, "atol": 1e-7} if key == "snr_right" else {"rtol": 1e-9, "atol": 1e-12}
            np.testing.assert_allclose(value, rows[0][key], err_msg=key, **tolerance)


def test_a_pass_keeps_the_features_in_the_networks_precision_and_its_statistics_in_float64():
    network, data = problem_of(0, dtype=torch.float32)
    seen = forward_pass(network.eval(), data.train, batch_size=16, classes=C)
    assert seen.features.dtype == torch.float32
    assert seen.statistics.scatter.dtype == torch.float64
    assert torch.equal(seen.labels, data.train.y)
    assert not seen.features.requires_grad
