"""What a model of neural collapse is: a loss under a constraint, a way down, and the end state that is predicted.

A model is a small final class, one a file, whose instances fix the sizes:

    start, loss, constrain     parameters, what is minimised, and the one projection or retraction of the constraint
    run                        the model's own flow or optimiser, from a start to its end state
    measured, predicted        what the end state fixes, seen at a point and in closed form: the loss (`VALUE`) and
                               arrays that no rotation of feature space changes, such as W W^T
    layer                      its classifier and features, which every model is judged by: NC1 to NC4
    facts                      its rates, thresholds and saddles as numbers, each against its closed form

`predicted` and each fact take a planted fault, which the comparison has to catch.
"""

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from central_path.comparison import Comparison
from central_path.metrics import collapse
from central_path.theory.problem import moments_of_samples

Point = dict[str, Array]  # the parameters of a model, by their letters

VALUE = "value"
TOLERANCES = {VALUE: 1e-9}  # of the minimum; of everything else that the end state fixes:
GRAMS = 1e-6
REASON = "what the flow or the optimiser leaves: of the loss, the square of what it leaves of the rest"
METRICS = ("nc1", "equinorm", "equiangularity", "max_angle", "self_duality", "ncc_mismatch")


class Layer(NamedTuple):
    """A last layer: classifier W (C, P), b (C,), the features that it sees (n, P) and their labels 0..C-1 (n,)."""

    W: Float[Array, "C P"]
    b: Float[Array, " C"]
    features: Float[Array, "n P"]
    labels: Int[np.ndarray, " n"]


class ModelPath(NamedTuple):
    """A run: the point it ends at, and the loss and NC1 to NC4 at some of its steps (or times), by name.

    A flow keeps its points at those times, with a leading axis T.
    """

    point: Point
    axis: Literal["step", "time"]
    x: Float[np.ndarray, " T"]
    ys: dict[str, Float[np.ndarray, " T"]]
    steps: int
    points: Point | None = None


class Series(NamedTuple):
    """A curve of a panel: points for what is measured, a line for what is predicted."""

    label: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    kind: Literal["measured", "predicted"] = "measured"


class Chart(NamedTuple):
    """A panel of a model's figure."""

    title: str
    x: str
    y: str
    lines: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True, init=False)
class Fact(Comparison):
    """A number against its closed form; the residual is |measured - predicted|, `fault` the same with its sign."""

    measured: float
    predicted: float

    def __init__(
        self, name: str, measured: float, predicted: float, tolerance: float, reason: str, fault: float
    ) -> None:
        super().__init__(name, abs(measured - predicted), tolerance, reason, fault)
        object.__setattr__(self, "measured", measured)
        object.__setattr__(self, "predicted", predicted)


class Model(abc.ABC):
    """The members that all models share; instances are frozen dataclasses, so that compiled programs are kept.

    `minimised`, `constraint` and `end_state` are for the table, in a few words.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    minimised: ClassVar[str]
    constraint: ClassVar[str]
    end_state: ClassVar[str]
    planted: ClassVar[str]  # the mistake that `predicted(..., fault=True)` makes

    @classmethod
    @abc.abstractmethod
    def instances(cls) -> "tuple[Model, ...]":
        """The sizes and settings that the program runs."""

    @classmethod
    def facts(cls) -> Iterator[Fact]:
        """Rates, thresholds, saddles; none by default."""
        yield from ()

    @classmethod
    def panels(cls) -> list[Chart]:
        """What its figure shows beside the path; nothing by default."""
        return []

    @abc.abstractmethod
    def start(self, seed: int) -> Point:
        """A random point that meets the constraint."""

    @abc.abstractmethod
    def loss(self, point: Point) -> Float[Array, ""]:
        """What is minimised."""

    def constrain(self, point: Point) -> Point:
        """The nearest point, or the retraction, onto the constraint; a point that meets it is returned as it is."""
        return point

    @abc.abstractmethod
    def run(self, point: Point) -> ModelPath:
        """The model's own way down."""

    @abc.abstractmethod
    def measured(self, point: Point) -> Mapping[str, ArrayLike]:
        """What the end state fixes, as it is at a point."""

    @abc.abstractmethod
    def predicted(self, point: Point, *, fault: bool = False) -> Mapping[str, ArrayLike]:
        """The same in closed form, with a planted fault on request.

        The point is where the run has ended, for limits that depend on what a flow conserves.
        """

    @abc.abstractmethod
    def layer(self, point: Point) -> Layer:
        """Classifier and features."""


def observe(model: Model, point: Point) -> dict[str, Float[Array, ""]]:
    """The loss and NC1 to NC4 at a point, by `central_path.metrics.collapse`."""
    W, b, features, labels = model.layer(point)
    m = moments_of_samples(features, jnp.asarray(labels), C=W.shape[0])
    return {
        "loss": jnp.asarray(model.loss(point)),
        **collapse.of_moments(W, m),
        "ncc_mismatch": collapse.ncc_mismatch(W, b, m.M, features),
    }


def residuals(model: Model, point: Point, *, fault: bool = False) -> dict[str, float]:
    """Largest entry of |measured - predicted|, by what is compared.

    Raises:
        ValueError: if the two do not name the same things.
    """
    seen, wanted = model.measured(point), model.predicted(point, fault=fault)
    if seen.keys() != wanted.keys():
        raise ValueError(f"Need {model.name} to predict what it measures, got {sorted(wanted)} for {sorted(seen)}.")
    return {key: float(np.max(np.abs(np.asarray(seen[key]) - np.asarray(wanted[key])))) for key in seen}


def comparisons(model: Model, point: Point) -> list[Comparison]:
    """What the end state fixes, against what is predicted: the minimum to 1e-9, Gram matrices and the like to 1e-6.

    Raises:
        ValueError: if the two do not name the same things.
    """
    found, faulty = (residuals(model, point, fault=fault) for fault in (False, True))
    return [Comparison(key, found[key], TOLERANCES.get(key, GRAMS), REASON, faulty[key]) for key in found]


def random_point(seed: int, shapes: Mapping[str, tuple[int, ...]], scale: float) -> Point:
    """Independent normal entries of a standard deviation, by the parameters' shapes."""
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    return {
        name: scale * jax.random.normal(key, shape) for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
