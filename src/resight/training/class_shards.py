"""Class weights dealt out to processes, in training: whole in a checkpoint, clipped together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.distributed as distributed
from jaxtyping import Float
from torch import Tensor, nn

from resight.losses.shard import ClassShard, classes_of, shard_classes

__all__ = ["clip_gradients", "joined", "parted", "shard_objective", "sharded"]


def shard_objective(objective: nn.Module, *, rank: int, world: int, share: float) -> None:
    """Leaves every loss of an objective the weights of one process's classes, in place.

    Raises:
        InvalidInput: Fewer than two classes a process.
    """
    for loss in list(objective.modules()):
        shard_classes(loss, rank=rank, world=world, share=share)


def sharded(module: nn.Module) -> dict[str, ClassShard]:
    """Returns the parameters that are one process's classes, by name."""
    return {
        f"{path}.{name}" if path else name: shard
        for path, loss in module.named_modules()
        if isinstance(shard := getattr(loss, "shard", None), ClassShard)
        for name in loss.by_class
    }


def joined(state: Mapping[str, Any], shards: Mapping[Any, ClassShard]) -> dict[Any, Any]:
    """Returns a state with the rows of all processes; all take part, and the first one's counts.

    Args:
        state: Tensors by key, or of an optimiser mappings of tensors by key.
        shards: The keys of ``state`` that are one process's classes.
    """
    return {key: _joined(value, shards[key]) if key in shards else value for key, value in state.items()}


def parted(state: Mapping[str, Any], shards: Mapping[Any, ClassShard], *, rank: int) -> dict[Any, Any]:
    """Returns of a state that `joined` gave the rows of one process."""
    return {
        key: _parted(value, shards[key], rank) if key in shards else value for key, value in state.items()
    }


def _joined(value: Any, shard: ClassShard) -> Any:
    if isinstance(value, Mapping):
        return {name: _joined(each, shard) for name, each in value.items()}
    if not isinstance(value, Tensor) or value.ndim == 0 or shard.world == 1:
        return value
    sizes = [classes_of(shard.classes, rank=rank, world=shard.world) for rank in range(shard.world)]
    lengths = [part.stop - part.start for part in sizes]
    # Parts of one length, as processes exchange them.
    padded = value.new_zeros(max(lengths), *value.shape[1:])
    padded[: len(value)] = value
    parts = [torch.empty_like(padded) for _ in lengths]
    distributed.all_gather(parts, padded)
    return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])


def _parted(value: Any, shard: ClassShard, rank: int) -> Any:
    if isinstance(value, Mapping):
        return {name: _parted(each, shard, rank) for name, each in value.items()}
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    return value[classes_of(shard.classes, rank=rank, world=shard.world)].clone()


@torch.no_grad()
def clip_gradients(
    whole: Iterable[nn.Parameter], parts: Iterable[nn.Parameter], limit: float
) -> Float[Tensor, ""]:
    """Returns the L2 norm of all gradients, and scales them in place to the limit if it is larger.

    Args:
        whole: Parameters that every process has.
        parts: Those of this process's classes.
        limit: The largest norm.
    """
    of_whole, of_parts = ([each.grad for each in many if each.grad is not None] for many in (whole, parts))
    local = torch.nn.utils.get_total_norm(of_parts).square()
    distributed.all_reduce(local)
    norm = (torch.nn.utils.get_total_norm(of_whole).square() + local).sqrt()
    # As torch.nn.utils.clip_grad_norm_ has it.
    factor = (limit / (norm + 1e-6)).clamp(max=1)
    for gradient in (*of_whole, *of_parts):
        gradient *= factor
    return norm
