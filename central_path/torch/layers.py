"""He & Su's law of data separation over the layers of a network, whose outputs may be too wide for P x P numbers.

One pass gives the class means of every layer, hence U and s of Mbar diag(pi)^(1/2) = U diag(s) V^T; a second pass the
separation fuzziness

    D = tr(SS_W SS_B^+) = Ave_i || diag(1/s) U^T (h_i - mu_y) ||^2

over the s that are no rounding. A layer keeps C P numbers, and P times the smaller of P and C - 1.

Source: He & Su (2023), A law of data separation in deep learning.
"""

from collections.abc import Iterable
from math import isfinite, nan
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from central_path.metrics.catalogue import SAME
from central_path.metrics.resolved import COMPUTED, DOUBLE, SINGLE
from central_path.metrics.separation import separation_law_he2023
from central_path.metrics.snr import Moments, between_factor
from central_path.torch.ranks import gathered, summed

SOURCE = "he2023"
NO_LAW = "The law needs a positive fuzziness of every layer, and its correlation two that differ."


class LayerSeparation:
    """The fuzziness of one layer: `add` every batch, `finish_means`, `add_deviations` of every batch, `fuzziness`."""

    def __init__(self, classes: int):
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self.sums = torch.zeros(classes, 0, dtype=torch.float64)
        self.squares = torch.zeros(1, dtype=torch.float64)
        self.total = torch.zeros(1, dtype=torch.float64)

    def add(self, h: Float[Tensor, "n P"], y: Int[Tensor, " n"]) -> None:
        """Of the first pass."""
        h = h.double()
        if not self.sums.shape[1]:
            self.sums = torch.zeros(len(self.counts), h.shape[1], dtype=torch.float64, device=h.device)
        self.sums.index_put_((y,), h, accumulate=True)
        self.counts += torch.bincount(y, minlength=len(self.counts)).cpu()
        self.squares += float(h.square().sum())

    def finish_means(self, eps: float, group: Any = None) -> None:
        """The means of all processes, and the directions between them; eps is the precision of the outputs."""
        width = max(gathered(self.sums.shape[1], group))
        if not self.sums.shape[1]:  # no example on this process
            self.sums = torch.zeros(len(self.counts), width, dtype=torch.float64)
        counts, sums, squares = (summed(value, group) for value in (self.counts, self.sums, self.squares))
        counts, self.n = counts.to(sums.device), float(counts.sum())
        present = (counts > 0).nonzero()[:, 0]
        self.means = sums / counts.clamp(min=1)[:, None]
        M = self.means[present].T
        U, s = between_factor(Moments(M, M.new_zeros(0, 0), counts[present] / self.n))  # no Sigma_W enters
        rounding = float(squares) / self.n * (eps**2 / 4 + COMPUTED * min(eps, SINGLE) ** 2)  # as in `resolved`
        kept = s > rounding**0.5 + max(M.shape) * DOUBLE * s.max()
        self.directions = U[:, kept] / s[kept]

    def add_deviations(self, h: Float[Tensor, "n P"], y: Int[Tensor, " n"]) -> None:
        """Of the second pass."""
        self.total += float(((h.double() - self.means[y]) @ self.directions).square().sum())

    def fuzziness(self, group: Any = None) -> float:
        """D of all processes, NaN where all class means coincide."""
        total = float(summed(self.total, group)) / self.n
        return total if self.directions.shape[1] else nan


class Separation:
    """The same of several layers, by name and in their order."""

    def __init__(self, names: Iterable[str], classes: int):
        self.layers = {name: LayerSeparation(classes) for name in names}

    def add(self, outputs: dict[str, Tensor], y: Int[Tensor, " n"]) -> None:
        """Of the first pass."""
        for name, layer in self.layers.items():
            layer.add(outputs[name], y)

    def finish_means(self, eps: float) -> None:
        """After the first pass."""
        for layer in self.layers.values():
            layer.finish_means(eps)

    def add_deviations(self, outputs: dict[str, Tensor], y: Int[Tensor, " n"]) -> None:
        """Of the second pass."""
        for name, layer in self.layers.items():
            layer.add_deviations(outputs[name], y)

    def law(self) -> tuple[dict[str, float], dict[str, str]]:
        """D of every layer, of two or more the rate and correlation of the law, and why one is NaN, by their names."""
        D = {f"separation_fuzziness/{SOURCE}/{name}": layer.fuzziness() for name, layer in self.layers.items()}
        reasons = {name: SAME for name, value in D.items() if not isfinite(value)}
        if len(D) < 2:
            return D, reasons
        law = separation_law_he2023(torch.tensor(list(D.values()), dtype=torch.float64))
        found = {f"separation_{name}/{SOURCE}": float(getattr(law, name)) for name in ("rate", "correlation")}
        return D | found, reasons | {name: NO_LAW for name, value in found.items() if not isfinite(value)}
