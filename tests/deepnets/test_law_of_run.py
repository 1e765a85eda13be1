"""A planted law is recognised from omega alone, whatever its clock, and a run that follows none is said to."""

import jax
import numpy as np
import pytest
from planted_laws import EPOCHS, C, N, planted

from central_path.laws import Law
from deepnet_runs import law_of_run


@pytest.mark.parametrize("k", [0, 0.5, 1, 1.5, 2])
@pytest.mark.parametrize("repetitions", [1, 4])
def test_a_planted_exponent_is_within_its_interval(k, repetitions):
    for noise in (0.0, 0.003):
        found = law_of_run.find([planted(k, seed, noise) for seed in range(repetitions)])
        low, high = found.interval
        assert low - 1e-9 <= k <= high + 1e-9
        assert high - low < 0.4
        names = {law: name for name, law in law_of_run.LAWS.items()}
        assert found.verdict == names[k] if k in names else found.verdict.startswith("of the family, k = ")
        others = [D for name, D in found.distances.items() if law_of_run.LAWS[name] != k]
        assert min(others) > 5 * found.distance
        assert found.resampled == ("runs" if repetitions > 2 else "directions")


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_follows_no_law_is_said_to_follow_none(seed):
    rng = np.random.default_rng(seed)
    omega0, rates = rng.uniform(3, 12, C - 1), rng.uniform(0.2, 2, C - 1)  # each direction at a rate of its own
    omega = omega0 * np.exp(np.linspace(0, 1, EPOCHS)[:, None] * rates)
    assert law_of_run.find([omega]).verdict == "none"
    assert law_of_run.find([omega[::-1]]).verdict == "none"  # nothing grows


def test_one_run_out_of_step_makes_the_group_follow_none_and_is_told_apart():
    good = [planted(1.5, seed, 0.003) for seed in range(3)]
    rates = np.linspace(0.2, 2, C - 1)
    found = law_of_run.find([*good, good[0][0] * np.exp(np.linspace(0, 1, EPOCHS)[:, None] * rates)])
    assert found.verdict == "none"
    assert [D <= law_of_run.FOLLOWS for D in found.distance_by_run] == [True, True, True, False]
    assert found.distance >= max(found.distance_by_run)
    alone = law_of_run.find(good[:1])
    assert (found.k_by_run[0], found.distance_by_run[0]) == (alone.k, alone.distance)


def test_below_the_square_root_of_C_all_laws_agree_and_none_can_be_told():
    found = law_of_run.find([planted(0, 0, 0.003, low=1e-3, high=1e-2)])
    assert found.verdict == "cannot be told: omega^2 < C"
    assert max(found.distances.values()) < law_of_run.FOLLOWS


def test_increments_are_those_of_the_laws(seed):
    omega = planted(1, seed)
    for k in (0, 0.7, 1, 2):
        law = jax.vmap(jax.vmap(Law(k, C, N).forward))(omega) / (C**2 * N)
        expected = np.asarray(law - law[:1])
        found = law_of_run.increments(omega, np.array([float(k)]))[0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(law).max())


@pytest.mark.parametrize(
    ("runs", "match"),
    [
        ([], "Need a run, got none"),
        ([np.ones((2, 9))], r"shape \(2, 9\)"),
        ([np.zeros((5, 9))], "smallest 0"),
    ],
)
def test_windows_that_say_nothing_are_refused(runs, match):
    with pytest.raises(ValueError, match=match):
        law_of_run.find(runs)
