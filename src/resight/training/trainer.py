"""The loop: one process or many, one visible way from a batch to a step.

Everything a batch depends on is computed from the recipe's seed, the epoch and the place in it; every number
a step depends on is in the checkpoint. So a run can be dealt out to more processes or be killed and resumed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast, final

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer
from torch import Tensor, nn

from resight.errors import InvalidInput
from resight.evaluation import evaluate_benchmark, write_result
from resight.models import bundle as bundles
from resight.models import load_model
from resight.training import checkpoint as checkpoints
from resight.training.average import Average
from resight.training.checkpoint import Best, RunState, gather_random_states
from resight.training.engine import PeakMemory, build_fabric, fast_convolutions, set_training_mode
from resight.training.groups import Group, build_optimiser, group_parameters
from resight.training.images import open_images
from resight.training.loading import Batch, TrainingBatches
from resight.training.log import Report, RunLog
from resight.training.network import Network, build_model, build_objective
from resight.training.objective import ObjectiveValue
from resight.training.parallel import Processes, average_gradients, copy_from_first, gather
from resight.training.recipe import Recipe
from resight.training.run_folder import Result, RunFolder
from resight.training.schedule import factor
from resight.training.selection import Selector
from resight.training.termination import Termination
from resight.training.watch import Watch

__all__ = ["TrainResult", "train"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came of a run.

    Attributes:
        bundle: The model's file, for `resight.load_model`.
        best: Where its weights come from; ``None`` where the recipe keeps the last ones.
        test: Measures of those weights on the test photos by name, as ``resight evaluate`` gives them; empty
            in every process but the first.
        history: Every validation: ``step``, ``epoch`` and metrics by name.
        images_per_second: Training images of all processes, validation and start-up left out.
        parameters: Of the network, without the losses' own.
        peak_memory: Bytes: of the GPU where there is one, else of the process.
    """

    bundle: Path
    best: Best | None
    test: Mapping[str, float]
    history: tuple[dict[str, float], ...]
    images_per_second: float
    parameters: int
    peak_memory: int


def train(
    recipe: Recipe,
    run: Path,
    *,
    resume: bool = False,
    processes: Processes | None = None,
    report: Report | None = None,
) -> TrainResult:
    """Returns what came of training a recipe, or of going on with it.

    Can be called many times in one process; torch's global generators are as before afterwards. SIGTERM to a
    run of one process writes a checkpoint after the step under way, and then does what it would have done.

    Args:
        recipe: What to train, on what, and how.
        run: Folder for the recipe, the log, checkpoints and the bundle.
        resume: Go on from the folder's last checkpoint, from the start where there is none yet.
        processes: How many processes `torchrun` has started; by default this one alone.
        report: Called with the progress of the run, in the first process only.

    Raises:
        InvalidInput: The recipe does not fit the data, the folder is used, or the checkpoint is of another
            recipe or other images.
        TrainingDiverged: The objective or its gradient is no longer finite.
        StorageFailed: The disk refused.
        MissingExtra: Something optional that the recipe asks for is not installed.
    """
    fabric = build_fabric(recipe.training, processes or Processes())
    folder = RunFolder(run)
    if not resume and fabric.is_global_zero:
        folder.refuse_if_used()
    with ExitStack() as stack:
        devices = [fabric.device] if fabric.device.type == "cuda" else []
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(fast_convolutions(fabric.device))
        # Processes are told at different steps, and a checkpoint is written by all of them together.
        termination = stack.enter_context(Termination(active=fabric.world_size == 1))
        return _Run(recipe, folder, fabric, report, termination).go(resume=resume)


@final
class _Run:
    """One run: its parts, built from the recipe alone, and its place, which the loop moves."""

    def __init__(
        self,
        recipe: Recipe,
        folder: RunFolder,
        fabric: Fabric,
        report: Report | None,
        termination: Termination,
    ) -> None:
        self.termination = termination
        self.recipe, self.folder, self.fabric, self.report = recipe, folder, fabric, report
        self.world, self.first = fabric.world_size, fabric.is_global_zero
        settings = recipe.training
        # The same numbers on every process: networks and losses must start equal.
        torch.manual_seed(recipe.seed)
        self.memory = PeakMemory(fabric.device)
        self.images = open_images(recipe.data, recipe.selection, fabric, folder.path)
        self.data_fingerprint = self.images.fingerprint(self.images.train)
        train = self.images.train
        transform = recipe.data.train_transform.make()
        self.batches = TrainingBatches(
            train,
            self.images.photos(train, transform, fabric.device),
            transform,
            recipe.sampler.make(photos=len(train), labels=train.labels, seed=recipe.seed),
            seed=recipe.seed,
            rank=fabric.global_rank,
            world=self.world,
            device=fabric.device,
            workers=settings.workers,
        )
        model = build_model(recipe, classes=train.classes)
        self.objective = build_objective(recipe, model, classes=train.classes).to(fabric.device)
        self.network = Network(model, self.objective.outputs)
        self.network.freeze_unreached()
        self.network.to(fabric.device)
        if fabric.device.type == "cuda" or settings.precision == "bf16":
            # Pixels come with their channels last, which is how cuDNN and a processor's bfloat16 are fastest.
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        if settings.precision == "fp64":
            self.network.double()
            self.objective.double()
        copy_from_first(self.objective, world=self.world)
        if self.first and self.world > 1 and settings.batch_norm == "train" and _has_batch_norm(model):
            _LOG.warning(
                "batch normalisation takes its statistics from each process's %d images of a batch of %d: "
                "other weights than one process gives; training.batch_norm=frozen, or synchronised on GPUs, "
                "does not depend on their number",
                self.batches.batch_size // self.world,
                self.batches.batch_size,
            )
        self.groups: list[Group] = group_parameters(
            self.network.model, self.objective, recipe.optimiser, recipe.groups
        )
        optimiser = build_optimiser(recipe.optimiser, self.groups)
        self.rates = [group["lr"] for group in optimiser.param_groups]
        self.module: _FabricModule = fabric.setup_module(self.network)
        self.optimiser = cast(_FabricOptimizer, fabric.setup_optimizers(optimiser))
        self.average = None if settings.average is None else Average(self.network, settings.average)
        shown = recipe.data.test_transform.make()
        validation = self.images.validation
        self.selector = Selector(
            recipe.selection,
            validation,
            None if validation is None else self.images.photos(validation, shown, fabric.device),
            shown,
            rank=fabric.global_rank,
            world=self.world,
            device=fabric.device,
        )
        self.steps_per_epoch = len(self.batches) // settings.accumulate
        if self.steps_per_epoch == 0:
            raise InvalidInput(
                f"an epoch of {len(self.batches)} batches is shorter than one step of {settings.accumulate}: "
                "accumulate fewer batches or make them smaller"
            )
        self.steps = self.steps_per_epoch * settings.epochs
        self.images_per_step = self.batches.batch_size * settings.accumulate
        # Different numbers on every process from here on: what the network draws (dropout) must differ.
        torch.manual_seed(recipe.seed + 1 + fabric.global_rank)
        self.epoch = self.done = self.step = 0
        self.best: Best | None = None
        self.history: list[dict[str, float]] = []
        self.seconds = self.counted_seconds = 0.0
        self.counted_images = self.counted_epochs = 0

    def go(self, *, resume: bool) -> TrainResult:
        """Trains to the end and returns what came of it."""
        if resume and self.folder.last.exists():
            self._restore(checkpoints.read(self.folder.last))
        self.fabric.barrier()
        if self.first:
            self.folder.prepare(
                self.recipe,
                data_fingerprint=self.data_fingerprint,
                device=self.fabric.device,
                processes=self.world,
            )
        with RunLog(
            self.folder.path,
            steps=self.steps,
            epochs=self.recipe.training.epochs,
            images_per_step=self.images_per_step,
            after=self.step,
            after_epochs=self.epoch,
            tensorboard=self.recipe.log.tensorboard,
            report=self.report,
            writes=self.first,
        ) as log:
            self._loop(log)
        return self._finish()

    def _loop(self, log: RunLog) -> None:
        settings, watch = self.recipe.training, Watch(scaled=self.recipe.training.precision == "fp16")
        began = time.monotonic() - self.seconds
        while self.epoch < settings.epochs:
            set_training_mode(self.network, batch_norm=settings.batch_norm)
            epoch_began, step_before = time.monotonic(), self.step
            for batches in self._steps_of_epoch():
                values: list[ObjectiveValue] = []
                for number, batch in enumerate(batches):
                    with self.fabric.no_backward_sync(self.module, enabled=number < len(batches) - 1):
                        outputs = self.module(batch.groups, batch.order)
                        whole = {
                            name: tuple(gather(each, world=self.world) for each in tensors)
                            for name, tensors in outputs.items()
                        }
                        value = self.objective(whole, batch.labels)
                        self.fabric.backward(value.total / len(batches))
                    values.append(value)
                rates, norm = self._update()
                self.step += 1
                self.done += len(batches)
                watch.add(self.step, self.epoch, values, norm, rates)
                if self.step % self.recipe.log.every == 0:
                    log.steps(watch.take())
                if self.recipe.log.checkpoint_steps and self.step % self.recipe.log.checkpoint_steps == 0:
                    # No checkpoint may hold weights whose loss was not checked.
                    log.steps(watch.take())
                    self.seconds = time.monotonic() - began
                    self._save()
                if self.termination.requested:
                    log.steps(watch.take())
                    self.seconds = time.monotonic() - began
                    self._save()
                    self.termination.follow()
            log.steps(watch.take())
            self._count(self.step - step_before, time.monotonic() - epoch_began)
            self.epoch, self.done = self.epoch + 1, 0
            self._validate(log)
            self.seconds = time.monotonic() - began
            if self.recipe.log.checkpoint_epochs and self.epoch % self.recipe.log.checkpoint_epochs == 0:
                self._save()
        self._save()

    def _steps_of_epoch(self) -> Iterator[list[Batch]]:
        """Yields the batches of each step of the epoch that is not done; too short a rest is left out."""
        size = self.recipe.training.accumulate
        stop = self.steps_per_epoch * size
        step: list[Batch] = []
        for batch in self.batches.epoch(self.epoch, start=self.done, stop=stop):
            step.append(batch)
            if len(step) == size:
                yield step
                step = []

    def _update(self) -> tuple[dict[str, float], Tensor]:
        """Moves the weights by their gradients; returns the rates by group and the norm of the gradients."""
        settings = self.recipe.training
        scale = factor(
            self.recipe.schedule, step=self.step, steps_per_epoch=self.steps_per_epoch, epochs=settings.epochs
        )
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * scale
        for group in self.groups:
            if self.epoch < group.frozen_epochs:
                for _, parameter in group.parameters:
                    parameter.grad = None
        average_gradients(self.objective.parameters(), world=self.world)
        limit = settings.clip if settings.clip is not None else float("inf")
        norm = self.fabric.clip_gradients(
            self.module, self.optimiser, max_norm=limit, error_if_nonfinite=False
        )
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(self.network)
        rates = {group.name: rate * scale for group, rate in zip(self.groups, self.rates, strict=True)}
        return rates, cast(Tensor, norm)

    def _count(self, steps: int, seconds: float) -> None:
        """Takes an epoch into the mean rate; the first one is left out as soon as there is another."""
        if self.counted_epochs == 1:
            self.counted_images, self.counted_seconds = 0, 0.0
        self.counted_epochs += 1
        self.counted_images += steps * self.images_per_step
        self.counted_seconds += seconds

    def _validate(self, log: RunLog) -> None:
        """Measures the network where the recipe says so, and keeps it if it is the best so far."""
        if not self.selector.due(self.epoch, epochs=self.recipe.training.epochs):
            return
        with self._weights_to_keep():
            values = self.selector.measure(self.network)
            chosen = values[self.selector.metric]
            self.history.append({"step": float(self.step), "epoch": float(self.epoch), **values})
            log.validation(self.step, self.epoch, values, chosen)
            if self.best is None or chosen > self.best.value:
                self.best = Best(self.epoch, self.selector.metric, chosen, self.selector.on)
                if self.first:
                    checkpoints.write_weights(self.network.state_dict(), self.folder.best)

    @contextmanager
    def _weights_to_keep(self) -> Iterator[None]:
        if self.average is None:
            yield
        else:
            with self.average.in_place_of(self.network):
                yield

    def _save(self) -> None:
        """Writes everything the run needs to go on."""
        random = gather_random_states(self.fabric.device, world=self.world)
        if self.first:
            checkpoints.write(
                RunState(
                    recipe=self.recipe.fingerprint,
                    data=self.data_fingerprint,
                    epoch=self.epoch,
                    batch=self.done,
                    step=self.step,
                    model=self.network.state_dict(),
                    objective=self.objective.state_dict(),
                    optimiser=self.optimiser.state_dict(),
                    scaler=self.fabric.strategy.precision.state_dict(),
                    average=None if self.average is None else self.average.state(),
                    average_updates=0 if self.average is None else self.average.updates,
                    random=random,
                    best=self.best,
                    history=tuple(self.history),
                    seconds=self.seconds,
                ),
                self.folder.last,
            )
        self.fabric.barrier()

    def _restore(self, state: RunState) -> None:
        """Puts everything back to where a checkpoint was written.

        Raises:
            InvalidInput: It is of another recipe, other images or another number of processes.
        """
        self._check_recipe(state)
        for what, here, there in (
            ("training images", self.data_fingerprint, state.data),
            ("number of processes", str(self.world), str(len(state.random))),
        ):
            if here != there:
                raise InvalidInput(
                    f"the run in {self.folder.path} cannot be resumed: its {what} was {there[:16]} and is "
                    f"{here[:16]} now: resume with what it began with, or start another run"
                )
        self.network.load_state_dict(state.model)
        self.objective.load_state_dict(state.objective)
        self.optimiser.load_state_dict(dict(state.optimiser))
        self.fabric.strategy.precision.load_state_dict(dict(state.scaler))
        if self.average is not None and state.average is not None:
            self.average.restore(state.average, state.average_updates)
        self.epoch, self.done, self.step = state.epoch, state.batch, state.step
        self.best, self.seconds = state.best, state.seconds
        self.history = [dict(each) for each in state.history]
        checkpoints.restore_random(state.random[self.fabric.global_rank], self.fabric.device)

    def _check_recipe(self, state: RunState) -> None:
        """Returns if the run may go on by this recipe: the one it began with, or that with more epochs."""
        if self.recipe.fingerprint == state.recipe:
            return
        before = self.folder.stored_recipe()
        if before is None or before.fingerprint != state.recipe:
            changed = "the recipe"
        else:
            keys = self.recipe.changed_keys(before)
            if keys == ("training.epochs",) and self.recipe.training.epochs >= state.epoch:
                return
            changed = ", ".join(keys)
        raise InvalidInput(
            f"the run in {self.folder.path} cannot be resumed: {changed} changed since it began; "
            "training.epochs alone may grow: resume with what it began with, or start another run"
        )

    def _finish(self) -> TrainResult:
        """Writes the bundle of the weights the recipe keeps, and the result."""
        rate = self.counted_images / self.counted_seconds if self.counted_seconds else 0.0
        parameters = sum(parameter.numel() for parameter in self.network.model.parameters())
        peak = self.memory.peak()
        if self.first:
            if self.best is not None:
                self.network.load_state_dict(checkpoints.read_weights(self.folder.best))
            elif self.average is not None:
                self.network.load_state_dict(self.average.state())
            bundle = self.network.to_bundle(self.recipe, self.best)
            bundles.write(bundle, self.folder.bundle)
        # The others need not wait: nothing is exchanged any more.
        self.fabric.barrier()
        test: Mapping[str, float] = {}
        if self.first:
            test = self._measured()
            self.folder.write_result(
                Result(
                    recipe=self.recipe.name,
                    recipe_fingerprint=self.recipe.fingerprint,
                    data_fingerprint=self.data_fingerprint,
                    validation_fingerprint=""
                    if self.images.validation is None
                    else self.images.fingerprint(self.images.validation),
                    selected=self.best,
                    selected_on_test=self.best is not None and self.best.on == "test",
                    steps=self.step,
                    images_per_second=rate,
                    seconds=self.seconds,
                    parameters=parameters,
                    peak_memory=peak,
                    bundle=self.folder.bundle.name,
                    bundle_fingerprint=bundle.fingerprint,
                    test=test,
                )
            )
        return TrainResult(self.folder.bundle, self.best, test, tuple(self.history), rate, parameters, peak)

    def _measured(self) -> dict[str, float]:
        """Returns the measures of the finished model on the test photos, and writes the whole result."""
        result = evaluate_benchmark(load_model(self.folder.bundle), self.images.benchmark, clusters=False)
        write_result(result, self.folder.test)
        return {each.name: each.value for each in result.measures if each.value is not None}


def _has_batch_norm(model: nn.Module) -> bool:
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
