"""What `evaluate` returns: the numbers by name, a picture, and a row beside the rows of a run."""

import json
import os
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from central_path.cli.records import without_nan
from central_path.metrics.catalogue import METRICS
from central_path.torch.certificate import Certificate
from central_path.torch.quantities import NAMES, Numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_MEANS = ("equinorm", "equiangularity", "max_angle")
LOSSES = ("loss", "loss_nc1", "loss_nc23", "loss_ls_perp")


@dataclass(frozen=True)
class Report:
    """The neural collapse of a network on the examples of a loader.

    Attributes:
        numbers: by the names of their definitions, with `reasons`, `certificate` and `omega`.
        error: share of the examples that the network decides wrongly, 0 to 1.
        lam: weight decay of the last layer in the loss.
        means: (C, P) class means, 0 of a class without examples.
        counts: (C,) examples of each class.
        weight, bias: the last layer, W (C, P) and b (C,) or None.
        seconds: of the evaluation.
        features, targets: (n, P) and (n,) of this process, if they were kept.

    Example:
        >>> import torch
        >>> from central_path.torch import evaluate
        >>> targets = torch.arange(30) % 3
        >>> batch = torch.eye(3)[targets] + 0.1 * torch.randn(30, 3), targets
        >>> report = evaluate(torch.nn.Linear(3, 3), [batch], num_classes=3)  # a Report
        >>> report["nc1"] == report["nc1/papyan2020"] == report.to_dict()["nc1/papyan2020"]
        True
        >>> report.means.shape, report.counts.tolist()
        (torch.Size([3, 3]), [10.0, 10.0, 10.0])
    """

    numbers: Numbers
    error: float
    lam: float
    means: Float[Tensor, "C P"]
    counts: Float[Tensor, " C"]
    weight: Tensor
    bias: Tensor | None
    seconds: float
    features: Float[Tensor, "n P"] | None = None
    targets: Int[Tensor, " n"] | None = None

    @property
    def certificate(self) -> Certificate:
        """How far the numbers can be trusted."""
        return self.numbers.certificate

    @property
    def reasons(self) -> dict[str, str]:
        """Why a number is NaN, by its name."""
        return self.numbers.reasons

    def __getitem__(self, name: str) -> float:
        """A number by the name of its definition, or by its short name: `nc1/papyan2020`, `nc1`."""
        return self.numbers[NAMES.get(name, name)]

    def to_dict(self) -> dict[str, float]:
        """All numbers, flat: by the names of their definitions, `error`, and `floor/...` of each that has one."""
        floors = {f"floor/{name}": floor for name, floor in self.certificate.floors.items()}
        return {**self.numbers, "error": self.error, "lam": self.lam, **floors}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {value:.3g}" for name, value in self.numbers.items())
        return f"Report(n = {self.certificate.n}, error {self.error:.3g}, {shown})"

    def plot(self) -> "Figure":
        """Every number on a logarithmic axis, with the floor below which it is rounding."""
        from matplotlib.figure import Figure

        shown = {name: value for name, value in self.numbers.items() if 0 < value < inf}
        figure = Figure(figsize=(7, 0.3 * len(shown) + 1), layout="constrained")
        axes = figure.add_subplot()
        places = range(len(shown))
        axes.plot(list(shown.values()), places, "o", label="measured")
        floors = [(self.certificate.floors.get(name, nan), place) for name, place in zip(shown, places, strict=True)]
        axes.plot(*zip(*floors, strict=True), "|", color="gray", markersize=12, label="floor of rounding")
        axes.set_yticks(places, list(shown))
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.legend()
        return figure

    def row(self, epoch: int, *, test: "Report | None" = None, **more: Any) -> dict[str, Any]:
        """The keys of a line of measurements.jsonl as `deepnet_runs.train` writes them.

        This report is of the training set; `test` is of the test set, with `centers` from this one. `more` are of the
        training: `seconds`, `lr`, `lr_sum`, `train_loss`.
        """
        omega = self.numbers.omega
        found: dict[str, Any] = {
            "epoch": epoch,
            **more,
            "train_error": self.error,
            "test_error": nan if test is None else test.error,
            **{name: self._number(name) for name in LOSSES},
            "lam": self.lam,
            "mean_output_gap": self._mean_output_gap(),
            "omega": [] if omega is None else omega.tolist(),
            "snr_right": None if self.numbers.snr_right is None else self.numbers.snr_right.T.tolist(),
            "rank_within": self.certificate.rank_within,
            "rank_between": self.certificate.rank_between,
            "condition_between": self.certificate.condition_between,
            "batchnorm_reestimated": self.certificate.batchnorm == "re-estimated",
            **{f"{name}_classifier": self._number(f"{name}_classifier") for name in OF_MEANS},
        }
        for part, report in (("train", self), ("test", test)):
            for name in ("nc1", *OF_MEANS, "self_duality", "ncc_mismatch"):
                key = f"{name}_means_{part}" if name in OF_MEANS else f"{name}_{part}"
                found[key] = nan if report is None else report._number(name)
            found |= {f"{name}_{part}": nan if report is None else report._number(name) for name in METRICS}
        return found

    def _number(self, name: str) -> float:
        return self.numbers.get(NAMES[name], nan)

    def _mean_output_gap(self) -> float:
        if len(self.weight) != len(self.counts):  # of a subset of the classes
            return nan
        pi = self.counts / self.counts.sum()
        outputs = self.weight @ (self.means.T @ pi) + (0 if self.bias is None else self.bias)
        return float(torch.linalg.vector_norm(outputs - pi) / torch.linalg.vector_norm(pi))

    def save(
        self,
        folder: str | Path,
        *,
        epoch: int | None = None,
        test: "Report | None" = None,
        config: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Append `row` to measurements.jsonl in a folder that the programs of `deepnet_runs` read as a run.

        With several processes one of them calls it. The epoch is the one after the last in the file unless given.
        `config` (`dataset`, `network`, `loss`, `seed`, `epochs`, and what else is to be said of the training) is
        written to config.json unless that is there.

        Raises:
            ValueError: if the folder cannot be read or written, or the epoch is there already.
        """
        folder = Path(folder)
        rows, settings = folder / "measurements.jsonl", folder / "config.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            there = rows.read_text(encoding="utf-8").splitlines() if rows.exists() else []
            epochs = [json.loads(one)["epoch"] for one in there]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"Need a folder with the rows of a run or none, got {folder}: {error}.") from error
        now = max(epochs, default=0) + 1 if epoch is None else epoch
        if now in epochs:
            raise ValueError(f"Need a new epoch, got {now}, which is in {rows}: give another epoch or folder.")
        known = {"dataset": "custom", "network": "custom", "loss": "custom", "seed": 0, "epochs": now}
        known |= {"lam": self.lam, "train_images": self.certificate.n, **(config or {})}
        line = json.dumps(without_nan(self.row(now, test=test, **more)), allow_nan=False)
        try:
            if not settings.exists():
                _write_whole(settings, json.dumps(without_nan(known), indent=2) + "\n")
            _write_whole(rows, "".join(f"{one}\n" for one in [*there, line]))
        except OSError as error:
            raise ValueError(f"Need a folder that can be written, got {folder}: {error}; give another.") from error


def _write_whole(path: Path, text: str) -> None:
    """A file that appears by a rename once it is on disk."""
    unfinished = path.with_name(f".unfinished-{path.name}")
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
