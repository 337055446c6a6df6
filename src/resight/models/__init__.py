"""Models: from photos to descriptors and local features."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resight.models.backbone import Backbone
    from resight.models.bundle import Bundle, Preprocessing
    from resight.models.cgd import CGD, CGDOutput
    from resight.models.codec_bundle import with_codec
    from resight.models.delg import DELG, DELGOutput
    from resight.models.delg_describer import LocalDescriber
    from resight.models.describer import GlobalDescriber
    from resight.models.dolg import DOLG
    from resight.models.embedding import Embedding
    from resight.models.gem import GeMNet
    from resight.models.global_net import GlobalOutput
    from resight.models.keypoints import LocalSettings, ReceptiveField
    from resight.models.local_codec import BinaryCodec, Float16Codec, LocalCodec, ProductCodec
    from resight.models.model import Model
    from resight.models.pooling import MAC, RMAC, AverageMax, GeM, SPoC
    from resight.models.preprocess import to_input
    from resight.models.whitened import WhitenedModel, whiten_bundle
    from resight.models.whitening import Whitening
    from resight.models.whitening_layer import initialise_whitening
    from resight.models.zoo import ZooEntry, available, load_model

__all__ = [
    "CGD",
    "DELG",
    "DOLG",
    "MAC",
    "RMAC",
    "AverageMax",
    "Backbone",
    "BinaryCodec",
    "Bundle",
    "CGDOutput",
    "DELGOutput",
    "Embedding",
    "Float16Codec",
    "GeM",
    "GeMNet",
    "GlobalDescriber",
    "GlobalOutput",
    "LocalCodec",
    "LocalDescriber",
    "LocalSettings",
    "Model",
    "Preprocessing",
    "ProductCodec",
    "ReceptiveField",
    "SPoC",
    "WhitenedModel",
    "Whitening",
    "ZooEntry",
    "available",
    "initialise_whitening",
    "load_model",
    "to_input",
    "whiten_bundle",
    "with_codec",
]

_HOMES = {
    "AverageMax": "resight.models.pooling",
    "Backbone": "resight.models.backbone",
    "BinaryCodec": "resight.models.local_codec",
    "Bundle": "resight.models.bundle",
    "CGD": "resight.models.cgd",
    "CGDOutput": "resight.models.cgd",
    "DELG": "resight.models.delg",
    "DELGOutput": "resight.models.delg",
    "DOLG": "resight.models.dolg",
    "Embedding": "resight.models.embedding",
    "Float16Codec": "resight.models.local_codec",
    "GeM": "resight.models.pooling",
    "GeMNet": "resight.models.gem",
    "GlobalDescriber": "resight.models.describer",
    "GlobalOutput": "resight.models.global_net",
    "LocalCodec": "resight.models.local_codec",
    "LocalDescriber": "resight.models.delg_describer",
    "LocalSettings": "resight.models.keypoints",
    "MAC": "resight.models.pooling",
    "Model": "resight.models.model",
    "Preprocessing": "resight.models.bundle",
    "ProductCodec": "resight.models.local_codec",
    "RMAC": "resight.models.pooling",
    "ReceptiveField": "resight.models.keypoints",
    "SPoC": "resight.models.pooling",
    "WhitenedModel": "resight.models.whitened",
    "Whitening": "resight.models.whitening",
    "ZooEntry": "resight.models.zoo",
    "available": "resight.models.zoo",
    "initialise_whitening": "resight.models.whitening_layer",
    "load_model": "resight.models.zoo",
    "to_input": "resight.models.preprocess",
    "whiten_bundle": "resight.models.whitened",
    "with_codec": "resight.models.codec_bundle",
}
_NO_TORCH = frozenset(
    {
        "BinaryCodec",
        "Bundle",
        "Float16Codec",
        "LocalCodec",
        "LocalSettings",
        "Model",
        "Preprocessing",
        "ProductCodec",
        "ReceptiveField",
        "WhitenedModel",
        "Whitening",
        "ZooEntry",
        "available",
        "load_model",
        "whiten_bundle",
        "with_codec",
    }
)


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
