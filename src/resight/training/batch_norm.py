"""Batch normalisation over the images of all processes, as one process normalises the whole batch.

torch's own ``SyncBatchNorm`` computes on GPUs alone and replaces modules, which trunks with a module of their
own (normalisation and activation in one, as in timm) escape. Here the function that all of them call is
replaced while the block runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

import torch
import torch.distributed as distributed
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["SynchronisedBatchNorm", "synchronised_batch_norm"]


@final
class SynchronisedBatchNorm(TorchFunctionMode):
    """A block in which batch normalisation that trains takes its statistics from all processes.

    All processes must call it equally often: with images of one size a batch.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls torch's function, or `synchronised_batch_norm` in the place of one."""
        del types
        if function is functional.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def synchronised_batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, *, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the normalised input, and mean and unbiased variance of each channel over all processes.

    Ioffe and Szegedy 2015, algorithm 1, the batch being those of all processes together. Means and sums of
    squares of the processes are joined by the formula of Chan, Golub and LeVeque 1979, which loses no digits.

    Args:
        x: ``(batch, channels, ...)``; half precision is computed in float32.
        weight: γ, one a channel; ``None`` for 1.
        bias: β, one a channel; ``None`` for 0.
        epsilon: Added to the variance.
    """
    ones, zeros = torch.ones(x.shape[1], device=x.device), torch.zeros(x.shape[1], device=x.device)
    result: tuple[Tensor, Tensor, Tensor] = _Normalise.apply(  # type: ignore[no-untyped-call]  # torch has no annotation
        x, ones if weight is None else weight, zeros if bias is None else bias, epsilon
    )
    return result


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,  # noqa: FBT001, FBT002 (torch's signature)
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training:
        return functional.batch_norm(x, running_mean, running_var, weight, bias, momentum=momentum, eps=eps)
    normalised, mean, variance = synchronised_batch_norm(x, weight, bias, epsilon=eps)
    with torch.no_grad():
        for running, new in ((running_mean, mean), (running_var, variance)):
            if running is not None:
                running.lerp_(new.to(running.dtype), momentum)
    return normalised


@final
class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, x: Tensor, weight: Tensor, bias: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        axes, wide = [0, *range(2, x.ndim)], x if x.dtype == torch.float64 else x.float()
        mean = wide.mean(axes)
        squares = (wide - _shaped(mean, x)).square().sum(axes)
        count = torch.full_like(mean, x.numel() / x.shape[1])
        counts, means, all_squares = _gathered(torch.stack([count, mean, squares])).unbind(1)
        whole = counts.sum(0)
        mean = (counts * means).sum(0) / whole
        total = (all_squares + counts * (means - mean).square()).sum(0)
        scale = (total / whole + epsilon).rsqrt()
        units = (wide - _shaped(mean, x)) * _shaped(scale, x)
        context.save_for_backward(units, scale, weight, whole)
        variance = total / (whole - 1)
        context.mark_non_differentiable(mean, variance)
        normalised = units * _shaped(weight, x) + _shaped(bias, x)
        return normalised.to(x.dtype), mean, variance

    @staticmethod
    def backward(context: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        units, scale, weight, whole = context.saved_tensors
        axes, wide = [0, *range(2, units.ndim)], gradient.to(units.dtype)
        sums = torch.stack([wide.sum(axes), (wide * units).sum(axes)])
        bias_gradient, weight_gradient = sums.clone().unbind(0)
        # Every image moves the statistics of all: the sums are those of the whole batch.
        distributed.all_reduce(sums)
        shift, slope = (_shaped(each / whole, units) for each in sums)
        moved = (wide - shift - units * slope) * _shaped(scale * weight, units)
        return moved.to(gradient.dtype), weight_gradient, bias_gradient, None


def _shaped(channels: Tensor, like: Tensor) -> Tensor:
    return channels.view(1, -1, *[1] * (like.ndim - 2))


def _gathered(part: Tensor) -> Tensor:
    """Returns the tensors of all processes, ``(world, ...)``."""
    parts = [torch.empty_like(part) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, part)
    return torch.stack(parts)
