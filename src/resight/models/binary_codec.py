"""Local features as bits, along directions whose signs lose little. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np
from jaxtyping import Float, Float32, Float64

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
)

__all__ = ["BinaryCodec", "quantising_directions", "random_rotation"]

_ROUNDS = 50
"""Of iterative quantisation, as in the paper's experiments."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class BinaryCodec:
    """Stores on which side of each of some planes a descriptor lies, one bit a plane.

    Attributes:
        mean: float32 ``(dim,)``, the planes go through it.
        planes: float32 ``(bits, dim)``, their normals; bits are a multiple of 8.
        fitted_to: The photos whose features decided the planes, in words.
        keypoints: How keypoints are stored.

    Raises:
        InvalidInput: Shapes do not fit, or a number is not finite.
    """

    mean: Float32[np.ndarray, " dim"]
    planes: Float32[np.ndarray, "bits dim"]
    fitted_to: str = ""
    keypoints: Keypoints = "exact"

    def __post_init__(self) -> None:
        shapes = self.mean.shape, self.planes.shape
        if {self.mean.dtype, self.planes.dtype} != {np.dtype(np.float32)}:
            raise InvalidInput(
                f"mean and planes must be float32, not {self.mean.dtype} and {self.planes.dtype}"
            )
        if self.planes.ndim != 2 or self.mean.shape != self.planes.shape[1:] or len(self.planes) % 8:
            raise InvalidInput(
                f"binary codes need mean (dim,) and planes (bits, dim), bits a multiple of 8, not {shapes}"
            )
        if not len(self.planes) or not (np.isfinite(self.mean).all() and np.isfinite(self.planes).all()):
            raise InvalidInput("binary codes need at least 8 planes of finite numbers")

    @classmethod
    def fit(
        cls,
        descriptors: Float32[np.ndarray, "n dim"],
        bits: int | None = None,
        *,
        rotation: Literal["itq", "random", "none"] = "itq",
        seed: int = 0,
    ) -> BinaryCodec:
        """Returns the codec for local descriptors of training photos.

        Args:
            descriptors: At least as many as bits, of unit L2 norm.
            bits: Length of a code; the descriptors' length if ``None``.
            rotation: ``"none"``: signs of the centred values. ``"itq"``: along their principal directions,
                turned to lie near corners of the cube; at most as many bits as dimensions (Y. Gong and
                S. Lazebnik, "Iterative Quantization", CVPR 2011). ``"random"``: along orthogonal directions
                drawn at random, several sets of them for more bits than dimensions (J. Ji et al., "Super-Bit
                Locality-Sensitive Hashing", NIPS 2012).
            seed: Of the random directions.

        Raises:
            InvalidInput: The bits are no multiple of 8 or too many, or there are too few descriptors.
        """
        count, dim = descriptors.shape
        bits = dim if bits is None else bits
        if bits < 8 or bits % 8:
            raise InvalidInput(f"a binary code has a multiple of 8 bits, not {bits}")
        if count < bits:
            raise InvalidInput(f"a binary code of {bits} bits needs as many descriptors to fit, got {count}")
        if (rotation == "none" and bits != dim) or (rotation == "itq" and bits > dim):
            raise InvalidInput(
                f"{bits} bits of {dim} dimensions are not possible with the rotation {rotation!r}: "
                "take 'random', or as many bits as dimensions"
            )
        mean = descriptors.mean(axis=0, dtype=np.float64)
        random = np.random.default_rng(seed)
        match rotation:
            case "none":
                planes = np.eye(dim)
            case "itq":
                planes = quantising_directions(descriptors - mean, bits, random)
            case "random":
                sets = [random_rotation(dim, random) for _ in range(-(-bits // dim))]
                planes = np.concatenate(sets)[:bits]
        return cls(mean.astype(np.float32), planes.astype(np.float32))

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return len(self.mean)

    @property
    def name(self) -> str:
        """``binary`` and its bits."""
        return f"binary of {len(self.planes)} bits{in_words(self.keypoints)}"

    @property
    def bytes_per_feature(self) -> int:
        """An eighth of the bits."""
        return len(self.planes) // 8

    @property
    def metric(self) -> Literal["hamming"]:
        """``hamming``."""
        return "hamming"

    @property
    def settings(self) -> Mapping[str, JSON]:
        """The kind, and how keypoints are stored where they are rounded."""
        return {"kind": "binary", **stored_keypoints(self.keypoints)}

    @property
    def tensors(self) -> Mapping[str, Float32[np.ndarray, "*shape"]]:
        """The mean and the planes."""
        return {"mean": self.mean, "planes": self.planes}

    def encode(self, features: LocalFeatures) -> LocalFeatures:
        """Returns the features with packed bits, compared by their Hamming distance.

        Raises:
            InvalidInput: The descriptors have another length.
        """
        if not len(features):
            features = no_descriptors(features, self.bytes_per_feature, np.uint8, "hamming")
            return replace(features, rounded=self.keypoints == "rounded")
        check_dim(features, self.dim, self.name)
        sides = (unit_descriptors(features) - self.mean) @ self.planes.T > 0
        bits = np.packbits(sides, axis=1)
        return replace(features, descriptors=bits, metric="hamming", rounded=self.keypoints == "rounded")

    def decode(self, features: LocalFeatures) -> LocalFeatures:
        """Returns the features themselves: bits are compared as they are.

        Raises:
            InvalidInput: The features were stored by another codec.
        """
        if features.metric != "hamming" or features.descriptors.shape[1] != self.bytes_per_feature:
            raise foreign(features, self.name)
        return features


def quantising_directions(
    centred: Float[np.ndarray, "n dim"], bits: int, random: np.random.Generator
) -> Float64[np.ndarray, "bits dim"]:
    """Returns orthonormal directions: the first principal ones, turned so that values are near signs.

    Y. Gong and S. Lazebnik, "Iterative Quantization: A Procrustean Approach to Learning Binary Codes", CVPR
    2011, section 2.2.

    Args:
        centred: Values of mean zero.
        bits: At most as many as dimensions.
        random: Draws the first rotation.
    """
    values = centred.astype(np.float64)
    _, directions = np.linalg.eigh(values.T @ values)
    basis = directions[:, ::-1][:, :bits]
    projected = values @ basis
    rotation = random_rotation(bits, random)
    for _ in range(_ROUNDS):
        corners = np.where(projected @ rotation > 0, 1.0, -1.0)
        # The rotation that brings the values nearest to their corners: orthogonal Procrustes.
        left, _, right = np.linalg.svd(corners.T @ projected)
        rotation = (left @ right).T
    directions_of_bits: Float64[np.ndarray, "bits dim"] = (basis @ rotation).T
    return directions_of_bits


def random_rotation(size: int, random: np.random.Generator) -> Float64[np.ndarray, "size size"]:
    """Returns an orthogonal matrix, every one as likely as any other (F. Mezzadri 2007, section 5)."""
    orthogonal, upper = np.linalg.qr(random.standard_normal((size, size)))
    turned: Float64[np.ndarray, "size size"] = orthogonal * np.sign(np.diag(upper))
    return turned
