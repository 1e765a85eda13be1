"""What a run says in numbers: the rows of `claims.json` and the closing table."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from central_path.cli import records
from central_path.comparison import FAULT_FACTOR
from theory_checks.framework.registry import CLAIMS, WIDEST, CheckedClaim, Finding, Identity
from theory_checks.framework.verdicts import VERDICTS, off_by


class DrawSettings(NamedTuple):
    """What the instances of a run were drawn from."""

    seed: int
    seeds: int
    quick: bool

    def __str__(self) -> str:
        """In words."""
        drawn = f"seed {self.seed}" if self.seeds == 1 else f"seeds {self.seed} to {self.seed + self.seeds - 1}"
        return f"{drawn}{', quick' if self.quick else ''}"


def number(value: float | None) -> str:
    """Two digits, as in 1.2e-13; a dash where there is none."""
    return "-" if value is None else "0" if value == 0 else format(value, ".1e")


def shown(outcome: CheckedClaim) -> Identity | None:
    """The comparison that stands for the claim: one that fails, else one whose fault was missed, else the tightest."""
    identities = [part for part in outcome.parts if isinstance(part, Identity)]
    failing = [part for part in identities if not part.stands]
    missed = [part for part in identities if not part.fault_caught]
    return (failing or missed or [outcome.tightest])[0]


def part_complaints(part: Finding) -> list[str]:
    """What is wrong with a part, in words: nothing, as a rule."""
    found = []
    if part.kind == "refutation":
        if not part.stands:
            found.append(f"off by {number(part.residual)} only, where at least {number(part.tolerance)} is expected")
    elif not part.residual <= part.tolerance:
        found.append(f"residual {number(part.residual)} where at most {number(part.tolerance)} is expected")
    if part.too_wide:
        share = number(part.relative_tolerance)
        found.append(f"tolerance of {share} of the quantity compared, where at most {number(WIDEST)} can tell wrong")
    if not part.fault_caught:
        needed = number(FAULT_FACTOR * part.tolerance)
        found.append(
            f"planted fault missed on an instance: residual {number(part.fault)} where more than {needed} is expected"
        )
    return found


def complaints(outcome: CheckedClaim) -> list[str]:
    """Every reason why a claim is not as expected, in words; empty if it is."""
    found = [f"the check failed with {outcome.error}"] if outcome.error else []
    if not outcome.error and not outcome.parts:
        found.append("the check compared nothing")
    found += [f"{part.name}: {text}" for part in outcome.parts for text in part_complaints(part)]
    if outcome.verdict != outcome.claim.expected:
        found.insert(0, f"expected: {outcome.claim.expected}")
    return found


def row(outcome: CheckedClaim, how: DrawSettings) -> dict[str, Any]:
    """The entry of a claim in claims.json."""
    claim, part = outcome.claim, shown(outcome)
    return {
        "claim": claim.id,
        "source": claim.source,
        "statement": claim.statement,
        "assumptions": claim.assumptions,
        "verdict": outcome.verdict,
        "expected": claim.expected,
        "derivation": outcome.derivation,
        "residual": part.residual if part else None,
        "tolerance": part.tolerance if part else None,
        "relative_tolerance": part.relative_tolerance if part else None,
        "fault_residual": part.fault if part else None,
        "off_by": off_by(outcome.parts),
        "instances": outcome.instances,
        "seconds": outcome.seconds,
        **how._asdict(),
        **({"amendment": claim.amendment} if claim.amendment is not None else {}),
        "fault": claim.fault,
        "parts": [
            {
                "name": part.name,
                "kind": part.kind,
                "of": part.of,
                "residual": part.residual,
                "tolerance": part.tolerance,
                "relative_tolerance": part.relative_tolerance,
                "reason": part.reason,
                "fault_residual": part.fault,
                "instances": part.instances,
            }
            for part in outcome.parts
        ],
        **({"error": outcome.error} if outcome.error is not None else {}),
    }


def write_claims(path: Path, outcomes: Sequence[CheckedClaim], how: DrawSettings) -> None:
    """claims.json: valid JSON, null for what is no number."""
    rows = records.without_nan([row(outcome, how) for outcome in outcomes])
    path.write_text(json.dumps(rows, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def is_full(folder: Path) -> bool:
    """Whether a folder holds the results of every claim, not of a quick run."""
    try:
        rows = json.loads((folder / "claims.json").read_text(encoding="utf-8"))
        return {row["claim"] for row in rows} >= set(CLAIMS) and not any(row.get("quick") for row in rows)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # none, or not a list of claims
        return False


def counts(outcomes: Sequence[CheckedClaim]) -> str:
    """How many claims have each verdict, and how many are not as expected."""
    tally = Counter(outcome.verdict for outcome in outcomes)
    verdicts = ", ".join(f"{verdict} {tally[verdict]}" for verdict in VERDICTS if tally[verdict])
    wrong = sum(not outcome.as_expected for outcome in outcomes)
    number_of = f"{len(outcomes)} claim{'' if len(outcomes) == 1 else 's'}"
    return f"{number_of}: {verdicts}; {f'{wrong} NOT as expected' if wrong else 'all as expected'}"


def mark(outcome: CheckedClaim) -> str:
    """A word beside a row that is not as expected."""
    if outcome.as_expected:
        return ""
    return f"<- {'fault missed' if outcome.verdict == outcome.claim.expected else 'not as expected'}"


def table(outcomes: Sequence[CheckedClaim]) -> str:
    """The closing table, the reasons for its marks, and the counts."""
    first, second = (max(map(len, texts)) for texts in ([o.claim.id for o in outcomes], VERDICTS))
    lines = [
        f"{'claim':<{first}}  {'verdict':<{second}}    off by  residual  tolerance     fault",
        f"{'-' * first}  {'-' * second}  --------  --------  ---------  --------",
    ]
    for outcome in outcomes:
        part = shown(outcome)
        values = (part.residual, part.tolerance, part.fault) if part else [None] * 3
        off, residual, tolerance, fault = map(number, (off_by(outcome.parts), *values))
        line = f"{outcome.claim.id:<{first}}  {outcome.verdict:<{second}}  {off:>8}"
        lines.append(f"{line}  {residual:>8}  {tolerance:>9}  {fault:>8}  {mark(outcome)}".rstrip())
    reasons = [f"{outcome.claim.id}: {text}" for outcome in outcomes for text in complaints(outcome)]
    return "\n".join([*lines, "", *reasons, *([""] if reasons else []), counts(outcomes)])
