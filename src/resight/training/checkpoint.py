"""Everything a run needs to go on as if nothing had happened, in one file that is whole or not there."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor

from resight.errors import InvalidInput, StorageFailed
from resight.files import reading, whole_file
from resight.files.budget import check_unpacked
from resight.networks.torch_file import load_bounded

__all__ = [
    "FORMAT_VERSION",
    "Best",
    "RandomStates",
    "RunState",
    "gather_random_states",
    "read",
    "read_weights",
    "restore_random",
    "write",
    "write_weights",
]

FORMAT_VERSION = 1
"""Version of the file format that this code writes and reads."""


@dataclass(frozen=True, slots=True)
class Best:
    """Where the weights that are kept come from.

    Attributes:
        epoch: After how many epochs.
        metric: What was compared, ``map_at_r`` for example.
        value: Its value; larger is better.
        on: ``validation``, ``landmarks``, or ``test`` where a recipe asks for the papers' habit.
    """

    epoch: int
    metric: str
    value: float
    on: str


@dataclass(frozen=True, slots=True)
class RandomStates:
    """torch's generators of one process.

    Attributes:
        cpu: uint8 state of the generator of the CPU.
        device: uint8 state of the process's GPU, empty where it has none.
    """

    cpu: Tensor
    device: Tensor


@dataclass(frozen=True, slots=True)
class RunState:
    """A run between two steps.

    Attributes:
        recipe: Fingerprint of the recipe.
        data: Fingerprint of the training images and their labels.
        epoch: The epoch that goes on, counted from 0.
        batch: How many batches of it are done: with the seed, the sampler's whole position.
        step: Optimiser steps done in all.
        model: The network's tensors by name.
        objective: The losses' tensors by name: proxies, centres, memories.
        optimiser: State of the optimiser as torch gives it.
        scaler: State of the loss scaling under fp16, else empty.
        average: Averaged weights by name, ``None`` without averaging.
        average_updates: Steps averaged.
        random: Random states, one a process.
        best: The best so far.
        history: Every validation so far: step, epoch and values by name.
        seconds: Time trained so far.
        start: Fingerprint of what the network started from, empty where that was random or published weights;
            older checkpoints do not have it.
        tuples: int64 ``(batches, batch)``, the photos of the epoch that goes on, where they were mined.
    """

    recipe: str
    data: str
    epoch: int
    batch: int
    step: int
    model: Mapping[str, Tensor]
    objective: Mapping[str, Tensor]
    optimiser: Mapping[str, Any]
    scaler: Mapping[str, Any]
    average: Mapping[str, Tensor] | None
    average_updates: int
    random: tuple[RandomStates, ...]
    best: Best | None
    history: tuple[Mapping[str, float], ...]
    seconds: float
    start: str = ""
    tuples: Tensor | None = None


def write(checkpoint: RunState, path: Path) -> None:
    """Writes a checkpoint; what was at the path stays until the new file is on the disk.

    Raises:
        StorageFailed: The disk refused.
    """
    values = {field.name: getattr(checkpoint, field.name) for field in fields(RunState)}
    values["best"] = None if checkpoint.best is None else asdict(checkpoint.best)
    values["random"] = [(states.cpu, states.device) for states in checkpoint.random]
    values["history"] = [dict(each) for each in checkpoint.history]
    _write({"format_version": FORMAT_VERSION, **values}, path)


def write_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Writes the tensors of a network alone, as `write` does.

    Raises:
        StorageFailed: The disk refused.
    """
    _write({"format_version": FORMAT_VERSION, "model": dict(weights)}, path)


def read(path: Path) -> RunState:
    """Returns the checkpoint at a path, its tensors on the CPU. No code in the file is run.

    Raises:
        InvalidInput: There is none, or it is damaged or of another version of the format.
    """
    names = {field.name: field.default is MISSING for field in fields(RunState)}
    values = _read(path, {name for name, needed in names.items() if needed}, set(names))
    with reading(path, f"the file {path} is no whole checkpoint"):
        values["best"] = None if values["best"] is None else Best(**values["best"])
        values["random"] = tuple(RandomStates(cpu, device) for cpu, device in values["random"])
        values["history"] = tuple(values["history"])
        return RunState(**values)


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Returns the tensors that `write_weights` wrote, on the CPU.

    Raises:
        InvalidInput: There are none, or the file is damaged or of another version of the format.
    """
    weights: Mapping[str, Tensor] = _read(path, {"model"}, {"model"})["model"]
    return weights


def gather_random_states(device: torch.device, *, world: int) -> tuple[RandomStates, ...]:
    """Returns the present states of torch's generators, of every process."""
    own = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.empty(0, dtype=torch.uint8)
    states = RandomStates(torch.get_rng_state(), own)
    if world == 1:
        return (states,)
    gathered: list[RandomStates] = [states] * world
    distributed.all_gather_object(gathered, states)
    return tuple(gathered)


def restore_random(states: RandomStates, device: torch.device) -> None:
    """Puts torch's generators of this process back."""
    torch.set_rng_state(states.cpu)
    if device.type == "cuda" and len(states.device):
        torch.cuda.set_rng_state(states.device, device)


def _write(values: Mapping[str, Any], path: Path) -> None:
    try:
        with whole_file(path, device=False) as file:
            torch.save(dict(values), file)
    except OSError as error:
        raise StorageFailed(f"the checkpoint {path} cannot be written: {error.strerror or error}") from None
    except RuntimeError:
        # torch says at which byte of its archive it was, not why.
        raise StorageFailed(
            f"the checkpoint {path} cannot be written: the disk did not take all of it"
        ) from None


def _read(path: Path, needed: set[str], known: set[str]) -> dict[str, Any]:
    if not path.is_file():
        raise InvalidInput(f"there is no checkpoint at {path}: start another run with --into DIR")
    with reading(path, f"the file {path} is no whole checkpoint"):
        # torch falls back to older formats for anything that is no archive, and fails in many ways.
        if not zipfile.is_zipfile(path):
            raise InvalidInput("it is cut off, or something else")
        with zipfile.ZipFile(path) as archive:
            check_unpacked(sum(each.file_size for each in archive.infolist()), path.stat().st_size)
            # torch writes a checksum beside every tensor and reads past it.
            damaged = archive.testzip()
        if damaged is not None:
            raise InvalidInput(
                f"its part {damaged} was changed after it was written: take an older checkpoint"
            )
        values: Any = load_bounded(path)
    version = values.pop("format_version", None) if isinstance(values, dict) else None
    if version != FORMAT_VERSION or not needed <= set(values) <= known:
        raise InvalidInput(
            f"the file {path} is a checkpoint of another version of Resight (format {version}, this one "
            f"reads {FORMAT_VERSION}): resume with the version that wrote it"
        )
    return dict(values)
