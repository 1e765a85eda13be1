"""Callbacks measure after every epoch what `evaluate` measures, and the numbers enter the logs."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from central_path.torch import evaluate, lightning_callback, trainer_callback
from central_path.torch.quantities import NAMES

C = 3
Y = torch.arange(60) % C
X = 3 * torch.eye(C, 5)[Y] + torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
DATA = TensorDataset(X, Y)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, C))


def test_an_interval_that_cannot_be_is_one_sentence(monkeypatch):
    monkeypatch.setattr("central_path.torch.callbacks.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="Need Lightning, got none: pip install lightning"):
        lightning_callback([], C)
    with pytest.raises(ValueError, match="Need transformers, got none"):
        trainer_callback([], C)


def test_lightning_logs_the_numbers_of_the_module(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        lightning = pytest.importorskip("lightning.pytorch", reason="lightning is optional: pip install lightning")

        class Module(lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.network = network()

            def forward(self, x):
                return self.network(x)

            def training_step(self, batch, _):
                return nn.functional.cross_entropy(self(batch[0]), batch[1])

            def configure_optimizers(self):
                return torch.optim.SGD(self.parameters(), lr=0.1)

        saved = []
        callback = lightning_callback(
            DataLoader(DATA, batch_size=16), C, every=2, then=lambda epoch, report: saved.append(epoch)
        )
        trainer = lightning.Trainer(
            max_epochs=4, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[callback],
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        )  # fmt: skip
        module = Module()
        trainer.fit(module, DataLoader(DATA, batch_size=20))
    assert saved == list(callback.reports) == [2, 4]
    expected = evaluate(module, DataLoader(DATA, batch_size=16), C)
    assert callback.reports[4]["nc1"] == expected["nc1"]
    assert float(trainer.callback_metrics[NAMES["nc1"]]) == pytest.approx(expected["nc1"], rel=1e-6)
    with pytest.raises(ValueError, match="Need every >= 1 epochs, got 0"):
        lightning_callback([], C, every=0)


def test_the_trainer_of_hugging_face_logs_the_numbers(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is optional: pip install transformers")
    pytest.importorskip("accelerate", reason="accelerate is what its Trainer needs: pip install accelerate")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network()

        def forward(self, x, labels=None):
            logits = self.network(x)
            return {"loss": None if labels is None else nn.functional.cross_entropy(logits, labels), "logits": logits}

    rows = [{"x": x, "labels": y} for x, y in DATA]
    callback = trainer_callback(DataLoader(rows, batch_size=16), C)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = transformers.Trainer(
            model=Model(),
            args=transformers.TrainingArguments(
                tmp_path, num_train_epochs=2, per_device_train_batch_size=20, report_to=[], save_strategy="no",
                use_cpu=True, disable_tqdm=True, logging_strategy="no",
            ),
            train_dataset=rows,
            callbacks=[callback],
        )  # fmt: skip
        trainer.train()
    expected = evaluate(trainer.model, DataLoader(rows, batch_size=16), C)
    assert list(callback.reports) == [1, 2]
    logged = [line[NAMES["nc1"]] for line in trainer.state.log_history if NAMES["nc1"] in line]
    assert logged == [callback.reports[epoch]["nc1"] for epoch in (1, 2)]
    assert logged[-1] == expected["nc1"]
