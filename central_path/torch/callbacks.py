"""Neural collapse while a network trains: callbacks for Lightning and for the Trainer of Hugging Face.

    lightning.Trainer(callbacks=[lightning_callback(loader, num_classes=10)])
    transformers.Trainer(callbacks=[trainer_callback(loader, num_classes=10)], ...)

In a loop of one's own it is one line where an epoch ends: `writer(evaluate(model, loader, num_classes=10).to_dict())`.
Lightning and transformers are imported when a callback is made, and not before.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from central_path.torch.evaluation import evaluate
from central_path.torch.report import Report

Then = Callable[[int, Report], object]


class _Measuring:
    """Every so many epochs the report of a network, which `then` gets with the epoch."""

    def __init__(self, loader: Iterable[Any], num_classes: int, every: int, then: Then | None, options: dict[str, Any]):
        if not every >= 1:
            raise ValueError(f"Need every >= 1 epochs, got {every}: give how many epochs lie between measurements.")
        self.loader, self.num_classes, self.every = loader, num_classes, every
        self.then, self.options = then, options
        self.reports: dict[int, Report] = {}
        self.pending: dict[str, float] = {}  # numbers that are to be logged

    def measured(self, model: nn.Module, epoch: int) -> dict[str, float] | None:
        """The numbers to log after an epoch, counted from 1; None where it is not measured."""
        if epoch % self.every:
            return None
        report = evaluate(model, self.loader, self.num_classes, **self.options)
        self.reports[epoch] = report
        if self.then is not None:
            self.then(epoch, report)
        return report.to_dict()


def lightning_callback(
    loader: Iterable[Any], num_classes: int, *, every: int = 1, then: Then | None = None, **options: Any
) -> Any:
    """A callback for Lightning: after every so many epochs of training it logs the numbers of the module.

    Arguments:
        loader: the batches to measure on.
        num_classes: number of classes.
        every: epochs between measurements.
        then: a function of the epoch, counted from 1, and its `Report`, to save rows for instance.
        options: of `evaluate`.

    The reports are kept in its attribute `reports`, by epoch.

    Example:
        >>> import torch
        >>> from central_path.torch import lightning_callback
        >>> targets = torch.arange(30) % 3
        >>> loader = [(torch.eye(3)[targets], targets)]
        >>> reports = {}
        >>> callback = lightning_callback(loader, num_classes=3, every=5, then=reports.__setitem__)
        >>> callback.every  # and then: lightning.Trainer(callbacks=[callback]).fit(module, ...)
        5

    Raises:
        ValueError: if Lightning is not installed.
    """
    installed = [name for name in ("lightning.pytorch", "pytorch_lightning") if find_spec(name.split(".")[0])]
    if not installed:
        raise ValueError("Need Lightning, got none: pip install lightning.")
    Callback: Any = import_module(installed[0]).Callback

    class Measure(_Measuring, Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            found = self.measured(pl_module, trainer.current_epoch + 1)
            if found is not None:
                pl_module.log_dict(found, sync_dist=False)

    return Measure(loader, num_classes, every, then, options)


def trainer_callback(
    loader: Iterable[Any], num_classes: int, *, every: int = 1, then: Then | None = None, **options: Any
) -> Any:
    """A callback for the Trainer of Hugging Face: after every so many epochs the numbers enter its logs.

    Arguments and `reports` as for `lightning_callback`.

    Example:
        >>> import torch
        >>> from central_path.torch import trainer_callback
        >>> targets = torch.arange(30) % 3
        >>> loader = [(torch.eye(3)[targets], targets)]
        >>> callback = trainer_callback(loader, num_classes=3, lam=5e-4)
        >>> callback.every  # and then: transformers.Trainer(model, arguments, callbacks=[callback])
        1

    Raises:
        ValueError: if transformers is not installed.
    """
    if find_spec("transformers") is None:
        raise ValueError("Need transformers, got none: pip install transformers.")
    from transformers import TrainerCallback

    class Measure(_Measuring, TrainerCallback):
        def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            del args
            self.pending = self.measured(kwargs["model"], round(state.epoch)) or {}
            control.should_log = control.should_log or bool(self.pending)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            del args, control
            if logs is not None:
                logs.update(self.pending)
                state.log_history[-1].update(self.pending)
                self.pending = {}

    return Measure(loader, num_classes, every, then, options)
