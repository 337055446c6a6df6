"""What comes of a run: the bundle of the weights that are kept, and its measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resight.evaluation import evaluate_benchmark, write_result
from resight.evaluation.card import TEST_CLASSES
from resight.models import bundle as bundles
from resight.models import load_model
from resight.training import checkpoint as checkpoints
from resight.training.assembly import Assembly
from resight.training.checkpoint import Best
from resight.training.position import Position
from resight.training.run_folder import Result, RunFolder
from resight.training.whitening import whitened

__all__ = ["TrainResult", "finish"]


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came of a run.

    Attributes:
        bundle: The model's file, for `resight.load_model`.
        best: Where its weights come from; ``None`` where the recipe keeps the last ones.
        test: Measures of those weights on the test photos by name, as ``resight evaluate`` gives them; empty
            in every process but the first.
        history: Every validation: ``step``, ``epoch`` and metrics by name.
        distinct_centres: For each part of the objective with several centres a class, how many classes have
            1, 2, ... of them left after the last step.
        images_per_second: Training images of all processes, validation and start-up left out.
        precision: Of the network: ``bf16`` for example, also where the recipe says ``auto``.
        parameters: Of the network, without the losses' own.
        peak_memory: Bytes: of the GPU where there is one, else of the process.
    """

    bundle: Path
    best: Best | None
    test: Mapping[str, float]
    history: tuple[dict[str, float], ...]
    distinct_centres: Mapping[str, tuple[int, ...]]
    images_per_second: float
    precision: str
    parameters: int
    peak_memory: int


def finish(
    parts: Assembly, position: Position, folder: RunFolder, *, images_per_second: float, peak_memory: int
) -> TrainResult:
    """Returns what came of a run whose last step is done; the first process writes bundle and result.

    Raises:
        StorageFailed: The disk refused.
    """
    fabric, centres = parts.fabric, parts.objective.distinct_centres()
    parameters = sum(parameter.numel() for parameter in parts.network.model.parameters())
    fingerprint = _write_bundle(parts, position, folder) if fabric.is_global_zero else ""
    # The others need not wait: nothing is exchanged any more.
    fabric.barrier()
    test: Mapping[str, float] = {}
    precision = parts.recipe.training.precision
    if fabric.is_global_zero:
        test = _measured(parts, folder)
        result = Result(
            recipe=parts.recipe.name,
            recipe_fingerprint=parts.recipe.fingerprint,
            data_fingerprint=parts.data_fingerprint,
            validation_fingerprint=parts.images.validation_fingerprint,
            selected=position.best,
            selected_on_test=parts.images.chosen_on.startswith(TEST_CLASSES),
            steps=position.step,
            images_per_second=images_per_second,
            seconds=position.seconds,
            precision=precision,
            start=parts.start,
            parameters=parameters,
            peak_memory=peak_memory,
            bundle=folder.bundle.name,
            bundle_fingerprint=fingerprint,
            test=test,
            distinct_centres=centres,
        )
        folder.write_result(result)
    history, speed = tuple(position.history), images_per_second
    return TrainResult(
        folder.bundle, position.best, test, history, centres, speed, precision, parameters, peak_memory
    )


def _write_bundle(parts: Assembly, position: Position, folder: RunFolder) -> str:
    """Writes the bundle of the weights the recipe keeps, and returns its fingerprint."""
    if position.best is not None:
        parts.network.load_state_dict(checkpoints.read_weights(folder.best))
    elif parts.average is not None:
        parts.network.load_state_dict(parts.average.state())
    bundle = parts.network.to_bundle(
        parts.recipe, position.best, chosen_on=parts.images.chosen_on, start=parts.start
    )
    bundles.write(bundle, folder.bundle)
    settings = parts.recipe.use.whitening
    if settings is not None:
        model = load_model(folder.bundle)
        bundle = whitened(model, parts.images, settings, seed=parts.recipe.seed).to_bundle()
        bundles.write(bundle, folder.bundle)
    return bundle.fingerprint


def _measured(parts: Assembly, folder: RunFolder) -> dict[str, float]:
    """Returns the measures of the finished model on the test photos, and writes the whole result."""
    result = evaluate_benchmark(load_model(folder.bundle), parts.images.benchmark, clusters=False)
    write_result(result, folder.test)
    return {each.name: each.value for each in result.measures if each.value is not None}
