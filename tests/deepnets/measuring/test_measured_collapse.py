"""NC1 to NC4 and omega of a row against loops, and what a row says where classes or units are lost."""

import math

import numpy as np
import pytest
import torch
from small_problem import COUNTS, LAM, C, P, features_of, moments_by_loops, problem_of, row_of
from torch import nn

import central_path as cp
from central_path.metrics import resolved
from central_path.metrics.catalogue import METRICS
from central_path.metrics.resolved import Rounding
from central_path.metrics.snr import Moments
from deepnet_runs.datasets.data import DataSet, Images
from deepnet_runs.measuring.measure import measure
from deepnet_runs.networks import Network
from deepnet_runs.storage.records import line


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
    far = 1e6 * torch.ones(P, dtype=torch.float64)
    seen.features += far
    seen.statistics.anchors += far
    assert seen.ncc_mismatch(seen.statistics) == row["ncc_mismatch_train"]


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
    of_pairs = {"cdnv_galanti2022_train", "gnc2_liu2023_train"}
    assert {key for key, value in row.items() if value is None} == {"condition_between"} | of_pairs
    assert row["omega"][-1] == 0 < 1e-6 < row["omega"][-2]
    M, Sigma_W, pi = moments_by_loops(*features_of(network, train)[::2])
    Mbar = M - (M @ pi)[:, None]
    trace = np.trace(Sigma_W @ np.linalg.pinv((Mbar * pi) @ Mbar.T, rtol=1e-10))
    assert row["nc1_train"] == pytest.approx(trace / C, rel=1e-9)


def test_features_that_are_the_same_for_all_images_leave_null_and_no_nan(seed):
    network, data = problem_of(seed)
    with torch.no_grad():
        network.body[5].weight.zero_()
        network.body[5].bias.fill_(0.3)
    row, _ = row_of(network, data)
    assert (row["rank_within"], row["rank_between"], row["omega"]) == (0, 0, [0.0] * (C - 1))
    metrics = {"nc1", "equinorm_means", "equiangularity_means", "max_angle_means", "self_duality", *METRICS}
    metrics -= {"nc0_zhao2026", "nc2_etf_classifier_zhu2021"}  # of the classifier alone
    missing = {f"{key}_{part}" for key in metrics for part in ("train", "test")} | {"condition_between"}
    assert {key for key, value in row.items() if value is None} == missing
    assert row["loss_nc1"] + row["loss_nc23"] + row["loss_ls_perp"] == pytest.approx(row["loss"], rel=1e-12)
    assert row["loss"] > 0
    text = line(vars(measure(network, data, lam=LAM, batch_size=16, fresh_batchnorm=True)[0]))
    assert b"NaN" not in text
    assert b"Infinity" not in text


@pytest.mark.parametrize(("equal", "dimensions", "infinite"), [(1, 40, 3), (30, 13, 1), (34, 9, 0)])
def test_omega_of_fewer_examples_than_units_is_that_of_the_whole_covariance(equal, dimensions, infinite, seed):
    generator = np.random.default_rng(seed)
    width, n = 40, 16
    labels = np.arange(n) % C
    features = generator.normal(size=(C, width))[labels] + generator.normal(size=(n, width))
    features = np.concatenate([features, 1e-3 * features[:, :3] + 1], axis=1)
    features[:, :equal] = features[:, :1]
    arrays, eps = moments_by_loops(features, labels), float(np.finfo(np.float64).eps)
    m = Moments(*arrays)
    rounding = Rounding.of(m, eps)
    spread = resolved.between(m, rounding)
    few, whole = (resolved.snr(spread, rounding, n=size, vectors=True) for size in (n, features.shape[1]))
    assert few.rank == whole.rank == min(n - C, dimensions)
    assert few.infinite == whole.infinite == infinite
    np.testing.assert_allclose(few.omega, whole.omega, rtol=1e-9)
    np.testing.assert_allclose(np.abs(few.V[:, infinite:]), np.abs(whole.V[:, infinite:]), rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("sizes", [*COUNTS, "absent"])
def test_a_row_is_what_measure_says_of_the_same_features(sizes, dtype, seed):
    network, data = problem_of(seed, "unbalanced" if sizes == "absent" else sizes, dtype=dtype)
    if sizes == "absent":
        keep = data.train.y != 2
        data = DataSet(Images(data.train.x[keep], data.train.y[keep]), data.test, C)
    _, seen = row_of(network, data)
    row = row_of(network, data)[0]
    found = cp.measure(seen.features, seen.labels, W=network.head.weight, b=network.head.bias, lam=LAM, C=C)
    pairs = {key: key for key in ("loss_nc1", "loss_nc23", "loss_ls_perp", "omega", "rank_within", "rank_between")}
    pairs |= {key: f"{key}_train" for key in ("nc1", "self_duality", "ncc_mismatch")}
    pairs |= {key: f"{key}_means_train" for key in ("equinorm", "equiangularity", "max_angle")}
    for name, key in pairs.items():
        np.testing.assert_allclose(row[key], found[name], rtol=1e-12, atol=1e-15, err_msg=name)
    assert found.reasons == {}


def test_a_class_without_examples_has_no_mean(seed):
    network, data = problem_of(seed, "unbalanced")
    keep = data.train.y != 2
    row, seen = row_of(network, DataSet(Images(data.train.x[keep], data.train.y[keep]), data.test, C))
    means = np.stack([seen.features.numpy()[seen.labels.numpy() == c].mean(axis=0) for c in (0, 1, 3)], axis=1)
    pi = np.array([np.mean(seen.labels.numpy() == c) for c in (0, 1, 3)])
    norms = np.linalg.norm(means - (means @ pi)[:, None], axis=0)
    assert row["equinorm_means_train"] == pytest.approx(np.std(norms) / np.mean(norms), rel=1e-9)
    invented = np.linalg.norm(np.insert(means, 2, 0, axis=1) - (means @ pi)[:, None], axis=0)  # the planted fault
    assert abs(row["equinorm_means_train"] - np.std(invented) / np.mean(invented)) > 1e-3
    assert len(row["omega"]) == 2
    assert np.array(row["snr_right"]).shape == (2, C)
    assert not np.array(row["snr_right"])[:, 2].any()
    assert row["loss_nc1"] + row["loss_nc23"] + row["loss_ls_perp"] == pytest.approx(row["loss"], rel=1e-12)
