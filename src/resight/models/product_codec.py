"""Local features as codes of a product quantiser: of each part of a descriptor the nearest centre.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np
from jaxtyping import Float32

from resight.errors import InvalidInput
from resight.features import LocalFeatures
from resight.files.json import JSON
from resight.models.codec import (
    Keypoints,
    check_dim,
    foreign,
    in_words,
    no_descriptors,
    stored_keypoints,
    unit_descriptors,
    unit_rows,
)

__all__ = ["ProductCodec"]

_CODES = 256


@final
@dataclass(frozen=True, slots=True, eq=False)
class ProductCodec:
    """Stores the number of the nearest of 256 centres for each part of a descriptor.

    H. Jégou, M. Douze and C. Schmid, "Product Quantization for Nearest Neighbor Search", TPAMI 2011. A
    query's own features are not quantised: their asymmetric comparison. Decoded descriptors are made unit.

    Attributes:
        codebooks: float32 ``(parts, 256, dim / parts)``.
        fitted_to: The photos whose features were clustered, in words.
        keypoints: How keypoints are stored.

    Raises:
        InvalidInput: The codebooks have another shape, or a number that is not finite.
    """

    codebooks: Float32[np.ndarray, "parts 256 part_dim"]
    fitted_to: str = ""
    keypoints: Keypoints = "exact"

    def __post_init__(self) -> None:
        shape = self.codebooks.shape
        if self.codebooks.dtype != np.float32 or not np.isfinite(self.codebooks).all():
            raise InvalidInput(f"codebooks must be finite and float32, not {self.codebooks.dtype}")
        if len(shape) != 3 or shape[1] != _CODES:
            raise InvalidInput(f"codebooks must be (parts, {_CODES}, dim / parts), not {shape}")

    @classmethod
    def fit(cls, descriptors: Float32[np.ndarray, "n dim"], parts: int, *, seed: int = 0) -> ProductCodec:
        """Returns the codec whose centres k-means finds in local descriptors of training photos (FAISS).

        Args:
            descriptors: At least 256, of unit L2 norm; 10,000 and more are better.
            parts: Bytes of a stored descriptor; divides its length.
            seed: Of the first centres.

        Raises:
            InvalidInput: Too few descriptors, or parts that do not divide them.
        """
        count, dim = descriptors.shape
        if parts < 1 or dim % parts:
            raise InvalidInput(f"descriptors of {dim} numbers cannot be cut into {parts} equal parts")
        if count < _CODES:
            raise InvalidInput(f"a product quantiser needs at least {_CODES} descriptors to fit, got {count}")
        import faiss

        quantiser = faiss.ProductQuantizer(dim, parts, 8)
        quantiser.cp.seed = seed
        # Only the number from which FAISS prints no warning.
        quantiser.cp.min_points_per_centroid = 1
        quantiser.train(np.ascontiguousarray(descriptors, dtype=np.float32))
        centres = faiss.vector_to_array(quantiser.centroids).reshape(parts, _CODES, dim // parts)
        return cls(centres.astype(np.float32))

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return int(self.codebooks.shape[0] * self.codebooks.shape[2])

    @property
    def name(self) -> str:
        """``product of`` its parts."""
        return f"product of {len(self.codebooks)}{in_words(self.keypoints)}"

    @property
    def bytes_per_feature(self) -> int:
        """One a part."""
        return len(self.codebooks)

    @property
    def metric(self) -> Literal["cosine"]:
        """``cosine``."""
        return "cosine"

    @property
    def settings(self) -> Mapping[str, JSON]:
        """The kind, and how keypoints are stored where they are rounded."""
        return {"kind": "product", **stored_keypoints(self.keypoints)}

    @property
    def tensors(self) -> Mapping[str, Float32[np.ndarray, "*shape"]]:
        """The codebooks."""
        return {"codebooks": self.codebooks}

    def encode(self, features: LocalFeatures) -> LocalFeatures:
        """Returns the features with ``(n, parts)`` numbers of centres; the smaller number wins ties.

        Raises:
            InvalidInput: The descriptors have another length.
        """
        if not len(features):
            features = no_descriptors(features, self.bytes_per_feature, np.uint8, "cosine")
            return replace(features, rounded=self.keypoints == "rounded")
        check_dim(features, self.dim, self.name)
        values = unit_descriptors(features)
        codes = np.empty((len(values), len(self.codebooks)), dtype=np.uint8)
        width = self.codebooks.shape[2]
        for part, centres in enumerate(self.codebooks):
            columns = values[:, part * width : (part + 1) * width]
            # ||x - c||^2 less ||x||^2, which is the same for all centres.
            distances = np.einsum("cd,cd->c", centres, centres)[None, :] - 2.0 * (columns @ centres.T)
            codes[:, part] = distances.argmin(axis=1)
        return replace(features, descriptors=codes, metric="cosine", rounded=self.keypoints == "rounded")

    def decode(self, features: LocalFeatures) -> LocalFeatures:
        """Returns the features with the centres' numbers put together, unit, float16.

        Raises:
            InvalidInput: The features were stored by another codec.
        """
        codes = features.descriptors
        if codes.dtype != np.uint8 or codes.shape[1] != len(self.codebooks) or features.metric != "cosine":
            raise foreign(features, self.name)
        parts = [centres[codes[:, part]] for part, centres in enumerate(self.codebooks)]
        return features.with_descriptors(
            unit_rows(np.concatenate(parts, axis=1)).astype(np.float16), "cosine"
        )
