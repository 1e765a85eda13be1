"""`NeuralCollapse` against `cp.measure` on all features at once."""

import copy
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from features_in_batches import collected, draw
from torch.utils._python_dispatch import TorchDispatchMode

import central_path as cp
from central_path.metrics.catalogue import METRICS, by_definition
from central_path.torch import NeuralCollapse
from central_path.torch.quantities import NAMES

LOSSES = ("loss", "loss_nc1", "loss_nc23", "loss_ls_perp")
MEASURED = ("nc1", "equinorm", "equiangularity", "max_angle", "self_duality", *LOSSES, *METRICS)


CASES = {
    "plain": {},
    "bfloat16": {"dtype": torch.bfloat16},
    "float16": {"dtype": torch.float16},
    "float64": {"dtype": torch.float64},
    "unbalanced": {"priors": [0.7, 0.2, 0.05, 0.05]},
    "more classes than dimensions": {"C": 9, "P": 3},
    "fewer examples than dimensions": {"n": 10, "P": 30},
    "dead units": {"dead": 3},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("lam", [0.0, 0.02])
@pytest.mark.parametrize("with_bias", [True, False])
def test_batch_by_batch_it_gives_what_measure_gives_of_all_features(case, lam, with_bias):
    h, y, head = draw(0, **case)
    b = head.bias if with_bias else None
    found = collected(h, y, len(head.weight)).compute(head.weight, b, lam, omega=True)
    expected = cp.measure(h, y, W=head.weight, b=b, lam=lam)
    for name in MEASURED:
        assert found[NAMES[name]] == pytest.approx(expected[name], rel=1e-10, abs=1e-13), name
    np.testing.assert_allclose(found.omega, expected.omega, rtol=1e-8)
    assert found.certificate.rank_within == expected.rank_within
    assert found.certificate.rank_between == expected.rank_between
    assert found.reasons == {NAMES.get(name, name): why for name, why in expected.reasons.items()}
    assert all(isinstance(value, float) for value in found.values())


def test_without_omega_the_same_numbers_come_and_what_needs_a_rank_is_nan_with_its_reason():
    h, y, head = draw(1)
    cheap, full = (collected(h, y, 4).compute(head.weight, head.bias, omega=omega) for omega in (False, True))
    assert cheap == {name: pytest.approx(full[name], rel=1e-10) for name in cheap}
    assert set(full) - set(cheap) == {NAMES["omega_max"], NAMES["omega_min"]}
    h, y, head = draw(1, dead=2)
    found = collected(h, y, 4).compute(head.weight, head.bias)
    assert (
        set(found.reasons)
        == {name for name, value in found.items() if np.isnan(value)}
        == {NAMES[name] for name in LOSSES[1:]}
    )
    assert "omega=True" in found.reasons[NAMES["loss_nc1"]]


class Named(TorchDispatchMode):
    """Names of all operations."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def test_no_eigendecomposition_of_width_by_width_unless_omega_is_asked_for():
    h, y, head = draw(2)
    metric = collected(h, y, 4)
    for lam, omega in ((0.0, False), (0.1, False), (0.0, True)):
        with Named() as done:
            metric.compute(head.weight, head.bias, lam, omega=omega)
        assert any("eig" in name for name in done.names) == omega


def test_without_a_last_layer_the_features_alone_give_their_numbers(seed):
    h, y, _ = draw(seed)
    found, expected = collected(h, y, 4).compute(lam=0.01), cp.measure(h, y, lam=0.01)
    of_classifier = {"nc0/zhao2026", "nc2_etf_classifier/zhu2021", "unc3/wu2024"}
    of_classifier |= {f"nc3_self_duality/{who}" for who in ("zhu2021", "wu2024")}
    of_features = {by_definition(name) for name in METRICS} - of_classifier
    names = ("nc1", "equinorm", "equiangularity", "max_angle", *LOSSES[1:3])
    assert set(found) == {NAMES[name] for name in names} | of_features
    for name in ("nc1", "equinorm", "loss_nc1", "loss_nc23"):
        assert found[NAMES[name]] == pytest.approx(expected[name], rel=1e-10)


def test_exact_collapse_and_coinciding_means_and_a_head_of_zeros_are_numbers_or_nan_with_a_reason():
    h, y = torch.eye(3, 5)[torch.arange(30) % 3], torch.arange(30) % 3
    found = collected(h, y, 3).compute(torch.zeros(3, 5), torch.zeros(3), omega=True)
    assert found[NAMES["nc1"]] == 0
    assert np.isinf(found.omega).all()
    assert found.reasons[NAMES["self_duality"]] == "W is 0: it has no direction."
    assert set(found.reasons) == {name for name, value in found.items() if np.isnan(value)} | {"omega"}
    same = collected(torch.ones(30, 5), y, 3).compute()
    assert np.isnan(same[NAMES["nc1"]])
    assert "coincide" in same.reasons[NAMES["nc1"]]


def test_classes_without_examples_are_left_out_of_the_metrics_and_stay_outputs_of_the_loss():
    h, y, head = draw(3)
    h, y = h[y != 2], y[y != 2]
    found = collected(h, y, 4).compute(head.weight, head.bias, 0.01, omega=True)
    expected = cp.measure(h, y, W=head.weight, b=head.bias, lam=0.01, C=4)
    for name in MEASURED:
        assert found[NAMES[name]] == pytest.approx(expected[name], rel=1e-10), name
    assert found.certificate.empty_classes == 1
    assert found.snr_right.shape == (4, 2)
    assert not found.snr_right[2].any()


def test_a_subset_of_the_classes_is_measured_as_if_there_were_no_others():
    h, y, head = draw(4)
    found = collected(h, y, 4, classes=[0, 3]).compute(head.weight, head.bias, 0.01)
    kept = (y == 0) | (y == 3)
    expected = cp.measure(h[kept], y[kept] // 3, W=head.weight[[0, 3]], b=head.bias[[0, 3]], lam=0.01)
    for name in MEASURED:
        assert found[NAMES[name]] == pytest.approx(expected[name], rel=1e-10), name


def test_ignored_targets_count_nowhere_and_features_may_be_of_a_sequence():
    h, y, _ = draw(5)
    expected = collected(h, y, 4).compute()
    more = torch.cat([h, torch.full((40, 12), float("nan"))]).reshape(12, 20, 12)
    ignored = torch.cat([y, torch.full((40,), -100)]).reshape(12, 20)
    metric = NeuralCollapse(num_classes=4, ignore_index=-100)
    metric.update(more, ignored)
    assert metric.compute() == {name: pytest.approx(value, rel=1e-12) for name, value in expected.items()}


def test_an_example_given_twice_with_its_index_counts_once():
    h, y, _ = draw(6)
    expected = collected(h, y, 4).compute()
    metric = NeuralCollapse(num_classes=4)
    places = torch.arange(200)
    for part in (places[:80], torch.tensor([3, 3, 79]), places[70:150], places[150:], places[:9]):
        metric.update(h[part], y[part], part)
        metric.compute()  # numbers in between disturb nothing
    assert metric.compute().certificate.n == 200
    assert metric.compute() == {name: pytest.approx(value, rel=1e-12) for name, value in expected.items()}


def test_merged_objects_give_what_one_gives_and_reset_forgets():
    h, y, _ = draw(7)
    parts = [collected(h[part], y[part], 4) for part in (slice(0, 70), slice(70, 90), slice(90, None))]
    empty, whole = NeuralCollapse(num_classes=4), collected(h, y, 4).compute()
    for part in (*parts, NeuralCollapse(num_classes=4)):
        empty.merge(part)
    assert empty.compute() == {name: pytest.approx(value, rel=1e-12) for name, value in whole.items()}
    empty.reset()
    with pytest.raises(ValueError, match="Need features, got none"):
        empty.compute()
    empty.update(h[:, :5], y)  # another width after a reset
    assert empty.compute().certificate.n == 200


def test_it_goes_on_from_its_state(tmp_path):
    h, y, _ = draw(8)
    first = NeuralCollapse(num_classes=4)
    first.update(h[:90], y[:90], torch.arange(90))
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second, third = NeuralCollapse(num_classes=4), copy.deepcopy(first)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for metric in (first, second, third):
        metric.update(h[80:], y[80:], torch.arange(80, 200))
    assert (
        first.compute()
        == second.compute()
        == third.compute()
        == {name: pytest.approx(value, rel=1e-12) for name, value in collected(h, y, 4).compute().items()}
    )
    with pytest.raises(ValueError, match="Need the state of an object of 5 classes, got one of 4"):
        NeuralCollapse(num_classes=5).load_state_dict(first.state_dict())


def test_parameters_and_tensors_with_gradients_are_taken_as_they_are():
    h, y, head = draw(9)
    metric = NeuralCollapse(num_classes=4)
    metric.update(torch.nn.Parameter(h), y)
    found = metric.compute(head.bfloat16().weight, head.bias)
    assert found[NAMES["nc1"]] == pytest.approx(cp.measure(h, y).nc1, rel=1e-10)
    assert not metric.statistics().half.requires_grad


@pytest.mark.slow
def test_ten_thousand_classes_need_less_than_a_gibibyte_beyond_the_state():
    code = """
import resource, torch
from central_path.torch import NeuralCollapse
torch.set_num_threads(1)
C, P = 2_500, 250
W = torch.randn(C, P)
h = torch.randn(C, P)
metric = NeuralCollapse(num_classes=C)
metric.update(h, torch.arange(C))
metric.update(h + 0.1, torch.arange(C))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
metric.compute(W, torch.zeros(C), 0.01)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1 / 4  # GiB; memory grows as C times the larger of P and a tile of 1024 classes


def test_the_package_imports_no_jax_and_the_core_no_torch():
    code = "import sys, {}; print(sorted({{'jax', 'torch', 'torchmetrics', 'transformers'}} & set(sys.modules)))"
    for module, loaded in (("central_path.torch", "['torch']\n"), ("central_path, central_path.api", "[]\n")):
        found = subprocess.run([sys.executable, "-c", code.format(module)], capture_output=True, text=True, check=True)
        assert found.stdout == loaded


def test_where_torchmetrics_is_imported_an_instance_is_its_metric():
    torchmetrics = pytest.importorskip("torchmetrics", reason="torchmetrics is optional: pip install torchmetrics")
    h, y, head = draw(10)
    metric = NeuralCollapse(num_classes=4)
    assert isinstance(metric, torchmetrics.Metric)
    collection = torchmetrics.MetricCollection({"collapse": metric})
    collection.update(h[:100], y[:100])
    metric.forward(h[100:], y[100:])
    found = metric.compute(head.weight, head.bias)
    expected = collected(h, y, 4).compute(head.weight, head.bias)
    assert found == {name: pytest.approx(value, rel=1e-12) for name, value in expected.items()}
    assert found != metric.compute(2 * head.weight, head.bias)  # no cache
    other = metric.clone()
    other.reset()
    other.merge_state(metric)
    assert other.compute() == {name: pytest.approx(value, rel=1e-12) for name, value in metric.compute().items()}
    assert SimpleNamespace(**metric.state_dict())
