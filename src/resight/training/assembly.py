"""What a run is made of: its images, network, losses and optimiser, built from the recipe alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer
from torch import nn

from resight.errors import InvalidInput
from resight.networks.clamping import CLAMPED, clamped_share
from resight.training.average import Average
from resight.training.class_shards import shard_objective, sharded
from resight.training.describing import Describing, Mining
from resight.training.groups import Group, build_optimiser, group_parameters
from resight.training.images import Images, open_images
from resight.training.landmarks import LandmarkSelector
from resight.training.loading import TrainingBatches
from resight.training.network import (
    Network,
    build_model,
    build_objective,
    check_size,
    settled_pooling,
)
from resight.training.objective import Objective
from resight.training.parallel import copy_from_first
from resight.training.recipe import Recipe
from resight.training.selection import Selector
from resight.training.start import Start, start_from

__all__ = ["Assembly", "assemble"]

_LOG = logging.getLogger(__name__)

_KEPT_BYTES = 1 << 29
"""Pixels of validation photos that are held from one measurement to the next."""


@dataclass(frozen=True, slots=True, eq=False)
class Assembly:
    """The parts of a run.

    Attributes:
        recipe: What they were built from, with the pooling that the trunk got where none was set.
        fabric: The engine: this process's device and its place among the processes.
        images: Training, validation and test photos.
        data_fingerprint: Of the training photos and their labels.
        batches: Of the training photos.
        start: What the network started from; ``None`` for random or published weights.
        network: The network.
        module: The same as the loop calls it.
        objective: The losses.
        groups: Every parameter that learns, with its rates.
        optimiser: Moves the parameters.
        rates: Learning rate of each group before the schedule.
        average: Averaged weights; ``None`` where the recipe wants none.
        selector: Measures the network to choose its weights.
        mining: Finds the negatives of each epoch; ``None`` where batches are no tuples.
    """

    recipe: Recipe
    fabric: Fabric
    images: Images
    data_fingerprint: str
    batches: TrainingBatches
    start: Start | None
    network: Network
    module: _FabricModule
    objective: Objective
    groups: tuple[Group, ...]
    optimiser: _FabricOptimizer
    rates: tuple[float, ...]
    average: Average | None
    selector: Selector | LandmarkSelector
    mining: Mining | None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps an epoch; a rest that is too short for one is left out."""
        return len(self.batches) // self.recipe.training.accumulate

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.steps_per_epoch * self.recipe.training.epochs

    @property
    def images_per_step(self) -> int:
        """Training images a step, of all processes."""
        return self.batches.batch_size * self.recipe.training.accumulate


def assemble(recipe: Recipe, fabric: Fabric, folder: Path) -> Assembly:
    """Returns the parts of a run, equal in every process.

    Args:
        recipe: What to train.
        fabric: The started engine.
        folder: Of the run, for packed photos.

    Raises:
        InvalidInput: The recipe does not fit the data.
        MissingExtra: Something optional that the recipe asks for is not installed.
        WeightsUnavailable: The trunk's weights are not here and cannot be fetched.
    """
    # The same numbers on every process: networks and losses must start equal.
    torch.manual_seed(recipe.seed)
    images = open_images(recipe.data, recipe.selection, fabric, folder)
    batches = _batches(recipe, images, fabric)
    if len(batches) < recipe.training.accumulate:
        raise InvalidInput(
            f"an epoch of {len(batches)} batches is shorter than one step of {recipe.training.accumulate}: "
            "accumulate fewer batches or make them smaller"
        )
    start, network, objective = _network(recipe, images.train.classes, batches, fabric)
    recipe = settled_pooling(recipe, network.model)
    if recipe.training.batch_norm == "train":
        _warn_of_batch_norm(network, batches, fabric)
    groups = group_parameters(network.model, objective, recipe.optimiser, recipe.groups)
    optimiser = build_optimiser(recipe.optimiser, groups)
    average = recipe.training.average
    return Assembly(
        recipe,
        fabric,
        images,
        images.fingerprint(images.train),
        batches,
        start,
        network,
        fabric.setup_module(network),
        objective,
        tuple(groups),
        cast(_FabricOptimizer, fabric.setup_optimizers(optimiser)),
        tuple(group["lr"] for group in optimiser.param_groups),
        None if average is None else Average(network, average),
        _selector(recipe, images, fabric),
        _mining(recipe, images, batches, fabric),
    )


def _batches(recipe: Recipe, images: Images, fabric: Fabric) -> TrainingBatches:
    train, transform = images.train, recipe.data.training_transform()
    return TrainingBatches(
        train,
        images.photos(train, transform, fabric.device),
        transform,
        recipe.sampler.make(photos=len(train), labels=train.labels, pairs=images.pairs, seed=recipe.seed),
        seed=recipe.seed,
        rank=fabric.global_rank,
        world=fabric.world_size,
        device=fabric.device,
        workers=recipe.training.workers,
    )


def _network(
    recipe: Recipe, classes: int, batches: TrainingBatches, fabric: Fabric
) -> tuple[Start | None, Network, Objective]:
    """Returns the network and the losses on the device, those of the first process in all of them."""
    precision = recipe.training.precision
    model = build_model(recipe, classes=classes)
    check_size(recipe, model.trunk)
    file = getattr(recipe.model, "start", None)
    start = None if file is None else start_from(model, file)
    if start is not None and fabric.is_global_zero:
        _LOG.info("model.start: %s", start)
    size = 0 if batches.tuples is None else batches.tuples.tuple_size
    objective = build_objective(recipe, model, classes=classes, tuple_size=size)
    if recipe.training.classes == "sharded":
        # Before they reach the device, which need not have room for all classes.
        share = recipe.training.class_share
        shard_objective(objective, rank=fabric.global_rank, world=fabric.world_size, share=share)
    objective.to(fabric.device)
    network = Network(model, objective.outputs)
    _probe(network, recipe, fabric)
    network.to(fabric.device)
    if fabric.device.type == "cuda" or precision == "bf16":
        # Pixels come with their channels last, which is how cuDNN and a processor's bfloat16 are fastest.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    if precision == "fp64":
        network.double()
        objective.double()
    copy_from_first(objective, world=fabric.world_size, but=sharded(objective))
    return start, network, objective


def _probe(network: Network, recipe: Recipe, fabric: Fabric) -> None:
    """Looks at what the network makes of one image of the recipe's size: what learns, and what GeM loses."""
    trunk, size = network.model.trunk, recipe.data.train_transform.make().size
    rows, columns = trunk.image_size or (size, size)
    network.freeze_unreached(rows, columns)
    share = clamped_share(network.model, rows, columns)
    if share > CLAMPED and fabric.is_global_zero:
        _LOG.warning(
            "GeM takes no negative activations: %.0f %% of what the trunk %s gives it, by magnitude, is "
            "lost; model.pooling='{kind: signed_gem}' keeps them, as spoc and mac do",
            100 * share,
            trunk.trunk,
        )


def _warn_of_batch_norm(network: Network, batches: TrainingBatches, fabric: Fabric) -> None:
    if fabric.is_global_zero and fabric.world_size > 1 and _has_batch_norm(network.model):
        _LOG.warning(
            "batch normalisation takes its statistics from each process's %d images of a batch of %d: "
            "other weights than one process gives; training.batch_norm=synchronised or frozen does not "
            "depend on their number",
            batches.batch_size // fabric.world_size,
            batches.batch_size,
        )


def _has_batch_norm(model: nn.Module) -> bool:
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def _mining(recipe: Recipe, images: Images, batches: TrainingBatches, fabric: Fabric) -> Mining | None:
    if batches.tuples is None:
        return None
    shown = recipe.data.test_transform.make()
    describing = Describing(
        images.photos(images.train, shown, fabric.device),
        shown,
        rank=fabric.global_rank,
        world=fabric.world_size,
        device=fabric.device,
    )
    return Mining(batches.tuples, describing)


def _selector(recipe: Recipe, images: Images, fabric: Fabric) -> Selector | LandmarkSelector:
    if images.landmarks is not None and recipe.selection.landmarks is not None:
        return LandmarkSelector(
            recipe,
            images.landmarks,
            recipe.selection.landmarks,
            first=fabric.is_global_zero,
            world=fabric.world_size,
        )
    shown, validation = recipe.data.test_transform.make(), images.validation
    describing = None
    if validation is not None:
        describing = Describing(
            images.measured(validation, shown),
            shown,
            scales=recipe.use.scales,
            rank=fabric.global_rank,
            world=fabric.world_size,
            device=fabric.device,
            # A test transform gives the same every time.
            keep_bytes=_KEPT_BYTES,
        )
    return Selector(
        recipe.selection, validation, describing, rank=fabric.global_rank, world=fabric.world_size
    )
