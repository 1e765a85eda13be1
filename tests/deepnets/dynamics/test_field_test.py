"""Planted truths: parametrisations of known kernels are recovered by the field test within their error bars."""

import json

import numpy as np
import pytest
import torch

from deepnet_runs.dynamics import planted_fields
from deepnet_runs.dynamics.field import Field, compare
from deepnet_runs.dynamics.field_test import field_test, velocity
from deepnet_runs.dynamics.planted_fields import block_kernel, features, planted
from deepnet_runs.dynamics.snr_frame import SNRFrame, moments_of

C, N, P = 4, 8, 6
EXACT = 1e-8


@pytest.fixture(scope="module")
def start():
    return features(C, N, P, seed=0)


def check_exact(found, name):
    """The model is the truth: no error, whole and beyond the common factor."""
    for part in (found.models[name].whole, found.models[name].residual):
        assert part.cosine == pytest.approx(1, abs=EXACT)
        assert part.error < 1e-5
        assert part.p < 0.01


def test_free_features(start):
    H, y = start
    kernel = planted(H, y, torch.eye(C * N, dtype=torch.float64))
    found = field_test(kernel)
    check_exact(found, "free")
    assert found.models["free"].whole.clock == pytest.approx(1)
    assert found.velocity_cosine == pytest.approx(1)
    assert (found.rate_means, found.rate_within, found.b) == pytest.approx((1, 1, 1))
    assert max(found.leak_means, found.leak_within) < EXACT
    traces = kernel.traces(sketch=P, probes=12)
    for name, value in {"kappa_d": 1, "kappa_c": 0, "kappa_n": 0, "b": 1}.items():
        estimate = getattr(traces, name)
        assert abs(estimate.value - value) < 4 * estimate.error + EXACT
        assert estimate.error < 0.5
    assert kernel.sample_kernel(draws=8).isotropy().value == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("b", [0.0, 0.3, 1.5, 2.0])
def test_block_kernels(start, b):
    H, y = start
    kernel = planted(H, y, block_kernel(y, means=0.7, within=0.7 * b, overall=4.0))
    found = field_test(kernel)
    check_exact(found, "block")
    check_exact(found, "block_best")
    assert found.b == pytest.approx(b, abs=EXACT)
    assert found.models["block_best"].whole.b == pytest.approx(b, abs=1e-5)
    if b == 0:
        check_exact(found, "class_means")
    else:
        assert found.models["class_means"].residual.cosine < 1 - 1e-4
    assert found.models["block"].whole.clock == pytest.approx(1)
    traces = kernel.traces(sketch=2, probes=6)
    truth = {"means": 0.7, "within": 0.7 * b, "overall": 4.0, "kappa_c": (4 + 3 * 0.7) / (C * N) - 0.7 * b / N}
    for name, value in truth.items():
        estimate = getattr(traces, name)
        assert abs(estimate.value - value) <= 4 * estimate.error + EXACT, name


def test_a_kernel_that_is_not_the_same_for_all_feature_directions(start):
    H, y = start
    a = torch.tensor([5.0, 2.0, 1.0, 0.5, 0.2, 0.1], dtype=torch.float64)
    kernel = planted(H, y, torch.eye(C * N, dtype=torch.float64), torch.diag(a))
    found = field_test(kernel, sample_kernel=(K := kernel.sample_kernel(draws=64)))
    isotropy = K.isotropy()
    assert abs(isotropy.value - float(a.sum() ** 2 / (P * (a * a).sum()))) < 4 * isotropy.error
    assert found.velocity_cosine < 0.95
    assert found.models["free"].whole.cosine < 0.99
    of_kernel = found.models["sample_kernel"].whole  # K is I but for its estimation, which its error covers
    assert abs(of_kernel.cosine - found.models["free"].whole.cosine) < 5 * of_kernel.cosine_error + 0.02


def test_any_kernel_of_the_examples_is_seen_by_the_sample_kernel_alone(start):
    H, y = start
    R = torch.randn(C * N, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    kernel = planted(H, y, R @ R.T)
    found = field_test(kernel, sample_kernel=kernel.sample_kernel(draws=64))
    assert found.models["sample_kernel"].residual.cosine > 0.97
    assert found.models["free"].residual.cosine < 0.9
    assert found.leak_within > 0.01


def test_a_linear_network():
    X, y = features(C, N, 5, seed=1)
    kernel, K = planted_fields.linear(X, y, 7, P, seed=0)
    traces = kernel.traces(sketch=3, probes=8)
    for name, part in zip(("overall", "means", "within"), kernel.classes.parts(K), strict=True):
        rank = dict(zip(("overall", "means", "within"), kernel.classes.ranks, strict=True))[name]
        estimate = getattr(traces, name)
        assert abs(estimate.value - float(torch.trace(part)) / rank) <= 4 * estimate.error + 1e-9, name
    found = kernel.sample_kernel(draws=64)
    within = found.within()
    assert abs(within.value - float(torch.trace(kernel.classes.parts(K).within)) / kernel.classes.ranks[2]) < (
        4 * within.error
    )
    assert field_test(kernel, sample_kernel=found).velocity_cosine < 0.9


def test_a_wide_network_of_random_features():
    X, y = features(C, N, 5, seed=2)
    kernel, K = planted_fields.wide(X, y, 4000, P, seed=0)
    traces, spread = kernel.traces(sketch=6, probes=6), 3 / 4000**0.5  # of a finite width
    for name, part, rank in zip(
        ("overall", "means", "within"), kernel.classes.parts(K), kernel.classes.ranks, strict=True
    ):
        estimate, true = getattr(traces, name), float(torch.trace(part)) / rank
        assert abs(estimate.value - true) <= 4 * estimate.error + spread * true, name
    isotropy = kernel.sample_kernel(draws=16).isotropy()
    assert abs(isotropy.value - 1) < 4 * isotropy.error


def test_unbalanced_classes_have_no_laws_and_decay_has_a_mean(start):
    H, y = start
    kept = torch.ones(len(y), dtype=torch.bool)
    kept[y.eq(1).nonzero()[:4, 0]] = False
    H, y = H[kept], y[kept]
    found = field_test(planted(H, y, torch.eye(len(y), dtype=torch.float64)), lam=0.03)
    check_exact(found, "free")
    assert np.isnan(found.models["law_0"].whole.cosine)
    assert np.isnan(found.mobility)


def test_the_free_velocity_of_renormalized_features_is_the_law(start):
    H, y = (x.numpy() for x in start)
    m = moments_of(H, y)
    w, Q = np.linalg.eigh(m.Sigma_W)
    X = (H - H.mean(axis=0)) @ (Q / np.sqrt(w)) @ Q.T
    kernel = planted(torch.from_numpy(X), start[1], torch.eye(C * N, dtype=torch.float64))
    found = field_test(kernel, sample_kernel=kernel.sample_kernel(draws=3))
    omega = SNRFrame.of(X, y).omega
    np.testing.assert_allclose(  # the class means' part is Proposition 2; the deviations' adds d Sigma_W
        np.diagonal(compare(X, y, without_deviations(velocity(kernel))).rates),
        omega / (N * (C + omega**2) ** 2),
        rtol=1e-8,
    )
    assert found.turning < 1e-12


def without_deviations(v):
    return type(v)(v.means, v.within, v.of_means, 0 * v.of_within, v.of_overall)


def test_a_line_of_the_file_gives_the_field_again(start):
    H, y = start
    found = field_test(planted(H, y, torch.eye(C * N, dtype=torch.float64)))
    line = json.loads(json.dumps(found.to_dict()).replace("NaN", "null"))
    again = Field.from_dict(line)
    assert json.dumps(again.to_dict()) == json.dumps(found.to_dict())
    assert "cos(V, -G) = 1.000" in str(found)
    del line["omega"]
    with pytest.raises(ValueError, match=r"need omega in a line of field\.jsonl"):
        Field.from_dict(line)
