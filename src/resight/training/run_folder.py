"""The folder of a run: what it was asked, where it ran, on which images, and what came of it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import final

import torch
import yaml

from resight.errors import InvalidInput, StorageFailed
from resight.files import other_than_own, to_json, write_whole
from resight.training.checkpoint import Best
from resight.training.recipe import Recipe
from resight.training.start import Start

__all__ = ["Result", "RunFolder"]

_WRITTEN = (
    *("recipe.yaml", "environment.json", "log.jsonl", "result.json", "test.json"),
    *("model.safetensors", "photos.pack", "tensorboard"),
    *("checkpoints", "checkpoints/last.pt", "checkpoints/best.pt"),
)
_PACKAGES = ("torch", "timm", "torchvision", "lightning-fabric", "numpy", "resight")


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished run says of itself, ``result.json``.

    Attributes:
        recipe: The recipe's name.
        recipe_fingerprint: Of everything in it that could change the weights.
        data_fingerprint: Of the training images.
        validation_fingerprint: Of the images that chose the weights, empty where none did.
        selected: Where the kept weights come from; ``None`` for the last ones.
        selected_on_test: Whether the test classes chose them: such results are not comparable with others.
        steps: Optimiser steps.
        images_per_second: Training images of all processes, validation and start-up left out.
        seconds: Of training, validation included.
        precision: Of the network, as it was settled at the start.
        start: What the network started from, and how it fitted; ``None`` for random or published weights.
        parameters: Of the network with its auxiliary classifier, without the losses' own.
        peak_memory: Bytes: of the GPU where there is one, else of the process. 10^6 bytes are a megabyte.
        bundle: File name of the model's bundle beside this file.
        bundle_fingerprint: Its fingerprint.
        test: Measures of the kept weights on the test photos, by name, as ``resight evaluate`` gives them.
        distinct_centres: For each part of the objective with several centres a class, how many classes had
            1, 2, ... of them left after the last step.
    """

    recipe: str
    recipe_fingerprint: str
    data_fingerprint: str
    validation_fingerprint: str
    selected: Best | None
    selected_on_test: bool
    steps: int
    images_per_second: float
    seconds: float
    precision: str
    start: Start | None
    parameters: int
    peak_memory: int
    bundle: str
    bundle_fingerprint: str
    test: Mapping[str, float]
    distinct_centres: Mapping[str, tuple[int, ...]]


@final
class RunFolder:
    """Names of what lies in a run's folder, and what is written there once.

    Attributes:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        """Takes the folder; nothing is made yet."""
        self.path = path

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.path / "checkpoints" / "last.pt"

    @property
    def best(self) -> Path:
        """The best checkpoint so far, where something chooses one."""
        return self.path / "checkpoints" / "best.pt"

    @property
    def bundle(self) -> Path:
        """The model that came of it, for ``index`` and ``evaluate``."""
        return self.path / "model.safetensors"

    @property
    def result(self) -> Path:
        """What a finished run says of itself."""
        return self.path / "result.json"

    @property
    def test(self) -> Path:
        """What the model measures on the test photos, for ``resight evaluate --compare``."""
        return self.path / "test.json"

    def prepare(self, recipe: Recipe, *, data_fingerprint: str, device: torch.device, processes: int) -> None:
        """Makes the folder and writes the resolved recipe, the environment and the data's fingerprint.

        Raises:
            StorageFailed: The disk refused.
        """
        environment = {
            "python": platform.python_version(),
            "system": platform.platform(),
            **{name: _version(name) for name in _PACKAGES},
            "device": _device_name(device),
            "cuda": torch.version.cuda,
            "threads": torch.get_num_threads(),
            "precision": recipe.training.precision,
            "processes": processes,
            "data_fingerprint": data_fingerprint,
        }
        try:
            self.last.parent.mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
            write_whole(self.path / "recipe.yaml", text)
            write_whole(self.path / "environment.json", json.dumps(environment, indent=2) + "\n")
        except OSError as error:
            raise StorageFailed(f"the run's folder {self.path} cannot be written: {error.strerror}") from None

    def stored_recipe(self) -> Recipe | None:
        """Returns the recipe that the run was started with, ``None`` where it cannot be read."""
        try:
            return Recipe.from_yaml(self.path / "recipe.yaml")
        except InvalidInput:
            return None

    def refuse_if_finished(self) -> None:
        """Returns if no run has ended here.

        Raises:
            InvalidInput: One has.
        """
        if self.result.exists():
            raise InvalidInput(
                f"the folder {self.path} holds a run already: continue it with --resume, or name another "
                "with --into"
            )

    def refuse_links(self) -> None:
        """Returns if all that a run writes to are files and folders of its own.

        A run's folder may come from elsewhere, and a link in it leads anywhere. The folder itself may be one.

        Raises:
            InvalidInput: One is a symbolic link, a pipe, a socket or a device.
        """
        for name in _WRITTEN:
            if kind := other_than_own(self.path / name):
                raise InvalidInput(
                    f"the run's folder {self.path} is not used: {self.path / name} is {kind}, and a run "
                    "writes to files and folders of its own alone; take it out, if you know where it leads"
                )

    def write_result(self, result: Result) -> None:
        """Writes ``result.json``, whole or not at all.

        Raises:
            StorageFailed: The disk refused.
        """
        try:
            write_whole(self.result, json.dumps(to_json(result), indent=2) + "\n")
        except OSError as error:
            raise StorageFailed(f"the result {self.result} cannot be written: {error.strerror}") from None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU"
