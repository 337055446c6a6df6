"""The model: a describer with what is put behind it, a name and a fingerprint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np
from jaxtyping import Float32

from resight.errors import InvalidInput
from resight.features import Box, ImageFeatures, LocalFeatures, ReceptiveField
from resight.files.json import JSON
from resight.images import Photo, PhotoSource
from resight.models.bundle import Bundle, Preprocessing
from resight.models.codec import Float16Codec, LocalCodec, PlainCodec
from resight.models.describer import Describer, LocalSource
from resight.models.extract import describe_photos
from resight.models.library_threads import torch_shared
from resight.models.parts import Parts, join, provenance_lines
from resight.models.whitening import Whitening

__all__ = ["Facts", "LocalFacts", "Model"]


@dataclass(frozen=True, slots=True)
class LocalFacts:
    """A model's local features as a collection stores them.

    Attributes:
        kind: Where they come from, ``sift`` or ``delg`` for example.
        dim: Numbers of a local descriptor before it is stored.
        codec: Name of the codec that stores them.
        bytes_per_feature: Bytes of a stored descriptor.
        metric: How stored descriptors are compared, see `resight.features.LocalFeatures`.
        field: What a cell of the attention map sees; ``None`` for a model without attention.
    """

    kind: str
    dim: int
    codec: str
    bytes_per_feature: int
    metric: Literal["cosine", "hamming"]
    field: ReceptiveField | None

    @property
    def attention(self) -> bool:
        """Whether keypoints lie where a map of attention is high."""
        return self.field is not None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model is made of and what it can do.

    Attributes:
        kind: Architecture of the describer: ``sift``, ``gem``, ``delg`` or another word.
        pooling: How features become one descriptor; empty where there is no word for it.
        scales: Multiples of ``max_side`` at which each photo is described.
        local: Its local features; ``None``: it has none, and its answers cannot be verified.
        licence: Of the weights, an SPDX name or a short sentence.
        provenance: Where each part comes from: the weights, then the codec, then each whitening.
    """

    kind: str
    pooling: str
    scales: tuple[float, ...]
    local: LocalFacts | None
    licence: str
    provenance: tuple[str, ...]


@final
class Model:
    """Photos to descriptors of unit length, and to local features where the describer has them.

    >>> import resight
    >>> model = resight.load_model("sift")
    >>> model.dim, model.facts.local.codec, model.facts.local.attention
    (512, 'uint8', False)

    Attributes:
        describer: What looks at the photos.
        whitenings: What its descriptors go through, in this order; usually one or none.
        codec: How a collection stores its local features.
        name: What `load_model` takes to load this model again: a zoo name or a bundle's path.
        licence: Of the weights, an SPDX name or a short sentence.
        provenance: Where the describer's weights come from. Codec and whitenings hold their own.
        training: How training measured the model, as in `resight.models.bundle.Bundle`.
    """

    def __init__(
        self,
        describer: Describer,
        *,
        name: str,
        whitenings: Sequence[Whitening] = (),
        codec: LocalCodec | None = None,
        licence: str = "unknown",
        provenance: str = "",
        training: Mapping[str, JSON] | None = None,
        fingerprint: str | None = None,
    ) -> None:
        """Joins the parts.

        Args:
            describer: What looks at the photos; changing it afterwards makes `fingerprint` wrong.
            name: What `load_model` takes to load this model again.
            whitenings: What its descriptors go through, in this order.
            codec: How local features are stored; as the describer gives them by default.
            licence: Of the weights.
            provenance: Where the describer's weights come from.
            training: How training measured it; nothing by default.
            fingerprint: Of the file that holds exactly this model; by default it is computed from the parts
                when it is first needed.

        Raises:
            InvalidInput: A whitening takes descriptors of another length than those before it give, or the
                codec does not fit the local features.
        """
        dim = describer.traits.dim
        for whitening in whitenings:
            _check_inputs(whitening, dim, name)
            dim = whitening.dim
        self.describer = describer
        self.whitenings = tuple(whitenings)
        self.codec = _plain_codec(self.local) if codec is None else codec
        self.name, self.licence, self.provenance = name, licence, provenance
        self.training = {} if training is None else dict(training)
        self._dim = dim
        self._fingerprint = fingerprint
        _check_codec(self.codec, self.describer.traits.kind, self.local)

    def __repr__(self) -> str:
        return f"<Model {self.name}, {self.dim} dimensions>"

    def _repr_html_(self) -> str:
        """Returns what a notebook shows."""
        from resight._shown import notebook_html

        return notebook_html(self)

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return self._dim

    @property
    def max_side(self) -> int:
        """Long side in pixels at which the model sees whole photos; smaller ones are not enlarged."""
        return self.describer.traits.max_side

    @property
    def batch_size(self) -> int:
        """Photos that `extract` describes together; 1 where it gains nothing by that."""
        return self.describer.traits.batch_size

    @property
    def local(self) -> LocalSource | None:
        """Where its local features come from, or ``None`` where it has none."""
        return self.describer.traits.local

    @property
    def whitening(self) -> Whitening | None:
        """The last whitening, or ``None`` where there is none."""
        return self.whitenings[-1] if self.whitenings else None

    @property
    def facts(self) -> Facts:
        """What the model is made of and what it can do."""
        traits = self.describer.traits
        return Facts(
            traits.kind,
            traits.pooling,
            traits.scales,
            None if traits.local is None else _local_facts(traits.local, self.codec),
            self.licence,
            provenance_lines(self.provenance, self.codec, self.whitenings),
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256, 64 hexadecimal digits, equal exactly when features and how they are stored are.

        That of the model's bundle, computed once when first needed; verified already in a model from a file.
        """
        if self._fingerprint is None:
            self._fingerprint = self._computed_fingerprint()
        return self._fingerprint

    def memory_of(self, rows: int, columns: int) -> float:
        """Returns the bytes that describing a photo shown at this size takes beside the model, about."""
        memory = self.describer.traits.memory
        return 0.0 if memory is None else memory(rows, columns)

    def extract(self, photos: Sequence[Photo]) -> list[ImageFeatures]:
        """Returns the features of each photo, keypoints in pixels of the whole upright photo.

        Safe to call from several threads at once. Photos are whitened one by one: the same photo gives the
        same bits whatever else is described with it.
        """
        with torch_shared():
            described = self.describer.extract(photos)
        for whitening in self.whitenings:
            described = [
                replace(features, descriptor=whitening.apply(features.descriptor[None])[0])
                for features in described
            ]
        return described

    def describe(
        self,
        photos: PhotoSource | Iterable[PhotoSource],
        *,
        boxes: Sequence[Box | None] | None = None,
    ) -> Float32[np.ndarray, "n dim"]:
        """Returns one descriptor a photo, of unit L2 norm.

        Photos are read a few ahead and described in as many threads as there are processors.

        Args:
            photos: Paths, bytes, open binary files, PIL images or RGB uint8 arrays ``(rows, columns, 3)``,
                consumed a few ahead; or one of them.
            boxes: The part of each photo that is described, in pixels of the whole upright photo; ``None``
                for all of it.

        Raises:
            UnreadableImage: A photo is missing or broken.
            InvalidInput: A value is no photo, a box lies outside its photo, or there are more or fewer boxes
                than photos.
        """
        rows = [features.descriptor for features in describe_photos(photos, self, boxes=boxes)]
        return np.stack(rows).astype(np.float32) if rows else np.zeros((0, self.dim), dtype=np.float32)

    def mirrored(self, local: LocalFeatures, width: float) -> LocalFeatures | None:
        """Returns the local features of a photo with left and right exchanged, from its own; none is read.

        ``None`` where they do not tell (`resight.models.LocalSource`): the descriptors are of a network, or
        the codec keeps bits alone.

        Args:
            local: As they are compared: decoded by the codec.
            width: Of the whole upright photo, pixels.
        """
        source = self.local
        if source is None or source.mirrored is None or not _are_plain(local, source):
            return None
        return source.mirrored(local, width)

    def turned(self, local: LocalFeatures, long_side: float) -> Float32[np.ndarray, "4 dim"] | None:
        """Returns by what a photo turned by no, one, two and three quarters is searched for.

        No photo is read; of ``GLOBAL+sift`` the part of ``sift`` alone is known. ``None`` where the describer
        cannot tell (`resight.models.Traits`), the codec keeps bits alone, or there are no features.

        Args:
            local: As they are compared: decoded by the codec.
            long_side: Of the whole photo, pixels.
        """
        turned, source = self.describer.traits.turned, self.local
        if turned is None or source is None or not len(local) or not _are_plain(local, source):
            return None
        views = turned(local, long_side)
        if views is None:
            return None
        for whitening in self.whitenings:
            views = whitening.apply(views)
        return views

    def whitened(self, whitening: Whitening, *, name: str | None = None) -> Model:
        """Returns the model with one more whitening behind it; local features stay as they are.

        Args:
            whitening: Of descriptors of this model.
            name: Of the new model; ``whitened`` and this one's by default.

        Raises:
            InvalidInput: The whitening takes descriptors of another length.
        """
        _check_inputs(whitening, self.dim, self.name)
        new_name = f"whitened {self.name}" if name is None else name
        return self._of((*self.whitenings, whitening), self.codec, name=new_name)

    def unwhitened(self) -> Model:
        """Returns the model without its last whitening; itself where it has none."""
        return self._of(self.whitenings[:-1], self.codec, name=self.name) if self.whitenings else self

    def with_codec(self, codec: LocalCodec) -> Model:
        """Returns the model with another way to store its local features.

        Its fingerprint is another: a collection is made with one codec.

        Raises:
            InvalidInput: The model takes no codec, or this one is for descriptors of another length.
        """
        return self._of(self.whitenings, codec, name=self.name)

    def to_bundle(self) -> Bundle:
        """Returns everything that decides the model's features and how they are stored, bit by bit.

        Raises:
            InvalidInput: The describer cannot be written to a bundle.
        """
        bundle = self.describer.to_bundle()
        if bundle is None:
            raise InvalidInput(f"the model {self.name} cannot be written to a bundle")
        whole = join(Parts(bundle, self.codec, self.whitenings, self.licence, self.provenance))
        return replace(whole, training=self.training) if self.training else whole

    def _of(self, whitenings: Sequence[Whitening], codec: LocalCodec, *, name: str) -> Model:
        return Model(
            self.describer,
            name=name,
            whitenings=whitenings,
            codec=codec,
            licence=self.licence,
            provenance=self.provenance,
            training=self.training,
        )

    def _computed_fingerprint(self) -> str:
        own = self.describer.traits.fingerprint
        if own is None:
            return self.to_bundle().fingerprint
        if not self.whitenings and not self.codec.settings:
            return own
        # What such a describer's bundle would be: its fingerprint stands for its weights.
        bundle = Bundle(
            self.describer.traits.kind, {"fingerprint": own}, Preprocessing(self.max_side), "", "", {}
        )
        return join(Parts(bundle, self.codec, self.whitenings, "", "")).fingerprint


def _are_plain(local: LocalFeatures, source: LocalSource) -> bool:
    """Returns whether features hold the descriptors that the source gave, but for rounding."""
    return local.metric == "cosine" and local.descriptors.shape[1] == source.dim


def _plain_codec(local: LocalSource | None) -> PlainCodec:
    return PlainCodec(0, "float16") if local is None else PlainCodec(local.dim, local.dtype)


def _check_inputs(whitening: Whitening, dim: int, name: str) -> None:
    if whitening.inputs != dim:
        raise InvalidInput(
            f"the whitening takes descriptors of {whitening.inputs} dimensions and the model {name} gives "
            f"{dim}: use the model it was computed for"
        )


def _check_codec(codec: LocalCodec, kind: str, local: LocalSource | None) -> None:
    if not codec.settings:
        return
    if local is None:
        raise InvalidInput(
            f"models of kind {kind!r} store their local features as they are, for they have none: a codec is "
            "for those of a DELG, of sift or behind a +"
        )
    if local.dtype == "uint8" and isinstance(codec, Float16Codec):
        raise InvalidInput(
            f"models of kind {kind!r} store their local features as they are, a byte a number: float16 would "
            "take twice that, so take product or bits"
        )
    if codec.dim != local.dim:
        raise InvalidInput(
            f"the codec {codec.name} takes local descriptors of {codec.dim} numbers and the network gives "
            f"{local.dim}: fit one for it"
        )


def _local_facts(local: LocalSource, codec: LocalCodec) -> LocalFacts:
    field = None if local.attention is None else local.attention.field
    return LocalFacts(local.kind, local.dim, codec.name, codec.bytes_per_feature, codec.metric, field)
