"""Batch normalisation over the batch of all processes, on any device."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, distributed, nn

_Norm = nn.BatchNorm1d | nn.BatchNorm2d


class GlobalBatchNorm(nn.Module):
    """What a batch normalisation computes, with the mean and variance of all processes' rows together.

    Weights and buffers are those of the layer it stands for, under the same names. A process may have no rows.
    :class:`torch.nn.SyncBatchNorm` does the same on GPUs only.

    Args:
        layer: the layer it stands for.
    """

    def __init__(self, layer: _Norm) -> None:
        super().__init__()
        self.eps = layer.eps
        self.momentum = cast("float", layer.momentum)
        self.weight, self.bias = layer.weight, layer.bias
        for name, buffer in layer.named_buffers():
            self.register_buffer(name, buffer)

    def forward(self, features: Tensor) -> Tensor:
        """Map ``(N, channels, ...)`` to the same shape and type; every process must take part."""
        rows = features.float()
        axes = [0, *range(2, rows.dim())]
        shape = (1, -1, *[1] * (rows.dim() - 2))
        mean, variance = self._statistics(rows, axes, shape)
        found = (rows - mean.reshape(shape)) * (variance + self.eps).rsqrt().reshape(shape)
        if self.weight is not None:
            found = found * self.weight.reshape(shape) + self.bias.reshape(shape)
        return found.to(features.dtype)

    def _statistics(self, rows: Tensor, axes: list[int], shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of each channel, by two sums: a difference of squares would lose digits."""
        if not self.training:
            return self.get_buffer("running_mean"), self.get_buffer("running_var")
        number = rows.new_tensor([rows.numel() / rows.shape[1]], dtype=torch.float64)
        sums = _sum(torch.cat([rows.sum(dim=axes, dtype=torch.float64), number]))
        number = sums[-1:].detach()
        mean = (sums[:-1] / number.clamp(min=1)).float()
        squares = ((rows - mean.reshape(shape)) ** 2).sum(dim=axes, dtype=torch.float64)
        variance = (_sum(squares) / number.clamp(min=1)).float()
        if float(number) > 1:
            with torch.no_grad():
                self.get_buffer("running_mean").lerp_(mean, self.momentum)
                self.get_buffer("running_var").lerp_((variance * number / (number - 1)).float(), self.momentum)
                self.get_buffer("num_batches_tracked").add_(1)
        return mean, variance


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: object, values: Tensor) -> Tensor:
        """Return the sum."""
        del ctx
        return _reduced(values)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        """Return the gradient."""
        del ctx
        return _reduced(gradients[0])


def _reduced(values: Tensor) -> Tensor:
    summed = values.clone()
    distributed.all_reduce(summed)
    return summed


def _sum(values: Tensor) -> Tensor:
    found: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]  # missing in its stubs
    return found


def with_global_norms(module: nn.Module) -> nn.Module:
    """Replace every batch normalisation inside ``module``, which is returned."""
    for name, child in module.named_children():
        if isinstance(child, _Norm):
            setattr(module, name, GlobalBatchNorm(child))
        else:
            with_global_norms(child)
    return module
