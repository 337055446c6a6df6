"""How local features are stored: as they are, as codes of a product quantiser, or as bits.

What a photo costs besides its descriptors are 14 bytes a feature (position, scale, orientation, score), or 6
where keypoints are rounded, and about 200 bytes of header. Descriptors of 128 dimensions take, for 1000
exact features a photo:

=================  =================  ==============
form               bytes a feature    bytes a photo
=================  =================  ==============
float16            256                270,000
product, 32 codes  32                 46,000
product, 16 codes  16                 30,000
product, 8 codes   8                  22,000
binary, 256 bits   32                 46,000
binary, 128 bits   16                 30,000
=================  =================  ==============

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, final

import numpy as np
from jaxtyping import Float32

from resight.errors import InvalidInput
from resight.features import LocalFeatures
from resight.files.json import JSON

__all__ = [
    "Float16Codec",
    "Keypoints",
    "LocalCodec",
    "PlainCodec",
    "as_stored",
    "bytes_a_photo",
    "check_dim",
    "foreign",
    "in_words",
    "no_descriptors",
    "stored_keypoints",
    "unit_descriptors",
    "unit_rows",
]

_KEYPOINT_BYTES = {"exact": 14, "rounded": 6}


Keypoints: TypeAlias = Literal["exact", "rounded"]
"""How keypoints are stored: in 14 bytes, or in 6."""


class LocalCodec(Protocol):
    """Turns local features into what is stored, and that into what is compared."""

    @property
    def name(self) -> str:
        """What it is, for people: ``product of 16`` for example."""

    @property
    def dim(self) -> int:
        """Length of the descriptors it takes."""

    @property
    def bytes_per_feature(self) -> int:
        """Bytes of one stored descriptor."""

    @property
    def keypoints(self) -> Keypoints:
        """How keypoints are stored, see `resight.features.LocalFeatures.rounded`."""

    @property
    def metric(self) -> Literal["cosine", "hamming"]:
        """How stored descriptors are compared, see `resight.features.LocalFeatures`."""

    @property
    def fitted_to(self) -> str:
        """The photos it was fitted to, for people; empty where it was not fitted or they are not known."""

    @property
    def settings(self) -> Mapping[str, JSON]:
        """What a bundle says of it besides the tensors; empty for `PlainCodec`, of which it says nothing."""

    @property
    def tensors(self) -> Mapping[str, Float32[np.ndarray, "*shape"]]:
        """What a bundle holds of it, by name."""

    def encode(self, features: LocalFeatures) -> LocalFeatures:
        """Returns the same keypoints with what is stored instead of their descriptors.

        Raises:
            InvalidInput: The descriptors have another length than the codec was fitted for.
        """

    def decode(self, features: LocalFeatures) -> LocalFeatures:
        """Returns the same keypoints with descriptors that can be compared.

        Raises:
            InvalidInput: The features were stored by another codec.
        """


@final
@dataclass(frozen=True, slots=True)
class PlainCodec:
    """Stores local features as the model gives them.

    Attributes:
        dim: Length of a descriptor; 0 for a model without local features.
        dtype: Type of its numbers.
    """

    dim: int
    dtype: Literal["uint8", "float16"]

    @property
    def name(self) -> str:
        """The type of the numbers."""
        return self.dtype

    @property
    def bytes_per_feature(self) -> int:
        """One or two a dimension."""
        return self.dim * np.dtype(self.dtype).itemsize

    @property
    def keypoints(self) -> Literal["exact"]:
        """``exact``."""
        return "exact"

    @property
    def metric(self) -> Literal["cosine"]:
        """``cosine``."""
        return "cosine"

    @property
    def fitted_to(self) -> str:
        """Nothing."""
        return ""

    @property
    def settings(self) -> Mapping[str, JSON]:
        """None."""
        return {}

    @property
    def tensors(self) -> Mapping[str, Float32[np.ndarray, "*shape"]]:
        """None."""
        return {}

    def encode(self, features: LocalFeatures) -> LocalFeatures:
        """Returns the features themselves."""
        return features

    def decode(self, features: LocalFeatures) -> LocalFeatures:
        """Returns the features themselves."""
        return features


@final
@dataclass(frozen=True, slots=True)
class Float16Codec:
    """Stores float16 descriptors as they are.

    Attributes:
        dim: Length of a descriptor.
        fitted_to: The photos it was chosen for, in words.
    """

    dim: int
    fitted_to: str = ""

    @property
    def name(self) -> str:
        """``float16``."""
        return "float16"

    @property
    def bytes_per_feature(self) -> int:
        """Two a dimension."""
        return 2 * self.dim

    @property
    def keypoints(self) -> Literal["exact"]:
        """``exact``."""
        return "exact"

    @property
    def metric(self) -> Literal["cosine"]:
        """``cosine``."""
        return "cosine"

    @property
    def settings(self) -> Mapping[str, JSON]:
        """Kind and length."""
        return {"kind": "float16", "dim": self.dim}

    @property
    def tensors(self) -> Mapping[str, Float32[np.ndarray, "*shape"]]:
        """None."""
        return {}

    def encode(self, features: LocalFeatures) -> LocalFeatures:
        """Returns the features with float16 descriptors of unit length; those in float16 stay as they are.

        Raises:
            InvalidInput: The descriptors have another length.
        """
        if not len(features):
            return no_descriptors(features, self.dim, np.float16, "cosine")
        check_dim(features, self.dim, self.name)
        if features.descriptors.dtype == np.float16:
            return features
        return features.with_descriptors(unit_descriptors(features).astype(np.float16), "cosine")

    def decode(self, features: LocalFeatures) -> LocalFeatures:
        """Returns the features themselves."""
        return features


def in_words(keypoints: Keypoints) -> str:
    """Returns what the name of a codec says of keypoints, nothing of exact ones."""
    return ", keypoints rounded" if keypoints == "rounded" else ""


def stored_keypoints(keypoints: Keypoints) -> Mapping[str, JSON]:
    """Returns what a bundle says of keypoints, nothing of exact ones, as before there were others."""
    return {"keypoints": keypoints} if keypoints == "rounded" else {}


def as_stored(codec: LocalCodec, features: LocalFeatures) -> LocalFeatures:
    """Returns a query's features as they are compared with stored ones.

    Where bits are stored the query becomes bits too; otherwise it keeps its own, finer descriptors.
    """
    decoded = codec.decode(codec.encode(features))
    if decoded.metric == "hamming":
        return decoded
    if decoded.descriptors.dtype == features.descriptors.dtype:
        return features
    # Bytes beside the halves that codes stand for: both as halves.
    return features.with_descriptors(unit_descriptors(features).astype(np.float16), "cosine")


def bytes_a_photo(codec: LocalCodec, features: int) -> int:
    """Returns the bytes that so many stored features of a photo take, without the header."""
    return features * (codec.bytes_per_feature + _KEYPOINT_BYTES[codec.keypoints])


def unit_descriptors(features: LocalFeatures) -> Float32[np.ndarray, "n dim"]:
    """Returns the descriptors in float32 with unit L2 norm; zero stays zero."""
    return unit_rows(features.descriptors.astype(np.float32))


def unit_rows(values: Float32[np.ndarray, "n dim"]) -> Float32[np.ndarray, "n dim"]:
    """Returns the rows with unit L2 norm; zero stays zero."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(norms > 0, norms, 1.0).astype(np.float32)


def no_descriptors(
    features: LocalFeatures,
    width: int,
    dtype: type[np.uint8] | type[np.float16],
    metric: Literal["cosine", "hamming"],
) -> LocalFeatures:
    """Returns no features at all, with descriptors of that width."""
    return features.with_descriptors(np.empty((0, width), dtype=dtype), metric)


def check_dim(features: LocalFeatures, dim: int, name: str) -> None:
    """Returns if features can be encoded by the codec of that name and length.

    Raises:
        InvalidInput: They cannot.
    """
    length = features.descriptors.shape[1]
    if length != dim or features.metric != "cosine":
        raise InvalidInput(
            f"the codec {name} was made for local descriptors of {dim} numbers, got {length} compared by "
            f"{features.metric}: fit one for this model"
        )


def foreign(features: LocalFeatures, name: str) -> InvalidInput:
    """Returns the error for features that another codec than that of this name has stored."""
    codes = features.descriptors
    return InvalidInput(
        f"local features of {codes.shape[1]} {codes.dtype} numbers compared by {features.metric} were not "
        f"stored by the codec {name}: index the photos again"
    )
