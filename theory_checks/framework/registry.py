"""What a check is, and how its comparisons are judged.

A check states one claim, draws instances of it and yields two kinds of findings:

    identity      two independent computations of one quantity, their residual against a tolerance derived from the
                  arithmetic, and the residual of the same comparison with a fault planted in one of them
    refutation    a distance from zero of the statement as printed, which must not fall below a bound

A comparison stands if its residual is within its tolerance, and if that tolerance is at most `WIDEST` of the quantity
compared: a wider one could not tell right from wrong. The planted fault must exceed `FAULT_FACTOR` tolerances on every
instance; an instance on which a claim says nothing is not to be yielded. The word of the verdict follows from the
findings alone, by the rule of `verdicts`; the word that is expected is compared with it, and enters nowhere else.
"""

import math
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, SupportsFloat

import numpy as np
from jaxtyping import ArrayLike

from central_path.comparison import Comparison
from theory_checks.framework.verdicts import Statement, Verdict, derivation, derive

EPS = float(np.finfo(float).eps)
WIDEST = 1e-3  # the largest tolerance, relative to the quantity compared, that still tells right from wrong


@dataclass(frozen=True)
class Identity(Comparison):
    """A comparison on one instance, or the worst of several, each number by itself.

    `of` is the statement that is supported, `relative_tolerance` the tolerance as a share of the quantity compared. Of
    several instances `fault` is that of the one that catches it least, in units of this tolerance.
    """

    kind: ClassVar[Literal["identity"]] = "identity"
    of: Statement = "printed"
    relative_tolerance: float = 0.0
    instances: int = 1

    @property
    def too_wide(self) -> bool:
        """Whether the tolerance is too large a share of the quantity compared."""
        return not self.relative_tolerance <= WIDEST

    @property
    def stands(self) -> bool:
        """Whether both agree within a narrow tolerance."""
        return self.agrees and not self.too_wide


@dataclass(frozen=True)
class Refutation:
    """How far the printed statement is from true on one instance, or the least of several; the least that counts."""

    kind: ClassVar[Literal["refutation"]] = "refutation"
    reason: ClassVar[str] = ""
    fault: ClassVar[None] = None
    of: ClassVar[Statement] = "printed"
    relative_tolerance: ClassVar[None] = None
    too_wide: ClassVar[bool] = False
    fault_caught: ClassVar[bool] = True  # none is planted
    name: str
    residual: float  # the distance
    tolerance: float  # at least this
    instances: int = 1

    @property
    def stands(self) -> bool:
        """Whether the distance reaches its bound; a NaN does not."""
        return self.residual >= self.tolerance


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
class CheckedClaim:
    """A claim with its measured parts and verdict."""

    claim: Claim
    parts: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None

    @property
    def verdict(self) -> Verdict:
        """The word that follows from the parts."""
        return derive(self.parts)

    @property
    def derivation(self) -> str:
        """How it follows."""
        return derivation(self.parts)

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the expected one and every planted fault was caught."""
        return self.verdict == self.claim.expected and all(part.fault_caught for part in self.parts)

    @property
    def tightest(self) -> Identity | None:
        """The identity with the largest residual for its tolerance: the row of the table shows it."""
        identities = [part for part in self.parts if isinstance(part, Identity)]
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
    of: Statement = "printed",
) -> Identity:
    """Compare a with b, and with `fault`, which is b with the planted fault.

    The residual is max |a - b| / (scale condition), where the scale is that of b unless given, and the condition is
    the factor by which the arithmetic may amplify rounding. What residual and tolerance are relative to need not be
    the quantity compared; tolerance condition scale / max |b| is, and where b is 0, tolerance condition: relative to
    the scale of the terms that cancel, which then has to be given.

    Raises:
        ValueError: for arrays of different shapes, empty ones, or a comparison with 0 without a scale.
    """
    a, b, fault = np.asarray(a, float), np.asarray(b, float), np.asarray(fault, float)
    if a.size == 0 or len({x.shape for x in (a, b, fault) if x.ndim}) > 1:
        raise ValueError(f"Need values of one shape to compare in {name!r}, got {a.shape}, {b.shape}, {fault.shape}.")
    size = largest(b)
    if size == 0 and scale is None:
        raise ValueError(f"Need the scale of the terms that cancel in {name!r}, a comparison with 0, got none.")
    scale = size if scale is None else scale
    relative = tolerance * condition * (scale / size if size else 1.0)
    residual, planted = (largest(a - x) / float(scale * condition) for x in (b, fault))
    return Identity(name, residual, float(tolerance), reason, planted, of, float(relative))


def refutation(name: str, distance: SupportsFloat, *, at_least: float = 1e-2) -> Refutation:
    """The printed statement is `distance` away from true."""
    return Refutation(name, float(distance), at_least)


def _worst(values: list[float], pick: Callable[[list[float]], float]) -> float:
    """The largest or the smallest, or NaN if one of them is."""
    return math.nan if any(map(math.isnan, values)) else pick(values)


def together(findings: Sequence[Finding]) -> Finding:
    """The worst instance of findings of one name.

    Raises:
        ValueError: if they are of different kinds, or support different statements.
    """
    first, count = findings[0], len(findings)
    refutations = [finding for finding in findings if isinstance(finding, Refutation)]
    same = [finding for finding in findings if isinstance(finding, Identity)]
    if (refutations and same) or len({finding.of for finding in same}) > 1:
        raise ValueError(f"Need findings of one kind and one statement under one name, got others in {first.name!r}.")
    if isinstance(first, Refutation):
        return replace(first, residual=_worst([f.residual for f in refutations], min), instances=count)
    worst = max(same, key=lambda f: math.inf if math.isnan(f.residual) else f.residual / f.tolerance)
    return replace(
        worst,
        fault=_worst([f.fault / f.tolerance for f in same], min) * worst.tolerance,
        relative_tolerance=_worst([f.relative_tolerance for f in same], max),
        instances=count,
    )


def run(claim: Claim, *, seed: int, quick: bool, seeds: int = 1) -> CheckedClaim:
    """Measure one claim on the instances of `seeds` seeds from `seed` on.

    A check that raises gives an outcome without parts, and its error.
    """
    begin = time.perf_counter()
    findings: dict[str, list[Finding]] = {}
    error, parts = None, []
    try:
        for each in range(seed, seed + seeds):
            draw = Draw(np.random.default_rng([each, zlib.crc32(claim.id.encode())]), quick)
            for finding in claim.check(draw):
                findings.setdefault(finding.name, []).append(finding)
        parts = [together(same) for same in findings.values()]
    except Exception as failure:  # a broken formula may fail in any library; the claim is then unclear, not the run
        error = f"{type(failure).__name__}: {' '.join(str(failure).split())[:300]}"
    return CheckedClaim(claim, parts, time.perf_counter() - begin, error)
