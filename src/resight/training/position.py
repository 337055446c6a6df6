"""Where a run stands, written to its checkpoint and read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from resight.errors import InvalidInput
from resight.losses.shard import ClassShard
from resight.training import checkpoint as checkpoints
from resight.training.assembly import Assembly
from resight.training.checkpoint import Best, RunState, gather_random_states
from resight.training.class_shards import joined, parted, sharded
from resight.training.recipe import Recipe
from resight.training.run_folder import RunFolder

__all__ = ["Position", "restore", "save"]


@dataclass(slots=True)
class Position:
    """Where a run stands; the loop moves it.

    Attributes:
        epoch: The epoch that goes on, counted from 0.
        done: How many of its batches are done.
        step: Optimiser steps done in all.
        best: The best validation so far.
        history: Every validation: ``step``, ``epoch`` and metrics by name.
        seconds: Time trained, validation included.
    """

    epoch: int = 0
    done: int = 0
    step: int = 0
    best: Best | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def save(parts: Assembly, position: Position, folder: RunFolder) -> None:
    """Writes everything the run needs to go on; all processes take part.

    Raises:
        StorageFailed: The disk refused.
    """
    fabric, average = parts.fabric, parts.average
    random = gather_random_states(fabric.device, world=fabric.world_size)
    # Whole, whoever holds which classes: all processes take part.
    objective = joined(parts.objective.state_dict(), sharded(parts.objective))
    optimiser: dict[str, Any] = dict(parts.optimiser.state_dict())
    optimiser["state"] = joined(optimiser["state"], _numbers(parts))
    if fabric.is_global_zero:
        state = RunState(
            recipe=parts.recipe.fingerprint,
            data=parts.data_fingerprint,
            epoch=position.epoch,
            batch=position.done,
            step=position.step,
            model=parts.network.state_dict(),
            objective=objective,
            optimiser=optimiser,
            scaler=fabric.strategy.precision.state_dict(),
            average=None if average is None else average.state(),
            average_updates=0 if average is None else average.updates,
            random=random,
            best=position.best,
            history=tuple(position.history),
            seconds=position.seconds,
            start=_start(parts),
            tuples=_tuples(parts, position.epoch),
        )
        checkpoints.write(state, folder.last)
    fabric.barrier()


def restore(parts: Assembly, folder: RunFolder) -> Position:
    """Puts everything back to where the folder's checkpoint was written, and returns where that was.

    Raises:
        InvalidInput: The checkpoint is damaged, or of another recipe, other images or another number of
            processes, or what the network started from has changed.
    """
    state, fabric = checkpoints.read(folder.last), parts.fabric
    _check_recipe(parts.recipe, state, folder)
    for what, here, there in (
        ("training images", parts.data_fingerprint, state.data),
        ("model.start", _start(parts), state.start),
        ("number of processes", str(fabric.world_size), str(len(state.random))),
    ):
        if here != there:
            raise InvalidInput(
                f"the run in {folder.path} cannot be resumed: its {what} was {there[:16]} and is "
                f"{here[:16]} now: resume with what it began with, or start another run with --into DIR"
            )
    parts.network.load_state_dict(state.model)
    rank = fabric.global_rank
    parts.objective.load_state_dict(parted(state.objective, sharded(parts.objective), rank=rank))
    moments = parted(state.optimiser["state"], _numbers(parts), rank=rank)
    restored: dict[str, Any] = {**state.optimiser, "state": moments}
    parts.optimiser.load_state_dict(restored)
    fabric.strategy.precision.load_state_dict(dict(state.scaler))
    if parts.average is not None and state.average is not None:
        parts.average.restore(state.average, state.average_updates)
    checkpoints.restore_random(state.random[fabric.global_rank], fabric.device)
    if parts.mining is not None and state.tuples is not None:
        parts.mining.sampler.restore(state.epoch, state.tuples.numpy())
    history = [dict(each) for each in state.history]
    return Position(state.epoch, state.batch, state.step, state.best, history, state.seconds)


def _numbers(parts: Assembly) -> dict[int, ClassShard]:
    """Returns the parameters that are one process's classes, by their numbers in the optimiser."""
    shards = {f"objective.{name}": shard for name, shard in sharded(parts.objective).items()}
    names = (name for group in parts.groups for name, _ in group.parameters)
    return {number: shards[name] for number, name in enumerate(names) if name in shards}


def _tuples(parts: Assembly, epoch: int) -> Tensor | None:
    """Returns the tuples of the epoch that goes on: the weights they were mined by are gone."""
    mined = None if parts.mining is None else parts.mining.sampler.state()
    return None if mined is None or mined[0] != epoch else torch.from_numpy(mined[1])


def _start(parts: Assembly) -> str:
    return "" if parts.start is None else parts.start.fingerprint


def _check_recipe(recipe: Recipe, state: RunState, folder: RunFolder) -> None:
    """Returns if the run may go on by this recipe: the one it began with, or that with more epochs."""
    if recipe.fingerprint == state.recipe:
        return
    before = folder.stored_recipe()
    if before is None or before.fingerprint != state.recipe:
        changed = "the recipe"
    else:
        keys = recipe.changed_keys(before)
        if keys == ("training.epochs",) and recipe.training.epochs >= state.epoch:
            return
        changed = ", ".join(keys)
    raise InvalidInput(
        f"the run in {folder.path} cannot be resumed: {changed} changed since it began; "
        "training.epochs alone may grow: resume with what it began with, or start another run with --into DIR"
    )
