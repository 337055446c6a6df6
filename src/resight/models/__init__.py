"""Models: from photos to descriptors and local features."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resight.models.backbone import Backbone
    from resight.models.bundle import Bundle, Preprocessing
    from resight.models.cgd import CGD, CGDOutput
    from resight.models.describer import GlobalDescriber
    from resight.models.embedding import Embedding
    from resight.models.gem import GeMNet
    from resight.models.global_net import GlobalOutput
    from resight.models.model import Model
    from resight.models.pooling import MAC, RMAC, AverageMax, GeM, SPoC
    from resight.models.preprocess import to_input
    from resight.models.zoo import ZooEntry, available, load_model

__all__ = [
    "CGD",
    "MAC",
    "RMAC",
    "AverageMax",
    "Backbone",
    "Bundle",
    "CGDOutput",
    "Embedding",
    "GeM",
    "GeMNet",
    "GlobalDescriber",
    "GlobalOutput",
    "Model",
    "Preprocessing",
    "SPoC",
    "ZooEntry",
    "available",
    "load_model",
    "to_input",
]

_HOMES = {
    "AverageMax": "resight.models.pooling",
    "CGD": "resight.models.cgd",
    "CGDOutput": "resight.models.cgd",
    "Embedding": "resight.models.embedding",
    "MAC": "resight.models.pooling",
    "RMAC": "resight.models.pooling",
    "Backbone": "resight.models.backbone",
    "Bundle": "resight.models.bundle",
    "GeM": "resight.models.pooling",
    "GeMNet": "resight.models.gem",
    "GlobalDescriber": "resight.models.describer",
    "GlobalOutput": "resight.models.global_net",
    "Model": "resight.models.model",
    "Preprocessing": "resight.models.bundle",
    "SPoC": "resight.models.pooling",
    "ZooEntry": "resight.models.zoo",
    "available": "resight.models.zoo",
    "load_model": "resight.models.zoo",
    "to_input": "resight.models.preprocess",
}
_NO_TORCH = frozenset({"Bundle", "Model", "Preprocessing", "ZooEntry", "available", "load_model"})


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for, so that torch is loaded only with what needs it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'resight.models' has no attribute {name!r}")
    from importlib import import_module

    if name not in _NO_TORCH:
        from resight.models._timm import require_torch

        require_torch(f"resight.models.{name}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
