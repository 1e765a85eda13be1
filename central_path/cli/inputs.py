"""What a simulation starts from: random features, features of a file, or class means alone where features have no room.

JAX is imported only when the start is made.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float, Int, Shaped

from central_path.cli import records
from central_path.metrics import samples

if TYPE_CHECKING:
    from jax.sharding import NamedSharding

    from central_path.cli.config import SimulateConfig
    from central_path.simulation.starts import Start

MOST_FEATURES = 2**24  # entries (128 MiB) beyond which the levels that need none make no random features


@dataclass(frozen=True)
class Given:
    """Features (P, C, N), where each example came from, and what was done to them."""

    values: Float[np.ndarray, "P C N"]
    index: Int[np.ndarray, "C N"]
    labels: Shaped[np.ndarray, " n"]
    eps: float
    P_input: int
    rank: int
    signal_lost: float

    kind: ClassVar[str] = "features"

    @property
    def sizes(self) -> tuple[int, int, int]:
        """C, N, P."""
        P, C, N = self.values.shape
        return C, N, P

    def start(self, how: "NamedSharding | None" = None) -> "Start":
        """The renormalized start, made over the devices of a sharding if there is one.

        Raises:
            ValueError: as `starts.renormalize`.
        """
        from central_path.simulation.starts import renormalize

        return renormalize(self.values, eps=self.eps, how=how)

    def arrays(self, begin: "Start") -> dict[str, np.ndarray]:
        """What trajectory.npz holds of the start: renormalized features in the order in which they were given."""
        return {"features": samples.unstack(begin.X, self.index), "labels": self.labels}


@dataclass(frozen=True)
class GivenMeans:
    """Class means (r, C) of random features of P dimensions and N examples a class that were never made."""

    values: Float[np.ndarray, "r C"]
    N: int
    P: int

    kind: ClassVar[str] = "means"
    signal_lost: ClassVar[float] = 0.0

    @property
    def sizes(self) -> tuple[int, int, int]:
        """C, N, P."""
        return self.values.shape[1], self.N, self.P

    @property
    def P_input(self) -> int:
        """P."""
        return self.P

    @property
    def rank(self) -> int:
        """P."""
        return self.P

    def start(self, how: None = None) -> "Start":
        """The start, renormalized as it is."""
        del how
        from central_path.simulation.starts import start_of_means

        return start_of_means(self.values, self.N)

    def arrays(self, begin: "Start") -> dict[str, np.ndarray]:
        """What trajectory.npz holds of the start: the class means, in a basis of their span."""
        return {"means": begin.X}


@dataclass(frozen=True)
class GivenSamples:
    """Features (n, P) and labels (n,) as they are, the number of examples of each class, and why no law holds."""

    features: Shaped[np.ndarray, "n P"]
    labels: Shaped[np.ndarray, " n"]
    counts: Int[np.ndarray, " C"]
    why: str | None  # None: a law holds

    @property
    def N(self) -> int | None:
        """Examples of a class, where all have as many."""
        return int(self.counts[0]) if self.counts.min() == self.counts.max() else None


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
    """On stderr, where class means are drawn in the place of features."""
    if not makes_features(C, N, P, level):
        gib = 8 * C * N * P / 2**30
        print(f"{gib:.1f} GiB of random features are not made: their class means are drawn instead", file=sys.stderr)


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


def why_no_law(config: "SimulateConfig", given: samples.Samples) -> str | None:
    """Why omega of features follows no closed form; None if it does, on the range of Sigma_W.

    Raises:
        ValueError: at a level that exists with a law only.
    """
    if config.lam > 0:
        return f"weight decay, lambda = {config.lam:g}"
    reduced = config.level in ("means", "spectrum")
    if (least := given.counts.min()) != (most := given.counts.max()):
        if reduced or config.restrict_rank:
            samples.check_balance(given)
        return f"{least} to {most} examples a class"
    if config.restrict_rank:
        return None
    within = samples.range_of_within_covariance(given)
    if within.loses_nothing:
        return None
    if reduced:
        samples.check_rank(given, within)
    share = f"class means differ where no example differs from its class mean, by {within.signal_lost:.3g} of |Mbar|^2"
    return f"rank {within.rank} of Sigma_W in {len(within.basis)} dimensions, and {share}"


def features_of_file(config: "SimulateConfig", path: Path) -> Given | GivenSamples:
    """Renormalizable features of a file, or its features as they are where no law holds or `moments` is asked for.

    What is left out of them is said on stderr.
    """
    features, labels = (np.asarray(array) for array in records.read_samples(path))
    whole = samples.check_samples(features, labels)
    given, rows = whole, np.arange(len(whole.labels))
    if config.balance:
        rows = samples.balanced_rows(whole, seed=config.seed)
        given = samples.Samples(whole.features[rows], whole.labels[rows], whole.eps)
    why = why_no_law(config, given)
    if why or config.level == "moments":
        return GivenSamples(features[rows], labels[rows], given.counts, why)
    how = {"balance": config.balance, "restrict_rank": config.restrict_rank, "seed": config.seed}
    renormalizable, note = features_of_samples(whole, **how)
    if note:
        print(note, file=sys.stderr)
    return renormalizable


def as_rows(given: Given) -> GivenSamples:
    """Random features as rows, in their order."""
    C, N, _ = given.sizes
    return GivenSamples(samples.unstack(given.values, given.index), given.labels, np.full(C, N), None)


def read_input(config: "SimulateConfig") -> Given | GivenMeans | GivenSamples:
    """What the options ask to start from.

    Raises:
        ValueError: with what is wrong, the value and the remedy.
    """
    if config.features is not None:
        return features_of_file(config, config.features)
    if config.general:
        C, N, P = config.sizes
        if C * N * P > MOST_FEATURES:
            raise ValueError(
                f"Need at most {MOST_FEATURES} entries of random features for --level moments and --lam, got "
                f"{C * N * P}: give smaller --C, --N or --P."
            )
        given = as_rows(random_features(C, N, P, seed=config.seed))
        return replace(given, why=f"weight decay, lambda = {config.lam:g}" if config.lam else None)
    say_what_is_not_made(*config.sizes, config.level)
    return random_start(*config.sizes, config.level, seed=config.seed)
