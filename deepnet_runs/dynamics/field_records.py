"""field.jsonl: a line for each epoch at which the field test of a run was made. Read without PyTorch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepnet_runs.dynamics.field import Field
from deepnet_runs.storage.records import line

FILE = "field.jsonl"


@dataclass(frozen=True)
class FieldRow:
    """A line of field.jsonl: a `Field`, when and how it was measured, and the kernel's own numbers.

    Attributes:
        epoch: number of epochs that the network was trained for.
        batchnorm: "training" or "evaluation", as of `FeatureKernel`.
        seconds: that the measurement took.
        kernel: `KernelTraces.to_dict()` if traces were asked for, and `isotropy` with `isotropy_error`.
        field: the field test.
    """

    epoch: int
    batchnorm: str
    seconds: float
    kernel: dict[str, float]
    field: Field

    def to_dict(self) -> dict[str, Any]:
        """The keys of the line."""
        about = {"epoch": self.epoch, "batchnorm": self.batchnorm, "seconds": self.seconds}
        return about | self.field.to_dict() | {"kernel": self.kernel}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "FieldRow":
        """The row of a line.

        Raises:
            ValueError: if a key is missing.
        """
        missing = [name for name in ("epoch", "batchnorm", "seconds", "kernel") if name not in found]
        if missing:
            raise ValueError(f"need {', '.join(missing)} in a line of {FILE}")
        kernel = {name: float("nan") if value is None else value for name, value in found["kernel"].items()}
        return cls(found["epoch"], found["batchnorm"], found["seconds"], kernel, Field.from_dict(found))


def text(rows: Sequence[FieldRow]) -> bytes:
    """The whole file."""
    return b"".join(line(row.to_dict()) for row in rows)


def read(folder: Path) -> list[FieldRow]:
    """The rows of a run, none where the field test was not made.

    Raises:
        ValueError: if the file cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        return [FieldRow.from_dict(json.loads(one)) for one in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"Need a file of deepnet_runs.kernel, got {path}: {error}; measure again.") from error
