"""Training: from labelled images and a recipe to a model's bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face

if TYPE_CHECKING:
    from resight.training.checkpoint import Best
    from resight.training.launching import Launch, interface_towards, launch
    from resight.training.log import Standing
    from resight.training.outcome import TrainResult
    from resight.training.parallel import Processes
    from resight.training.recipe import Recipe
    from resight.training.trainer import train

__all__ = [
    "Best",
    "Launch",
    "Processes",
    "Recipe",
    "Standing",
    "TrainResult",
    "interface_towards",
    "launch",
    "train",
]

_HOMES = {
    "Best": "checkpoint",
    "Launch": "launching",
    "Processes": "parallel",
    "Recipe": "recipe",
    "Standing": "log",
    "TrainResult": "outcome",
    "interface_towards": "launching",
    "launch": "launching",
    "train": "trainer",
}

# So that torch is imported only with what needs it.
__getattr__, __dir__ = face(
    __name__,
    __all__,
    _HOMES,
    extra="train",
    modules=["torch", "timm", "lightning_fabric", "pydantic", "yaml"],
)
