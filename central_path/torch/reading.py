"""A batch as it is given, checked, and what of it counts."""

from typing import Any

import torch
from torch import Tensor

ABSENT = -1  # among the numbers of the classes that are measured


def select(
    features: Any, targets: Any, C: int, classes: list[int] | None, ignore_index: int | None, width: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Features (n, P) of the examples that count, numbers of their classes, and which of the batch they are.

    Features may have more axes than two, with targets of the same but the last. `classes` are those that are measured,
    `width` is P of the batches before; None of each for all.

    Raises:
        ValueError: for shapes that do not fit, targets out of range, or features that are not finite.
    """
    h = torch.as_tensor(features).detach()
    h = h.cpu() if h.device.type == "mps" else h  # which has no float64
    y = torch.as_tensor(targets).detach().to(h.device)
    if h.ndim < 2 or h.shape[-1] == 0 or not h.is_floating_point():
        raise ValueError(
            f"Need real features of shape (n, P), P > 0, got shape {tuple(h.shape)} of {h.dtype}: give the input "
            "of the last layer."
        )
    if y.shape != h.shape[:-1] or y.is_floating_point() or y.is_complex():
        raise ValueError(
            f"Need integer targets of shape {tuple(h.shape[:-1])} for features of shape {tuple(h.shape)}, got "
            f"shape {tuple(y.shape)} of {y.dtype}: give the number of the class of every example."
        )
    if width is not None and h.shape[-1] != width:
        raise ValueError(
            f"Need features of width {width} as in the earlier batches, got {h.shape[-1]}: reset, or give another "
            "object for another layer."
        )
    h, y = h.reshape(-1, h.shape[-1]), y.reshape(-1).long()
    kept = torch.ones_like(y, dtype=torch.bool) if ignore_index is None else y != ignore_index
    wrong = kept & ((y < 0) | (y >= C))
    if classes is not None:
        codes = torch.full((C,), ABSENT, device=h.device)
        codes[torch.tensor(classes, device=h.device)] = torch.arange(len(classes), device=h.device)
        coded = codes[y.clamp(0, C - 1)]
        kept, y = kept & ((coded != ABSENT) | wrong), torch.where(wrong, y, coded)
    bad = ~h.isfinite().all(dim=1) & kept
    counts = torch.stack([wrong.sum(), bad.sum(), (~kept).sum()]).tolist()  # one wait for the device
    if counts[0]:
        raise ValueError(
            f"Need targets from 0 to num_classes - 1 = {C - 1}, got {int(y[wrong][0])}: give the number of "
            "classes, or ignore_index for a target that counts nowhere."
        )
    if counts[1]:
        raise ValueError(
            f"Need finite features, got NaN or infinite entries in {counts[1]} of {len(h)} examples: the network "
            "has diverged, or its precision overflows."
        )
    return (h[kept], y[kept], kept) if counts[2] else (h, y, kept)
