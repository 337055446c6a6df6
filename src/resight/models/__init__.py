"""Models: from photos to descriptors and local features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face
from resight.networks.trunks._timm import TORCH

if TYPE_CHECKING:
    from resight.models.binary_codec import BinaryCodec
    from resight.models.bundle import Bundle, Preprocessing
    from resight.models.codec import Float16Codec, LocalCodec, PlainCodec
    from resight.models.delg_describer import DELGDescriber
    from resight.models.describer import Attention, Describer, LocalSource, Traits
    from resight.models.keypoints import KeypointConfig
    from resight.models.model import Facts, LocalFacts, Model
    from resight.models.network_describer import NetworkDescriber
    from resight.models.preprocess import to_input
    from resight.models.product_codec import ProductCodec
    from resight.models.whitening import Whitening, initialise_whitening
    from resight.models.zoo import ZooEntry, available, load_model, load_recorded, model_of

__all__ = [
    "Attention",
    "BinaryCodec",
    "Bundle",
    "DELGDescriber",
    "Describer",
    "Facts",
    "Float16Codec",
    "KeypointConfig",
    "LocalCodec",
    "LocalFacts",
    "LocalSource",
    "Model",
    "NetworkDescriber",
    "PlainCodec",
    "Preprocessing",
    "ProductCodec",
    "Traits",
    "Whitening",
    "ZooEntry",
    "available",
    "initialise_whitening",
    "load_model",
    "load_recorded",
    "model_of",
    "to_input",
]

_HOMES = {
    "Attention": "describer",
    "BinaryCodec": "binary_codec",
    "Bundle": "bundle",
    "DELGDescriber": "delg_describer",
    "Describer": "describer",
    "Facts": "model",
    "Float16Codec": "codec",
    "KeypointConfig": "keypoints",
    "LocalCodec": "codec",
    "LocalFacts": "model",
    "LocalSource": "describer",
    "Model": "model",
    "NetworkDescriber": "network_describer",
    "PlainCodec": "codec",
    "Preprocessing": "bundle",
    "ProductCodec": "product_codec",
    "Traits": "describer",
    "Whitening": "whitening",
    "ZooEntry": "zoo",
    "available": "zoo",
    "initialise_whitening": "whitening",
    "load_model": "zoo",
    "load_recorded": "zoo",
    "model_of": "zoo",
    "to_input": "preprocess",
}
_NO_TORCH = frozenset(_HOMES) - {"DELGDescriber", "NetworkDescriber", "initialise_whitening", "to_input"}

# So that torch is imported only with what needs it.
__getattr__, __dir__ = face(__name__, __all__, _HOMES, extra="torch", modules=TORCH, free=_NO_TORCH)
