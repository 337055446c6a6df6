"""Models: from photos to descriptors and local features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face
from resight.models._timm import TORCH

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
    "AverageMax": "pooling",
    "Backbone": "backbone",
    "BinaryCodec": "local_codec",
    "Bundle": "bundle",
    "CGD": "cgd",
    "CGDOutput": "cgd",
    "DELG": "delg",
    "DELGOutput": "delg",
    "DOLG": "dolg",
    "Embedding": "embedding",
    "Float16Codec": "local_codec",
    "GeM": "pooling",
    "GeMNet": "gem",
    "GlobalDescriber": "describer",
    "GlobalOutput": "global_net",
    "LocalCodec": "local_codec",
    "LocalDescriber": "delg_describer",
    "LocalSettings": "keypoints",
    "MAC": "pooling",
    "Model": "model",
    "Preprocessing": "bundle",
    "ProductCodec": "local_codec",
    "RMAC": "pooling",
    "ReceptiveField": "keypoints",
    "SPoC": "pooling",
    "WhitenedModel": "whitened",
    "Whitening": "whitening",
    "ZooEntry": "zoo",
    "available": "zoo",
    "initialise_whitening": "whitening_layer",
    "load_model": "zoo",
    "to_input": "preprocess",
    "whiten_bundle": "whitened",
    "with_codec": "codec_bundle",
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

# So that torch is imported only with what needs it.
__getattr__, __dir__ = face(__name__, __all__, _HOMES, extra="torch", modules=TORCH, free=_NO_TORCH)
