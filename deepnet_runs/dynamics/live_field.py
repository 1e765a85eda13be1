"""The field test while a network trains: `deepnet_runs.train --field`.

At every measured epoch it is made on a copy of the network, with the defaults of `deepnet_runs.kernel`, and leaves the
training as it is. field.jsonl appears anew with every row, before the checkpoint of the epoch: a run that is resumed
measures again what came after its checkpoint.
"""

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from deepnet_runs.dynamics import field_records
from deepnet_runs.dynamics.field_records import FieldRow
from deepnet_runs.dynamics.measured_field import measure
from deepnet_runs.storage.records import write_whole

if TYPE_CHECKING:
    from deepnet_runs.training.trainer import Trainer

FIGURE = "field.png"
DEFAULTS = {"batchnorm": "training", "probes": 4, "draws": 16, "memory": 2.0**31, "seed": 0}  # of deepnet_runs.kernel


class LiveField:
    """The rows of a run's field test so far, in the folder of the run.

    Of an earlier part of the run those until its checkpoint are kept.

    Raises:
        ValueError: if field.jsonl is there and cannot be read.
    """

    def __init__(self, folder: Path, trainer: "Trainer"):
        self.folder, self.trainer = folder, trainer
        self.rows: list[FieldRow] = [row for row in field_records.read(folder) if row.epoch <= trainer.epoch]

    def measure(self) -> None:
        """Add the row of the present epoch."""
        trainer = self.trainer
        cuda = [trainer.device] if trainer.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            network = copy.deepcopy(trainer.network)
            how = {"epoch": trainer.epoch, "lam": trainer.config.lam, "device": trainer.device}
            self.rows.append(measure(network, trainer.data, **how, **DEFAULTS))
        text = field_records.text(self.rows)
        write_whole(self.folder / field_records.FILE, lambda file: file.write(text))

    def draw(self) -> None:
        """field.png, if there is a row."""
        if self.rows:
            from deepnet_runs.dynamics import field_figure  # imports matplotlib

            figure = field_figure.draw(self.rows, self.folder.name)
            write_whole(self.folder / FIGURE, lambda file: figure.savefig(file, dpi=160, format="png"))
