"""Batch normalization with statistics over all ranks; estimated anew they are by `central_path.torch.batchnorm`."""

from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm

AnyModule = TypeVar("AnyModule", bound=nn.Module)
Layers = (nn.BatchNorm1d, nn.BatchNorm2d)


class _SumOverRanks(torch.autograd.Function):
    """The sum over all ranks; its gradient is the sum of all ranks' gradients."""

    @staticmethod
    def forward(ctx, value: Tensor) -> Tensor:
        del ctx
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> Tensor:
        del ctx
        gradient = gradients[0].clone()
        dist.all_reduce(gradient)
        return gradient


def _sum_over_ranks(value: Tensor) -> Tensor:
    summed = _SumOverRanks.apply(value)
    assert isinstance(summed, Tensor)
    return summed


class _Synchronised(_BatchNorm):
    """Batch normalization over the batch of all ranks, for any device and backend; equal on every rank.

    Statistics are in float32 (or float64, as the weights), whatever autocast makes of the input.
    """

    synchronised = True

    def _check_input_dim(self, input: Tensor) -> None:
        del input

    def forward(self, input: Float[Tensor, "n channels ..."]) -> Float[Tensor, "n channels ..."]:
        """As nn.BatchNorm, with the sums taken over all ranks."""
        if not self.training:
            return super().forward(input)
        axes = [0, *range(2, input.ndim)]
        shape = [1, -1] + [1] * (input.ndim - 2)
        x = input.to(self.weight.dtype)
        count = x.new_full((1,), input.numel() // input.shape[1])
        total = _sum_over_ranks(torch.cat([x.sum(axes), count]))
        mean = total[:-1] / total[-1]
        centred = x - mean.view(shape)
        variance = _sum_over_ranks(centred.square().sum(axes)) / total[-1]
        self._update(mean.detach(), variance.detach(), total[-1].detach())
        normal = centred * torch.rsqrt(variance + self.eps).view(shape)
        return (normal * self.weight.view(shape) + self.bias.view(shape)).to(input.dtype)

    def _update(self, mean: Tensor, variance: Tensor, n: Tensor) -> None:
        """Take a batch of n values a channel into the running statistics, without waiting for the device."""
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked.add_(1)
        if self.momentum is None:
            share = 1 / self.num_batches_tracked.to(mean.dtype)
        else:
            share = torch.full_like(n, self.momentum)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * n / (n - 1), share)


def synchronise(network: AnyModule, device: torch.device) -> AnyModule:
    """The network on the device with every batch normalization over all ranks; in a single process as it was.

    On CUDA by torch's SyncBatchNorm, which runs nowhere else.
    """
    network = network.to(device)
    if not dist.is_initialized():
        return network
    kind = nn.SyncBatchNorm if device.type == "cuda" else _Synchronised
    for name, module in list(network.named_modules()):
        if isinstance(module, Layers):
            new = kind(module.num_features, module.eps, module.momentum)
            new.load_state_dict(module.state_dict())
            parent = network.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], new.to(device, module.weight.dtype))
    return network
