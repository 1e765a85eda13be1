"""One, two and four processes with uneven shares give what one gives of all features, and count every example once."""

import numpy as np
import processes
import pytest
import torch
from processes import SIZES, N, problem

import central_path as cp
from central_path.metrics.catalogue import METRICS
from central_path.torch.quantities import NAMES

pytestmark = pytest.mark.slow  # four processes, each of which imports PyTorch


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return processes.of_four(tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_uneven_shares_give_what_the_whole_gives_on_every_rank(found, size, dtype):
    h, y, head = problem(dtype)
    expected = cp.measure(h, y, W=head.weight, b=head.bias, lam=0.01)
    for rank in range(size):
        numbers, omega, n = found[rank][size][str(dtype)]
        assert n == N
        own = ("nc1", "equinorm", "equiangularity", "max_angle", "self_duality", "loss", "loss_ls_perp")
        for name in (*own, *METRICS):
            assert numbers[NAMES[name]] == pytest.approx(expected[name], rel=1e-10), name
        np.testing.assert_allclose(omega, expected.omega, rtol=1e-10)
        assert numbers == found[0][size][str(dtype)][0]
        assert numbers == found[rank][size][f"{dtype} again"][0]


@pytest.mark.parametrize("size", SIZES)
def test_what_the_sampler_repeats_counts_once_where_indices_are_given(found, size):
    h, y, _ = problem()
    expected = cp.measure(h, y).nc1
    for rank in range(size):
        numbers, _, n = found[rank][size]["once"]
        assert (n, numbers[NAMES["nc1"]]) == (N, pytest.approx(expected, rel=1e-10))
    padded, _, n = found[0][size]["padded"]
    assert n == -(-N // size) * size
    assert (padded[NAMES["nc1"]] == pytest.approx(expected, rel=1e-10)) == (n == N)  # planted: without indices


@pytest.mark.parametrize("size", SIZES[1:])
def test_an_error_of_one_rank_is_one_sentence_on_all(found, size):
    for rank in range(size):
        assert found[rank][size]["widths"] == "Need features of one width on all processes, got 11 and 12."


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_wrapped_network_on_four_processes_is_reported_as_one_on_one(found, kind):
    alone = processes.evaluated("alone")
    for rank in range(4):
        assert found[rank][kind] == {name: pytest.approx(value, rel=1e-5, abs=1e-9) for name, value in alone.items()}
        assert found[rank][kind] == found[0][kind]
