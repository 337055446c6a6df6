"""A model with a whitening behind it, whatever the model is made of; to and from a bundle. Needs no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, final, runtime_checkable

from resight.errors import InvalidBundle, InvalidInput
from resight.features import ImageFeatures
from resight.files.json import JSON
from resight.images import Photo
from resight.models.bundle import Bundle
from resight.models.model import Model
from resight.models.whitening import Whitening

__all__ = ["ARCHITECTURE", "Bundled", "WhitenedModel", "split_bundle", "whiten_bundle"]

ARCHITECTURE = "whitened"
"""The architecture's name in a bundle.

One of its own, so that a reader which does not know of whitenings refuses it, and never leaves one out.
"""

_MODEL, _MEAN, _MATRIX = "model.", "whitening.mean", "whitening.matrix"


@runtime_checkable
class Bundled(Protocol):
    """A model that can be written to a bundle."""

    def to_bundle(self) -> Bundle:
        """Returns everything that decides its descriptors."""


@final
class WhitenedModel(Model):
    """A `Model` whose descriptors are whitened; local features stay as they are.

    Attributes:
        model: What describes the photos.
        whitening: What its descriptors go through.
    """

    def __init__(self, model: Model, whitening: Whitening, *, name: str | None = None) -> None:
        """Joins both.

        Args:
            model: What describes the photos.
            whitening: Of descriptors of its length.
            name: What `load_model` takes to load this model again; without it there is nothing.

        Raises:
            InvalidInput: The whitening takes descriptors of another length.
        """
        if whitening.inputs != model.dim:
            raise InvalidInput(
                f"the whitening takes descriptors of {whitening.inputs} dimensions and the model "
                f"{model.name} gives {model.dim}: use the model it was computed for"
            )
        self.model = model
        self.whitening = whitening
        self._name = name if name is not None else f"whitened {model.name}"
        self._fingerprint = _fingerprint(model, whitening)

    @property
    def name(self) -> str:
        """What `load_model` takes to load this model again."""
        return self._name

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return self.whitening.dim

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the bundle this model makes; where it makes none, of model and whitening."""
        return self._fingerprint

    @property
    def max_side(self) -> int:
        """The model's."""
        return self.model.max_side

    @property
    def batch_size(self) -> int:
        """The model's."""
        return self.model.batch_size

    def extract(self, photos: Sequence[Photo]) -> list[ImageFeatures]:
        """Returns the features of each photo, its descriptor whitened.

        Photos are whitened one by one: the same photo gives the same bits whatever else is asked for.
        """
        return [
            replace(features, descriptor=self.whitening.apply(features.descriptor[None])[0])
            for features in self.model.extract(photos)
        ]

    def to_bundle(self) -> Bundle:
        """Returns everything that decides this model's descriptors, bit by bit.

        Raises:
            InvalidInput: The model cannot be written to a bundle.
        """
        if not isinstance(self.model, Bundled):
            raise InvalidInput(f"the model {self.model.name} cannot be written to a bundle")
        return whiten_bundle(self.model.to_bundle(), self.whitening)


def whiten_bundle(bundle: Bundle, whitening: Whitening) -> Bundle:
    """Returns the bundle of the model with the whitening behind it.

    The whitening's provenance becomes the last line of the bundle's.
    """
    return Bundle(
        ARCHITECTURE,
        {
            "architecture": bundle.architecture,
            "settings": bundle.settings,
            "whitening": {
                "kind": whitening.kind,
                "inputs": whitening.inputs,
                "outputs": whitening.dim,
                "pairs_or_images": whitening.pairs_or_images,
            },
        },
        bundle.preprocessing,
        bundle.licence,
        f"{bundle.provenance}\n{' '.join(whitening.provenance.split())}",
        {
            **{_MODEL + name: tensor for name, tensor in bundle.tensors.items()},
            _MEAN: whitening.mean,
            _MATRIX: whitening.matrix,
        },
    )


def split_bundle(bundle: Bundle, *, name: str = "given") -> tuple[Bundle, Whitening]:
    """Returns what `whiten_bundle` joined: the model's own bundle, bit-equal, and the whitening.

    Args:
        bundle: Of the architecture `ARCHITECTURE`.
        name: What messages call it.

    Raises:
        InvalidBundle: The bundle carries no whitening, or parts of it are missing or do not fit.
    """
    if bundle.architecture != ARCHITECTURE:
        raise InvalidBundle(
            f"the bundle {name} holds the architecture {bundle.architecture!r}, which carries no whitening"
        )
    try:
        described = _mapping(bundle.settings["whitening"])
        provenance, _, last_line = bundle.provenance.rpartition("\n")
        whitening = Whitening(
            bundle.tensors[_MEAN],
            bundle.tensors[_MATRIX],
            str(described["kind"]),
            _whole(described["pairs_or_images"]),
            last_line,
        )
        model = Bundle(
            str(bundle.settings["architecture"]),
            _mapping(bundle.settings["settings"]),
            bundle.preprocessing,
            bundle.licence,
            provenance,
            {
                name.removeprefix(_MODEL): tensor
                for name, tensor in bundle.tensors.items()
                if name.startswith(_MODEL)
            },
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidBundle(
            f"the bundle {name} is no whole whitened model ({type(error).__name__}: {error}): "
            f"get a fresh copy"
        ) from None
    return model, whitening


def _fingerprint(model: Model, whitening: Whitening) -> str:
    if isinstance(model, Bundled):
        return whiten_bundle(model.to_bundle(), whitening).fingerprint
    return hashlib.sha256(f"{model.fingerprint} {whitening.fingerprint}".encode()).hexdigest()


def _mapping(value: JSON) -> Mapping[str, JSON]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object, not {value!r}")
    return value


def _whole(value: JSON) -> int:
    if not isinstance(value, int):
        raise TypeError(f"expected a whole number, not {value!r}")
    return value
