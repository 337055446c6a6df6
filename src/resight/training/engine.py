"""What carries the loop: the device, the processes, the precision, and how layers behave while training."""

from __future__ import annotations

import logging
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal, final

import torch
from annotated_types import Le
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision, Precision
from pydantic import PositiveFloat, PositiveInt
from torch import nn

from resight.errors import InvalidInput
from resight.settings.choice import Settings
from resight.settings.marks import ADDED_LATER
from resight.training.parallel import Processes

__all__ = [
    "PeakMemory",
    "TrainingSettings",
    "build_fabric",
    "device_of",
    "fast_convolutions",
    "set_training_mode",
]


class TrainingSettings(Settings):
    """How long, how exactly, and how carefully.

    Attributes:
        epochs: Passes over the sampler.
        accumulate: An optimiser step averages the gradients of so many batches of the sampler, each with
            an objective of its own: pairs are formed within a batch.
        gradients: ``mean`` over these batches, or their ``sum``, as GeM is trained: then a batch of one tuple
            five times is a batch of five.
        precision: Of the network: ``bf16`` and ``fp16`` under autocast, losses always in float32 at least.
            ``auto`` takes ``bf16`` where the processor or the GPU has units for it and a short measurement at
            the start shows that they help, else ``fp32``; the run's folder says what was taken, and a resumed
            run keeps it.
        clip: Largest L2 norm of all gradients together, ``None`` for no limit.
        batch_norm: ``train`` (statistics of each process's part of a batch), ``frozen`` (the stored
            statistics of the trunk; scale and shift still learn, and normalisation behind the trunk still
            trains, as in the public code of CGD) or ``synchronised`` (statistics of the whole batch, over all
            processes: the same as one process takes; photos of one size).
        classes: ``whole`` (every process has the weights of all classes) or ``sharded`` (each has those of
            some, with their gradients and the optimiser's state): the same loss, for very many classes.
        class_share: Of the classes of each process, with ``sharded``: a batch is compared with those of its
            photos and others drawn anew for it. Below 1 the loss is another, and too small (Partial FC).
        average: Decay of an exponential moving average of the weights, evaluated and kept in their place.
        device: ``auto`` takes a GPU where there is one.
        workers: Threads that prepare batches.
    """

    epochs: PositiveInt
    accumulate: PositiveInt = 1
    gradients: Annotated[Literal["mean", "sum"], ADDED_LATER] = "mean"
    precision: Literal["auto", "fp32", "bf16", "fp16", "fp64"] = "auto"
    clip: PositiveFloat | None = None
    batch_norm: Literal["train", "frozen", "synchronised"] = "train"
    classes: Annotated[Literal["whole", "sharded"], ADDED_LATER] = "whole"
    class_share: Annotated[PositiveFloat, Le(1), ADDED_LATER] = 1.0
    average: PositiveFloat | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: PositiveInt = 4


def device_of(settings: TrainingSettings) -> Literal["cpu", "cuda"]:
    """Returns the kind of device that a recipe takes here.

    Raises:
        InvalidInput: The recipe asks for a GPU where there is none.
    """
    cuda = torch.cuda.is_available()
    if settings.device == "cuda" and not cuda:
        raise InvalidInput("the recipe asks for training.device=cuda and there is no GPU: take auto or cpu")
    return "cuda" if cuda and settings.device != "cpu" else "cpu"


def build_fabric(settings: TrainingSettings, processes: Processes) -> Fabric:
    """Returns the started engine: this process's device, and its place among the processes.

    Args:
        settings: Their precision is settled; ``auto`` counts as ``fp32``.
        processes: How many train together.

    Raises:
        InvalidInput: The recipe asks for a GPU where there is none, or for a precision the device lacks.
    """
    device = device_of(settings)
    if settings.class_share < 1 and settings.classes != "sharded":
        raise InvalidInput(
            f"training.class_share={settings.class_share:g} draws from the classes of each process: "
            "add training.classes=sharded, which one process can take too"
        )
    if settings.classes == "sharded" and settings.precision == "fp16":
        raise InvalidInput(
            "training.classes=sharded cannot be trained in fp16: each process would scale the loss by its "
            "own classes; take precision=bf16 or fp32"
        )
    if device == "cpu" and settings.precision == "fp16":
        raise InvalidInput(
            "training.precision=fp16 needs a GPU: on a CPU take auto, which is bf16 where the processor has "
            "units for it and fp32 where not"
        )
    with warnings.catch_warnings(), _quiet_fabric():
        # Fabric recommends GPUs that this recipe, or this test, has declined.
        warnings.simplefilter("ignore")
        fabric = Fabric(
            accelerator=device,
            devices=processes.here,
            num_nodes=processes.machines,
            strategy="ddp" if processes.all > 1 else "auto",
            plugins=[_precision(settings.precision, device)],
        )
        fabric.launch()
    return fabric


def _precision(name: str, device: str) -> Precision:
    # fp64 is the network's own type: Fabric's plugin would return its outputs in float32.
    match name:
        case "bf16":
            return MixedPrecision("bf16-mixed", device)
        case "fp16":
            return MixedPrecision("16-mixed", device)
        case _:
            return Precision()


@contextmanager
def _quiet_fabric() -> Iterator[None]:
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def fast_convolutions(device: torch.device) -> Iterator[None]:
    """Lets cuDNN try its algorithms while the block runs: all batches have one size."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def set_training_mode(network: nn.Module, *, batch_norm: str) -> None:
    """Sets a network to train, its trunk's batch normalisation to what the recipe says."""
    network.train()
    if batch_norm == "frozen":
        for name, module in network.named_modules():
            if isinstance(module, nn.BatchNorm2d) and "trunk" in name.split("."):
                module.eval()


@final
class PeakMemory:
    """The most memory a run has used: of the GPU since this was made, of the process since it began."""

    def __init__(self, device: torch.device) -> None:
        """Starts counting."""
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def peak(self) -> int:
        """Returns it in bytes."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        # Linux counts in 1024 bytes, macOS in bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
