"""What several processes exchange while they train one network together.

A global batch is dealt out in contiguous parts, each process describes its part, and everything the objective
needs is gathered, so that every process computes the whole objective on the whole batch: the very sum that a
single process computes, pairs across processes included.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.distributed as distributed
from torch import Tensor, nn

from resight.errors import InvalidInput

__all__ = ["Processes", "average_gradients", "copy_from_first", "gather", "part_of"]


@dataclass(frozen=True, slots=True)
class Processes:
    """How many processes train together; ``torchrun`` starts them and names their number in the environment.

    Attributes:
        here: On this machine.
        machines: How many machines run as many each.
    """

    here: int = 1
    machines: int = 1

    @property
    def all(self) -> int:
        """Number of processes on all machines."""
        return self.here * self.machines


def part_of(length: int, *, rank: int, world: int) -> slice:
    """Returns which rows of a global batch belong to a process.

    Raises:
        InvalidInput: The batch cannot be dealt out evenly.
    """
    if length % world:
        raise InvalidInput(
            f"a batch of {length} images cannot be dealt out evenly to {world} processes: "
            f"take a batch that {world} divides, {length - length % world or world} for example"
        )
    rows = length // world
    return slice(rank * rows, (rank + 1) * rows)


def gather(part: Tensor, *, world: int) -> Tensor:
    """Returns the parts of all processes one after the other, ``(world · rows, ...)``, with gradient.

    Every process computes the same objective from the result, so a process's own rows of the gradient it
    computes are already the whole gradient of that objective by its part: nothing is summed on the way back.
    They are multiplied by the number of processes, because the gradients of the network's parameters are then
    averaged over the processes (by DistributedDataParallel), where their sum is the gradient.
    """
    if world == 1:
        return part
    gathered: Tensor = _Gather.apply(part)  # type: ignore[no-untyped-call]  # torch has no annotation
    return gathered


@final
class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, part: Tensor) -> Tensor:
        world, rank = distributed.get_world_size(), distributed.get_rank()
        context.world = world
        context.rows = part_of(len(part) * world, rank=rank, world=world)
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(world)]
        distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient[context.rows] * context.world


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter], *, world: int) -> None:
    """Replaces gradients by their mean over all processes.

    For the parameters of losses, whose whole gradient every process computes: equal but for the order in
    which a GPU adds, which would slowly drive the copies apart.
    """
    if world == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            distributed.all_reduce(parameter.grad)
            parameter.grad /= world


@torch.no_grad()
def copy_from_first(module: nn.Module, *, world: int, but: Container[str] = ()) -> None:
    """Gives every process the first one's parameters and buffers, but for those of these names."""
    if world == 1:
        return
    for name, tensor in module.state_dict(keep_vars=True).items():
        if name not in but:
            distributed.broadcast(tensor.detach(), src=0)
