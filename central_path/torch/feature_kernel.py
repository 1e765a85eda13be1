"""The kernel of a network's features: how they move when the network descends.

Under gradient flow on the parameters theta the last-layer features H (n, P) do not move freely, but as

    dH/dt = -Theta grad_H L,        Theta = J J^T,  J = dH/dtheta

(the neural tangent kernel of the features). `FeatureKernel` multiplies by Theta exactly: one vector-Jacobian product
and one Jacobian-vector product over the whole set, the work of about two forward and backward passes.

    kernel = FeatureKernel(model, loader, num_classes=10)
    kernel.features, kernel.labels       # H (n, P), (n,)
    kernel.apply(G)                      # Theta G
    kernel.traces()                      # rates of the three parts, kappa_d, kappa_c, kappa_n and b, with errors
    kernel.sample_kernel()               # K = tr_P Theta/P, and how isotropic Theta is over the P directions

Block values: with entries kappa_d of an example with itself, kappa_c with others of its class, kappa_n with other
classes, times I_P, and N examples in each class, the eigenvalues of K are

    deviations from class means    kappa_d - kappa_c
    class means about the global   kappa_d - kappa_c + N (kappa_c - kappa_n)
    global mean                    kappa_d - kappa_c + N (kappa_c - kappa_n) + C N kappa_n

Source: Jacot, Gabriel & Hongler (2018); Seleznova et al. (2023) for the block structure; the measurement is this
project's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from central_path.torch import loading
from central_path.torch.class_parts import Classes
from central_path.torch.feature_map import FeatureMap, Parameters
from central_path.torch.loading import Batches, Split
from central_path.torch.sample_kernel import SampleKernel
from central_path.torch.traces import Estimate, random_normal, trace
from central_path.torch.watching import watch

MEMORY = 2.0**31  # bytes of activations, unless stated


@dataclass(frozen=True)
class KernelTraces:
    """Mean eigenvalues of K = tr_P Theta/P on the three parts of the examples, and the block values they make.

    The block values are averages of K over pairs of examples if classes are balanced; otherwise they are those of the
    block kernel with the same three traces.

    Attributes:
        overall: on the global mean.
        means: on class means about the global mean: the rate a.
        within: on deviations from class means.
        sizes: the numbers of examples in the classes.
    """

    overall: Estimate
    means: Estimate
    within: Estimate
    sizes: tuple[int, ...]

    @property
    def kappa_d(self) -> Estimate:
        """K of an example with itself: kappa_c + within."""
        n, C = sum(self.sizes), len(self.sizes)
        return self._same_class() + self.within * (1 - C / n)

    @property
    def kappa_c(self) -> Estimate:
        """K of two examples of one class."""
        n, C = sum(self.sizes), len(self.sizes)
        return self._same_class() - self.within * (C / n)

    @property
    def kappa_n(self) -> Estimate:
        """K of examples of two classes; with q = sum N_c^2/n it is (overall - within - q kappa_c)/(n - q)."""
        n, C = sum(self.sizes), len(self.sizes)
        q = sum(size**2 for size in self.sizes) / n
        parts = self.overall * (1 - q / n) - self.means * (q * (C - 1) / n) - self.within * (1 - q * C / n)
        return parts * (1 / (n - q))

    @property
    def b(self) -> Estimate:
        """Within-class rate over class-mean rate."""
        return self.within / self.means

    def _same_class(self) -> Estimate:
        n, C = sum(self.sizes), len(self.sizes)
        return (self.overall + self.means * (C - 1)) * (1 / n)

    def to_dict(self) -> dict[str, float]:
        """Every value, and its standard error as NAME_error."""
        names = ("overall", "means", "within", "kappa_d", "kappa_c", "kappa_n", "b")
        found = {name: getattr(self, name) for name in names}
        return {key: x for name, e in found.items() for key, x in ((name, e.value), (f"{name}_error", e.error))}


class FeatureKernel:
    """Theta = J J^T of the last-layer features of a network on the examples of a loader.

    The network is left as it was. Everything is computed in `dtype`, whatever the type of its weights.

    Arguments:
        model: any network with a linear classifier, in a wrapper or not.
        loader: batches (inputs, targets), or mappings with `labels`, without random augmentation; read once and kept.
        num_classes: number of classes C; targets are 0 to C - 1.
        head: the classifier, as for `watch`.
        batchnorm: "training": each normalization by the statistics of the whole set, the function that full-batch
            descent moves; "evaluation": by its running statistics, which do not move.
        dtype: the type of all computations.
        memory: bytes of activations at a time; a smaller number means more chunks of examples.
        device: where it is computed; where the network's parameters are, unless given.
        split: a function of a batch that returns inputs and targets.
        progress: a bar on stderr while the loader is read; on a terminal unless given.

    Attributes:
        features: H (n, P).
        labels: (n,) from 0; classes without examples are left out.
        classes: which example is of which class.

    Example:
        >>> import torch
        >>> from central_path.torch import FeatureKernel
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
        >>> targets = torch.arange(12) % 3
        >>> kernel = FeatureKernel(model, [(torch.randn(12, 4), targets)], num_classes=3)
        >>> G = torch.randn(12, 6, dtype=torch.float64)  # a gradient at the features
        >>> velocity = -kernel.apply(G)  # of the features under gradient flow on the parameters
        >>> velocity.shape, bool((velocity * G).sum() < 0)  # Theta is positive semi-definite
        (torch.Size([12, 6]), True)
        >>> kernel.traces(probes=8).means.value > 0
        True

    Raises:
        ValueError: as `watch`; for labels out of range, fewer than 2 classes with examples, or a network that does not
            compute in `dtype`.
    """

    def __init__(
        self,
        model: nn.Module,
        loader: Iterable[Any],
        num_classes: int,
        *,
        head: str | nn.Module = "auto",
        batchnorm: str = "training",
        dtype: torch.dtype = torch.float64,
        memory: int | float = MEMORY,
        device: torch.device | str | None = None,
        split: Split = loading.split,
        progress: bool | None = None,
    ):
        if batchnorm not in ("training", "evaluation"):
            raise ValueError(f"Need batchnorm 'training' or 'evaluation', got {batchnorm!r}: give one of them.")
        if not memory > 0:
            raise ValueError(f"Need memory > 0, got {memory}: give the bytes that activations may take.")
        found = watch(model, head, num_classes=num_classes)
        at = next((p.device for p in model.parameters()), "cpu") if device is None else device
        batches = list(Batches(loader, torch.device(at), split, progress=progress).read("reading"))
        if not batches:
            raise ValueError("Need a loader with batches, got none.")
        labels = torch.cat([targets for _, targets in batches])
        if (
            labels.ndim != 1
            or labels.is_floating_point()
            or not 0 <= int(labels.min()) <= int(labels.max()) < (num_classes)
        ):
            raise ValueError(
                f"Need integer targets (n,) from 0 to num_classes - 1 = {num_classes - 1}, got shape "
                f"{tuple(labels.shape)} of {labels.dtype}, from {labels.min()} to {labels.max()}."
            )
        present, self.labels = labels.long().unique(return_inverse=True)
        if len(present) < 2:
            raise ValueError(f"Need at least 2 classes with examples, got {len(present)}.")
        self.classes = Classes(self.labels)
        inputs = joined([inputs for inputs, _ in batches])
        self._map = FeatureMap(
            found.model, found.head, inputs, training=batchnorm == "training", dtype=dtype, memory=memory
        )
        self.features = self._map.value()

    @property
    def parameters(self) -> Parameters:
        """The trained parameters, by name."""
        return self._map.parameters

    @property
    def passes(self) -> int:
        """Passes over the set in one derivative: 1, or L + 1 if it needs chunks and L batch statistics of the whole."""
        return self._map.passes

    @property
    def bytes_at_once(self) -> float:
        """Bytes of activations with which the set needs no chunks."""
        return self._map.bytes_at_once

    def vjp(self, G: Float[Tensor, "n P"]) -> Parameters:
        """J^T G: the gradient of sum(G * H), by the names of the parameters."""
        return self._map.vjp(G.to(self.features))

    def jvp(self, v: Parameters) -> Float[Tensor, "n P"]:
        """J v: the change of the features with a change of the parameters."""
        return self._map.jvp(v)

    def apply(self, G: Float[Tensor, "n P"]) -> Float[Tensor, "n P"]:
        """Theta G."""
        return self.jvp(self.vjp(G))

    def square(self, G: Float[Tensor, "n P"]) -> float:
        """<G, Theta G> = |J^T G|^2, by the vector-Jacobian product alone."""
        return float(sum(value.square().sum() for value in self.vjp(G).values()))

    def traces(self, *, sketch: int = 4, probes: int = 4, seed: int = 0) -> KernelTraces:
        """Mean eigenvalues of K on the global mean, on class means and on deviations, by Hutch++.

        Raises:
            ValueError: unless sketch >= 0 and probes >= 2.
        """
        generator = torch.Generator().manual_seed(seed)
        n, P = self.features.shape
        ranks = self.classes.ranks
        bases = (self._of_all, self._of_means, self._of_rest)
        sizes = (P, self.classes.C * P, n * P)
        found = []
        for embed, rank, size in zip(bases, ranks, sizes, strict=True):
            into, back = embed

            def apply(x: Tensor, into: Any = into, back: Any = back) -> Tensor:
                return back(self.apply(into(x)))

            def square(x: Tensor, into: Any = into) -> float:
                return self.square(into(x))

            like = self.features.new_zeros(size)
            options = {"rank": rank * P, "sketch": sketch, "probes": probes, "generator": generator}
            total = trace(apply, square, like, **options)
            found.append(total * (1 / (rank * P)) if rank else total)
        overall, means, within = found
        return KernelTraces(overall, means, within, tuple(self.classes.counts.tolist()))

    @property
    def _of_all(self) -> tuple[Any, Any]:
        """From a vector (P,) to 1 x^T/n^(1/2), and back."""
        n, P = self.features.shape
        return lambda x: x[None, :].expand(n, P) / n**0.5, lambda X: X.sum(dim=0) / n**0.5

    @property
    def _of_means(self) -> tuple[Any, Any]:
        """From class values (C, P), flat, to examples, centred: an orthogonal projection between the two spaces."""
        classes, P = self.classes, self.features.shape[1]
        root = classes.counts.to(self.features).sqrt()[:, None]
        unit = root / classes.n**0.5

        def centred(z: Tensor) -> Tensor:
            return z - unit * (unit * z).sum(dim=0, keepdim=True)

        return (
            lambda x: (centred(x.view(-1, P)) / root)[classes.labels],
            lambda X: centred(classes.average(X) * root).reshape(-1),
        )

    @property
    def _of_rest(self) -> tuple[Any, Any]:
        """From all examples (n, P), flat, to their deviations from class means."""
        P = self.features.shape[1]
        return lambda x: self.classes.parts(x.view(-1, P)).within, lambda X: self.classes.parts(X).within.reshape(-1)

    def sample_kernel(self, *, draws: int = 16, seed: int = 0) -> SampleKernel:
        """K = tr_P Theta/P from so many random changes of the parameters.

        Raises:
            ValueError: with fewer than 3 draws.
        """
        if draws < 3:
            raise ValueError(f"Need at least 3 draws, got {draws}: their spread gives the errors.")
        generator = torch.Generator().manual_seed(seed)
        found = []
        for _ in range(draws):
            v = {name: random_normal(value.shape, value, generator) for name, value in self.parameters.items()}
            found.append(self.jvp(v))
        return SampleKernel(torch.stack(found), self.classes)


def joined(parts: list[Any]) -> Any:
    """Batches of nested tensors as one."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(parts)
    if hasattr(first, "items"):
        return {key: joined([part[key] for part in parts]) for key in first}
    if type(first) in (list, tuple):
        return type(first)(joined(list(values)) for values in zip(*parts, strict=True))
    return first
