"""`watch`: the input of a network's classifier, and outputs of hidden layers, while the network runs as it always does.

    with watch(model, layers=["layer3"]) as tap:
        outputs = model(images)
        tap.features            # (n, P), what the last layer saw
        tap.layers["layer3"]    # as the layer gave it
        tap.weight, tap.bias    # W (C, P) and b (C,) or None

The classifier is found as the libraries name it: by timm's `get_classifier`, Hugging Face's `get_output_embeddings`,
or the attributes `classifier`, `score`, `lm_head`, `fc`, `heads`, `head`, in which the last linear layer counts;
otherwise it is the one linear layer with C outputs. Wrappers (DataParallel, DistributedDataParallel, FSDP,
torch.compile) are looked through.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from central_path.torch.precision import eps_of, name_of

ATTRIBUTES = ("classifier", "score", "lm_head", "fc", "heads", "head")
GIVE = 'give head="NAME", one of model.named_modules()'


def unwrapped(model: nn.Module) -> nn.Module:
    """The network within wrappers that call it."""
    while True:
        if isinstance(model, DataParallel | DistributedDataParallel) or type(model).__name__ == (
            "FullyShardedDataParallel"
        ):
            model = model.module  # pyright: ignore[reportAssignmentType]
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def _linear(module: Any) -> bool:
    """Whether it maps features to outputs by a matrix: nn.Linear and what is made like it."""
    weight = getattr(module, "weight", None)
    return isinstance(module, nn.Module) and isinstance(weight, Tensor) and hasattr(module, "out_features")


def _outputs(module: nn.Module) -> int:
    return int(module.out_features)  # pyright: ignore[reportArgumentType]


def _within(part: nn.Module) -> list[tuple[str, nn.Module]]:
    """Linear layers of a part of the network, by name."""
    return [(name, one) for name, one in part.named_modules() if _linear(one)]


def _declared(model: nn.Module) -> tuple[str, Any] | None:
    """What the model says its classifier is, with a name for messages."""
    for method in ("get_classifier", "get_output_embeddings"):
        if callable(getattr(model, method, None)):
            part = getattr(model, method)()
            if part is not None:
                return f"{method}()", part
    for name in ATTRIBUTES:
        if isinstance(part := getattr(model, name, None), nn.Module):
            return name, part
    return None


def find_head(model: nn.Module, num_classes: int | None = None) -> nn.Module:
    """The linear layer that maps features to the outputs of the classes.

    Raises:
        ValueError: if there is none, or more than one could be it.
    """
    declared = _declared(model)
    if declared is not None:
        name, part = declared
        if isinstance(part, tuple | list):
            raise ValueError(f"Need one classifier, got {len(part)} from {name} of {type(model).__name__}: {GIVE}.")
        linear = _within(part)
        if linear:
            head = linear[-1][1]
            if num_classes is None or _outputs(head) == num_classes:
                return head
        elif not isinstance(part, nn.Identity) and name in ATTRIBUTES[:3]:
            raise ValueError(
                f"Need a linear classifier, got {type(part).__name__} for {name} of {type(model).__name__}, in which "
                f"no layer is linear: {GIVE}."
            )
    linear = _within(model)
    if not linear:
        raise ValueError(f"Need a network with a linear layer, got {type(model).__name__} without one: {GIVE}.")
    C = _outputs(linear[-1][1]) if num_classes is None else num_classes
    possible = [(name, one) for name, one in linear if _outputs(one) == C]
    if len(possible) == 1:
        return possible[0][1]
    if not possible:
        outputs = ", ".join(f"{name or 'itself'} with {_outputs(one)}" for name, one in linear[-5:])
        raise ValueError(f"Need a linear layer with num_classes = {C} outputs, got {outputs}: {GIVE}, or the number.")
    raise ValueError(
        f"Need one linear layer with {C} outputs, got {len(possible)} ({', '.join(name for name, _ in possible[:5])}): "
        f"{GIVE}."
    )


def _named(model: nn.Module, name: str) -> nn.Module:
    names = dict(model.named_modules())
    if name not in names:
        near = get_close_matches(name, names, n=3) or list(names)[1:6]
        raise ValueError(f"Need the name of a part of the network, got {name!r}: did you mean {', '.join(near)}?")
    return names[name]


def precision_of(features: Tensor) -> str:
    """The coarsest type in which a network computes now, that gives these features."""
    kind, names = features.device.type, [name_of(features.dtype)]
    if torch.is_autocast_enabled(kind):
        names.append(name_of(torch.get_autocast_dtype(kind)))
    if kind == "cuda" and (torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32):
        names.append("tf32" if features.dtype == torch.float32 else names[0])
    return max(names, key=eps_of)


class watch:  # noqa: N801  used like a function
    """See the input of the classifier, and outputs of hidden layers, of every forward pass within the `with` block.

    Arguments:
        model: any network, wrapped or not.
        head: the classifier: "auto", a module of the network or its name.
        layers: names of other parts, whose outputs are kept.
        num_classes: number of outputs of the classifier, which may tell it from others.

    Example:
        >>> import torch
        >>> from central_path.torch import watch
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
        >>> with watch(model, layers=["0"], num_classes=3) as tap:
        ...     outputs = model(torch.randn(8, 4))
        ...     tap.features.shape, tap.layers["0"].shape, tap.weight.shape
        (torch.Size([8, 6]), torch.Size([8, 6]), torch.Size([3, 6]))

    Raises:
        ValueError: on entering, if the classifier is not clear or a name is none of a part; on reading, if no forward
            pass has reached it, or one reached it twice.
    """

    def __init__(
        self,
        model: nn.Module,
        head: str | nn.Module = "auto",
        layers: Iterable[str] = (),
        *,
        num_classes: int | None = None,
    ):
        self.model = unwrapped(model)
        if isinstance(head, nn.Module):
            self.head = head
        else:
            self.head = find_head(self.model, num_classes) if head == "auto" else _named(self.model, head)
        if not _linear(self.head):
            raise ValueError(
                f"Need a linear layer as the classifier, got {type(self.head).__name__}: {GIVE}, or the layer itself."
            )
        self._parts = {name: _named(self.model, name) for name in layers}
        self._hooks: list[Any] = []
        self._forget()

    def _forget(self) -> None:
        self._inputs: list[Tensor] = []
        self._layers: dict[str, Tensor] = {}
        self._outputs: Tensor | None = None
        self._precision = "float64"

    def __enter__(self) -> "watch":
        self._hooks = [
            self.model.register_forward_pre_hook(lambda *_: self._forget(), prepend=True),
            self.head.register_forward_pre_hook(self._keep_input, with_kwargs=True),
            self.head.register_forward_hook(self._keep_outputs),
            *(part.register_forward_hook(self._keeper(name)) for name, part in self._parts.items()),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _keep_input(self, _: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        h = (given[0] if given else next(iter(named.values()))).detach()
        self._inputs.append(h)
        self._precision = precision_of(h)

    def _keep_outputs(self, _: nn.Module, __: Any, outputs: Tensor) -> None:
        self._outputs = outputs.detach()

    def _keeper(self, name: str) -> Any:
        def keep(_: nn.Module, __: Any, output: Any) -> None:
            first = output
            while not isinstance(first, Tensor):  # Hugging Face's layers give tuples, its models mappings
                first = next(iter(first.values() if hasattr(first, "values") else first))
            self._layers[name] = first.detach()

        return keep

    @property
    def features(self) -> Tensor:
        """The input (n, P), or (n, length, P), of the classifier in the last pass: detached, in its own type."""
        if len(self._inputs) != 1:
            raise ValueError(
                f"Need one use of the classifier in a forward pass, got {len(self._inputs)}: "
                + (
                    "call the model within the `with` block, uncompiled; "
                    if not self._inputs
                    else "the network uses it more than once; "
                )
                + f"{GIVE}, a layer that is called once."
            )
        return self._inputs[0]

    @property
    def outputs(self) -> Tensor:
        """The outputs (n, C) of the classifier, W h + b as it computed them."""
        if self._outputs is None:
            _ = self.features
        assert self._outputs is not None
        return self._outputs

    @property
    def layers(self) -> dict[str, Tensor]:
        """Outputs of the layers in the last forward pass, by name, detached."""
        return dict(self._layers)

    @property
    def precision(self) -> str:
        """The coarsest type in which the last forward pass computed its features: "float32", "tf32", "bfloat16"."""
        return self._precision

    @property
    def weight(self) -> Tensor:
        """W (C, P) of the classifier."""
        return self.head.weight  # pyright: ignore[reportReturnType]

    @property
    def bias(self) -> Tensor | None:
        """The bias (C,) of the classifier, or None."""
        return getattr(self.head, "bias", None)
