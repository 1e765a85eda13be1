"""Two computations of one quantity: their residual, its tolerance with a reason, and a planted fault.

The claims of `theory_checks` and the models of `central_path.models` are judged by it.
"""

from dataclasses import dataclass

FAULT_FACTOR = 10.0  # a planted fault must exceed the tolerance by this factor


@dataclass(frozen=True)
class Comparison:
    """A residual and its tolerance, and the residual of the same comparison with an error planted in one of the two."""

    name: str
    residual: float
    tolerance: float
    reason: str  # of the tolerance
    fault: float

    @property
    def agrees(self) -> bool:
        """Whether the residual is within its tolerance; a NaN is not."""
        return bool(self.residual <= self.tolerance)

    @property
    def fault_caught(self) -> bool:
        """Whether the planted fault exceeds ten tolerances; a NaN does not."""
        return bool(abs(self.fault) > FAULT_FACTOR * self.tolerance)

    @property
    def holds(self) -> bool:
        """Whether the two agree, and the comparison would show that they do not."""
        return self.agrees and self.fault_caught
