"""The training loop and its state.

The objective is L of `central_path.loss.mse_loss` (or cross-entropy), its weight decay the optimiser's: `lam` on the
last layer [W, b], the recipe's on every other parameter, biases and batch normalization included, so that lambda I is
lambda I in every formula.

Batches are indices into images that are kept as bytes (`deepnet_runs.datasets.images`). With several processes each
takes every world-size-th example of each batch, and batch normalization and gradients are over the whole batch: the
rows are those of one process, to rounding.
"""

import sys
import time
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch import distributed as dist
from torch.nn.functional import cross_entropy, one_hot
from torch.nn.parallel import DistributedDataParallel

from central_path.torch.quantities import NotFiniteError
from deepnet_runs.datasets.data import Batch, DataSet, Images
from deepnet_runs.measuring import robustness
from deepnet_runs.measuring.measure import Pass, measure, rank_and_size, squared_error
from deepnet_runs.networks import Variant, build, weightnorm, with_layout
from deepnet_runs.networks.batchnorm import synchronise
from deepnet_runs.storage.row import Row
from deepnet_runs.training.config import TrainConfig
from deepnet_runs.training.recipes import DivergenceError, Recipe, rate_at, summed_rate


def data_loss(
    outputs: Float[Tensor, "n C"], labels: Int[Tensor, " n"], loss: str, *, k: float = 1.0, M: float = 1.0
) -> Float[Tensor, ""]:
    """Sum over the examples of half the (rescaled) square loss, or of the cross-entropy."""
    if loss == "ce":
        return cross_entropy(outputs, labels, reduction="sum")
    return 0.5 * squared_error(outputs, labels, k, M)


def check_batches(n: int, recipe: Recipe) -> None:
    """Refuse a last batch of one image, which has no variance for batch normalization.

    Raises:
        ValueError: with the sizes.
    """
    if n % recipe.batch_size == 1 and not recipe.full_batches:
        raise ValueError(
            f"Need at least 2 images in the last batch, got 1 of {n} in batches of {recipe.batch_size}: "
            "give another --batch-size."
        )


class Trainer:
    """A network in training, its optimiser and its random order: the state that a checkpoint holds.

    Arguments:
        config: the configuration of the run.
        data: the images that are trained and measured on.
        device: where the network and the images are.
        state: a checkpoint of this configuration, to go on from.

    Raises:
        ValueError: for data that the configuration or the checkpoint does not go with.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: DataSet,
        device: torch.device,
        *,
        state: dict[str, Any] | None = None,
    ):
        self.config, self.recipe, self.device = config, config.recipe, device
        check_batches(len(data.train.y), self.recipe)
        self.images = {"train_images": len(data.train.y), "test_images": len(data.test.y)}
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self.data = data.to(device, layout)
        count = config.robustness
        self.fooled = robustness.sample(self.data.test, count) if count is not None else None
        torch.manual_seed(config.seed)
        channels, size, _ = data.train.shape
        variant = Variant(config.width, config.depth, not config.no_batchnorm)
        network = build(config.network, channels=channels, size=size, classes=data.classes, variant=variant)
        if config.weight_norm:
            weightnorm.fix_norms(network)
        self.network = with_layout(synchronise(network, device), layout)
        self.optimizer = torch.optim.SGD(self._groups(), lr=config.lr, momentum=config.momentum)
        self.order = torch.Generator().manual_seed(config.seed)
        self.epoch, self.seconds = 0, 0.0
        self.rows: list[Row] = []
        if state is not None:
            self._restore(state)
        whole = DistributedDataParallel(self.network) if dist.is_initialized() else self.network
        self.forward = torch.compile(whole) if config.compile else whole

    def _groups(self) -> list[dict[str, Any]]:
        body, head = (
            [p for p in part.parameters() if p.requires_grad] for part in (self.network.body, self.network.head)
        )
        if self.config.weight_norm:
            free = weightnorm.rho(self.network)
            directions = [p for p in (*body, *head) if p is not free]
            return [
                {"params": directions, "weight_decay": 0.0},
                {"params": [free], "weight_decay": self.config.lam},
            ]
        return [
            {"params": body, "weight_decay": self.recipe.weight_decay},
            {"params": head, "weight_decay": self.config.lam},
        ]

    def record(self) -> dict[str, Any]:
        """The configuration, the numbers of images and the data, as config.json and a checkpoint hold them."""
        return self.config.to_dict() | self.images | {"data": dict(self.data.record)}

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "config": self.record(),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "order": self.order.get_state(),
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else None,
            "epoch": self.epoch,
            "seconds": self.seconds,
            "rows": [row.to_dict() for row in self.rows],
        }

    def _restore(self, state: dict[str, Any]) -> None:
        for name, images in self.images.items():
            before = state["config"].get(name, images)  # earlier versions did not record it
            if before != images:
                raise ValueError(
                    f"Need the data of the run that is resumed, got {name} = {images} for {before}: "
                    "give the same --data-dir, or start anew."
                )
        data, before = self.data.record, state["config"].get("data", {})
        changed = [name for name in data if name != "read_from" and before.get(name, data[name]) != data[name]]
        if changed:
            raise ValueError(
                f"Need the data of the run that is resumed, got other images or another {changed[0]} of "
                f"{self.config.dataset}: give the same --data-dir, or start anew."
            )
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.set_state(state["order"])
        torch.set_rng_state(state["torch_rng"])
        if state["cuda_rng"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        self.rows = [Row.from_dict(row) for row in state["rows"]]

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimiser in an epoch."""
        return self.recipe.steps_per_epoch(len(self.data.train.y))

    def step(self, batch: Batch, total: int, step: int) -> Float[Tensor, ""]:
        """One step on this rank's share of a batch of `total` examples; the summed loss of the share."""
        rate = rate_at(self.recipe, step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.amp):
            features, outputs = self.forward(batch.x)
        if step == 0:
            self.warn_of_instability(features.detach(), batch.y)
        loss = data_loss(outputs.float(), batch.y, self.config.loss, k=self.config.k, M=self.config.M)
        self.optimizer.zero_grad(set_to_none=True)
        (loss * (rank_and_size()[1] / total)).backward()  # the gradients of several ranks are averaged
        self.optimizer.step()
        return loss.detach()

    def train_epoch(self) -> None:
        """Train one epoch, in a new random order.

        Raises:
            DivergenceError: if the loss is not finite any more.
        """
        begin = time.perf_counter()
        rank, world = rank_and_size()
        order = torch.randperm(len(self.data.train), generator=self.order).to(self.data.train.y.device)
        self.network.train()
        losses, seen = [], 0
        for i in range(self.steps_per_epoch):
            chosen = order[i * self.recipe.batch_size : (i + 1) * self.recipe.batch_size]
            share = chosen[rank::world]
            batch = self.data.train.batch(share)
            losses.append(self.step(batch, len(chosen), self.epoch * self.steps_per_epoch + i))
            seen += len(chosen)
        total = torch.stack(losses).double().sum()
        if dist.is_initialized():
            dist.all_reduce(total)
        self.train_loss = float(total) / seen
        self.epoch += 1
        self.seconds += time.perf_counter() - begin
        self._check_finite(self.train_loss)

    def _check_finite(self, loss: float) -> None:
        if not np.isfinite(loss):
            lr = self.recipe.lr
            raise DivergenceError(f"the loss is {loss} in epoch {self.epoch}: give a lower --lr than {lr:g}")

    def measure(self) -> tuple[Row, Pass]:
        """Measure the network; the row, which is appended to `rows`, and the pass over the training set.

        Raises:
            DivergenceError: if the epoch's last step has made features or classifier infinite.
        """
        try:
            measured, seen = measure(
                self.network,
                self.data,
                lam=self.config.lam,
                k=self.config.k,
                M=self.config.M,
                batch_size=2 * self.recipe.batch_size,  # without gradients there is room, and it is faster
                fresh_batchnorm=not self.config.stale_batchnorm,
            )
        except NotFiniteError:
            self._check_finite(float("nan"))
            raise
        self._check_finite(measured.loss)
        # Robustness, where it was asked for.
        extra: dict[str, Any] = {}
        if self.fooled is not None:
            found = robustness.measure(self.network, self.fooled, batch_size=self.recipe.batch_size)
            extra = {
                "robustness": np.nan if found.average is None else found.average,
                "robustness_images": found.images,
                "robustness_unflipped": found.unflipped,
            }
        # The row: what was measured, and when in the training.
        lr = self.optimizer.param_groups[0]["lr"]
        summed = summed_rate(self.recipe, self.epoch, self.steps_per_epoch)
        row = Row(
            epoch=self.epoch,
            seconds=self.seconds,
            lr=lr,
            lr_sum=summed,
            train_loss=self.train_loss,
            **vars(measured),
            **extra,
        )
        self.rows.append(row)
        return row, seen

    def warn_of_instability(self, features: Float[Tensor, "n P"], labels: Int[Tensor, " n"]) -> None:
        """Warn on stderr if the peak rate exceeds the stability limit of least squares on the first features."""
        extended = torch.cat([features.double(), torch.ones_like(features[:, :1], dtype=torch.float64)], dim=1)
        weights = 1 + (self.config.k - 1) * one_hot(labels, self.data.classes).double()  # (n, C), a problem each
        roots = weights.unique(dim=1).sqrt().T
        largest = max(float(torch.linalg.matrix_norm(extended * root[:, None], 2)) for root in roots) ** 2
        bound = 2 * (1 + self.recipe.momentum) * len(extended) / largest
        if self.config.loss != "ce" and self.recipe.lr > bound and rank_and_size()[0] == 0:
            print(
                f"learning rate {self.recipe.lr:g} is beyond 2(1+m)/lambda_max(Ave h h^T) = {bound:.2g} at the start: "
                f"least squares diverges there; a warm-up of {self.recipe.warmup_steps} steps may carry it over",
                file=sys.stderr,
            )

    def dry_run(self) -> None:
        """One step and one measurement on two images of each class."""
        few = [self._few(images) for images in self.data[:2]]
        self.data = self.data._replace(train=few[0], test=few[1])
        self.fooled = None if self.fooled is None else few[1]
        self.network.train()
        self.step(self.data.train.batch(), len(self.data.train), 0)
        self.train_loss = 0.0
        self.measure()

    def _few(self, images: Images) -> Images:
        kept = torch.cat([torch.nonzero(images.y == c)[:2, 0] for c in range(self.data.classes)])
        return images.take(kept)
