"""Every number of `FeatureKernel` against the explicit Jacobian of small networks, one backward pass for each entry."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from central_path.torch import FeatureKernel
from central_path.torch.feature_map import FeatureMap
from central_path.torch.traces import Estimate

C, N, P = 3, 4, 3
SMALL = 3e3  # bytes: chunks of a few examples
EXACT = 1e-11  # relative, in float64


class Net(nn.Module):
    """Two batch normalizations, one of them after a convolution, an in-place activation, and a dropout."""

    def __init__(self, *, batchnorm=True):
        super().__init__()
        first, second = (nn.BatchNorm2d(3), nn.BatchNorm1d(6)) if batchnorm else (nn.Identity(), nn.Identity())
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 3, 2), first, nn.ReLU(inplace=True), nn.Flatten()),
            *(nn.Linear(27, 6), second, nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, P)),
        )
        self.fc = nn.Linear(P, C)

    def forward(self, x):
        return self.fc(self.body(x))


@pytest.fixture(scope="module")
def problem():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = Net()
    x, y = torch.randn(C * N + 2, 1, 4, 4, generator=generator), torch.tensor([*range(C)] * N + [0, 1])
    with torch.no_grad():
        model.train()(x[:7])  # running statistics that are not those of the set
    return model, [(x[:8], y[:8]), (x[8:], y[8:])], y


def jacobian(model, batches, *, training):
    """H (n, P) and J (n, P, parameters), by one backward pass for each feature of a copy in float64."""
    twin = copy.deepcopy(model).double().train(training)
    for part in twin.modules():
        if isinstance(part, nn.Dropout):
            part.eval()
    H = twin.body(torch.cat([x for x, _ in batches]).double())
    parameters = [p for p in twin.parameters() if p.requires_grad]
    rows = []
    for h in H.flatten():
        of_each = torch.autograd.grad(h, parameters, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(p) if g is None else g for g, p in zip(of_each, parameters, strict=True)]
        rows.append(torch.cat([part.flatten() for part in parts]))
    return H.detach(), torch.stack(rows).reshape(*H.shape, -1)


@pytest.fixture(scope="module", params=["training", "evaluation"])
def measured(request, problem):
    model, batches, y = problem
    H, J = jacobian(model, batches, training=request.param == "training")
    return request.param, FeatureKernel(model, batches, C, batchnorm=request.param), H, J, y


def close(a, b, tolerance=EXACT):
    assert float((a - b).abs().max()) <= tolerance * float(b.abs().max())


def projectors(y):
    """On the global mean, on class means about it, and on deviations, as matrices (n, n)."""
    Y = torch.nn.functional.one_hot(y).double()
    of_means = Y @ torch.linalg.inv(Y.T @ Y) @ Y.T
    one = torch.full((len(y), len(y)), 1 / len(y), dtype=torch.float64)
    return one, of_means - one, torch.eye(len(y), dtype=torch.float64) - of_means


@pytest.mark.parametrize("memory", [2.0**31, SMALL, 1.0])
def test_the_features_and_both_products_are_those_of_the_jacobian(measured, problem, memory):
    mode, whole, H, J, _ = measured
    kernel = FeatureKernel(problem[0], problem[1], C, batchnorm=mode, memory=memory)
    assert kernel._map.rows == {2.0**31: len(H), 1.0: 1}.get(memory, kernel._map.rows)
    chunked = kernel.bytes_at_once > memory
    assert (kernel._map.rows < len(H)) == chunked
    assert kernel.passes == (3 if mode == "training" and chunked else 1)
    G = torch.randn(H.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    close(kernel.features, H)
    close(torch.cat([g.flatten() for g in kernel.vjp(G).values()]), torch.einsum("ipt,ip->t", J, G))
    close(kernel.apply(G), torch.einsum("ipt,jqt,jq->ip", J, J, G))
    assert kernel.square(G) == pytest.approx(float((G * whole.apply(G)).sum()), rel=1e-10)


def test_a_wrong_mode_of_batch_normalization_is_another_kernel(problem):
    model, batches, _ = problem
    G = torch.ones(C * N + 2, P, dtype=torch.float64)
    one, other = (FeatureKernel(model, batches, C, batchnorm=mode).apply(G) for mode in ("training", "evaluation"))
    assert float((one - other).norm()) > 0.1 * float(other.norm())


def test_with_a_sketch_of_full_rank_the_traces_are_exact_and_kappas_average_over_pairs(measured, problem):
    mode, kernel, _, J, y = measured
    K = torch.einsum("ipt,jpt->ij", J, J) / P
    found = kernel.traces(sketch=len(y) * P, probes=2)
    for name, rank, on in zip(("overall", "means", "within"), kernel.classes.ranks, projectors(y), strict=True):
        assert getattr(found, name).value == pytest.approx(float((on * K).sum()) / rank, rel=1e-9)
        assert getattr(found, name).error <= 1e-9 * getattr(found, name).value
    assert found.kappa_d.value == pytest.approx(float(K.diagonal().mean()), rel=1e-9)
    # Of balanced classes the others are plain averages too.
    model, batches, _ = problem
    balanced = [(x[: 8 if i == 0 else 4], t[: 8 if i == 0 else 4]) for i, (x, t) in enumerate(batches)]
    _, J = jacobian(model, balanced, training=mode == "training")
    K, y = torch.einsum("ipt,jpt->ij", J, J) / P, y[: C * N]
    found = FeatureKernel(model, balanced, C, batchnorm=mode).traces(sketch=C * N * P, probes=2)
    same = (y[:, None] == y) & ~torch.eye(C * N, dtype=torch.bool)
    assert found.kappa_d.value == pytest.approx(float(K.diagonal().mean()), rel=1e-9)
    assert found.kappa_c.value == pytest.approx(float(K[same].mean()), rel=1e-9)
    assert found.kappa_n.value == pytest.approx(float(K[y[:, None] != y].mean()), rel=1e-9)


@pytest.mark.parametrize("sketch", [0, 3])
@pytest.mark.slow
def test_the_error_bars_of_the_traces_cover(measured, sketch):
    _, kernel, _, J, y = measured
    K = torch.einsum("ipt,jpt->ij", J, J) / P
    true = [float((on * K).sum()) / rank for rank, on in zip(kernel.classes.ranks, projectors(y), strict=True)]
    found = [kernel.traces(sketch=sketch, probes=10, seed=seed) for seed in range(4)]
    scores = []
    for traces in found:
        pairs = zip((traces.overall, traces.means, traces.within), true, strict=True)
        scores += [(e.value - t) / e.error for e, t in pairs if e.error]  # a full sketch makes one exact
        scores.append((traces.kappa_d.value - float(K.diagonal().mean())) / traces.kappa_d.error)
    assert 0.4 < np.sqrt(np.mean(np.square(scores))) < 2  # 16 scores of unit variance, if the errors are right


def test_the_kernel_of_the_examples_and_its_isotropy_are_recovered(measured):
    _, kernel, _, J, y = measured
    found = kernel.sample_kernel(draws=60)
    K, A = torch.einsum("ipt,jpt->ij", J, J) / P, torch.einsum("ipt,iqt->pq", J, J)
    G = torch.randn(len(y), P, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    close(found.apply(G), K @ G, 0.7)
    left = torch.stack([found.apply(G, leave_out=i) for i in range(60)])
    error = (59 * (left - left.mean(dim=0)).square().mean(dim=0)).sqrt()
    assert 0.5 < float(((found.apply(G) - K @ G) / error).square().mean().sqrt()) < 2
    Y = torch.nn.functional.one_hot(y).double()
    averages = (Y / Y.sum(dim=0)).T
    means, error = found.class_means()
    assert 0.3 < float(((means - averages @ K @ averages.T) / error).square().mean().sqrt()) < 2.5
    within = found.within()
    assert abs(within.value - float((projectors(y)[2] * K).sum()) / kernel.classes.ranks[2]) < 4 * within.error
    isotropy = found.isotropy()
    true = float(torch.trace(A) ** 2 / (P * (A * A).sum()))
    assert abs(isotropy.value - true) < 4 * isotropy.error
    assert isotropy.error < 0.2


def test_the_network_is_left_as_it_was(problem):
    model, batches, _ = problem
    before = copy.deepcopy(model.state_dict())
    model.train()
    kernel = FeatureKernel(model, batches, C, memory=SMALL)
    kernel.apply(kernel.features)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any("forward" in vars(part) for part in model.modules())
    assert all(p.dtype == torch.float32 and p.requires_grad for p in model.parameters())
    assert sum(len(part._forward_pre_hooks) for part in model.modules()) == 0


def test_the_memory_of_a_chunk_is_as_stated(problem):
    model, batches, _ = problem
    rows = [FeatureKernel(model, batches, C, memory=memory)._map.rows for memory in (1e4, 2e4, 4e4)]
    assert rows == sorted(rows)
    assert rows[0] < rows[2]
    x = torch.cat([x for x, _ in batches])
    one = FeatureMap(model, model.fc, x, training=True, dtype=torch.float64, memory=1e4)._bytes_per_example(True)
    assert one >= 8 * (16 + 27 + 27 + 6 + P)  # of an example: input, convolution, activation, both linear layers


def test_frozen_parameters_and_other_types(problem):
    model, batches, _ = problem
    few = copy.deepcopy(model)
    few.body[0].requires_grad_(False)
    assert set(FeatureKernel(few, batches, C).parameters) == {
        name for name, _ in model.named_parameters() if not name.startswith("body.0.")
    }
    single = FeatureKernel(model, batches, C, dtype=torch.float32)
    assert single.features.dtype == torch.float32
    close(single.apply(single.features).double(), FeatureKernel(model, batches, C).apply(single.features), 1e-4)
    named = [({"x": x}, y) for x, y in batches]
    assert torch.equal(FeatureKernel(model, named, C).features, FeatureKernel(model, batches, C).features)


class Fixed(Net):
    def forward(self, x):
        return self.fc(self.body(x).float())


class Twice(Net):
    def forward(self, x):
        h = self.body(x)
        return self.fc(h) + self.fc(h)


@pytest.mark.parametrize(
    ("make", "options", "match"),
    [
        (Net, {"batchnorm": "both"}, "Need batchnorm 'training' or 'evaluation', got 'both'"),
        (Net, {"memory": 0}, "Need memory > 0"),
        (Fixed, {}, r"try dtype=torch\.float32|give dtype=torch\.float32"),
        (Twice, {}, "Need one feature vector"),
        (lambda: Net().requires_grad_(False), {}, "got none with requires_grad"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(problem, make, options, match):
    with pytest.raises(ValueError, match=match):
        FeatureKernel(make(), problem[1], C, **options)


def test_labels_layers_and_probes_that_cannot_be_are_refused(problem):
    model, batches, _ = problem
    x = batches[0][0]
    with pytest.raises(ValueError, match="Need at least 2 classes"):
        FeatureKernel(model, [(x, torch.zeros(8, dtype=torch.long))], C)
    with pytest.raises(ValueError, match="Need integer targets"):
        FeatureKernel(model, [(x, torch.full((8,), C))], C)
    without = Net()
    without.body[1] = nn.BatchNorm2d(3, track_running_stats=False)
    with pytest.raises(ValueError, match="Need running statistics"):
        FeatureKernel(without, batches, C, batchnorm="evaluation")
    kernel = FeatureKernel(model, batches, C)
    with pytest.raises(ValueError, match="probes >= 2"):
        kernel.traces(probes=1)
    with pytest.raises(ValueError, match="at least 3 draws"):
        kernel.sample_kernel(draws=2)


def test_estimates_of_independent_numbers():
    a, b = Estimate(3.0, 0.3), Estimate(2.0, 0.4)
    assert (a + b) == Estimate(5.0, 0.5)
    assert (a - b).error == pytest.approx(0.5)
    assert (a / b).error == pytest.approx(1.5 * np.hypot(0.1, 0.2))
    assert np.isnan((a / Estimate(0.0, 0.0)).value)
