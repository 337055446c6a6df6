"""The parts of a model as one bundle, and a bundle as its parts. Nothing here needs torch.

Codec and whitenings are put around the describer's own bundle as ``docs/formats.md`` says; the lines of the
provenance, which each part holds for itself, are joined and told apart here alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from resight.errors import InvalidBundle, InvalidInput, UnknownModel
from resight.files.json import JSON
from resight.models.binary_codec import BinaryCodec
from resight.models.bundle import Bundle
from resight.models.codec import Float16Codec, Keypoints, LocalCodec
from resight.models.product_codec import ProductCodec
from resight.models.whitening import Whitening

__all__ = ["WHITENED", "Parts", "join", "provenance_lines", "split", "whole_network"]

WHITENED = "whitened"
"""The architecture in the bundle of a whitened model.

One of its own, so that a reader which does not know of whitenings refuses it, and never leaves one out.
"""

_MODEL, _MEAN, _MATRIX = "model.", "whitening.mean", "whitening.matrix"
_CODEC, _CODEC_TENSORS = "local_codec", "local_codec."
_FITTED, _TO = "local features as ", ", fitted to "


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a model's bundle holds.

    Attributes:
        describer: The describer's own bundle; its licence and provenance do not count.
        codec: Of the local features; ``None`` where the bundle says nothing of it.
        whitenings: What descriptors go through, in this order.
        licence: Of the weights.
        provenance: Of the describer's weights.
    """

    describer: Bundle
    codec: LocalCodec | None
    whitenings: Sequence[Whitening]
    licence: str
    provenance: str


def join(parts: Parts) -> Bundle:
    """Returns the bundle of a model."""
    architecture = parts.describer.architecture
    settings: Mapping[str, JSON] = parts.describer.settings
    tensors = dict(parts.describer.tensors)
    if parts.codec is not None and parts.codec.settings:
        settings = {**settings, _CODEC: parts.codec.settings}
        tensors |= {_CODEC_TENSORS + name: tensor for name, tensor in parts.codec.tensors.items()}
    for whitening in parts.whitenings:
        described: dict[str, JSON] = {
            "kind": whitening.kind,
            "inputs": whitening.inputs,
            "outputs": whitening.dim,
            "pairs_or_images": whitening.pairs_or_images,
        }
        settings = {"architecture": architecture, "settings": settings, "whitening": described}
        tensors = {_MODEL + name: tensor for name, tensor in tensors.items()}
        tensors |= {_MEAN: whitening.mean, _MATRIX: whitening.matrix}
        architecture = WHITENED
    text = "\n".join(provenance_lines(parts.provenance, parts.codec, parts.whitenings))
    return Bundle(architecture, settings, parts.describer.preprocessing, parts.licence, text, tensors)


def split(bundle: Bundle, *, name: str) -> Parts:
    """Returns the parts of a model's bundle; the describer's is bit-equal to the one that was joined.

    Args:
        bundle: Of any architecture.
        name: What messages call it.

    Raises:
        InvalidBundle: A part is missing or does not fit.
    """
    whitenings: list[Whitening] = []
    architecture, settings, tensors = bundle.architecture, bundle.settings, bundle.tensors
    text = bundle.provenance
    with _whole_whitening(name):
        while architecture == WHITENED:
            text, _, last_line = text.rpartition("\n")
            whitenings.insert(0, _read_whitening(settings, tensors, last_line))
            architecture, settings = str(settings["architecture"]), _mapping(settings["settings"])
            tensors = {
                key.removeprefix(_MODEL): each for key, each in tensors.items() if key.startswith(_MODEL)
            }
    codec = None
    if _CODEC in settings:
        text, fitted_to = _without_codec_line(text)
        with whole_network(name):
            codec = _read_codec(_mapping(settings[_CODEC]), tensors, fitted_to)
        settings = {key: value for key, value in settings.items() if key != _CODEC}
        tensors = {key: each for key, each in tensors.items() if not key.startswith(_CODEC_TENSORS)}
    with _whole_whitening(name):
        own = Bundle(architecture, settings, bundle.preprocessing, bundle.licence, text, tensors)
    return Parts(own, codec, whitenings, bundle.licence, text)


def provenance_lines(
    weights: str, codec: LocalCodec | None, whitenings: Sequence[Whitening]
) -> tuple[str, ...]:
    """Returns where each part comes from: the weights, then the codec, then each whitening.

    A codec that was not fitted has no line, and empty weights none before the line of a codec.
    """
    lines = [weights]
    if codec is not None and codec.fitted_to:
        line = f"{_FITTED}{codec.name}{_TO}{' '.join(codec.fitted_to.split())}"
        lines = [weights, line] if weights else [line]
    return (*lines, *(" ".join(whitening.provenance.split()) for whitening in whitenings))


@contextlib.contextmanager
def whole_network(name: str) -> Iterator[None]:
    """Turns what a bundle of a network lacks into one sentence.

    Raises:
        InvalidBundle: A setting or tensor is missing or does not fit.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError, UnknownModel) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise InvalidBundle(f"the bundle {name} makes no network ({reason})") from None


@contextlib.contextmanager
def _whole_whitening(name: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidBundle(
            f"the bundle {name} is no whole whitened model ({type(error).__name__}: {error}): "
            f"get a fresh copy"
        ) from None


def _read_whitening(
    settings: Mapping[str, JSON], tensors: Mapping[str, Shaped[np.ndarray, "*shape"]], provenance: str
) -> Whitening:
    described = _mapping(settings["whitening"])
    count = described["pairs_or_images"]
    if not isinstance(count, int):
        raise TypeError(f"expected a whole number, not {count!r}")
    return Whitening(tensors[_MEAN], tensors[_MATRIX], str(described["kind"]), count, provenance)


def _read_codec(
    settings: Mapping[str, JSON], tensors: Mapping[str, Shaped[np.ndarray, "*shape"]], fitted_to: str
) -> LocalCodec:
    stored = settings.get("keypoints", "exact")
    if stored not in ("exact", "rounded"):
        raise InvalidInput(f"keypoints are stored exact or rounded, not {stored!r}")
    keypoints: Keypoints = "rounded" if stored == "rounded" else "exact"
    match settings["kind"], settings.get("dim"):
        case "float16", int(dim):
            return Float16Codec(dim, fitted_to)
        case "product", _:
            return ProductCodec(tensors[f"{_CODEC_TENSORS}codebooks"], fitted_to, keypoints)
        case "binary", _:
            mean, planes = tensors[f"{_CODEC_TENSORS}mean"], tensors[f"{_CODEC_TENSORS}planes"]
            return BinaryCodec(mean, planes, fitted_to, keypoints)
        case kind, _:
            raise InvalidInput(f"local features are stored as float16, product or binary, not {kind!r}")


def _without_codec_line(text: str) -> tuple[str, str]:
    """Returns the provenance of the weights alone, and what the codec was fitted to."""
    weights, _, last_line = text.rpartition("\n")
    if not last_line.startswith(_FITTED):
        return text, ""
    return weights, last_line.partition(_TO)[2]


def _mapping(value: JSON) -> Mapping[str, JSON]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, not {value!r}")
    return value
