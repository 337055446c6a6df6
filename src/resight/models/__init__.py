"""Models: from photos to descriptors and local features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face
from resight.networks.trunks._timm import TORCH

if TYPE_CHECKING:
    from resight.models.bundle import Bundle, Preprocessing
    from resight.models.codec import BinaryCodec, Float16Codec, LocalCodec, ProductCodec
    from resight.models.codec_bundle import with_codec
    from resight.models.delg_describer import LocalDescriber
    from resight.models.describer import GlobalDescriber
    from resight.models.keypoints import LocalSettings
    from resight.models.model import Model
    from resight.models.preprocess import to_input
    from resight.models.whitened import WhitenedModel, whiten_bundle
    from resight.models.whitening import Whitening
    from resight.models.whitening_layer import initialise_whitening
    from resight.models.zoo import ZooEntry, available, load_model

__all__ = [
    "BinaryCodec",
    "Bundle",
    "Float16Codec",
    "GlobalDescriber",
    "LocalCodec",
    "LocalDescriber",
    "LocalSettings",
    "Model",
    "Preprocessing",
    "ProductCodec",
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
    "BinaryCodec": "codec",
    "Bundle": "bundle",
    "Float16Codec": "codec",
    "GlobalDescriber": "describer",
    "LocalCodec": "codec",
    "LocalDescriber": "delg_describer",
    "LocalSettings": "keypoints",
    "Model": "model",
    "Preprocessing": "bundle",
    "ProductCodec": "codec",
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
