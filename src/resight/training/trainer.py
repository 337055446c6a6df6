"""The loop: one process or many, one visible way from a batch to a step.

Everything a batch depends on is computed from the recipe's seed, the epoch and the place in it; every number
a step depends on is in the checkpoint. So a run can be dealt out to more processes or be killed and resumed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import cast, final

import torch
from lightning_fabric import Fabric
from torch import Tensor

from resight.errors import InvalidInput
from resight.training import checkpoint as checkpoints
from resight.training.assembly import Assembly, assemble
from resight.training.batch_norm import SynchronisedBatchNorm
from resight.training.checkpoint import Best
from resight.training.class_shards import clip_gradients, sharded
from resight.training.engine import PeakMemory, build_fabric, fast_convolutions, set_training_mode
from resight.training.groups import bound_exponents
from resight.training.loading import Batch
from resight.training.log import Report, RunLog
from resight.training.loggers import Logger, LoggerSettings, TensorBoard, open_loggers
from resight.training.objective import ObjectiveValue
from resight.training.outcome import TrainResult, finish
from resight.training.parallel import Processes, average_gradients, gather
from resight.training.position import Position, restore, save
from resight.training.recipe import Recipe
from resight.training.run_folder import RunFolder
from resight.training.schedule import factor
from resight.training.settled import settled
from resight.training.termination import Termination
from resight.training.watch import Watch

__all__ = ["train"]

_LOG = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    run: Path,
    *,
    resume: bool = False,
    processes: Processes | None = None,
    report: Report | None = None,
) -> TrainResult:
    """Returns what came of training a recipe, or of going on with it.

    A run that was stopped goes on from the folder's last checkpoint, from the start where there is none yet.
    Can be called many times in one process; torch's global generators are as before afterwards. SIGTERM, and
    Ctrl-C to several processes, writes a checkpoint after the step under way, and then does what it would
    have done, in all of them.

    Args:
        recipe: What to train, on what, and how.
        run: Folder for the recipe, the log, checkpoints and the bundle.
        resume: Go on with a finished run too, for more epochs.
        processes: How many processes `torchrun` has started; by default this one alone.
        report: Called with the progress of the run, in the first process only.

    Raises:
        InvalidInput: The recipe does not fit the data, the folder holds a finished run or a link, or the
            checkpoint is of another recipe or other images.
        TrainingDiverged: The objective or its gradient is no longer finite.
        StorageFailed: The disk refused.
        MissingExtra: Something optional that the recipe asks for is not installed.
    """
    folder, processes = RunFolder(run), processes or Processes()
    folder.refuse_links()
    recipe = settled(recipe, folder, processes)
    fabric = build_fabric(recipe.training, processes)
    if not resume and fabric.is_global_zero:
        folder.refuse_if_finished()
    with ExitStack() as stack:
        devices = [fabric.device] if fabric.device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(fast_convolutions(fabric.device))
        return _train(recipe, fabric, folder, resume=resume, report=report)


def _train(
    recipe: Recipe, fabric: Fabric, folder: RunFolder, *, resume: bool, report: Report | None
) -> TrainResult:
    memory = PeakMemory(fabric.device)
    parts = assemble(recipe, fabric, folder.path)
    # Different numbers on every process from here on: what the network draws (dropout) must differ.
    torch.manual_seed(recipe.seed + 1 + fabric.global_rank)
    position = restore(parts, folder) if folder.last.exists() else Position()
    if fabric.is_global_zero and position.step and not resume:
        _LOG.warning("the run in %s was not finished: it goes on after step %d", folder.path, position.step)
    fabric.barrier()
    if fabric.is_global_zero:
        folder.prepare(
            parts.recipe,
            data_fingerprint=parts.data_fingerprint,
            device=fabric.device,
            processes=fabric.world_size,
        )
    termination = Termination(processes=fabric.world_size)
    loop = _Loop(parts, position, folder, termination)
    with _open_log(parts, position, folder, report) as log, termination:
        loop.go(log)
    rate = loop.images_per_second
    return finish(parts, position, folder, images_per_second=rate, peak_memory=memory.peak())


def _open_log(parts: Assembly, position: Position, folder: RunFolder, report: Report | None) -> RunLog:
    return RunLog(
        folder.path,
        steps=parts.steps,
        epochs=parts.recipe.training.epochs,
        images_per_step=parts.images_per_step,
        after=position.step,
        after_epochs=position.epoch,
        loggers=_loggers(parts, position, folder),
        report=report,
        writes=parts.fabric.is_global_zero,
    )


def _loggers(parts: Assembly, position: Position, folder: RunFolder) -> tuple[Logger, ...]:
    """Returns what takes the curves, in the first process."""
    settings = parts.recipe.log
    wanted = list(settings.loggers)
    if settings.tensorboard and all(each.kind != TensorBoard.kind for each in wanted):
        wanted.append(LoggerSettings(TensorBoard.kind, {}))
    if not parts.fabric.is_global_zero:
        return ()
    values = parts.recipe.model_dump(mode="json")
    return open_loggers(wanted, folder=folder.path, after=position.step, recipe=values)


@final
class _Loop:
    """The steps of one run, from its position to its end."""

    def __init__(
        self, parts: Assembly, position: Position, folder: RunFolder, termination: Termination
    ) -> None:
        self._parts, self._at, self._folder, self._termination = parts, position, folder, termination
        self._recipe, self._fabric = parts.recipe, parts.fabric
        self._watch = Watch(scaled=parts.recipe.training.precision == "fp16")
        self._began = time.monotonic() - position.seconds
        self._counted_seconds = 0.0
        self._counted_images = self._counted_epochs = 0

    @property
    def images_per_second(self) -> float:
        """Training images of all processes, validation and start-up left out; 0 where there was no step."""
        return self._counted_images / self._counted_seconds if self._counted_seconds else 0.0

    def go(self, log: RunLog) -> None:
        """Trains to the end."""
        at, logging = self._at, self._recipe.log
        while at.epoch < self._recipe.training.epochs:
            self._train_epoch(log)
            at.epoch, at.done = at.epoch + 1, 0
            log.centres(at.step, at.epoch, self._parts.objective.distinct_centres())
            self._validate(log)
            if logging.checkpoint_epochs and at.epoch % logging.checkpoint_epochs == 0:
                self._save(log)
        self._save(log)

    def _train_epoch(self, log: RunLog) -> None:
        at, logging = self._at, self._recipe.log
        if self._parts.mining is not None:
            self._parts.mining.mine(at.epoch, self._parts.network)
        set_training_mode(self._parts.network, batch_norm=self._recipe.training.batch_norm)
        began, step_before = time.monotonic(), at.step
        for batches in self._steps_of_epoch():
            values = self._gradients(batches)
            rates, norm = self._update()
            at.step += 1
            at.done += len(batches)
            self._watch.add(at.step, at.epoch, values, norm, rates)
            if at.step % logging.every == 0:
                log.steps(self._watch.take())
            if logging.checkpoint_steps and at.step % logging.checkpoint_steps == 0:
                self._save(log)
            if number := self._termination.agreed():
                self._save(log)
                self._termination.follow(number)
        log.steps(self._watch.take())
        self._count(at.step - step_before, time.monotonic() - began)

    def _steps_of_epoch(self) -> Iterator[list[Batch]]:
        """Yields the batches of each step of the epoch that is not done; too short a rest is left out."""
        size = self._recipe.training.accumulate
        stop = self._parts.steps_per_epoch * size
        step: list[Batch] = []
        for batch in self._parts.batches.epoch(self._at.epoch, start=self._at.done, stop=stop):
            step.append(batch)
            if len(step) == size:
                yield step
                step = []

    def _gradients(self, batches: list[Batch]) -> list[ObjectiveValue]:
        """Adds up the gradients of the batches of a step, and returns the objective of each."""
        module, world = self._parts.module, self._fabric.world_size
        share = len(batches) if self._recipe.training.gradients == "mean" else 1
        values: list[ObjectiveValue] = []
        for number, batch in enumerate(batches):
            with self._fabric.no_backward_sync(module, enabled=number < len(batches) - 1):
                with self._normalisation(batch):
                    outputs = module(batch.groups, batch.order)
                whole = {
                    name: tuple(gather(each, world=world) for each in tensors)
                    for name, tensors in outputs.items()
                }
                value = self._parts.objective(whole, batch.labels)
                self._fabric.backward(value.total / share)
            values.append(value)
        return values

    def _normalisation(self, batch: Batch) -> AbstractContextManager[object]:
        """Returns the block in which the network sees a batch.

        Raises:
            InvalidInput: Batch normalisation is synchronised over processes, and photos have several sizes.
        """
        settings = self._recipe.training
        if settings.batch_norm != "synchronised" or self._fabric.world_size == 1:
            return nullcontext()
        if len(batch.groups) > 1:
            raise InvalidInput(
                "training.batch_norm=synchronised needs photos of one size, and a batch here has "
                f"{len(batch.groups)}: take a data.train_transform to one size, or batch_norm=frozen"
            )
        return SynchronisedBatchNorm()

    def _update(self) -> tuple[dict[str, float], Tensor]:
        """Moves the weights by their gradients; returns the rates by group and the norm of the gradients."""
        parts, at = self._parts, self._at
        scale = factor(
            self._recipe.schedule,
            step=at.step,
            steps_per_epoch=parts.steps_per_epoch,
            epochs=self._recipe.training.epochs,
        )
        rates = [rate * scale for rate in parts.rates]
        for group, rate in zip(parts.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate
        for frozen in parts.groups:
            if at.epoch < frozen.frozen_epochs:
                for _, parameter in frozen.parameters:
                    parameter.grad = None
        norm = self._clip()
        parts.optimiser.step()
        bound_exponents(parts.network)
        parts.optimiser.zero_grad(set_to_none=True)
        if parts.average is not None:
            parts.average.update(parts.network)
        names = (group.name for group in parts.groups)
        return dict(zip(names, rates, strict=True)), norm

    def _clip(self) -> Tensor:
        """Makes the gradients of all processes one, bounds their norm as the recipe says, and returns it."""
        parts, fabric, limit = self._parts, self._fabric, self._recipe.training.clip or float("inf")
        shards = sharded(parts.objective) if fabric.world_size > 1 else {}
        named = dict(parts.objective.named_parameters())
        whole = [parameter for name, parameter in named.items() if name not in shards]
        average_gradients(whole, world=fabric.world_size)
        if not shards:
            norm = fabric.clip_gradients(
                parts.module, parts.optimiser, max_norm=limit, error_if_nonfinite=False
            )
            return cast(Tensor, norm)
        of_all = [*parts.network.parameters(), *whole]
        return clip_gradients(of_all, [named[name] for name in shards], limit)

    def _count(self, steps: int, seconds: float) -> None:
        """Takes an epoch into the mean rate; the first one is left out as soon as there is another."""
        if self._counted_epochs == 1:
            self._counted_images, self._counted_seconds = 0, 0.0
        self._counted_epochs += 1
        self._counted_images += steps * self._parts.images_per_step
        self._counted_seconds += seconds

    def _validate(self, log: RunLog) -> None:
        """Measures the network where the recipe says so, and keeps it if it is the best so far."""
        at, selector = self._at, self._parts.selector
        if not selector.due(at.epoch, epochs=self._recipe.training.epochs):
            return
        with self._weights_to_keep():
            values = selector.measure(self._parts.network)
            chosen = values[selector.metric]
            at.history.append({"step": float(at.step), "epoch": float(at.epoch), **values})
            log.validation(at.step, at.epoch, values, chosen)
            if at.best is None or chosen > at.best.value:
                at.best = Best(at.epoch, selector.metric, chosen, selector.on)
                if self._fabric.is_global_zero:
                    checkpoints.write_weights(self._parts.network.state_dict(), self._folder.best)

    @contextmanager
    def _weights_to_keep(self) -> Iterator[None]:
        if self._parts.average is None:
            yield
        else:
            with self._parts.average.in_place_of(self._parts.network):
                yield

    def _save(self, log: RunLog) -> None:
        # No checkpoint may hold weights whose loss was not checked.
        log.steps(self._watch.take())
        self._at.seconds = time.monotonic() - self._began
        save(self._parts, self._at, self._folder)
