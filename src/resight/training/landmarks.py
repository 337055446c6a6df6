"""Measuring a network on a landmark benchmark while it trains, to keep the best of it."""

from __future__ import annotations

from typing import Any, final

import torch.distributed as distributed

from resight.datasets.landmark_folder import LandmarkFolder
from resight.errors import InvalidInput
from resight.evaluation.card import Source
from resight.evaluation.landmark_description import describe_landmarks
from resight.evaluation.landmarks import measure_descriptors, query_view
from resight.evaluation.measures.landmarks import main_quantity
from resight.evaluation.quantity import Quantity
from resight.files.nearest import suggestion
from resight.training.images import LandmarkSettings
from resight.training.network import Network
from resight.training.recipe import Recipe

__all__ = ["LandmarkSelector", "chosen_quantity"]


@final
class LandmarkSelector:
    """Measures a network as ``resight evaluate`` would measure its bundle; the first process alone does.

    Attributes:
        on: ``landmarks``.
        metric: Name of the value that is compared, ``map_medium`` for example.
    """

    on = "landmarks"

    def __init__(
        self, recipe: Recipe, folder: LandmarkFolder, settings: LandmarkSettings, *, first: bool, world: int
    ) -> None:
        """Takes the benchmark.

        Args:
            recipe: Says how the finished model sees photos, and how often to measure.
            folder: The benchmark.
            settings: How it is measured.
            first: Whether this is the first process.
            world: Number of processes.

        Raises:
            InvalidInput: The benchmark has no such task, or no query of it has a positive.
        """
        self._recipe, self._folder, self._crop = recipe, folder, settings.crop
        self._first, self._world = first, world
        self.metric = _key(chosen_quantity(folder, settings.task))

    def due(self, epoch: int, *, epochs: int) -> bool:
        """Returns whether to measure after so many epochs."""
        return epoch % self._recipe.selection.every == 0 or epoch == epochs

    def measure(self, network: Network) -> dict[str, float]:
        """Returns the measures by name, the same on every process; the network is left in eval mode.

        Raises:
            InvalidInput: A photo is missing.
            UnreadableImage: A photo is broken.
        """
        network.eval()
        measured: list[Any] = [self._measured(network) if self._first else None]
        if self._world > 1:
            distributed.broadcast_object_list(measured, src=0)
        return dict(measured[0])

    def _measured(self, network: Network) -> dict[str, float]:
        model, folder = network.to_model(self._recipe), self._folder
        described = describe_landmarks(model, folder, crop=self._crop)
        view = query_view(folder.truth, crop=self._crop)
        # No fingerprint: it would read all weights for a card that nobody sees.
        source = Source(model.name, "", model.dim, model.max_side, (), view, "", folder.root.name)
        result = measure_descriptors(folder.truth, described, source)
        return {_key(each.quantity): each.value for each in result.measures if each.value is not None}


def chosen_quantity(folder: LandmarkFolder, task: str | None) -> Quantity:
    """Returns what weights are chosen by: the main measure of a task.

    Args:
        folder: The benchmark.
        task: ``medium`` for example; that, or else the only or the last one, by default.

    Raises:
        InvalidInput: The benchmark has no such task, or no query of it has a positive.
    """
    truth = folder.truth
    tasks = {each.name: each for each in truth.tasks}
    name = task or ("medium" if "medium" in tasks else truth.tasks[-1].name)
    if name not in tasks:
        raise InvalidInput(f"{truth.benchmark} has no task {name!r}: {suggestion(name, tasks)}")
    if not any(tasks[name].positives):
        raise InvalidInput(
            f"no query of the task {name} of {truth.benchmark} has a positive: take another task"
        )
    return main_quantity(truth.formula, name)


def _key(quantity: Quantity) -> str:
    """Returns a measure's name as the log has it: ``map_medium``, ``mp_at_5_hard``."""
    return quantity.name.lower().replace("@", "_at_").replace(" ", "_")
