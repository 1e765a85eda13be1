"""What a simulation starts from: random features, features of a file, or class means alone where features have no room.

JAX is imported only when the start is made.
"""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float, Int, Shaped

from central_path.cli import records
from central_path.metrics import samples
from central_path.metrics.arrays import ArrayOf

if TYPE_CHECKING:
    from jax.sharding import NamedSharding

    from central_path.cli.config import SimulateConfig
    from central_path.simulation.general import GeneralFlow
    from central_path.simulation.starts import Start

MOST_FEATURES = 2**24  # entries (128 MiB) beyond which the levels that need none make no random features
LONG_LINEAR_ALGEBRA = 1e5  # entries of the start beyond which LAPACK gains from more threads


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

    features: Any  # (n, P), in the precision in which they came
    labels: Shaped[np.ndarray, " n"]
    counts: Int[np.ndarray, " C"]
    why: str | None  # None: a law holds

    kind: ClassVar[str] = "features"

    @property
    def size(self) -> int:
        """Entries."""
        return int(np.prod(self.features.shape))

    def follow(self, name: str, *, kernel: float, lam: float, t_max: float | None, **solver: Any) -> "GeneralFlow":
        """A flow at the level `moments`, beside its law or all features.

        Raises:
            ValueError: as `beside_law` and `beside_features`.
        """
        from central_path.simulation.general import beside_features, beside_law
        from central_path.simulation.general.start import start_of_samples

        if self.why is None:
            begin = start_of_samples(self.features, self.labels)
            return beside_law(name, begin, kernel=kernel, t_max=t_max, **solver)
        return beside_features(name, self.features, self.labels, kernel=kernel, lam=lam, t_max=t_max, **solver)

    def arrays(self) -> dict[str, np.ndarray]:
        """What trajectory.npz holds of the start: features as they are."""
        return {"features": np.asarray(self.features), "labels": self.labels}

    @property
    def N(self) -> int | None:
        """Examples of a class, where all have as many."""
        return int(self.counts[0]) if self.counts.min() == self.counts.max() else None


@dataclass(frozen=True)
class GivenMoments:
    """Class means and a factor of Sigma_W of random features that were never made."""

    M: Float[np.ndarray, "P C"]
    root: Float[np.ndarray, "P P"]
    counts: Int[np.ndarray, " C"]

    kind: ClassVar[str] = "moments"
    why: ClassVar[None] = None

    @property
    def N(self) -> int:
        """Examples of a class."""
        return int(self.counts[0])

    @property
    def size(self) -> int:
        """Entries."""
        return self.M.size

    def follow(self, name: str, *, kernel: float, lam: float, t_max: float | None, **solver: Any) -> "GeneralFlow":
        """A flow at the level `moments`, beside its law.

        Raises:
            ValueError: as `beside_law`.
        """
        from central_path.simulation.general import beside_law
        from central_path.simulation.general.start import start_of_moments

        del lam
        return beside_law(name, start_of_moments(self.M, self.root, self.counts), kernel=kernel, t_max=t_max, **solver)

    def arrays(self) -> dict[str, np.ndarray]:
        """What trajectory.npz holds of the start: class means, and a factor of Sigma_W."""
        return {"means": self.M, "root_within": self.root}


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
