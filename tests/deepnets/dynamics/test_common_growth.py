"""Null models: planted laws that contract are told from them, a common growth factor is not."""

import numpy as np
import pytest
from planted_laws import EPOCHS, C, planted

from deepnet_runs.dynamics import assumptions, common_growth, law_of_run

K = C - 1
GROWTH = np.exp(np.linspace(0, 2, EPOCHS))[:, None]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(common_growth, "DRAWS", 25)


def analysed(runs, features=64):
    found = law_of_run.find(runs)
    nulls = common_growth.nulls(found, runs, [features] * len(runs), [None] * len(runs))
    return found, nulls, common_growth.verdict(found, nulls)


def fresh(P, seed):
    """A fresh Gaussian SNR matrix at every epoch, times a common factor: the definition, one matrix after another."""
    rng = np.random.default_rng(seed)
    return GROWTH * np.stack([np.linalg.svd(rng.standard_normal((P, K)), compute_uv=False) for _ in range(EPOCHS)])


@pytest.mark.parametrize(("k", "verdict"), [(0, "riemannian"), (1, "renormalized"), (1.5, "of the family, k = 1.5")])
@pytest.mark.parametrize("repetitions", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_planted_laws_that_contract_are_told_from_every_null_model(k, verdict, repetitions):
    found, nulls, said = analysed([planted(k, seed, 0.003) for seed in range(repetitions)])
    assert said.startswith(verdict)
    assert len(nulls) == 4
    assert max(null.same for null in nulls) == 0
    if k < 1.5:
        assert found.within_limit[verdict] == repetitions
        assert max(null.within_limit[verdict] for null in nulls[:-1]) == 0  # the last contracts as the run does


@pytest.mark.parametrize(
    "runs",
    [
        [planted(2, seed, 0.003) for seed in range(3)],  # for omega the law k = 2 is a common factor
        [fresh(64, seed) for seed in range(3)],
        [fresh(64, 0)],
        [GROWTH * np.linspace(3, 9, K)[::-1]],
        [fresh(64, 0)[::-1]],  # nothing grows
    ],
    ids=["k = 2", "fresh matrices", "one run", "one matrix", "shrinking"],
)
@pytest.mark.parametrize("features", [64, pytest.param(None, marks=pytest.mark.slow)])
def test_a_common_growth_factor_is_not_distinguished(runs, features):
    _, nulls, said = analysed(runs, features)
    assert said == "not distinguishable from a common growth factor"
    assert len(nulls) == (4 if features else 3)


def test_random_spectra_that_contract_are_not_distinguished_from_such_spectra():
    template = planted(1.4, 0, low=7.0)  # where omega are near one another, spectra show the law no better
    drawn = common_growth.random_spectra(template, np.random.default_rng(0))
    for moment in (np.mean, np.std):
        np.testing.assert_allclose(moment(np.log(drawn), axis=1), moment(np.log(template), axis=1), rtol=1e-9)
    for runs in ([template], [drawn]):
        found, nulls, said = analysed(runs)
        assert found.distance <= law_of_run.LIMIT
        assert said == "not distinguishable from random spectra of the same growth and spread"
        assert max(null.same for null in nulls[:-1]) == 0


def test_independent_rates_are_not_distinguished_from_independent_rates():
    found, nulls, said = analysed([common_growth.independent_rates(fresh(400, 0), np.random.default_rng(0))])
    assert found.distance <= law_of_run.LIMIT  # sorted, they pass for a law of the family, of k = 2.34
    assert said == "not distinguishable from independent growth rates"
    assert max(null.same for null in nulls[:2]) == 0


def test_planted_a_null_model_that_contracts_gives_the_description_of_the_law(monkeypatch):
    runs = [planted(1, 0, 0.003)]
    monkeypatch.setattr(common_growth, "random_matrices", lambda omega, P, rng: planted(1, rng.integers(99), 0.003))
    assert analysed(runs)[2] == "not distinguishable from a common growth factor"


@pytest.mark.parametrize("P", [9, 16, 64, 400])
def test_random_matrices_have_the_singular_values_of_gaussian_matrices_and_the_mean_growth_of_the_run(P):
    omega = fresh(20, 3)
    rng = np.random.default_rng(0)
    drawn = np.concatenate([common_growth.random_matrices(omega, P, rng) for _ in range(80)])
    np.testing.assert_allclose(np.log(drawn).mean(axis=1), np.tile(np.log(omega).mean(axis=1), 80), rtol=0, atol=1e-12)
    expected = np.linalg.svd(rng.standard_normal((len(drawn), P, K)), compute_uv=False)

    def shape(s):
        log = np.log(s)
        return log - log.mean(axis=1, keepdims=True)

    difference = shape(drawn).mean(axis=0) - shape(expected).mean(axis=0)
    error = np.sqrt((shape(drawn).var(axis=0) + shape(expected).var(axis=0)) / len(drawn))
    assert np.max(np.abs(difference) / error) < 4.5  # standard errors, of 9 means
    wrong = shape(common_growth.random_matrices(np.tile(omega, (80, 1)), P + 2 + P // 4, rng)).mean(axis=0)
    assert np.max(np.abs(wrong - shape(expected).mean(axis=0)) / error) > 4.5  # planted: matrices of other size


def test_independent_rates_have_the_mean_growth_of_the_run_and_are_sorted():
    omega = fresh(64, 3)
    drawn = common_growth.independent_rates(omega, np.random.default_rng(0))
    np.testing.assert_allclose(np.log(drawn).mean(axis=1), np.log(omega).mean(axis=1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(drawn[0], omega[0], rtol=1e-12)
    assert np.all(np.diff(drawn, axis=1) <= 0)


@pytest.mark.parametrize("P", [100, 1000])
def test_the_dimension_is_found_from_the_spread_of_random_matrices(P):
    found = [common_growth.matching_dimension(fresh(P, seed)) for seed in range(20)]
    assert abs(np.mean(found) / P - 1) < 0.15  # the formula is of first order in 1/P
    assert common_growth.matching_dimension(np.exp(np.linspace(0, 9, K))[None].repeat(3, 0)) == K
    assert common_growth.matching_dimension(np.full((3, K), 2.0)) > 1e9


def test_draws_depend_on_the_seed_alone():
    omega = planted(1, 0)
    found = law_of_run.find([omega])
    first, again, other = (common_growth.nulls(found, [omega], [64], [None], seed=seed) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("n", [2, 4, 9])
def test_the_overlap_by_chance_is_that_of_random_vectors(n):
    x = np.random.default_rng(0).standard_normal((2, 100_000, n))
    x /= np.linalg.norm(x, axis=2, keepdims=True)
    cos = np.abs(np.sum(x[0] * x[1], axis=1))
    chance = assumptions.chance_overlap(n)
    assert abs(cos.mean() - chance) < 4 * cos.std() / np.sqrt(len(cos))
    assert n != 9 or round(chance, 3) == 0.273
    assert abs(cos.mean() - assumptions.chance_overlap(n + 1)) > 4 * cos.std() / np.sqrt(len(cos))  # planted
