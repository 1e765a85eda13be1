"""DeepFool against foolbox, closed forms and what cannot be flipped; the rows and what they leave alone."""

import copy
import json
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from refusal import refused
from short_runs import rows_of, rows_on_disk, short
from torch import nn

from deepnet_runs import train
from deepnet_runs.datasets import data
from deepnet_runs.datasets.data import Images
from deepnet_runs.measuring import robustness
from deepnet_runs.networks import Network, build
from deepnet_runs.training.trainer import Trainer

OPTIONS = ["--network", "vgg7", "--robustness", "20"]
KEYS = {"robustness", "robustness_images", "robustness_unflipped"}
MEAN, EACH = 1e-5, 1e-3  # relative, beside foolbox: measured 6e-8 and 3e-5, for the order of float32 sums


@pytest.fixture(scope="module")
def foolbox():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it reaches for old names of SciPy
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GIT_PYTHON_REFRESH", "quiet")  # what it imports asks for git, which is not used here
            import foolbox
    return foolbox


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network after six epochs, its last row, and the images of the row."""
    folder = tmp_path_factory.mktemp("trained")
    code, rows = short(folder, "--network", "vgg7", "--robustness", "100", epochs=6)
    assert code == 0
    network = build("vgg7", channels=1, size=8, classes=10)
    network.load_state_dict(torch.load(folder / "checkpoint.pt")["network"])
    test = data.load("digits", Path("data")).test
    return network.eval(), rows[-1], test.batch(torch.from_numpy(np.random.default_rng(0).permutation(397)[:100])).x


class Outputs(nn.Module):
    """The outputs of a network alone, as foolbox wants them."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)[1]


class Linear(nn.Module):
    """A body that hands its images on."""

    def forward(self, x):
        return x.flatten(1)


def linear(W, b, body=None):
    network = Network(body or Linear(), W.shape[1], W.shape[0]).to(W.dtype)
    with torch.no_grad():
        network.head.weight.copy_(W)
        network.head.bias.copy_(b)
    return network.eval()


def ratios(r, x):
    return (r.flatten(1).double().norm(dim=1) / x.flatten(1).double().norm(dim=1)).numpy()


def theirs(foolbox, network, x, **options):
    outputs = Outputs(copy.deepcopy(network)).eval()  # its backward passes leave gradients in the weights
    model = foolbox.PyTorchModel(outputs, bounds=(-1e6, 1e6), device="cpu")  # its clipping does not act
    attack = foolbox.attacks.L2DeepFoolAttack(**options)
    moved, _, flipped = attack(model, x, outputs(x).argmax(dim=1), epsilons=None)
    return ratios(moved - x, x), flipped.numpy()


def largest(ours, others):
    return float(np.max(np.abs(ours - others) / others))


def test_a_row_of_a_trained_network_agrees_with_foolbox_and_so_does_every_image(foolbox, trained):
    network, row, x = trained
    others, flipped = theirs(foolbox, network, x)
    assert flipped.all()
    assert (row["robustness_images"], row["robustness_unflipped"]) == (100, 0)
    assert abs(row["robustness"] - others.mean()) < MEAN * others.mean()
    found = robustness.deepfool(Outputs(network), x)
    assert found.flipped.all()
    assert largest(ratios(found.r, x), others) < EACH
    with torch.no_grad():
        assert (network(x + found.r)[1].argmax(1) != network(x)[1].argmax(1)).all()


def test_planted_faults_show_beside_foolbox(foolbox, trained, monkeypatch):
    network, x = copy.deepcopy(trained[0]), trained[2][:40]
    others, _ = theirs(foolbox, network, x)

    def distance(**options):
        found = ratios(robustness.deepfool(Outputs(network), x, **options).r, x)
        return abs(found.mean() / others.mean() - 1)

    assert distance() < MEAN
    assert distance(overshoot=0.0) > 1e-3
    with monkeypatch.context() as patch:  # the farthest hyperplane
        patch.setattr(torch.Tensor, "argmin", torch.Tensor.argmax)
        assert distance() > 0.1
    with monkeypatch.context() as patch:  # gradients of f_k alone
        patch.setattr(torch.Tensor, "gather", lambda f, dim, index: f.take_along_dim(index, dim) * (index.shape[1] > 1))
        assert distance() > 1e-2
    network.train()  # batch normalization over the batch
    assert distance() > 1e-2


def test_what_a_few_steps_do_not_flip_is_what_foolbox_does_not_flip(foolbox, trained):
    network, _, x = trained
    others, flipped = theirs(foolbox, network, x, steps=1)
    assert 0 < flipped.sum() < 100
    found = robustness.measure(network, Images(x, torch.zeros(100, dtype=int)), batch_size=64, steps=1)
    assert found.unflipped == 100 - flipped.sum()
    assert found.images == 100
    assert found.average == pytest.approx(others[flipped].mean(), rel=1e-4)


@pytest.mark.parametrize("C", [2, 3, 10])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_a_linear_classifier_it_is_the_distance_to_the_nearest_boundary(C, seed, device):
    generator = torch.Generator().manual_seed(seed)
    W, b = (torch.randn(C, *size, generator=generator, dtype=torch.float64) for size in ((12,), ()))
    x = torch.randn(40, 1, 3, 4, generator=generator, dtype=torch.float64)
    network = linear(W, b).to(device)
    found = robustness.deepfool(Outputs(network), x.to(device))
    assert found.flipped.all()
    r = found.r.cpu().flatten(1)
    for image, moved in zip(x.flatten(1), r, strict=True):
        f = W @ image + b
        own = int(f.argmax())
        to = [(float((f[own] - f[k]) / (W[own] - W[k]).norm()), k) for k in range(C) if k != own]
        distance, k = min(to)
        assert float(moved.norm()) == pytest.approx(1.02 * (distance + 1e-4), rel=1e-6)  # the norm's guard is 1e-8
        along = (W[k] - W[own]) / (W[k] - W[own]).norm()
        assert float(moved @ along) == pytest.approx(float(moved.norm()), rel=1e-9)
        assert int((W @ (image + moved) + b).argmax()) == k


def test_images_of_norm_zero_have_no_ratio_and_count_nowhere():
    W, b = torch.eye(3, 4), torch.tensor([0.0, 0.1, 0.3])
    x = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    x[2] = 0
    labels = torch.zeros(6, dtype=int)
    found = robustness.measure(linear(W, b), Images(x, labels), batch_size=4)
    others = torch.arange(6) != 2
    assert found == robustness.measure(linear(W, b), Images(x[others], labels[others]), batch_size=5)
    assert found.images == 5
    assert found.average is not None
    assert np.isfinite(found.average)
    nothing = robustness.measure(linear(W, b), Images(torch.zeros_like(x), labels), batch_size=4)
    assert nothing == (None, 0, 0)


def test_what_does_not_flip_is_counted_and_has_no_share_in_the_average():
    W, b = torch.eye(2, 4), torch.tensor([0.0, 1.0])
    network = linear(W, b, nn.Sequential(nn.Flatten(), nn.ReLU()))
    x = torch.ones(5, 1, 2, 2)
    x[[1, 4]] = -1  # no gradient there
    found = robustness.measure(network, Images(x, torch.zeros(5, dtype=int)), batch_size=5)
    assert (found.images, found.unflipped) == (5, 2)
    assert found.average == pytest.approx(1.02 * (1 / np.sqrt(2) + 1e-4) / 2, rel=1e-5)
    none = robustness.measure(network, Images(-torch.ones(5, 1, 2, 2), torch.zeros(5, dtype=int)), batch_size=5)
    assert none == (None, 5, 5)


def test_outputs_that_are_not_finite_flip_nothing():
    def outputs_of(x):
        f = x.flatten(1) @ torch.tensor([[1.0, -1.0], [0.0, 0.0]])
        return torch.where(f[:, :1] < 0.5, torch.nan, f)

    found = robustness.deepfool(outputs_of, torch.ones(3, 1, 1, 2))
    assert not found.flipped.any()


def test_an_image_moves_as_it_does_alone_and_the_network_is_left_as_it_was(trained):
    network, row, x = trained
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    strides = [p.stride() for p in network.parameters()]
    random = torch.get_rng_state()
    found = robustness.measure(network, Images(x, torch.zeros(100, dtype=int)), batch_size=7)
    assert found.average == pytest.approx(row["robustness"], rel=MEAN)
    assert network.training
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [p.stride() for p in network.parameters()] == strides
    assert torch.equal(torch.get_rng_state(), random)
    network.eval()


def test_a_rank_without_images_has_nothing_to_add(monkeypatch):
    monkeypatch.setattr(robustness, "rank_and_size", lambda: (1, 2))
    x = torch.ones(1, 1, 2, 2)
    assert robustness.measure(
        linear(torch.eye(2, 4), torch.zeros(2)), Images(x, torch.zeros(1, dtype=int)), batch_size=4
    )


def test_a_smaller_sample_is_part_of_a_larger_one():
    images = Images(torch.arange(50.0).view(50, 1, 1, 1), torch.arange(50))
    large, small = robustness.sample(images, 50), robustness.sample(images, 20)
    assert sorted(large.y.tolist()) == list(range(50))
    assert large.y.tolist() != list(range(50))
    assert small.y.tolist() == large.y[:20].tolist() == small.batch().x.flatten().int().tolist()
    with pytest.raises(ValueError, match="Need at most the 50 test images for --robustness, got 51: give fewer"):
        robustness.sample(images, 51)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    assert short(folder, *OPTIONS)[0] == 0
    return rows_on_disk(folder)


def test_measuring_it_leaves_the_rest_of_a_run_alone(measured, tmp_path):
    code, _ = short(tmp_path, *OPTIONS[:2])
    assert code == 0
    assert [{key: row[key] for key in row.keys() - KEYS} for row in measured] == rows_on_disk(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["robustness"] is None
    for row in measured:
        assert row.keys() >= KEYS
        assert row["robustness"] > 0
        assert row["robustness_images"] == 20


def test_a_run_stopped_and_resumed_gives_the_same_rows(measured, tmp_path, capsys, monkeypatch):
    train_epoch = Trainer.train_epoch

    def stopped(self):
        train_epoch(self)
        if self.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", stopped)
        assert short(tmp_path, *OPTIONS)[0] == train.INTERRUPTED
    capsys.readouterr()
    assert rows_on_disk(tmp_path) == measured[:1]
    for other in (["--robustness", "21"], []):
        assert short(tmp_path, "--network", "vgg7", *other, "--resume")[0] == 2
        assert f"robustness = {other[1] if other else None} for 20" in capsys.readouterr().err
    assert short(tmp_path, *OPTIONS, "--resume")[0] == 0
    assert rows_on_disk(tmp_path) == measured


def test_rows_of_nothing_flipped_hold_null(tmp_path, monkeypatch):
    monkeypatch.setattr(robustness, "measure", partial(robustness.measure, steps=0))
    code, _ = short(tmp_path, *OPTIONS, epochs=1)
    assert code == 0
    assert {key: rows_of(tmp_path)[0][key] for key in KEYS} == {
        "robustness": None,
        "robustness_images": 20,
        "robustness_unflipped": 20,
    }


@pytest.mark.parametrize(
    ("count", "match"),
    [
        ("398", "Need at most the 397 test images for --robustness, got 398: give fewer."),
        ("0", "need at least 1 image, got 0"),
        ("1.5", "got 1.5"),
    ],
)
def test_a_count_that_cannot_be_is_refused(tmp_path, capsys, count, match):
    arguments = ["--robustness", count, "--device", "cpu", "--output", str(tmp_path / "out")]
    assert match in refused(capsys, train.main, arguments)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_measures_it_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen, measure = [], robustness.measure
    monkeypatch.setattr(
        robustness, "measure", lambda *args, **options: seen.append(measure(*args, **options)) or seen[0]
    )
    assert train.main(["--dry-run", "--network", "vgg7", "--device", "cpu", "--quiet", "--robustness", "100"]) == 0
    assert [found.images for found in seen] == [20]
    assert not list(tmp_path.iterdir())
