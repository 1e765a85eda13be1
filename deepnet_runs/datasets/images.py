"""Images as they are kept, as bytes, and as a network sees them, batch by batch.

A set stays in bytes where it was read: in memory, on the device if it fits there, or in a memory-mapped file, of which
only what a batch needs is read. A batch goes to the device in bytes and is prepared there: padded with zeros or resized
if it has to be, divided by the largest pixel value, and standardised. No set exists in float32 as a whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import interpolate, pad

SHARE = 0.5  # of a device's free memory that a set may take; a larger one stays where it was read
EVERY = slice(None)


class Batch(NamedTuple):
    """Images (n, channels, size, size) as the network sees them, and their labels (n,) from 0."""

    x: Float[Tensor, "n channels size size"]
    y: Int[Tensor, " n"]


class Preparation(NamedTuple):
    """What is done with the pixels of a batch, in this order; by default nothing.

    Attributes:
        padded: height and width to which smaller images are padded with zeros; 0: not at all.
        scale: the largest value of a pixel, by which bytes are divided.
        resized: height and width to which images are resized (bilinear, antialiased); 0: not at all.
        mean: what is then subtracted, a number a channel.
        std: by what is then divided.
    """

    padded: int = 0
    scale: float = 1.0
    resized: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __call__(self, pixels: Shaped[Tensor, "n channels height width"]) -> Float[Tensor, "n channels size size"]:
        """Pixels as they are kept, on the device on which they are to be prepared."""
        x = pixels
        missing = self.padded - x.shape[-1]
        if missing > 0:
            before, after = missing // 2, missing - missing // 2
            x = pad(x, (before, after, before, after))
        if x.dtype == torch.uint8:
            x = x.float().div_(self.scale)
        if self.resized and x.shape[-1] != self.resized:
            x = interpolate(x, (self.resized, self.resized), mode="bilinear", antialias=True)
        if self.mean:
            mean, std = (x.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
            x = x.sub(mean).div_(std)
        return x

    def side(self, kept: int) -> int:
        """Height and width of prepared images that are kept with this one."""
        return self.resized or max(kept, self.padded)


@dataclass(frozen=True, eq=False)
class Images:
    """Images and labels of one part of a data set.

    Attributes:
        x: pixels as they are kept, bytes or floats; in memory, in a memory-mapped file, or on a device.
        y: labels from 0, beside them.
        preparation: what makes a batch of them.
        rows: which of the images in `x` these are; None: all, in their order.
        device: where batches go; None: where `x` is.
        layout: memory format of batches.
    """

    x: Shaped[Tensor, "kept channels height width"]
    y: Int[Tensor, " n"]
    preparation: Preparation = field(default_factory=Preparation)
    rows: Int[Tensor, " n"] | None = None
    device: torch.device | None = None
    layout: torch.memory_format = torch.contiguous_format

    def __len__(self) -> int:
        return len(self.y)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as the network sees it."""
        side = self.preparation.side(self.x.shape[-1])
        return self.x.shape[1], side, side

    def take(self, index: Int[Tensor, " m"]) -> "Images":
        """Some of the images; no pixel is copied."""
        rows = index if self.rows is None else self.rows[index]
        return replace(self, y=self.y[index], rows=rows)

    def to(self, device: torch.device, layout: torch.memory_format) -> "Images":
        """The same with its batches on a device; on a GPU the bytes go there now, if they fit."""
        if device.type != "cuda" or not _fit(self.bytes, device):
            return replace(self, device=device, layout=layout)
        x = (self.x if self.rows is None else self.x[self.rows]).to(device)
        return replace(self, x=x, y=self.y.to(device), rows=None, device=device, layout=layout)

    @property
    def chosen(self) -> Int[Tensor, " n"]:
        """The places of these images in `x`."""
        return torch.arange(len(self)) if self.rows is None else self.rows

    @property
    def bytes(self) -> int:
        """What the pixels of these images take."""
        return len(self) * self.x[0].numel() * self.x.element_size()

    def batch(self, index: slice | Int[Tensor, " m"] = EVERY) -> Batch:
        """The images of an index, which is where the pixels are, as the network sees them, and their labels."""
        rows = index if self.rows is None else self.rows[index]
        pixels, y = self.x[rows], self.y[index]
        if self.device is not None and pixels.device != self.device:
            if self.device.type == "cuda":
                pixels = pixels.pin_memory()
            pixels, y = pixels.to(self.device, non_blocking=True), y.to(self.device)
        return Batch(self.preparation(pixels).contiguous(memory_format=self.layout), y)


def _fit(needed: int, device: torch.device) -> bool:
    free, _ = torch.cuda.mem_get_info(device)
    return needed <= SHARE * free


class DataSet(NamedTuple):
    """Training and test images, the number of classes, and what config.json says of them.

    Attributes:
        train: the images that are trained on.
        test: the images that are measured on beside them.
        classes: the number of classes.
        record: where and how they were read and chosen.
    """

    train: Images
    test: Images
    classes: int
    record: Mapping[str, Any] = MappingProxyType({})

    def to(self, device: torch.device, layout: torch.memory_format) -> "DataSet":
        """The same with its batches on a device."""
        return self._replace(train=self.train.to(device, layout), test=self.test.to(device, layout))
