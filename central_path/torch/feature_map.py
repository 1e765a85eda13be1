"""The last-layer features of a whole set as a function of the network's parameters, and its two derivatives.

    theta -> H (n, P)          J^T G (a vector-Jacobian product)          J v (a Jacobian-vector product)

Each is one pass over the set in chunks of examples whose activations fit the stated memory. In evaluation an example's
features depend on its own input alone, and chunks are independent. With the batch statistics of the whole set they are
not: H = f(theta, s) with the statistics s of L normalizations, which themselves obey s = S(theta, s), where S_k depends
on s_1, ..., s_(k-1) alone. If the set fits the memory, all of it is one batch. Otherwise, at fixed s,

    dH = f_theta v + f_s ds,                  ds     = S_theta v + S_s ds           L + 1 passes
    J^T G = f_theta^T G + S_theta^T lambda,   lambda = f_s^T G + S_s^T lambda       L + 1 passes

by repeated substitution, which ends after L passes because S_s is strictly triangular.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp
from torch.nn.attention import SDPBackend, sdpa_kernel

from central_path.torch.evaluation import evaluating
from central_path.torch.loading import called, each
from central_path.torch.normalization import Counted, Given, OfBatch, Running, Source, Statistics, merged, normalised_by
from central_path.torch.watching import GIVE

Parameters = dict[str, Tensor]
TRIAL = 2  # examples in the pass that finds how much memory one takes
SPARE = 3  # a derivative holds the activations, their tangents or gradients, and temporary arrays


def size_of(inputs: Any) -> int:
    """Number of examples of nested tensors."""
    found: list[int] = []
    each(inputs, lambda x: found.append(len(x)) or x)
    return found[0]


class FeatureMap:
    """The features of `inputs` as a function of the trained parameters of a network, which is left as it was.

    Arguments:
        model: the network; layers other than batch normalization are in evaluation, so that it is a function.
        head: its linear classifier, whose input are the features.
        inputs: of all examples: a tensor, or a mapping, tuple or list of them.
        training: batch statistics of the whole set; otherwise the running statistics.
        dtype: the type in which everything is computed.
        memory: bytes that the activations of a chunk may take.

    Raises:
        ValueError: if nothing is trained, the network does not compute in the type, or the head is not used once.
    """

    def __init__(
        self, model: nn.Module, head: nn.Module, inputs: Any, *, training: bool, dtype: torch.dtype, memory: int | float
    ):
        self.model, self.head, self.inputs, self.dtype = model, head, inputs, dtype
        self.n = size_of(inputs)
        self.parameters: Parameters = {
            name: p.detach().to(dtype) for name, p in model.named_parameters() if p.requires_grad
        }
        if not self.parameters:
            raise ValueError("Need a network with parameters that are trained, got none with requires_grad.")
        fixed = [*model.named_parameters(), *model.named_buffers()]
        self._fixed = {
            name: value.detach().to(dtype) if value.is_floating_point() else value
            for name, value in fixed
            if name not in self.parameters
        }
        per_example = SPARE * self._bytes_per_example(training)
        self.bytes_at_once = self.n * per_example  # of all examples, in one chunk
        self.rows = max(1, min(self.n, int(memory / per_example)))
        self._source: Source = OfBatch() if training else Running()
        self.statistics: list[Statistics] = []
        if training and self.rows < self.n:
            self.statistics = self._batch_statistics()

    @property
    def passes(self) -> int:
        """Passes over the set in one derivative."""
        return len(self.statistics) + 1

    def _features(self, parameters: Parameters, source: Source, begin: int, end: int) -> Tensor:
        """Features (end - begin, P) of a chunk."""
        seen: list[Tensor] = []

        def keep(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            seen.append(given[0] if given else next(iter(named.values())))

        hook = self.head.register_forward_pre_hook(keep, with_kwargs=True)
        chunk = each(self.inputs, lambda x: x[begin:end].to(self.dtype) if x.is_floating_point() else x[begin:end])
        try:
            with normalised_by(self.model, source):
                _call(self.model, {**self._fixed, **parameters}, chunk)
        finally:
            hook.remove()
        if len(seen) != 1 or seen[0].ndim != 2:
            shapes = ", ".join(str(tuple(h.shape)) for h in seen) or "none"
            raise ValueError(
                f"Need one feature vector (P,) of each example at the classifier, got inputs of shape {shapes}: {GIVE}."
            )
        return seen[0]

    def _bytes_per_example(self, training: bool) -> float:
        """What a pass keeps of an example for its derivative."""
        rows, kept = min(TRIAL, self.n), 0
        own = {value.data_ptr() for value in (*self.parameters.values(), *self._fixed.values())}

        def pack(value: Tensor) -> Tensor:
            nonlocal kept
            kept += 0 if value.data_ptr() in own else value.numel() * value.element_size()
            return value

        tracked = {name: value.detach().requires_grad_() for name, value in self.parameters.items()}
        try:
            with computing(self.model), torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
                h = self._features(tracked, OfBatch() if training else Running(), 0, rows)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"Need a network that computes in {self.dtype} on its inputs, got: {' '.join(str(error).split())}; "
                "try dtype=torch.float32."
            ) from error
        if h.dtype != self.dtype:
            raise ValueError(
                f"Need features in {self.dtype}, got {h.dtype}: the network fixes its type; give dtype={h.dtype}."
            )
        return max(kept / rows, h.shape[1] * h.element_size())

    def _chunks(self) -> Iterator[tuple[int, int]]:
        for begin in range(0, self.n, self.rows):
            yield begin, min(begin + self.rows, self.n)

    @torch.no_grad()
    def _batch_statistics(self) -> list[Statistics]:
        """Of the whole set, a normalization after the other."""
        known: list[Statistics] = []
        with computing(self.model):
            while True:
                parts = []
                for begin, end in self._chunks():
                    source = Counted(known)
                    self._features(self.parameters, source, begin, end)
                    if source.found is not None:
                        parts.append((end - begin, source.found))
                if not parts:
                    return known
                known.append(merged(parts))

    def _chunk(self, begin: int, end: int) -> Callable[..., Any]:
        """(theta, s) -> features of a chunk, and its share of S."""
        if not self.statistics:
            return lambda parameters, _: (self._features(parameters, self._source, begin, end), [])
        centers = [own.mean for own in self.statistics]

        def features(parameters: Parameters, s: list[Statistics]) -> tuple[Tensor, list[Statistics]]:
            source = Given(s, centers, self.n)
            return self._features(parameters, source, begin, end), source.sums

        return features

    @torch.no_grad()
    def value(self) -> Float[Tensor, "n P"]:
        """The features at the network's parameters."""
        with computing(self.model):
            parts = [self._chunk(*ends)(self.parameters, self.statistics)[0] for ends in self._chunks()]
        return torch.cat(parts)

    def vjp(self, G: Float[Tensor, "n P"]) -> Parameters:
        """J^T G, by the names of the parameters."""
        multiplier = [Statistics(torch.zeros_like(s.mean), torch.zeros_like(s.var)) for s in self.statistics]
        found: Parameters = {}
        with computing(self.model):
            for _ in range(self.passes):
                found = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
                through = [Statistics(torch.zeros_like(s.mean), torch.zeros_like(s.var)) for s in self.statistics]
                for begin, end in self._chunks():
                    pull = vjp(self._chunk(begin, end), self.parameters, self.statistics)[1]
                    of_parameters, of_statistics = pull((G[begin:end].to(self.dtype), multiplier))
                    for name, value in of_parameters.items():
                        found[name] += value
                    for total, own in zip(through, of_statistics, strict=True):
                        total.mean.add_(own.mean)
                        total.var.add_(own.var)
                multiplier = through
        return found

    def jvp(self, v: Parameters) -> Float[Tensor, "n P"]:
        """J v of a change v of the parameters, by their names."""
        ds = [Statistics(torch.zeros_like(s.mean), torch.zeros_like(s.var)) for s in self.statistics]
        parts: list[Tensor] = []
        with torch.no_grad(), computing(self.model):
            for _ in range(self.passes):
                parts = []
                through = [Statistics(torch.zeros_like(s.mean), torch.zeros_like(s.var)) for s in self.statistics]
                for begin, end in self._chunks():
                    primals = (self.parameters, self.statistics)
                    dh, dS = jvp(self._chunk(begin, end), primals, (v, ds))[1]
                    parts.append(dh)
                    for total, own in zip(through, dS, strict=True):
                        total.mean.add_(own.mean)
                        total.var.add_(own.var)
                ds = through
        return torch.cat(parts)


def _call(model: nn.Module, values: Parameters, inputs: Any) -> Any:
    """The network with other parameters and buffers; inputs as `called` gives them."""
    wrapped = _Called(model)
    return functional_call(wrapped, {f"model.{name}": value for name, value in values.items()}, (inputs,))


class _Called(nn.Module):
    """The network as a function of one argument, whatever form its inputs have."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, inputs: Any) -> Any:
        """The outputs."""
        return called(self.model, inputs)


@contextmanager
def computing(model: nn.Module) -> Iterator[None]:
    """The network in evaluation without TF32, and attention by the formula, which has both derivatives."""
    with ExitStack() as stack:
        stack.enter_context(evaluating(model))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(warnings.catch_warnings())  # of torch about itself, when it loads forward derivatives
        warnings.filterwarnings("ignore", message="`torch.jit")
        yield
