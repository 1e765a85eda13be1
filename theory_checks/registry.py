"""What a check is, and how its verdict is measured.

A check states one claim, draws instances of it and yields two kinds of findings:

    identity      two independent computations of one quantity, their residual against a tolerance derived from the
                  arithmetic, and the residual of the same comparison with a fault planted in one of them
    refutation    a distance from zero of the statement as printed, which must not fall below a bound

The verdict follows from the findings alone: a claim `holds` where all identities hold and nothing is refuted. Where
every refutation stands and every identity, then of the amended statement, holds, the verdict is the kind of amendment
that the check declares. Anything else is `unclear`, which no claim expects.
"""

import math
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, SupportsFloat

import numpy as np
from jaxtyping import ArrayLike

EPS = float(np.finfo(float).eps)
FAULT_FACTOR = 10.0  # a planted fault must exceed the tolerance by this factor

Verdict = Literal["holds", "holds in part", "holds as amended", "fails as printed", "misprint", "unclear"]


@dataclass(frozen=True)
class Identity:
    """One comparison: its name, residual, tolerance with the reason for it, and residual with the planted fault."""

    name: str
    residual: float
    tolerance: float
    reason: str
    fault: float


@dataclass(frozen=True)
class Refutation:
    """One instance of the printed statement: how far it is from true, and the least that counts."""

    name: str
    distance: float
    at_least: float


Finding = Identity | Refutation
Check = Callable[["Draw"], Iterator[Finding]]


@dataclass(frozen=True)
class Draw:
    """Source of random instances of one check: reproducible from the seed and the claim, whatever else is run."""

    rng: np.random.Generator
    quick: bool

    @property
    def repeats(self) -> int:
        """How many times each kind of instance is drawn."""
        return 1 if self.quick else 4


@dataclass(frozen=True)
class Claim:
    """A statement, where it comes from, what it assumes, the verdict expected and the check that measures it."""

    id: str
    source: str
    statement: str
    assumptions: str
    expected: Verdict
    amendment: str | None
    fault: str
    check: Check
    figure: str | None = None


@dataclass(frozen=True)
class Part:
    """All instances of one comparison of a claim: the worst of them."""

    name: str
    kind: Literal["identity", "refutation"]
    residual: float  # largest of an identity, smallest of a refutation
    tolerance: float  # at most this for an identity, at least this for a refutation
    reason: str
    fault: float | None
    instances: int

    @property
    def stands(self) -> bool:
        """Whether the identity holds, or the refutation stands; a NaN does neither."""
        return self.residual <= self.tolerance if self.kind == "identity" else self.residual >= self.tolerance

    @property
    def fault_caught(self) -> bool:
        """Whether the planted fault exceeds ten times the tolerance."""
        return self.fault is None or self.fault > FAULT_FACTOR * self.tolerance


@dataclass(frozen=True)
class Outcome:
    """A claim with its measured parts and verdict."""

    claim: Claim
    parts: list[Part] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict as the module's page defines it."""
        if not self.parts or not all(part.stands for part in self.parts):
            return "unclear"
        if not any(part.kind == "refutation" for part in self.parts):
            return "holds"
        return "fails as printed" if self.claim.expected == "holds" else self.claim.expected

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the expected one and every planted fault was caught."""
        return self.verdict == self.claim.expected and all(part.fault_caught for part in self.parts)

    @property
    def tightest(self) -> Part | None:
        """The identity with the largest residual for its tolerance: the row of the table shows it."""
        identities = [part for part in self.parts if part.kind == "identity"]
        return max(identities, key=lambda part: part.residual / part.tolerance, default=None)

    @property
    def instances(self) -> int:
        """Comparisons made."""
        return sum(part.instances for part in self.parts)


CLAIMS: dict[str, Claim] = {}


def claim(
    id: str,
    *,
    source: str,
    statement: str,
    fault: str,
    expected: Verdict = "holds",
    assumptions: str = "",
    amendment: str | None = None,
    figure: str | None = None,
) -> Callable[[Check], Check]:
    """Register a check under the claim's id.

    Raises:
        ValueError: for an id registered before, or an amended verdict without its amendment.
    """
    if id in CLAIMS:
        raise ValueError(f"Need one check for each claim, got a second for {id!r}.")
    if (expected == "holds") != (amendment is None):
        raise ValueError(f"Need an amendment for every verdict but `holds`, and there only; got {id!r}.")

    def register(check: Check) -> Check:
        CLAIMS[id] = Claim(id, source, statement, assumptions, expected, amendment, fault, check, figure)
        return check

    return register


def largest(a: ArrayLike) -> float:
    """Largest absolute entry."""
    a = np.abs(np.asarray(a, float))
    return float(np.max(a)) if a.size else 0.0


def identity(
    name: str,
    a: ArrayLike,
    b: ArrayLike,
    *,
    fault: ArrayLike,
    tolerance: float = 200 * EPS,
    reason: str = "rounding",
    condition: float = 1.0,
    scale: float | None = None,
) -> Identity:
    """Compare a with b, and with `fault`, which is b with the planted fault.

    The residual is max |a - b| / (scale condition), where the scale is that of b unless given, and the condition is
    the factor by which the arithmetic may amplify rounding.
    """
    a, b, fault = np.asarray(a, float), np.asarray(b, float), np.asarray(fault, float)
    scale = max(largest(b), np.finfo(float).tiny) if scale is None else scale
    return Identity(
        name, largest(a - b) / (scale * condition), tolerance, reason, largest(a - fault) / (scale * condition)
    )


def refutation(name: str, distance: SupportsFloat, *, at_least: float = 1e-2) -> Refutation:
    """The printed statement is `distance` away from true."""
    return Refutation(name, float(distance), at_least)


def _together(findings: list[Finding]) -> Part:
    """The worst instance of findings of one name."""
    first = findings[0]
    if isinstance(first, Refutation):
        distances = [finding.distance for finding in findings if isinstance(finding, Refutation)]
        worst = math.nan if any(map(math.isnan, distances)) else min(distances)
        return Part(first.name, "refutation", worst, first.at_least, "", None, len(findings))
    same = [finding for finding in findings if isinstance(finding, Identity)]
    worst = max(same, key=lambda f: math.inf if math.isnan(f.residual) else f.residual / f.tolerance)
    fault = max((f.fault / f.tolerance for f in same if not math.isnan(f.fault)), default=0.0)
    return Part(
        first.name, "identity", worst.residual, worst.tolerance, worst.reason, fault * worst.tolerance, len(same)
    )


def run(claim: Claim, *, seed: int, quick: bool) -> Outcome:
    """Measure one claim. A check that raises gives an outcome without parts, and its error."""
    begin = time.perf_counter()
    draw = Draw(np.random.default_rng([seed, zlib.crc32(claim.id.encode())]), quick)
    findings: dict[str, list[Finding]] = {}
    error, parts = None, []
    try:
        for finding in claim.check(draw):
            findings.setdefault(finding.name, []).append(finding)
        parts = [_together(same) for same in findings.values()]
    except Exception as failure:  # a broken formula may fail in any library; the claim is then unclear, not the run
        error = f"{type(failure).__name__}: {' '.join(str(failure).split())[:300]}"
    return Outcome(claim, parts, time.perf_counter() - begin, error)
