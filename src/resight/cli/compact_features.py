"""What ``resight compact`` does: local features of photos described, and a codec fitted to them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64

from resight.cli.whiten_photos import folders
from resight.collection.scan import BrokenPhoto, scan
from resight.errors import InvalidInput
from resight.features import LocalFeatures
from resight.files import Progress
from resight.models.binary_codec import BinaryCodec
from resight.models.codec import (
    Float16Codec,
    LocalCodec,
    ProductCodec,
    bytes_a_photo,
    unit_descriptors,
)
from resight.models.extract import extract
from resight.models.model import Model

__all__ = ["LocalDescriptors", "StoredForm", "describe", "fit", "stored_bytes"]

_MOST_FITTED = 100_000
"""More than k-means of 256 centres looks at; 50 MB of 128 dimensions."""

_LEAST_OF_A_PRODUCT = 256


@dataclass(frozen=True, slots=True)
class StoredForm:
    """A form that local features can be stored in.

    Attributes:
        kind: Values as they are, codes of a product quantiser, or bits.
        size: Codes or bits of a descriptor; 0 for float16.
    """

    kind: Literal["float16", "product", "bits"]
    size: int = 0

    @classmethod
    def parse(cls, text: str) -> StoredForm:
        """Returns the form that ``float16``, ``product-16`` or ``bits-128`` names.

        Raises:
            InvalidInput: It names none.
        """
        found = re.fullmatch(r"(product|bits)-([1-9]\d{0,4})", text)
        if text == "float16":
            return cls("float16")
        if found is None:
            raise InvalidInput(f"a form is float16, product-16 or bits-128, or another number, not {text!r}")
        size = int(found[2])
        if found[1] == "product":
            return cls("product", size)
        if size % 8:
            raise InvalidInput(f"a code has a multiple of 8 bits, not {size}")
        return cls("bits", size)

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
class LocalDescriptors:
    """Local features of some photos, as many as fitting wants.

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


def describe(
    model: Model,
    photos: Sequence[Path],
    form: StoredForm,
    *,
    seed: int,
    report: Progress,
) -> LocalDescriptors:
    """Returns the local features of the photos under files and folders.

    Raises:
        InvalidInput: A path does not exist, no photo can be described, none has local features, or theirs
            cannot take the form: said after the first photo.
    """
    found = scan(photos)
    random = np.random.default_rng(seed)
    share = -(-_MOST_FITTED // max(1, len(found.photos)))
    values, counts, broken = [], [], list(found.broken)
    example: LocalFeatures | None = None
    stored = 0
    for done, row in enumerate(extract([photo.path for photo in found.photos], model), 1):
        report(done, len(found.photos))
        if row.features is None:
            broken.append(BrokenPhoto(str(row.path), row.reason or "it cannot be described"))
            continue
        local = row.features.local
        counts.append(0 if local is None else len(local))
        if local is None:
            continue
        stored += len(model.codec.encode(local).to_bytes())
        if len(local) and example is None:
            form.check(local.descriptors.shape[1])
            example = local.best(1)
        chosen = random.permutation(len(local))[:share]
        values.append(unit_descriptors(local)[np.sort(chosen)])
    if not counts:
        why = f": {broken[0].path}, {broken[0].reason}" if broken else ""
        raise InvalidInput(f"there is no photo to learn from under {folders(photos)}{why}")
    if example is None:
        raise InvalidInput(f"{model.name} finds no local features in the photos of {folders(photos)}")
    kept = np.concatenate([each for each in values if len(each)])
    return LocalDescriptors(kept, np.array(counts, dtype=np.int64), stored, example, broken)


def fit(
    form: StoredForm, described: LocalDescriptors, *, seed: int
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


def stored_bytes(codec: LocalCodec, described: LocalDescriptors) -> int:
    """Returns the bytes of all local features in a collection if they are stored by that codec."""
    header = len(codec.encode(described.example.best(0)).to_bytes())
    return sum(header + bytes_a_photo(codec, count) for count in described.counts.tolist())
