"""A codec of local features in the bundle of its model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Shaped

from resight.errors import InvalidInput
from resight.files.json import JSON
from resight.models.bundle import Bundle
from resight.models.codec import BinaryCodec, Float16Codec, ProductCodec
from resight.models.whitened import ARCHITECTURE, split_bundle, whiten_bundle

__all__ = ["CODEC_TENSORS", "AnyCodec", "codec_settings", "codec_tensors", "read_codec", "with_codec"]

CODEC_TENSORS = "local_codec."
"""What the names of a codec's tensors begin with in a bundle."""

_FITTED = "local features as "
"""What the codec's line of a provenance begins with."""

AnyCodec: TypeAlias = Float16Codec | ProductCodec | BinaryCodec
"""The codecs that a bundle can hold."""


def codec_settings(codec: AnyCodec) -> dict[str, JSON]:
    """Returns everything but the tensors that is needed to make the codec again."""
    match codec:
        case Float16Codec():
            return {"kind": "float16", "dim": codec.dim}
        case ProductCodec():
            return {"kind": "product"}
        case BinaryCodec():
            return {"kind": "binary"}


def codec_tensors(codec: AnyCodec) -> dict[str, Shaped[np.ndarray, "*shape"]]:
    """Returns the codec's tensors by their names in a bundle."""
    match codec:
        case Float16Codec():
            return {}
        case ProductCodec():
            return {f"{CODEC_TENSORS}codebooks": codec.codebooks}
        case BinaryCodec():
            return {f"{CODEC_TENSORS}mean": codec.mean, f"{CODEC_TENSORS}planes": codec.planes}


def read_codec(bundle: Bundle) -> AnyCodec | None:
    """Returns the codec a bundle holds, or ``None``.

    Raises:
        KeyError: A tensor is missing.
        TypeError: A setting is of another type.
        InvalidInput: Its kind is unknown, or its tensors do not fit.
    """
    settings = bundle.settings.get("local_codec")
    if settings is None:
        return None
    if not isinstance(settings, Mapping):
        raise TypeError(f"local_codec must be an object, not {settings!r}")
    match settings["kind"], settings.get("dim"):
        case "float16", int(dim):
            return Float16Codec(dim)
        case "product", _:
            return ProductCodec(bundle.tensors[f"{CODEC_TENSORS}codebooks"])
        case "binary", _:
            return BinaryCodec(
                bundle.tensors[f"{CODEC_TENSORS}mean"], bundle.tensors[f"{CODEC_TENSORS}planes"]
            )
        case kind, _:
            raise InvalidInput(f"local features are stored as float16, product or binary, not {kind!r}")


def with_codec(bundle: Bundle, codec: AnyCodec | None, *, fitted_to: str = "") -> Bundle:
    """Returns the bundle of a model that stores its local features by that codec; ``None`` for as they are.

    Its fingerprint is another: a collection is made with one codec. A whitening behind the model stays.

    Args:
        bundle: Of a model with attended local features.
        codec: Fitted to local features of that model.
        fitted_to: What it was fitted to, for the bundle's provenance.

    Raises:
        InvalidInput: The bundle's architecture has no codec of its own.
        InvalidBundle: It is no whole bundle of a whitened model.
    """
    if bundle.architecture == ARCHITECTURE:
        described, whitening = split_bundle(bundle)
        return whiten_bundle(with_codec(described, codec, fitted_to=fitted_to), whitening)
    if bundle.architecture != "delg":
        raise InvalidInput(
            f"models of kind {bundle.architecture!r} store their local features as they are: only those of "
            "kind 'delg' take a codec"
        )
    settings = {name: value for name, value in bundle.settings.items() if name != "local_codec"}
    tensors = {name: each for name, each in bundle.tensors.items() if not name.startswith(CODEC_TENSORS)}
    if codec is not None:
        settings["local_codec"] = codec_settings(codec)
        tensors |= codec_tensors(codec)
    lines = [line for line in bundle.provenance.splitlines() if not line.startswith(_FITTED)]
    if codec is not None and fitted_to:
        lines.append(f"{_FITTED}{codec.name}, fitted to {' '.join(fitted_to.split())}")
    return replace(bundle, settings=settings, tensors=tensors, provenance="\n".join(lines))
