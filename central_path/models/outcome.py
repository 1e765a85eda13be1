"""A model's runs, judged: every instance from several starts, its facts, and whether the planted faults are caught."""

import time
from dataclasses import dataclass, field

from central_path.models.model import FAULT_FACTOR, VALUE, Fact, Model, ModelPath, residuals, tolerance


@dataclass(frozen=True)
class ModelRun:
    """One instance from one start: where it came to and how far that is from what is predicted, by name."""

    model: Model
    seed: int
    path: ModelPath
    residuals: dict[str, float]
    with_fault: dict[str, float]

    @property
    def reaches(self) -> bool:
        """Whether everything that the end state fixes is within its tolerance; a NaN is not."""
        return all(value <= tolerance(key) for key, value in self.residuals.items())

    @property
    def fault_caught(self) -> bool:
        """Whether the planted fault shows in one of them."""
        return any(value > FAULT_FACTOR * tolerance(key) for key, value in self.with_fault.items())


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
        return max(run.residuals[VALUE] for run in self.runs)

    @property
    def grams(self) -> float:
        """Largest distance of anything else that the end state fixes."""
        return max(value for run in self.runs for key, value in run.residuals.items() if key != VALUE)

    @property
    def complaints(self) -> list[str]:
        """What is not as predicted, in words; nothing, as a rule."""
        found = [] if self.error is None else [f"failed with {self.error}"]
        for run in self.runs:
            where = f"{run.model}, start {run.seed}"
            missed = {key: value for key, value in run.residuals.items() if not value <= tolerance(key)}
            found += [
                f"{where}: {key} off by {value:.1e}, at most {tolerance(key):.0e} expected"
                for key, value in missed.items()
            ]
            if not run.fault_caught:
                found.append(f"{where}: planted fault missed ({run.model.planted})")
        for fact in self.facts:
            if not fact.residual <= fact.tolerance:
                found.append(f"{fact.name}: off by {fact.residual:.1e}, at most {fact.tolerance:.0e} expected")
            elif not fact.holds:
                found.append(f"{fact.name}: planted fault missed, off by {abs(fact.fault):.1e}")
        return found

    @property
    def verdict(self) -> str:
        """`as predicted`, or not."""
        return "not as predicted" if self.complaints or not self.runs else "as predicted"


def run(model: type[Model], *, starts: int, seed: int) -> ModelOutcome:
    """Run every instance from `starts` starts, and measure the facts; a failure is part of the outcome."""
    begin, runs, facts, error = time.perf_counter(), [], [], None
    try:
        for instance in model.instances():
            for number in range(seed, seed + starts):
                path = instance.run(instance.start(number))
                found, faulty = (residuals(instance, path.point, fault=fault) for fault in (False, True))
                runs.append(ModelRun(instance, number, path, found, faulty))
        facts = list(model.facts())
    except (RuntimeError, ValueError, ArithmeticError) as failure:
        error = f"{type(failure).__name__}: {' '.join(str(failure).split())[:300]}"
    return ModelOutcome(model, runs, facts, time.perf_counter() - begin, error)
