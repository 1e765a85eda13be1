"""The networks: sizes as published, features and last layer exposed, one step and one measurement of each."""

import json
import math
from functools import cache

import numpy as np
import pytest
import torch

from deepnet_runs.datasets.data import DataSet, Images
from deepnet_runs.measuring.measure import measure
from deepnet_runs.networks import BODIES, HOMOGENEOUS, SMALL, build
from deepnet_runs.storage.records import line
from deepnet_runs.storage.row import FURTHER
from deepnet_runs.training import config, options
from deepnet_runs.training.config import NETWORKS, SMALL_NETWORKS
from deepnet_runs.training.trainer import data_loss

FULL_SIZE = [name for name in BODIES if name not in SMALL]
PARAMETERS = {  # with biases and the last layer for ten classes; full-size: colour images of 32 x 32; small: digits
    "vgg11": (28_157_706, 4096),
    "vgg13": (28_342_602, 4096),
    "resnet18": (11_173_962, 512),
    "resnet34": (21_282_122, 512),
    "resnet50": (23_520_842, 2048),
    "densenet40": (1_059_298, 456),
    "densenet100": (769_162, 342),
    "densenet201": (18_104_458, 1920),
    "densenet250": (15_324_406, 1734),
    "vgg7": (72_666, 64),
    "resnet8": (77_754, 64),
    "densenet10": (9_342, 18),
    "plain7": (72_218, 64),
}
PUBLISHED_MILLIONS = {  # He et al. 2016 and widespread 32 x 32 versions of it; Huang et al. 2017, Table 2
    "resnet18": 11.2,
    "resnet34": 21.3,
    "resnet50": 23.5,
    "densenet40": 1.0,
    "densenet100": 0.8,
    "densenet250": 15.3,
}


@cache
def shape_of(name, **changes):
    """The network without its numbers, on torch's device for that; built once, for a large one takes a second."""
    sizes = {"channels": 1, "size": 8} if name in SMALL else {"channels": 3, "size": 32}
    with torch.device("meta"):
        return build(name, **(sizes | {"classes": 10} | changes))


@pytest.fixture(scope="module", autouse=True)
def forget_networks():
    yield
    shape_of.cache_clear()


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def first_convolution(network):
    return next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))


@pytest.mark.parametrize("name", SMALL_NETWORKS)
@pytest.mark.parametrize(("dataset", "channels", "size"), [("mnist", 1, 32), ("cifar10", 3, 32)])
def test_small_networks_take_images_of_other_sets_and_full_size_ones_no_digits(name, dataset, channels, size):
    assert options.parse(["--dataset", dataset, "--network", name])[0].network == name
    network = shape_of(name, channels=channels, size=size)
    features, outputs = network(torch.zeros(2, channels, size, size, device="meta"))
    assert features.shape == (2, PARAMETERS[name][1])
    assert outputs.shape == (2, 10)
    assert not any(config.takes(full_size, "digits") for full_size in FULL_SIZE)


def two_images_a_class(classes, channels, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Images(
        torch.randn(2 * classes, channels, size, size, generator=generator), torch.arange(2 * classes) % classes
    )


def test_the_networks_of_the_options_are_those_that_exist():
    assert set(NETWORKS) == set(BODIES) == set(PARAMETERS)
    assert SMALL_NETWORKS == SMALL


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_network_has_its_pinned_number_of_parameters_and_features(name):
    network = shape_of(name)
    assert (count(network), network.head.in_features) == PARAMETERS[name]


@pytest.mark.parametrize("name", PUBLISHED_MILLIONS)
def test_the_number_of_parameters_is_the_published_one_to_the_printed_digits(name):
    assert PARAMETERS[name][0] / 1e6 == pytest.approx(PUBLISHED_MILLIONS[name], abs=0.06)


def test_densenet40_without_bottlenecks_has_the_number_of_parameters_that_its_layers_add_up_to():
    width, growth, total = 24, 12, 3 * 24 * 9
    for block in range(3):
        for _ in range(12):
            total, width = total + 2 * width + 9 * width * growth, width + growth
        total += 2 * width + (width**2 if block < 2 else 0)
    assert count(shape_of("densenet40").body) == total


@pytest.mark.parametrize("name", BODIES)
def test_the_head_is_one_linear_layer_and_everything_else_is_the_body(name):
    network = shape_of(name)
    assert isinstance(network.head, torch.nn.Linear)
    assert {name.split(".")[0] for name, _ in network.named_parameters()} == {"body", "head"}
    assert count(network) - count(network.body) == 10 * (network.head.in_features + 1)


@pytest.mark.parametrize("name", FULL_SIZE)
def test_a_network_for_grey_images_differs_in_its_first_convolution_alone(name):
    colour, grey = shape_of(name), shape_of(name, channels=1)
    assert count(colour) - count(grey) == 2 * first_convolution(grey).weight.numel()


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "densenet201"])
@pytest.mark.parametrize("size", [32, 96])
def test_small_images_keep_their_resolution_in_the_stem_and_large_ones_have_the_published_stem(name, size):
    network = shape_of(name, size=size)
    first = first_convolution(network)
    pools = sum(isinstance(module, torch.nn.MaxPool2d) for module in network.modules())
    assert (first.kernel_size, first.stride, pools) == (((3, 3), (1, 1), 0) if size < 64 else ((7, 7), (2, 2), 1))


QUICK = {*SMALL, "resnet18", "densenet40"}  # one a family: VGG's by vgg7, whose full size has matrices of 4096 x 4096
CASES = [*((name, 8 if name in SMALL else 32) for name in BODIES), ("densenet201", 96), ("resnet18", 96), ("vgg11", 96)]
CASES = [
    pytest.param(name, size, marks=() if name in QUICK and size < 96 else pytest.mark.slow) for name, size in CASES
]


@pytest.mark.parametrize(("name", "size"), CASES)
def test_every_network_does_a_forward_a_backward_and_a_measuring_step_on_two_images_a_class(name, size, device):
    classes = 3 if name in SMALL else 2
    torch.manual_seed(0)
    channels = 1 if name in SMALL else 3
    network = build(name, channels=channels, size=size, classes=classes).to(device)
    pair = (two_images_a_class(classes, channels, size, seed) for seed in (0, 1))
    data = DataSet(*(images.to(device, torch.contiguous_format) for images in pair), classes)
    features, outputs = network(data.train.batch().x)
    torch.testing.assert_close(outputs, features @ network.head.weight.T + network.head.bias)
    (data_loss(outputs, data.train.y, "mse") / len(data.train.y)).backward()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and bool(parameter.grad.isfinite().all()) for parameter in trained)
    assert len(trained) == len(list(network.parameters())) - (name in HOMOGENEOUS)
    assert all(parameter.grad.any() for parameter in network.head.parameters() if parameter.requires_grad)

    row, seen = measure(network, data, lam=5e-4, batch_size=2 * classes, fresh_batchnorm=True)
    assert network.training
    assert seen.features.shape == (2 * classes, network.head.in_features)
    written = json.loads(line(vars(row)))
    assert set(written.pop("further")) == set(FURTHER)
    parts = sum(written[key] for key in ("loss_nc1", "loss_nc23", "loss_ls_perp"))
    assert parts == pytest.approx(written["loss"], rel=1e-12)
    V = np.array(written.pop("snr_right"))
    assert V.shape == (classes - 1, classes)
    np.testing.assert_allclose(V.sum(axis=1), 0, rtol=0, atol=1e-6)  # Mbar maps the vector of ones to 0
    assert written.pop("omega") == [None] * (classes - 1)  # infinite: fewer examples than classes and units
    assert all(math.isfinite(value) for value in written.values())
    assert written["rank_between"] == classes - 1
    assert 1 <= written["rank_within"] <= classes  # two images a class deviate from their mean along one line each


def test_an_unknown_network_is_refused_with_the_names_that_there_are():
    with pytest.raises(ValueError, match=r"Need a network among vgg11, .*, got 'resnet19'\.") as caught:
        build("resnet19", channels=3, size=32, classes=10)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "size", "smallest"), [("resnet18", 31, 32), ("vgg11", 8, 32), ("vgg7", 7, 8)])
def test_images_too_small_for_the_network_are_refused_with_both_sizes(name, size, smallest):
    expected = f"Need images of at least {smallest} x {smallest} for {name}, got {size} x {size}."
    with pytest.raises(ValueError) as caught:
        build(name, channels=1, size=size, classes=10)
    assert str(caught.value) == expected
