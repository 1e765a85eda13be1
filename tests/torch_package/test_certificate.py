"""Planted NC1 at five precisions: where rounding makes the measured one twice the planted one, there is the floor."""

import numpy as np
import pytest
import torch

from central_path.metrics import catalogue
from central_path.torch import NeuralCollapse
from central_path.torch.precision import EPS
from central_path.torch.quantities import NAMES

C, P, N = 10, 48, 60


def through_tf32(x):
    """Float32 rounded to 10 bits after the binary point, to nearest."""
    bits = x.float().contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


STORED = {
    "float64": lambda x: x,
    "float32": lambda x: x.float(),
    "tf32": through_tf32,
    "float16": lambda x: x.half(),
    "bfloat16": lambda x: x.bfloat16(),
}
OF_MEANS = ("nc2_etf_kothapalli2023", "nc3_self_duality_zhu2021", "nc3_self_duality_wu2024", "unc3_wu2024")
LEVELS = np.logspace(-1, -12, 23)


def planted(seed, level):
    """Features with this NC1, and their classes: random means that no type stores exactly, deviations of mean 0."""
    rng = np.random.default_rng(seed)
    M = rng.normal(size=(C, P)) + rng.normal(size=P)
    E = rng.normal(size=(C, N, P))
    E -= E.mean(axis=1, keepdims=True)
    y = torch.arange(C).repeat_interleave(N)
    whole = np.trace(np.einsum("cip,ciq->pq", E, E) / (C * N) @ np.linalg.pinv(np.cov(M.T, bias=True), rcond=1e-10)) / C
    beyond = np.longdouble(2.0**-49) * rng.uniform(-0.5, 0.5, size=M.shape) * np.abs(M)  # of float64
    h = M[:, None] + beyond[:, None] + np.sqrt(level / whole) * E.astype(np.longdouble)
    return torch.from_numpy(h.astype(np.float64).reshape(-1, P)), y


def measured(seed, level, precision):
    h, y = planted(seed, level)
    metric = NeuralCollapse(num_classes=C, precision=precision if precision == "tf32" else None)
    metric.update(STORED[precision](h), y)
    found = metric.compute()
    assert found.certificate.precision == precision
    return found[NAMES["nc1"]], found.certificate.floors[NAMES["nc1"]]


@pytest.mark.parametrize("precision", STORED)
@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))])
def test_the_floor_of_nc1_is_right_within_a_factor_of_three(precision, seed):
    floor = measured(seed, 0.1, precision)[1]
    levels = np.r_[LEVELS, floor * np.logspace(1, -1, 9)]
    off = np.array([measured(seed, level, precision)[0] / level for level in levels])
    far = levels > 3 * floor
    assert np.all(np.abs(off[far] - 1) < 0.5)
    assert np.all(np.abs(off[levels > 100 * floor] - 1) < 0.02)
    assert np.all(np.abs(off[levels < floor / 3] - 1) > 0.5)
    for eps in (EPS["tf32"], EPS["bfloat16"]):  # planted: the floor of another type
        wrong = floor * (eps / EPS[precision]) ** 2
        if wrong > 3 * floor:
            assert np.any(np.abs(off[levels < wrong / 3] - 1) < 0.5)


def test_the_floors_of_angles_and_norms_bound_what_rounding_makes_of_a_simplex_etf():
    etf = torch.eye(C, dtype=torch.float64) - 1 / C
    rotation = torch.linalg.qr(torch.from_numpy(np.random.default_rng(0).normal(size=(P, C)))).Q
    h = (etf @ rotation.T).repeat_interleave(N, dim=0)
    for precision in ("float32", "bfloat16"):
        metric = NeuralCollapse(num_classes=C)
        metric.update(STORED[precision](h), torch.arange(C).repeat_interleave(N))
        found = metric.compute(weight=etf @ rotation.T)
        for name in ("equinorm", "equiangularity", "max_angle", "self_duality"):
            assert found[NAMES[name]] == pytest.approx(found.certificate.floors[NAMES[name]], rel=2), name
        for name in OF_MEANS:
            assert 1 / 3 < found[NAMES[name]] / found.certificate.floors[NAMES[name]] < 3, name
        assert found[NAMES["nc1"]] == 0
        with_floor = {NAMES[name] for name in (*OF_MEANS, *catalogue.OF_DEVIATIONS)}
        assert with_floor <= set(found.certificate.floors) <= set(found)


@pytest.mark.parametrize("precision", STORED)
@pytest.mark.parametrize("name", sorted(catalogue.OF_DEVIATIONS))
def test_the_floors_of_the_other_forms_of_nc1_are_where_rounding_doubles_them(name, precision, seed):
    """As a number planted in float64 far above all floors says, which goes with the square of the deviations."""

    def number(level):
        h, y = planted(seed, level)
        metric = NeuralCollapse(num_classes=C, precision=precision if precision == "tf32" else None)
        metric.update(STORED[precision](h), y)
        return metric.compute()

    h, y = planted(seed, 0.1)
    exact = NeuralCollapse(num_classes=C)
    exact.update(h, y)
    per_level = exact.compute()[NAMES[name]] / 0.1
    floor = number(0.1).certificate.floors[NAMES[name]] / per_level
    for factor in (3.0, 10.0, 100.0):
        assert abs(number(factor * floor)[NAMES[name]] / (factor * floor * per_level) - 1) < 2 / factor
    assert abs(number(floor / 3)[NAMES[name]] / (floor / 3 * per_level) - 1) > 0.5


def test_the_standard_error_of_nc1_is_its_spread_over_samples():
    rng = np.random.default_rng(0)
    M, y = rng.normal(size=(C, P)), torch.arange(C).repeat_interleave(N)
    values = []
    for _ in range(60):
        metric = NeuralCollapse(num_classes=C)
        metric.update(torch.from_numpy(M[y] + 0.1 * rng.normal(size=(C * N, P))), y)
        found = metric.compute()
        values.append(found[NAMES["nc1"]])
    assert found.certificate.sampling[NAMES["nc1"]] == pytest.approx(np.std(values), rel=1)
