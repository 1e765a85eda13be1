"""Two processes: batch normalization in float32 whatever the input, equal on every rank."""

import numpy as np
import pytest
import torch
import two_ranks
from small_problem import C, images_of, network_of
from two_ranks import in_two

from deepnet_runs.datasets.data import DataSet
from deepnet_runs.measuring.measure import measure

PARAMETERS = dict(network_of(0).named_parameters())


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each function returns on either rank: one pair of processes for all."""
    works = [two_ranks.float32_step, two_ranks.bfloat16_step, two_ranks.row_without_synchronise]
    found = in_two(works, tmp_path_factory.mktemp("ranks"))
    return {work: [of_rank[work.__name__] for of_rank in found] for work in works}


@pytest.mark.parametrize(
    ("work", "rounding"), [(two_ranks.float32_step, 2e-6), (two_ranks.bfloat16_step, 2e-2)], ids=["float32", "bfloat16"]
)
def test_a_step_of_two_ranks_is_that_of_one(work, rounding, ranks):
    alone = work()
    gradients = max(float(value.abs().max()) for name, value in alone.items() if name in PARAMETERS)
    for rank, found in enumerate(ranks[work]):
        assert found.keys() == alone.keys()
        for name, value in found.items():
            expected = alone[name][rank::2] if name == "outputs" else alone[name]
            scale = gradients if name in PARAMETERS else float(expected.abs().max())  # some are zero but for rounding
            assert float((value - expected).abs().max()) <= rounding * scale, name
            if "running" in name:
                assert value.dtype == torch.float32


def test_without_synchronise_every_rank_measures_by_the_same_statistics(ranks):
    first, second = ranks[two_ranks.row_without_synchronise]
    for kind in (0, 1):  # stale, fresh
        assert first[kind] == second[kind]
    for name, value in first[2].items():
        assert torch.equal(value, second[2][name]), name


@pytest.mark.parametrize("without", ["train", "test"])
def test_a_class_without_examples_is_left_out_of_what_is_measured(without):
    counts = {"train": [9, 8, 0, 7], "test": [5, 4, 3, 0]}
    whole = {"train": [9, 8, 7, 7], "test": [5, 4, 3, 3]}
    chosen = whole | {without: counts[without]}
    parts = [images_of(chosen[name], seed) for seed, name in enumerate(("train", "test"))]
    row, _ = measure(network_of(0), DataSet(*parts, C), lam=0.1, batch_size=16, fresh_batchnorm=True)
    assert np.isfinite([row.nc1_train, row.nc1_test, row.loss]).all()
    assert len(row.omega) == (C - 2 if without == "train" else C - 1)
