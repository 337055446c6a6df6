"""Models: from photos to descriptors and local features."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resight.models.backbone import Backbone
    from resight.models.bundle import Bundle, Preprocessing
    from resight.models.gem import GeMNet, GlobalOutput
    from resight.models.gem_describer import GeMDescriber
    from resight.models.model import Model
    from resight.models.pooling import MAC, RMAC, GeM, SPoC
    from resight.models.zoo import ZooEntry, available, load_model

__all__ = [
    "MAC",
    "RMAC",
    "Backbone",
    "Bundle",
    "GeM",
    "GeMDescriber",
    "GeMNet",
    "GlobalOutput",
    "Model",
    "Preprocessing",
    "SPoC",
    "ZooEntry",
    "available",
    "load_model",
]

_HOMES = {
    "MAC": "resight.models.pooling",
    "RMAC": "resight.models.pooling",
    "Backbone": "resight.models.backbone",
    "Bundle": "resight.models.bundle",
    "GeM": "resight.models.pooling",
    "GeMDescriber": "resight.models.gem_describer",
    "GeMNet": "resight.models.gem",
    "GlobalOutput": "resight.models.gem",
    "Model": "resight.models.model",
    "Preprocessing": "resight.models.bundle",
    "SPoC": "resight.models.pooling",
    "ZooEntry": "resight.models.zoo",
    "available": "resight.models.zoo",
    "load_model": "resight.models.zoo",
}
_NEED_TORCH = frozenset({"MAC", "RMAC", "Backbone", "GeM", "GeMDescriber", "GeMNet", "GlobalOutput", "SPoC"})


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for, so that torch is loaded only with what needs it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'resight.models' has no attribute {name!r}")
    from importlib import import_module

    if name in _NEED_TORCH:
        from resight.models._timm import require_torch

        require_torch(f"resight.models.{name}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
