"""Training: from labelled images and a recipe to a model's bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resight.training.checkpoint import Best
    from resight.training.log import Progress
    from resight.training.parallel import Processes
    from resight.training.recipe import Recipe
    from resight.training.trainer import TrainResult, train

__all__ = ["Best", "Processes", "Progress", "Recipe", "TrainResult", "train"]

_HOMES = {
    "Best": "resight.training.checkpoint",
    "Processes": "resight.training.parallel",
    "Progress": "resight.training.log",
    "Recipe": "resight.training.recipe",
    "TrainResult": "resight.training.trainer",
    "train": "resight.training.trainer",
}


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for, so that torch is loaded only with what needs it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'resight.training' has no attribute {name!r}")
    from importlib import import_module
    from importlib.util import find_spec

    from resight.errors import MissingExtra

    if any(find_spec(module) is None for module in ("torch", "timm", "lightning_fabric", "pydantic", "yaml")):
        raise MissingExtra("train", f"resight.training.{name}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
