"""What a simulation starts from: random features, features of a file, or class means alone where features have no room.

JAX is imported only when the start is made.
"""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from central_path.cli import records
from central_path.cli.given import Given, GivenMeans, GivenMoments, GivenSamples
from central_path.metrics import samples
from central_path.metrics.arrays import ArrayOf

if TYPE_CHECKING:
    from central_path.cli.config import SimulateConfig

MOST_FEATURES = 2**24  # entries (128 MiB) beyond which the levels that need none make no random features
LONG_LINEAR_ALGEBRA = 1e5  # entries of the start beyond which LAPACK gains from more threads


def random_features(C: int, N: int, P: int, *, seed: int) -> Given:
    """Random features, class by class."""
    H = samples.random_features(C, N, P, seed=seed)
    eps = float(np.finfo(float).eps)
    return Given(H, np.arange(C * N).reshape(C, N), np.repeat(np.arange(C), N), eps, P, P, 0.0)


def makes_features(C: int, N: int, P: int, level: str) -> bool:
    """Whether a random start of a level is made of features: always for `features`, else where they have room."""
    return level == "features" or C * N * P <= MOST_FEATURES


def random_start(C: int, N: int, P: int, level: str, *, seed: int) -> Given | GivenMeans:
    """Random features, or class means drawn from their distribution, as `makes_features` says."""
    if makes_features(C, N, P, level):
        return random_features(C, N, P, seed=seed)
    from central_path.theory.wishart import random_means

    return GivenMeans(random_means(C, N, P, seed=seed), N, P)


def say_what_is_not_made(C: int, N: int, P: int, level: str) -> None:
    """On stderr, where moments are drawn in the place of features."""
    if not makes_features(C, N, P, level):
        gib, drawn = 8 * C * N * P / 2**30, "moments" if level == "moments" else "class means"
        print(f"{gib:.1f} GiB of random features are not made: their {drawn} are drawn instead", file=sys.stderr)


def features_of_samples(given: samples.Samples, *, balance: bool, restrict_rank: bool, seed: int) -> tuple[Given, str]:
    """Features balanced and restricted as asked, and a note of the examples and directions that were left out.

    Directions in which nothing varies are left out unasked.

    Raises:
        ValueError: where they are not what the laws need: unbalanced, or of a singular Sigma_W.
    """
    notes = []
    if balance:
        whole, given = len(given.labels), samples.balance(given, seed=seed)
        if len(given.labels) < whole:
            notes.append(f"balanced classes: {len(given.labels)} of {whole} examples, {given.counts[0]} a class")
    samples.check_balance(given)
    within = samples.range_of_within_covariance(given)
    if restrict_rank or (within.rank < len(within.basis) and within.loses_nothing):
        given = samples.restrict(given, within)
        note = f"rank of Sigma_W: {within.rank} of {len(within.basis)}"
        if within.unresolved:
            note += (
                f"; directions that vary by less than the rounding of the stored features: {within.unresolved} (eps = "
                f"{given.eps:.2g}): store them in float32 or float64 to keep them"
            )
        if within.signal_lost > within.rounding:
            note += (
                f"; the directions left out carry {within.signal_lost:.3g} of |Mbar|^2: the results describe the "
                "restricted features"
            )
        notes.append(note)
    else:
        samples.check_rank(given, within)
    H, index = samples.stack(given)
    kept = Given(H, index, given.labels, given.eps, len(within.basis), within.rank, within.signal_lost)
    return kept, "\n".join(notes)


def why_no_law(given: samples.Samples, *, lam: float, level: str, restrict_rank: bool) -> str | None:
    """Why omega of features follows no closed form; None if it does, on the range of Sigma_W.

    Raises:
        ValueError: at a level that exists with a law only.
    """
    if lam > 0:
        return f"weight decay, lambda = {lam:g}"
    reduced = level in ("means", "spectrum")
    if (least := given.counts.min()) != (most := given.counts.max()):
        if reduced or restrict_rank:
            samples.check_balance(given)
        return f"{least} to {most} examples a class"
    if restrict_rank:
        return None
    within = samples.range_of_within_covariance(given)
    if within.loses_nothing:
        return None
    if reduced:
        samples.check_rank(given, within)
    share = f"class means differ where no example differs from its class mean, by {within.signal_lost:.3g} of |Mbar|^2"
    return f"rank {within.rank} of Sigma_W in {len(within.basis)} dimensions, and {share}"


def given_features(
    features: ArrayOf, labels: ArrayOf, *, lam: float, level: str, balance: bool, restrict_rank: bool, seed: int
) -> tuple[Given | GivenSamples, str]:
    """Renormalizable features, or features as they are where no law holds or `moments` is asked for; and a note.

    Raises:
        ValueError: for features that have no such flow.
    """
    whole = samples.check_samples(features, labels)
    given, rows = whole, np.arange(len(whole.labels))
    if balance:
        rows = samples.balanced_rows(whole, seed=seed)
        given = samples.Samples(whole.features[rows], whole.labels[rows], whole.eps)
    why = why_no_law(given, lam=lam, level=level, restrict_rank=restrict_rank)
    if why or level == "moments":
        raw: Any = features if hasattr(features, "detach") else np.asarray(features)
        return GivenSamples(raw[rows], whole.labels[rows], given.counts, why), ""
    return features_of_samples(whole, balance=balance, restrict_rank=restrict_rank, seed=seed)


def general_start(C: int, N: int, P: int, *, lam: float, seed: int) -> GivenSamples | GivenMoments:
    """Random features as rows, in their order, or moments drawn from their distribution.

    Raises:
        ValueError: for weight decay from features that have no room, beside which moments are to be compared.
    """
    if makes_features(C, N, P, "moments"):
        given = random_features(C, N, P, seed=seed)
        why = f"weight decay, lambda = {lam:g}" if lam else None
        return GivenSamples(samples.unstack(given.values, given.index), given.labels, np.full(C, N), why)
    if lam:
        raise ValueError(
            f"Need at most {MOST_FEATURES} entries of random features for lam > 0, where moments are compared with "
            f"features, got {C * N * P}: give smaller C, N or P."
        )
    from central_path.theory.wishart import random_moments

    return GivenMoments(*random_moments(C, N, P, seed=seed), np.full(C, N))


def read_input(config: "SimulateConfig") -> Given | GivenMeans | GivenSamples | GivenMoments:
    """What the options ask to start from; what is left out or not made is said on stderr.

    Raises:
        ValueError: with what is wrong, the value and the remedy.
    """
    if config.features is not None:
        options = ("lam", "level", "balance", "restrict_rank", "seed")
        given, note = given_features(
            *records.read_samples(config.features), **{name: getattr(config, name) for name in options}
        )
        if note:
            print(note, file=sys.stderr)
        return given
    if config.lam == 0:
        say_what_is_not_made(*config.sizes, config.level)
    if config.general:
        return general_start(*config.sizes, lam=config.lam, seed=config.seed)
    return random_start(*config.sizes, config.level, seed=config.seed)
