"""Null models: spectra that follow no law, analysed by the code that analyses the runs.

Each null model keeps the run's mean growth m(t) = mean over j of log omega_j(t) exactly, epoch by epoch:

    random matrices     singular values of a fresh Gaussian (P, K) matrix, K = C - 1, at every epoch, times a common
                        factor: once with P the number of features, where the run has saved some, and once with the P
                        whose singular values spread as the run's do on average over the window,
                        P = (K + 2)(K - 1)/(4 K S^2), S^2 = mean over t of Var_j log omega_j(t)
    independent rates   log omega_j grows 1 + 0.2 z_j times as fast as m(t), with independent standard normal z_j, from
                        the run's first omega; sorted at every epoch, as measured omega are
    spread of the epoch random matrices whose log singular values are scaled about their mean to the run's Var_j log
                        omega_j(t) at every epoch: growth and contraction are the run's, and no direction persists

A description of runs (`law_of_run.Finding`) that a null model gives in more than 5 % of its draws does not distinguish
the runs from that model. The law k = 2 never does: for omega it is a common growth factor.

Note:
    The Gaussian matrix enters through its Bartlett factor, an upper triangle with chi-distributed diagonal, which has
    the same singular values in distribution for every P. The formula for P is the first order in 1/P.

Source: the null models are this project's; Bartlett (1933) for the factor.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from deepnet_runs.dynamics import clock, law_of_run
from deepnet_runs.dynamics.law_of_run import LAWS, Finding

DRAWS = 100
FREQUENT = 0.05  # share of a null's draws above which a description says nothing against it
RATE_SD = 0.2  # of independent rates, relative to their mean
INDISTINCT = "not distinguishable from"
Omega = Float[np.ndarray, "T K"]


def with_mean_growth_of(omega: Omega, log_spectra: Omega) -> Omega:
    """Spectra (sorted, descending) rescaled to the geometric means of omega at every epoch."""
    log = np.log(omega).mean(axis=1, keepdims=True) + log_spectra - log_spectra.mean(axis=1, keepdims=True)
    return np.exp(-np.sort(-log, axis=1))


def random_matrices(omega: Omega, P: int, rng: np.random.Generator) -> Omega:
    """Singular values of a fresh Gaussian (P, K) matrix at each epoch, P >= K, with the mean growth of omega."""
    T, K = omega.shape
    factor = np.triu(rng.standard_normal((T, K, K)), 1)
    factor[:, np.arange(K), np.arange(K)] = np.sqrt(rng.chisquare(P - np.arange(K), (T, K)))
    return with_mean_growth_of(omega, np.log(np.linalg.svd(factor, compute_uv=False)))


def random_spectra(omega: Omega, rng: np.random.Generator) -> Omega:
    """`random_matrices` with the mean and the standard deviation of log omega over the directions at every epoch."""
    log = np.log(random_matrices(omega, matching_dimension(omega), rng))
    scale = np.std(np.log(omega), axis=1, keepdims=True) / np.std(log, axis=1, keepdims=True)
    return with_mean_growth_of(omega, scale * (log - log.mean(axis=1, keepdims=True)))


def independent_rates(omega: Omega, rng: np.random.Generator) -> Omega:
    """Every direction grows at its own rate, with the mean growth of omega."""
    growth = np.log(omega).mean(axis=1, keepdims=True) - np.log(omega[0]).mean()
    return with_mean_growth_of(omega, np.log(omega[0]) + growth * RATE_SD * rng.standard_normal(omega.shape[1]))


def matching_dimension(omega: Omega) -> int:
    """The P of Gaussian (P, K) matrices whose log singular values spread as log omega do; at least K."""
    K, S2 = omega.shape[1], float(np.var(np.log(omega), axis=1).mean())
    return max(K, round((K + 2) * (K - 1) / (4 * K * max(S2, 1e-12))))


@dataclass(frozen=True)
class Null:
    """Results of a null model: medians over the draws, and shares of the draws."""

    name: str
    against: str  # what a run is not distinguishable from, if this model gives its description
    P: list[int] | None  # by run
    k: float
    k_interval: tuple[float, float]  # of 95 % of the draws
    distance: float  # D at k
    distances: dict[str, float]  # D at each law
    within_limit: dict[str, float]  # share of all drawn runs with D <= LIMIT: at each law, and at their own k
    same: float  # share of the draws with the runs' description
    clock_exponents: dict[str, float | None]  # of the implied time, by law, where the runs have a summed rate


def same(found: Finding, drawn: Finding) -> bool:
    """Whether a draw has the description of the runs.

    An exponent of the family counts if it is in the interval of the runs, or as far from 2 on the same side.
    """
    family = "of the family"
    if found.description.startswith(family) and drawn.description.startswith(family):
        low, high = found.interval or (found.k, found.k)
        return bool(low <= drawn.k <= high or (drawn.k - 2) * np.sign(found.k - 2) >= abs(found.k - 2))
    return found.description == drawn.description


def _summary(
    found: Finding,
    runs: Sequence[Omega],
    model: tuple[str, str, list[int] | None, Callable[[int, np.random.Generator], Omega]],
    lr_sums: Sequence[np.ndarray | None],
    seed: int,
) -> Null:
    name, against, P, draw = model
    rng = np.random.default_rng(seed)
    draws = [[draw(i, rng) for i in range(len(runs))] for _ in range(DRAWS)]
    each = [law_of_run.find(drawn) for drawn in draws]
    powers: dict[str, float | None] = {}
    for law, k in LAWS.items():
        found_powers = [
            clock.power(clock.elapsed(omega, k), x).exponent
            for drawn in draws
            for omega, x in zip(drawn, lr_sums, strict=True)
            if x is not None
        ]
        powers[law] = float(np.median(found_powers)) if found_powers else None
    ks = [one.k for one in each]
    low, high = np.quantile(ks, [0.025, 0.975])
    return Null(
        name=name,
        against=against,
        P=P,
        k=float(np.median(ks)),
        k_interval=(float(low), float(high)),
        distance=float(np.median([one.distance for one in each])),
        distances={law: float(np.median([one.distances[law] for one in each])) for law in LAWS},
        within_limit={
            key: sum(one.within_limit[key] for one in each) / (DRAWS * len(runs)) for key in found.within_limit
        },
        same=float(np.mean([same(found, one) for one in each])),
        clock_exponents=powers,
    )


def nulls(
    found: Finding,
    runs: Sequence[Omega],
    features: Sequence[int | None],
    lr_sums: Sequence[np.ndarray | None],
    *,
    seed: int = 0,
) -> list[Null]:
    """The null models of runs: features are their P where known, lr_sums their summed learning rates or None."""
    common = "a common growth factor"
    models = []
    matched = [matching_dimension(omega) for omega in runs]
    known = [P for P in features if P is not None]
    dimensions = {"random matrices, spread of the run": matched}
    if len(known) == len(runs):
        dimensions = {"random matrices, P of the run": known} | dimensions
    for name, P in dimensions.items():
        models.append((name, common, P, lambda i, rng, P=P: random_matrices(runs[i], P[i], rng)))
    models.append(
        ("independent rates", "independent growth rates", None, lambda i, rng: independent_rates(runs[i], rng))
    )
    name, against = "random matrices, spread of the epoch", "random spectra of the same growth and spread"
    models.append((name, against, None, lambda i, rng: random_spectra(runs[i], rng)))
    return [_summary(found, runs, model, lr_sums, seed) for model in models]


def verdict(found: Finding, models: Sequence[Null]) -> str:
    """The description of runs, unless a null model gives it too, or it does not exclude k = 2."""
    if found.largest < 1:
        return found.description
    low, high = found.interval or (np.nan, np.nan)
    if "unnormalized" in found.description or (found.description != "none" and low <= 2 <= high):
        return f"{INDISTINCT} a common growth factor"
    for model in models:
        if model.same > FREQUENT:
            return f"{INDISTINCT} {model.against}"
    return found.description
