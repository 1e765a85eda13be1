"""What a simulation is given: features or class means, renormalized or as they are, each able to make its start.

JAX is imported only when the start is made.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Float, Int, Shaped

from central_path.metrics import samples

if TYPE_CHECKING:
    from jax.sharding import NamedSharding

    from central_path.simulation.general import GeneralFlow
    from central_path.simulation.starts import Start


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
