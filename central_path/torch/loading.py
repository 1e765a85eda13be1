"""Batches of any loader: on the device, split into inputs and targets, without what a sampler repeats."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler, RandomSampler, SequentialSampler
from tqdm import tqdm

from central_path.torch.ranks import rank_and_size

Split = Callable[[Any], tuple[Any, Any]]
TARGETS = ("labels", "label", "targets")


def split(batch: Any) -> tuple[Any, Any]:
    """The inputs and the targets of a batch: (x, y, ...), or a mapping with `labels`.

    Raises:
        ValueError: for a batch of another form.
    """
    if hasattr(batch, "keys"):
        for name in TARGETS:
            if name in batch:
                return {key: batch[key] for key in batch if key != name}, batch[name]
    elif isinstance(batch, tuple | list) and len(batch) >= 2:
        return batch[0], batch[1]
    form = f"a mapping of {', '.join(map(str, batch))}" if hasattr(batch, "keys") else type(batch).__name__
    raise ValueError(
        f"Need batches (inputs, targets) or mappings with `labels`, got {form}: give split, a function of a batch that "
        "returns inputs and targets."
    )


def each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same nested tuple, list or mapping with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if hasattr(value, "items"):
        return {key: each(one, change) for key, one in value.items()}
    return type(value)(each(one, change) for one in value) if type(value) in (list, tuple) else value


def called(model: nn.Module, inputs: Any) -> Any:
    """The model's outputs; a mapping is given by its names, a tuple or list in its order."""
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


class Batches:
    """The batches of a loader, as often as they are asked for."""

    def __init__(self, loader: Iterable[Any], device: torch.device, split: Split, *, progress: bool | None):
        self.loader, self.device, self.split = loader, device, split
        first = rank_and_size()[0] == 0
        self.hidden = None if progress is None and first else not (progress and first)  # None: unless a terminal

    @property
    def once(self) -> bool:
        """Whether the loader can be read once only."""
        return iter(self.loader) is self.loader

    def own(self) -> int | None:
        """How many examples of this process a DistributedSampler does not repeat; None where all count."""
        sampler = getattr(self.loader, "sampler", None)
        if not isinstance(sampler, DistributedSampler):
            return None
        return len(range(sampler.rank, len(sampler.dataset), sampler.num_replicas))  # pyright: ignore[reportArgumentType]

    def mixed(self) -> "Batches":
        """In an order that is random, and always the same, where the loader takes a data set in its own order.

        The short last batch is left out, unless it is the only one.
        """
        loader, sampler = self.loader, getattr(self.loader, "sampler", None)
        if not isinstance(loader, DataLoader) or loader.batch_size is None:
            return self
        if isinstance(sampler, DistributedSampler):
            sampler = DistributedSampler(loader.dataset, sampler.num_replicas, sampler.rank, shuffle=True, seed=0)
        elif isinstance(sampler, SequentialSampler):
            sampler = RandomSampler(range(len(sampler)), generator=torch.Generator().manual_seed(0))
        else:
            return self
        again = DataLoader(
            loader.dataset,
            batch_size=loader.batch_size,
            sampler=sampler,
            drop_last=len(sampler) > loader.batch_size,
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            pin_memory=loader.pin_memory,
            worker_init_fn=loader.worker_init_fn,
            generator=torch.Generator().manual_seed(0),
        )
        mixed = Batches(again, self.device, self.split, progress=False)
        mixed.hidden = self.hidden
        return mixed

    def read(self, what: str) -> Iterator[tuple[Any, Tensor]]:
        """Inputs and targets, on the device; what a DistributedSampler repeats comes at its end and is left out."""
        left = self.own()
        for batch in tqdm(self.loader, desc=what, leave=False, disable=self.hidden):
            inputs, targets = self.split(batch)
            targets = torch.as_tensor(targets)
            if left is not None:
                count = min(left, len(targets))
                if not count:
                    return
                inputs, targets, left = each(inputs, lambda x, n=count: x[:n]), targets[:count], left - count
            yield each(inputs, lambda x: x.to(self.device, non_blocking=True)), targets.to(self.device)
