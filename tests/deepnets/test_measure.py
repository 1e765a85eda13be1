"""A measurement: the loss of the objective trained and its parts, NC1 to NC4 against loops, what is lost is said."""

import json
import math
from contextlib import nullcontext

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from central_path.loss import least_squares
from deepnet_runs import batchnorm, statistics
from deepnet_runs.data import DataSet, Images
from deepnet_runs.measure import batches, evaluating, forward_pass, measure
from deepnet_runs.networks import Network
from deepnet_runs.recipes import Recipe
from deepnet_runs.records import line
from deepnet_runs.trainer import Trainer, data_loss

C, P, LAM = 4, 6, 0.03
COUNTS = {"balanced": [15, 15, 15, 15], "unbalanced": [31, 14, 10, 5]}


def images_of(counts, seed, device="cpu", dtype=torch.float64):
    """Images of 3 x 3 with two channels, noisy copies of one a class, in random order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    prototypes = torch.randn(len(counts), 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    noise = torch.randn(len(labels), 2, 3, 3, generator=generator, dtype=dtype)
    return Images((prototypes[labels] + noise).to(device), labels.to(device))


def network_of(seed, dtype=torch.float64, device="cpu", classes=C):
    torch.manual_seed(seed)
    convolution = [nn.Conv2d(2, 5, 2), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten()]
    body = nn.Sequential(*convolution, nn.Linear(20, P), nn.BatchNorm1d(P), nn.Tanh())
    network = Network(body, P, classes).to(device, dtype)
    with torch.no_grad():
        network.head.weight.mul_(3)
    return network


def problem_of(seed, sizes="balanced", **where):
    pair = (images_of(COUNTS[sizes], 10 * seed + 1, **where), images_of([7, 6, 5, 4], 10 * seed + 2, **where))
    return network_of(seed, **where), DataSet(*pair, C)


def row_of(network, data, lam=LAM, batch_size=16, fresh_batchnorm=True):
    row, seen = measure(network, data, lam=lam, batch_size=batch_size, fresh_batchnorm=fresh_batchnorm)
    return json.loads(line(row)), seen


def features_of(network, images):
    network.eval()
    with torch.no_grad():
        features, outputs = network(images.x)
    network.train()
    return features.double().cpu().numpy(), outputs.double().cpu().numpy(), images.y.cpu().numpy()


def moments_by_loops(features, labels):
    M = np.stack([features[labels == c].mean(axis=0) for c in range(C)], axis=1)
    E = features.T - M[:, labels]
    return M, E @ E.T / len(labels), np.bincount(labels, minlength=C) / len(labels)


# the decomposition


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
    W, b = least_squares(statistics.moments(seen.statistics.arrays()), lam=lam)
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
    recipe = Recipe(epochs=3, lr=lr, weight_decay=weight_decay, batch_size=10_000, momentum=0.9, warmup_steps=0)
    config = dict.fromkeys(("amp", "channels_last", "stale_batchnorm", "weight_norm"), False)
    return Trainer(
        config | recipe._asdict() | {"network": "resnet8", "loss": "mse", "k": 1.0, "M": 1.0, "seed": 0, "lam": lam},
        recipe,
        data,
        torch.device("cpu"),
    )


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
    trainer.step(data.train, n, 0)
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


# NC1 to NC4


def expected_metrics(M, Sigma_W, pi, W):
    Mbar = M - (M @ pi)[:, None]
    Sigma_B = sum(pi[c] * np.outer(Mbar[:, c], Mbar[:, c]) for c in range(C))
    expected = {"nc1": np.trace(Sigma_W @ np.linalg.pinv(Sigma_B, rcond=1e-10)) / C}
    for name, A in (("means", Mbar), ("classifier", W.T)):
        norms = [math.sqrt(sum(a**2 for a in A[:, c])) for c in range(C)]
        pairs = [(c, d) for c in range(C) for d in range(C) if c != d]
        cosines = [A[:, c] @ A[:, d] / (norms[c] * norms[d]) for c, d in pairs]
        average = sum(cosines) / len(cosines)
        expected |= {
            f"equinorm_{name}": np.std(norms) / np.mean(norms),
            f"equiangularity_{name}": math.sqrt(sum((cosine - average) ** 2 for cosine in cosines) / len(cosines)),
            f"max_angle_{name}": sum(abs(cosine + 1 / (C - 1)) for cosine in cosines) / len(cosines),
        }
    expected["self_duality"] = sum(
        (W[c, p] / math.sqrt((W**2).sum()) - Mbar[p, c] / math.sqrt((Mbar**2).sum())) ** 2
        for c in range(C)
        for p in range(P)
    )
    return expected


@pytest.mark.parametrize("sizes", COUNTS)
def test_collapse_metrics_of_training_and_test_sets_are_those_of_plain_loops(sizes, seed):
    network, data = problem_of(seed, sizes)
    row, _ = row_of(network, data)
    W = network.head.weight.detach().numpy()
    for part, images in (("train", data.train), ("test", data.test)):
        features, outputs, labels = features_of(network, images)
        for key, value in expected_metrics(*moments_by_loops(features, labels), W).items():
            name = key if key.endswith("classifier") else f"{key}_{part}"
            assert row[name] == pytest.approx(value, rel=1e-9), name
        assert row[f"{part}_error"] == np.mean(outputs.argmax(axis=1) != labels)


@pytest.mark.parametrize("sizes", COUNTS)
def test_omega_ranks_and_condition_are_those_of_the_definitions(sizes, seed):
    network, data = problem_of(seed, sizes)
    row, _ = row_of(network, data)
    features, _, labels = features_of(network, data.train)
    M, Sigma_W, pi = moments_by_loops(features, labels)
    Mbar = M - (M @ pi)[:, None]
    w, U = np.linalg.eigh(Sigma_W)
    omega = np.linalg.svd(U @ np.diag(w**-0.5) @ U.T @ Mbar, compute_uv=False)[: C - 1]
    np.testing.assert_allclose(row["omega"], omega, rtol=1e-9)
    spectrum = np.linalg.eigvalsh(Mbar @ np.diag(pi) @ Mbar.T)[::-1][: C - 1]
    assert row["condition_between"] == pytest.approx(spectrum[0] / spectrum[-1], rel=1e-9)
    assert (row["rank_within"], row["rank_between"]) == (P, C - 1)


def nearest(features, M):
    return np.array([min(range(C), key=lambda c: sum((h - M[:, c]) ** 2)) for h in features])


def test_the_nearest_class_center_rule_takes_the_training_means_for_the_test_set_too(seed):
    network, data = problem_of(seed)
    row, _ = row_of(network, data)
    M = moments_by_loops(*features_of(network, data.train)[::2])[0]
    for part, images in (("train", data.train), ("test", data.test)):
        features, outputs, _ = features_of(network, images)
        assert row[f"ncc_mismatch_{part}"] == np.mean(nearest(features, M) != outputs.argmax(axis=1))


def test_means_of_the_test_set_would_give_another_mismatch():
    differ = 0
    for seed in range(5):
        network, data = problem_of(seed)
        row, _ = row_of(network, data)
        features, outputs, labels = features_of(network, data.test)
        wrong = nearest(features, moments_by_loops(features, labels)[0])  # the planted fault
        differ += row["ncc_mismatch_test"] != np.mean(wrong != outputs.argmax(axis=1))
    assert differ >= 2


def test_the_nearest_class_center_rule_keeps_its_digits_far_from_the_origin(seed):
    network, data = problem_of(seed)
    row, seen = row_of(network, data)
    means = seen.statistics.means
    far = 1e6 * torch.ones(P, dtype=torch.float64)
    seen.features += far
    assert seen.ncc_mismatch(means + far) == row["ncc_mismatch_train"]


# what is lost is said


def test_a_dead_unit_lowers_the_rank_within_classes_and_changes_no_omega(seed):
    network, data = problem_of(seed)
    alive, _ = row_of(network, data)
    dead = Network(nn.Sequential(network.body, nn.ZeroPad1d((0, 2))), P + 2, C).double()
    with torch.no_grad():
        dead.head.weight[:, :P] = network.head.weight
        dead.head.bias.copy_(network.head.bias)
    row, _ = row_of(dead, data)
    assert (row["rank_within"], row["rank_between"]) == (P, C - 1)
    np.testing.assert_allclose(row["omega"], alive["omega"], rtol=1e-9)
    assert row["nc1_train"] == pytest.approx(alive["nc1_train"], rel=1e-9)
    assert None not in row.values()


def test_two_classes_with_equal_means_are_said_and_leave_null_where_nothing_is(seed):
    network, data = problem_of(seed)
    images = data.train
    twin = Images(images.x[images.y == 1], images.y[images.y == 1] + 1)
    others = images.y != 2
    train = Images(torch.cat([images.x[others], twin.x.flip(0)]), torch.cat([images.y[others], twin.y]))
    row, _ = row_of(network, DataSet(train, data.test, C))
    assert row["rank_between"] == C - 2
    assert {key for key, value in row.items() if value is None} == {"nc1_train", "condition_between"}
    assert row["omega"][-1] < 1e-6 < row["omega"][-2]


def test_features_that_are_the_same_for_all_images_leave_null_and_no_nan(seed):
    network, data = problem_of(seed)
    with torch.no_grad():
        network.body[5].weight.zero_()
        network.body[5].bias.fill_(0.3)
    row, _ = row_of(network, data)
    assert (row["rank_within"], row["rank_between"], row["omega"]) == (0, 0, [0.0] * (C - 1))
    metrics = ("nc1", "equinorm_means", "equiangularity_means", "max_angle_means", "self_duality")
    missing = {f"{key}_{part}" for key in metrics for part in ("train", "test")} | {"condition_between"}
    assert {key for key, value in row.items() if value is None} == missing
    assert row["loss_nc1"] + row["loss_nc23"] + row["loss_ls_perp"] == pytest.approx(row["loss"], rel=1e-12)
    assert row["loss"] > 0
    text = line(measure(network, data, lam=LAM, batch_size=16, fresh_batchnorm=True)[0])
    assert b"NaN" not in text
    assert b"Infinity" not in text


def test_omega_of_fewer_examples_than_units_is_that_of_the_eigenvectors_of_the_whole_covariance(seed):
    generator = np.random.default_rng(seed)
    width, n = 40, 16
    labels = np.arange(n) % C
    features = generator.normal(size=(C, width))[labels] + generator.normal(size=(n, width))
    m = statistics.moments(moments_by_loops(features, labels))
    eps = float(np.finfo(np.float32).eps)
    few, rank = statistics.omega(m, n=n, eps=eps)
    whole, same = statistics.omega(m, n=width, eps=eps)
    assert rank == same == n - C
    np.testing.assert_allclose(few, whole, rtol=1e-9)


def test_moments_in_float32_are_refused(monkeypatch):
    monkeypatch.setattr(jnp, "result_type", lambda *_: jnp.float32)
    with pytest.raises(ValueError, match="Need float64"):
        statistics.moments((np.eye(2), np.eye(2), np.full(2, 0.5)))


# batch normalization


def normalization_inputs(network, images):
    """What each batch normalization sees of the whole set, in training mode and in one batch."""
    seen, hooks = {}, []
    for name, module in network.named_modules():
        if isinstance(module, batchnorm.Layers):
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
    assert {module.momentum for module in network.modules() if isinstance(module, batchnorm.Layers)} == {0.1}
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


# batches


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
            assert value == pytest.approx(rows[0][key], rel=1e-9), key


def test_a_pass_keeps_the_features_in_the_networks_precision_and_its_statistics_in_float64():
    network, data = problem_of(0, dtype=torch.float32)
    seen = forward_pass(network.eval(), data.train, batch_size=16, classes=C)
    assert seen.features.dtype == torch.float32
    assert seen.statistics.scatter.dtype == torch.float64
    assert torch.equal(seen.labels, data.train.y)
    assert not seen.features.requires_grad
