"""Class weights dealt out to processes: each holds some classes, and a loss is that of all of them.

Every process has the whole batch and the weights of some of the classes. The scores of these classes are
joined to those of the images' own classes and the log-sum-exp over all others: two numbers an image are
exchanged, and no process ever holds the others' weights, gradients or optimiser state. As every process
computes the same loss from the joined numbers, its gradient by its own numbers is whole, and only what the
classes say about the descriptors is summed on the way back (An et al. 2021, Partial FC, section 3.2; Shoeybi
et al. 2019, Megatron-LM, the operators f and g).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.distributed as distributed
from jaxtyping import Float, Int64
from torch import Tensor, nn

from resight.errors import InvalidInput

__all__ = ["ClassShard", "classes_of", "own_rows", "shard_classes"]


@final
@dataclass(frozen=True, slots=True)
class ClassShard:
    """Which classes a process holds.

    Attributes:
        start: Number of its first class.
        classes: Of all processes.
        world: Number of processes; with 1 nothing is exchanged.
        share: Of the classes of each process, over 0 and up to 1: a batch is compared with those of its
            images, and with others drawn anew for each batch by torch's generator of the process (Partial
            FC). Below 1 the loss is too small: nothing is put in the place of the classes left out.
    """

    start: int
    classes: int
    world: int
    share: float = 1.0

    def taken(
        self, weights: Float[Tensor, "rows centres dim"], labels: Int64[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "taken centres dim"], Int64[Tensor, " batch"]]:
        """Returns the weights to compare with, and each image's class as its row of them, or as no row."""
        local, rows = labels - self.start, len(weights)
        wanted = max(2, math.ceil(self.share * rows))
        if wanted >= rows:
            return weights, local
        here = torch.unique(local[(local >= 0) & (local < rows)])
        rank = torch.rand(rows, device=weights.device)
        rank[here] = -1
        kept = torch.topk(rank, max(wanted, len(here)), largest=False, sorted=False).indices.sort().values
        place = torch.full((rows,), -1, device=weights.device)
        place[kept] = torch.arange(len(kept), device=weights.device)
        inside = (local >= 0) & (local < rows)
        return weights[kept], torch.where(inside, place[local.clamp(0, rows - 1)], -1)

    def shared(self, directions: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Returns them as they are; the gradients of all processes are summed on the way back."""
        return directions if self.world == 1 else _Shared.apply(directions)  # type: ignore[no-untyped-call]

    def joined(
        self, own: Float[Tensor, " batch"], rest: Float[Tensor, " batch"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """Returns each image's score for its own class, and the log-sum-exp over all others."""
        if self.world == 1:
            return own, rest
        joined: tuple[Tensor, Tensor] = _Joined.apply(own, rest)  # type: ignore[no-untyped-call]
        return joined

    def total(self, value: Tensor) -> Tensor:
        """Returns the sum over all processes."""
        return value if self.world == 1 else _Total.apply(value)  # type: ignore[no-untyped-call]

    def mean(self, values: Float[Tensor, " taken"]) -> Float[Tensor, ""]:
        """Returns the mean over the classes taken of all processes."""
        number = values.new_tensor(float(len(values)))
        return self.total(values.sum()) / self.total(number)


def shard_classes(loss: nn.Module, *, rank: int, world: int, share: float = 1.0) -> None:
    """Leaves a loss the weights of one process's classes, in place; one without class weights stays as it is.

    Args:
        loss: With all weights, equal in every process.
        rank: Of this process.
        world: Number of processes.
        share: Of its classes that each batch is compared with.

    Raises:
        InvalidInput: Fewer than two classes a process.
    """
    for name in getattr(loss, "by_class", ()):
        whole: Tensor = getattr(loss, name)
        classes = len(whole)
        if classes < 2 * world:
            raise InvalidInput(
                f"{classes} classes cannot be dealt out to {world} processes: each needs two or more; "
                "take training.classes=whole"
            )
        part = classes_of(classes, rank=rank, world=world)
        setattr(loss, name, nn.Parameter(whole.detach()[part].clone()))
        loss.shard = ClassShard(part.start, classes, world, share)  # type: ignore[assignment]  # no module


def classes_of(classes: int, *, rank: int, world: int) -> slice:
    """Returns the classes of a process: contiguous, the first ones with one more where they are not even."""
    least, more = divmod(classes, world)
    start = rank * least + min(rank, more)
    return slice(start, start + least + (rank < more))


@torch.no_grad()
def own_rows(
    weights: Float[Tensor, "rows dim"], labels: Int64[Tensor, " batch"], shard: ClassShard | None
) -> Float[Tensor, "batch dim"]:
    """Returns the weights of each image's own class, from whichever process holds them, without gradient."""
    if shard is None:
        return weights[labels]
    local = labels - shard.start
    here = (local >= 0) & (local < len(weights))
    rows = torch.where(here[:, None], weights[local.clamp(0, len(weights) - 1)], 0)
    if shard.world > 1:
        distributed.all_reduce(rows)
    return rows


@final
class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, directions: Tensor) -> Tensor:
        return directions.view_as(directions)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        whole = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(whole)
        return whole


@final
class _Total(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        whole = value.clone()
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return gradient


@final
class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, own: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        numbers = torch.stack([own, rest])
        every = [torch.empty_like(numbers) for _ in range(distributed.get_world_size())]
        distributed.all_gather(every, numbers)
        owns, rests = torch.stack(every).unbind(1)
        whole = torch.logsumexp(rests, dim=0)
        context.save_for_backward((rest - whole).exp())
        return owns.sum(0), whole

    @staticmethod
    def backward(context: Any, own: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        (share,) = context.saved_tensors
        return own, rest * share
