"""What a run of the models says: three tables and `models.json`."""

from collections.abc import Sequence
from typing import Any

from central_path.cli.tables import aligned
from central_path.models.model import METRICS, Fact
from central_path.models.outcome import ModelOutcome

HEADS = ("NC1", "equinorm", "equiangular", "max. angle", "self-dual", "NC4")


def number(value: float) -> str:
    """Two digits, as in 1.2e-13."""
    return "0" if value == 0 else format(value, ".1e")


def _what(outcomes: Sequence[ModelOutcome]) -> list[list[str]]:
    rows = [["model", "source", "minimised", "constraint", "predicted end state"]]
    for model in (outcome.model for outcome in outcomes):
        rows.append([model.name, model.source, model.minimised, model.constraint, model.end_state])
    return rows


def _ends(outcomes: Sequence[ModelOutcome]) -> list[list[str]]:
    rows = [["model", *HEADS, "gap", "Grams", "runs", "steps", "facts", "seconds", "verdict"]]
    for outcome in outcomes:
        if not outcome.runs:
            rows.append([outcome.model.name, *["-"] * 12, outcome.verdict])
            continue
        metrics = [number(float(outcome.runs[0].path.ys[key][-1])) for key in METRICS]
        steps = [run.path.steps for run in outcome.runs]
        span = f"{min(steps)}-{max(steps)}" if min(steps) < max(steps) else f"{min(steps)}"
        facts = f"{sum(fact.holds for fact in outcome.facts)} of {len(outcome.facts)}"
        counts = [str(len(outcome.runs)), span, facts, f"{outcome.seconds:.0f}"]
        rows.append(
            [outcome.model.name, *metrics, number(outcome.gap), number(outcome.grams), *counts, outcome.verdict]
        )
    return rows


def _facts(outcomes: Sequence[ModelOutcome]) -> list[list[str]]:
    rows = [["model", "rate, threshold or saddle", "measured", "predicted", "distance", "tolerance", "fault"]]
    for outcome in outcomes:
        for fact in outcome.facts:
            values = [f"{fact.measured:.10g}", f"{fact.predicted:.10g}"]
            sizes = [number(value) for value in (fact.residual, fact.tolerance, abs(fact.fault))]
            rows.append([outcome.model.name, fact.name, *values, *sizes])
    return rows


def tables(outcomes: Sequence[ModelOutcome]) -> str:
    """What is minimised, where the runs end, and the facts; then what is not as predicted."""
    blocks = [_what(outcomes), _ends(outcomes), _facts(outcomes)]
    lines = ["\n".join(aligned(rows)) for rows in blocks if len(rows) > 1]
    wrong = [f"{outcome.model.name}: {text}" for outcome in outcomes for text in outcome.complaints]
    return "\n\n".join([*lines, *(["\n".join(wrong)] if wrong else [])])


def _fact(fact: Fact) -> dict[str, Any]:
    """The entry of a rate, threshold or saddle."""
    keys = ("name", "measured", "predicted", "tolerance", "reason", "fault", "residual", "holds")
    return {key: getattr(fact, key) for key in keys}


def entry(outcome: ModelOutcome) -> dict[str, Any]:
    """The entry of a model in models.json."""
    model = outcome.model
    return {
        "model": model.name,
        "source": model.source,
        "minimised": model.minimised,
        "constraint": model.constraint,
        "end_state": model.end_state,
        "planted_fault": model.planted,
        "verdict": outcome.verdict,
        "complaints": outcome.complaints,
        "seconds": outcome.seconds,
        "runs": [
            {
                "instance": str(run.model),
                "start": run.seed,
                "steps": run.path.steps,
                "residuals": {c.name: c.residual for c in run.comparisons},
                "tolerances": {c.name: c.tolerance for c in run.comparisons},
                "with_planted_fault": {c.name: c.fault for c in run.comparisons},
                "metrics": {key: float(values[-1]) for key, values in run.path.ys.items()},
            }
            for run in outcome.runs
        ],
        "facts": [_fact(fact) for fact in outcome.facts],
    }
