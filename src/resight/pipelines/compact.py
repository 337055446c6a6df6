"""A model that stores its local features in fewer bytes, by a codec fitted to photos."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64

from resight.collection import BrokenPhoto
from resight.collection.scan import scan
from resight.errors import InvalidInput
from resight.features import LocalFeatures
from resight.files import Progress, silent
from resight.models import Model, bundle, load_model
from resight.models.binary_codec import BinaryCodec
from resight.models.codec import (
    Float16Codec,
    Keypoints,
    LocalCodec,
    bytes_a_photo,
    unit_descriptors,
)
from resight.models.product_codec import ProductCodec
from resight.pipelines.describe import describe_each, folder_names, refuse_empty

__all__ = ["CompactOutcome", "Stored", "StoredForm", "compact"]

_MOST_FITTED = 100_000
"""More than k-means of 256 centres looks at; 50 MB of 128 dimensions."""

_LEAST_OF_A_PRODUCT = 256


@dataclass(frozen=True, slots=True)
class StoredForm:
    """A form that local features can be stored in.

    Attributes:
        kind: Values as they are, codes of a product quantiser, or bits.
        size: Codes or bits of a descriptor; 0 for float16.
        keypoints: How the keypoints beside them are stored.
    """

    kind: Literal["float16", "product", "bits"]
    size: int = 0
    keypoints: Keypoints = "exact"

    @classmethod
    def parse(cls, text: str) -> StoredForm:
        """Returns the form that ``float16``, ``product-16``, ``bits-128`` or ``bits-128-rounded`` names.

        Raises:
            InvalidInput: It names none.
        """
        parts = re.fullmatch(r"(product|bits)-([1-9]\d{0,4})(-rounded)?", text)
        if text == "float16":
            return cls("float16")
        if parts is None:
            raise InvalidInput(
                f"a form is float16, product-16 or bits-128, or another number, not {text!r}; -rounded may "
                "stand behind the last two"
            )
        size = int(parts[2])
        keypoints: Keypoints = "rounded" if parts[3] else "exact"
        if parts[1] == "product":
            return cls("product", size, keypoints)
        if size % 8:
            raise InvalidInput(f"a code has a multiple of 8 bits, not {size}")
        return cls("bits", size, keypoints)

    @property
    def least(self) -> int:
        """Features that fitting needs at least."""
        return {"float16": 1, "product": _LEAST_OF_A_PRODUCT, "bits": self.size}[self.kind]

    def check(self, dim: int) -> None:
        """Returns if descriptors of that length can take this form.

        Raises:
            InvalidInput: They cannot.
        """
        if self.kind == "product" and dim % self.size:
            fitting = ", ".join(str(size) for size in range(1, dim + 1) if dim % size == 0)
            raise InvalidInput(
                f"local descriptors of {dim} numbers cannot be cut into {self.size} equal parts: "
                f"the parts may be {fitting}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class _LocalDescriptors:
    """Local features of some photos, as many as fitting needs.

    Attributes:
        values: float32 ``(n, dim)``, unit L2 norm, a random share of those of each photo.
        counts: int64 ``(photos,)``, features of each photo.
        bytes_before: Of all local features in a collection, as the model stores them now.
        example: A feature as the model gives it.
        broken: What could not be described, and why.
    """

    values: Float32[np.ndarray, "n dim"]
    counts: Int64[np.ndarray, " photos"]
    bytes_before: int
    example: LocalFeatures
    broken: list[BrokenPhoto]


@dataclass(frozen=True, slots=True)
class Stored:
    """How local features are stored.

    Attributes:
        form: Of a descriptor.
        bytes_a_photo: Mean bytes that a photo's features take in a collection.
    """

    form: str
    bytes_a_photo: float


@dataclass(frozen=True, slots=True)
class CompactOutcome:
    """What a form was fitted to, and what it saves.

    Attributes:
        model: Name of the model before.
        bundle: The file of the compact model.
        fingerprint: Of that model.
        photos: How many were described.
        features_a_photo: Mean number of local features.
        fitted_to: Features that the codec was fitted to.
        before: How features were stored.
        after: How they are stored now.
        broken: What could not be described, and why.
    """

    model: str
    bundle: Path
    fingerprint: str
    photos: int
    features_a_photo: float
    fitted_to: int
    before: Stored
    after: Stored
    broken: list[BrokenPhoto]


def compact(
    name: str,
    photos: Sequence[Path],
    out: Path,
    form: StoredForm,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> CompactOutcome:
    """Returns what another form of a model's local features saves; the model with that form is written.

    Args:
        name: Of the model, or its bundle.
        photos: Files and folders that the form is fitted to.
        out: The bundle to write.
        form: How local features shall be stored.
        seed: Of the features that are drawn, and of the first centres or directions.
        progress: Called with photos described and photos in all.

    Raises:
        InvalidInput: No photo can be described, there are too few local features, or the model's cannot take
            the form.
        ModelError: The model cannot be loaded.
        StorageFailed: The bundle cannot be written.
    """
    model = load_model(name)
    # Refused before any photo is described.
    dim = 0 if model.local is None else model.local.dim
    if model.local is not None:
        form.check(dim)
    if dim == 0 or form.kind == "float16":
        model.with_codec(Float16Codec(dim))
    model.to_bundle()
    described = _describe(model, photos, seed=seed, progress=progress)
    count = len(described.counts)
    fitted_to = f"{count:,} photo{'s' * (count != 1)} of {folder_names(photos)}"
    codec = replace(_fit(form, described, seed=seed), fitted_to=fitted_to)
    if not isinstance(codec, Float16Codec):
        codec = replace(codec, keypoints=form.keypoints)
    made = model.with_codec(codec).to_bundle()
    bundle.write(made, out)
    return CompactOutcome(
        model=model.name,
        bundle=out,
        fingerprint=made.fingerprint,
        photos=count,
        features_a_photo=float(described.counts.mean()),
        fitted_to=len(described.values),
        before=Stored(model.codec.name, described.bytes_before / count),
        after=Stored(codec.name, _stored_bytes(codec, described) / count),
        broken=described.broken,
    )


def _describe(model: Model, photos: Sequence[Path], *, seed: int, progress: Progress) -> _LocalDescriptors:
    """Returns the local features of the photos under files and folders.

    Raises:
        InvalidInput: A path does not exist, no photo can be described (one without local features cannot),
            or the photos have no local features.
    """
    scanned, random = scan(photos), np.random.default_rng(seed)
    share = -(-_MOST_FITTED // max(1, len(scanned.photos)))
    values, counts, broken = [], [], []
    examples: list[LocalFeatures] = []
    stored = 0
    for outcome in describe_each(model, scanned, progress=progress):
        if isinstance(outcome, BrokenPhoto):
            broken.append(outcome)
            continue
        local = outcome[1].local
        if local is None:
            # Of no model that comes here: `compact` refuses those without local features.
            continue
        counts.append(len(local))
        stored += len(model.codec.encode(local).to_bytes())
        if not examples:
            examples.append(local.best(1))
        chosen = random.permutation(len(local))[:share]
        values.append(unit_descriptors(local)[np.sort(chosen)])
    refuse_empty(len(counts), photos, broken, purpose="learn from")
    return _LocalDescriptors(
        np.concatenate(values), np.array(counts, dtype=np.int64), stored, examples[0], broken
    )


def _fit(
    form: StoredForm, described: _LocalDescriptors, *, seed: int
) -> Float16Codec | ProductCodec | BinaryCodec:
    """Returns the codec of that form for such local features.

    More bits than dimensions are signs along random directions, fewer along quantising ones
    (`BinaryCodec.fit`).

    Raises:
        InvalidInput: There are too few of them.
    """
    count, dim = described.values.shape
    if count < form.least:
        photos = len(described.counts)
        have = "this photo has" if photos == 1 else f"these {photos} photos have"
        raise InvalidInput(
            f"the form {form.kind}-{form.size} takes at least {form.least} local features to fit, and {have} "
            f"{count}: give more photos"
        )
    match form.kind:
        case "float16":
            return Float16Codec(dim)
        case "product":
            return ProductCodec.fit(described.values, form.size, seed=seed)
        case "bits":
            rotation: Literal["itq", "random"] = "itq" if form.size <= dim else "random"
            return BinaryCodec.fit(described.values, form.size, rotation=rotation, seed=seed)


def _stored_bytes(codec: LocalCodec, described: _LocalDescriptors) -> int:
    """Returns the bytes of all local features in a collection if they are stored by that codec."""
    header = len(codec.encode(described.example.best(0)).to_bytes())
    return sum(header + bytes_a_photo(codec, count) for count in described.counts.tolist())
