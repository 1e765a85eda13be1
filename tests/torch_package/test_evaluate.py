"""`evaluate` against `cp.measure` on kept features; rows that the programs read; what cannot be is one sentence."""

import json

import matplotlib.figure
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import central_path as cp
from central_path.torch import evaluate
from deepnet_runs.storage import runs
from deepnet_runs.storage.row import KEYS, OF_ROBUSTNESS

C, P, N = 4, 8, 120


def network(batchnorm=True, bias=True):
    torch.manual_seed(0)
    middle = [nn.BatchNorm1d(P)] if batchnorm else []
    return nn.Sequential(nn.Linear(5, P), *middle, nn.ReLU(), nn.Dropout(0.5), nn.Linear(P, C, bias=bias))


def data(seed=0, n=N):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % C
    return TensorDataset(3 * torch.eye(C, 5)[y] + torch.randn(n, 5, generator=generator), y)


def loader(seed=0, **options):
    return DataLoader(data(seed), **{"batch_size": 32, "shuffle": True, **options})


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("keep", [True, False])
def test_a_report_is_what_measure_gives_of_the_features(bias, keep):
    model = network(bias=bias)
    report = evaluate(model, loader(), C, lam=0.01, keep_features=keep)
    x, y = data().tensors
    h = model.eval()[:-1](x).detach()
    expected = cp.measure(h, y, W=model[-1].weight, b=model[-1].bias, lam=0.01)
    for name in ("nc1", "equinorm", "self_duality", "loss", "loss_nc1", "loss_ls_perp", "ncc_mismatch"):
        assert report[name] == pytest.approx(expected[name], rel=1e-5), name  # float32 in another order of batches
    np.testing.assert_allclose(report.numbers.omega, expected.omega, rtol=1e-5)
    decided = model(x).argmax(dim=1)
    assert report.error == pytest.approx(float((decided != y).double().mean()))
    assert (report.features is not None) == keep
    flat = report.to_dict()
    assert flat["nc1/papyan2020"] == report["nc1"]
    assert 0 < flat["floor/nc1/papyan2020"] < 1e-9 * flat["nc1/papyan2020"]
    assert all(isinstance(value, float) for value in flat.values())
    assert isinstance(report.plot(), matplotlib.figure.Figure)


def test_the_network_is_left_as_it_was_and_batch_normalization_is_estimated_on_request():
    model = network().train()
    model[3].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stale = evaluate(model, loader(), C)
    fresh = evaluate(model, loader(batch_size=N), C, reestimate_batchnorm=True)
    assert (stale.certificate.batchnorm, fresh.certificate.batchnorm) == ("running", "re-estimated")
    assert evaluate(network(batchnorm=False), loader(), C).certificate.batchnorm == "none"
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert [part.training for part in model] == [True, True, True, False, True]
    x, y = data().tensors
    h = model[0](x)
    h = torch.relu((h - h.mean(dim=0)) / torch.sqrt(h.var(dim=0) + 1e-5)).detach()
    assert fresh["nc1"] == pytest.approx(cp.measure(h, y).nc1, rel=1e-5)
    assert abs(stale["nc1"] / fresh["nc1"] - 1) > 1e-3  # planted: the statistics of the start


def test_a_test_set_is_decided_by_the_class_means_of_the_training_set():
    model = network()
    train = evaluate(model, loader(), C)
    test = evaluate(model, loader(1), C, centers=train.means)
    x, y = data(1).tensors
    h = model.eval()[:-1](x).detach().double()
    nearest = torch.cdist(h, train.means).argmin(dim=1)
    assert test["ncc_mismatch"] == pytest.approx(float((nearest != model(x).argmax(dim=1)).double().mean()))
    assert test["nc1"] == pytest.approx(cp.measure(h.float(), y).nc1, rel=1e-5)


def test_rows_are_read_as_those_of_a_training(tmp_path):
    model = network()
    for epoch in (1, 2):
        with torch.no_grad():
            model[-1].weight.mul_(0.9)
        train = evaluate(model, loader(), C, lam=0.01)
        test = evaluate(model, loader(1), C, lam=0.01, centers=train.means)
        train.save(tmp_path / "run", epoch=epoch, test=test, config={"dataset": "mine", "seed": 3}, lr=0.1)
    run = runs.read(tmp_path / "run")
    assert [row.epoch for row in run.rows] == [1, 2]
    row = run.rows[-1]
    assert (row.nc1_train, row.nc1_test, row.loss, row.lr) == (train["nc1"], test["nc1"], train["loss"], 0.1)
    assert row.omega == train.numbers.omega.tolist()
    assert np.isfinite([row.mean_output_gap, row.ncc_mismatch_test, row.equinorm_classifier, row.test_error]).all()
    lines = (tmp_path / "run" / "measurements.jsonl").read_text().splitlines()
    assert set(json.loads(lines[0])) <= set(KEYS)
    missing = set(KEYS) - set(json.loads(lines[0]))
    assert missing == {"seconds", "lr_sum", "train_loss", *OF_ROBUSTNESS}
    assert run.config["dataset"] == "mine"
    with pytest.raises(ValueError, match="Need a new epoch, got 2"):
        train.save(tmp_path / "run", epoch=2)
    (tmp_path / "file").touch()
    train.save(tmp_path / "run")
    assert [row.epoch for row in runs.read(tmp_path / "run").rows] == [1, 2, 3]
    with pytest.raises(ValueError, match="Need a folder with the rows of a run or none"):
        train.save(tmp_path / "file", epoch=1)


def test_mappings_iterators_and_own_batches_are_read():
    class Mapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network(batchnorm=False)

        def forward(self, pixels, scale=1.0):
            return {"logits": self.inner(scale * pixels)}

    expected = evaluate(network(batchnorm=False), loader(), C)
    mapped = [{"pixels": x, "labels": y} for x, y in loader(shuffle=False)]
    own = [(None, y, x) for x, y in loader(shuffle=False)]
    for report in (
        evaluate(Mapped(), mapped, C),
        evaluate(Mapped(), iter(mapped), C, keep_features=True),
        evaluate(network(batchnorm=False), own, C, split=lambda batch: (batch[2], batch[1])),
    ):
        assert report["nc1"] == pytest.approx(expected["nc1"], rel=1e-5)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: evaluate(network(), iter(loader()), C), "Need a loader that can be read twice, got an iterator"),
        (
            lambda: evaluate(network(), [torch.ones(3, 5)], C),
            "Need batches (inputs, targets) or mappings with `labels`",
        ),
        (lambda: evaluate(network(), [{"x": torch.ones(3, 5)}], C), "got a mapping of x: give split"),
        (lambda: evaluate(network(), loader(), 3), "Need a linear layer with num_classes = 3 outputs, got 0 with 8"),
        (lambda: evaluate(network(), [], C), "Need features, got none"),
    ],
)
def test_what_cannot_be_is_one_sentence(make, sentence):
    with pytest.raises(ValueError, match="Need") as refused:
        make()
    assert sentence in str(refused.value)


class Wrapped:
    """A loader of unknown kind."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def test_batch_normalization_is_estimated_from_batches_of_mixed_classes():
    """Batches of one class would shift the statistics of all layers: NC1 comes out wrong by half and more."""
    model = network().train()
    x, y = data().tensors
    order = y.argsort()
    ordered = DataLoader(TensorDataset(x[order], y[order]), batch_size=N // C)
    whole = evaluate(model, loader(batch_size=N), C, reestimate_batchnorm=True)
    found = evaluate(model, ordered, C, reestimate_batchnorm=True)
    assert found.certificate.n == N
    assert found["nc1"] == pytest.approx(whole["nc1"], rel=0.1)  # the noise of the statistics of mixed batches
    with pytest.raises(ValueError, match=r"^Need batches of mixed classes .* \d+% .* give a loader that shuffles, or"):
        evaluate(model, Wrapped(list(ordered)), C, reestimate_batchnorm=True)
    mixed = Wrapped(list(loader(batch_size=N // C)))
    assert evaluate(model, mixed, C, reestimate_batchnorm=True)["nc1"] == pytest.approx(whole["nc1"], rel=0.1)
