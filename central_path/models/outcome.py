"""A model's runs, judged: every instance from several starts, its facts, and whether the planted faults are caught."""

import time
from dataclasses import dataclass, field

from central_path.comparison import Comparison
from central_path.models.model import VALUE, Fact, Model, ModelPath, comparisons


@dataclass(frozen=True)
class ModelRun:
    """One instance from one start: where it came to and how far that is from what is predicted, by name."""

    model: Model
    seed: int
    path: ModelPath
    comparisons: list[Comparison]

    @property
    def fault_caught(self) -> bool:
        """Whether the planted fault shows in one of them."""
        return any(comparison.fault_caught for comparison in self.comparisons)


@dataclass(frozen=True)
class ModelOutcome:
    """All runs of a model and its facts."""

    model: type[Model]
    runs: list[ModelRun] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None

    @property
    def gap(self) -> float:
        """Largest distance of a loss from its predicted minimum."""
        return max(c.residual for run in self.runs for c in run.comparisons if c.name == VALUE)

    @property
    def grams(self) -> float:
        """Largest distance of anything else that the end state fixes."""
        return max(c.residual for run in self.runs for c in run.comparisons if c.name != VALUE)

    @property
    def complaints(self) -> list[str]:
        """What is not as predicted, in words; nothing, as a rule."""
        found = [] if self.error is None else [f"failed with {self.error}"]
        for run in self.runs:
            where = f"{run.model}, start {run.seed}"
            found += [f"{where}: {c.name} {_off_by(c)}" for c in run.comparisons if not c.agrees]
            if not run.fault_caught:
                found.append(f"{where}: planted fault missed ({run.model.planted})")
        for fact in self.facts:
            if not fact.agrees:
                found.append(f"{fact.name}: {_off_by(fact)}")
            elif not fact.holds:
                found.append(f"{fact.name}: planted fault missed, off by {abs(fact.fault):.1e}")
        return found

    @property
    def verdict(self) -> str:
        """`as predicted`, or not."""
        return "not as predicted" if self.complaints or not self.runs else "as predicted"


def _off_by(c: Comparison) -> str:
    return f"off by {c.residual:.1e}, at most {c.tolerance:.0e} expected"


def run(model: type[Model], *, starts: int, seed: int) -> ModelOutcome:
    """Run every instance from `starts` starts, and measure the facts; a failure is part of the outcome."""
    begin, runs, facts, error = time.perf_counter(), [], [], None
    try:
        for instance in model.instances():
            for number in range(seed, seed + starts):
                path = instance.run(instance.start(number))
                runs.append(ModelRun(instance, number, path, comparisons(instance, path.point)))
        facts = list(model.facts())
    except (RuntimeError, ValueError, ArithmeticError) as failure:
        error = f"{type(failure).__name__}: {' '.join(str(failure).split())[:300]}"
    return ModelOutcome(model, runs, facts, time.perf_counter() - begin, error)
