"""The model that needs no learned network: RootSIFT keypoints, aggregated to one descriptor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from jaxtyping import Float32

from resight.errors import InvalidBundle
from resight.features import ImageFeatures, LocalFeatures
from resight.images import Photo
from resight.models.bundle import Bundle
from resight.models.model import Model
from resight.models.sift import rootsift
from resight.models.sift.aggregation import Codebook, size_weights, vlad

__all__ = ["ARCHITECTURE", "Sift"]

ARCHITECTURE = "sift"
"""The architecture's name in a bundle."""


@final
class Sift(Model):
    """RootSIFT keypoints and their orientation-covariant VLAD, projected to a short descriptor of unit norm.

    A photo without a single keypoint has an aggregate of zero, which is centred and projected like any
    other: all such photos share one descriptor, of unit norm too.

    Args:
        bundle: Settings ``keypoints`` (aggregated at most), ``stored_keypoints`` (of them, for verification),
            ``contrast_threshold``, ``full_size``, ``neighbours``, ``softness`` and ``angular``; tensors
            ``local_mean``, ``local_basis``, ``centres``, ``mean`` (of aggregates), ``projection`` (int8, dim
            by aggregate) and ``projection_step`` (its unit, one a row).
        name: What `load_model` takes to load this model again.

    Raises:
        InvalidBundle: The bundle is of another architecture, or parts of it are missing or do not fit.
    """

    def __init__(self, bundle: Bundle, *, name: str) -> None:
        if bundle.architecture != ARCHITECTURE:
            raise InvalidBundle(
                f"the bundle {name} holds the architecture {bundle.architecture!r}, not {ARCHITECTURE!r}"
            )
        try:
            settings, tensors = bundle.settings, bundle.tensors
            self._keypoints = _whole(settings["keypoints"])
            self._stored = _whole(settings["stored_keypoints"])
            self._contrast_threshold = _number(settings["contrast_threshold"])
            self._full_size = _number(settings["full_size"])
            self._codebook = Codebook(
                tensors["local_mean"].astype(np.float32),
                tensors["local_basis"].astype(np.float32),
                tensors["centres"].astype(np.float32),
                neighbours=_whole(settings["neighbours"]),
                softness=_number(settings["softness"]),
                angular=_number(settings["angular"]),
            )
            step = tensors["projection_step"].astype(np.float32)
            self._projection = tensors["projection"].astype(np.float32) * step[:, None]
            # Projected once here: P (x - m) = P x - P m.
            self._offset = self._projection @ tensors["mean"].astype(np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidBundle(
                f"the bundle {name} is no whole sift model "
                f"({type(error).__name__}: {error}): get a fresh copy"
            ) from None
        if self._projection.shape[1] != self._codebook.dim or not np.linalg.norm(self._offset) > 0:
            raise InvalidBundle(
                f"the bundle {name} is no whole sift model: its projection "
                f"{self._projection.shape} does not fit aggregates of {self._codebook.dim} values, "
                "or does not see their mean"
            )
        self._bundle = bundle
        self._name = name

    @property
    def name(self) -> str:
        """What `load_model` takes to load this model again."""
        return self._name

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return len(self._projection)

    @property
    def fingerprint(self) -> str:
        """The bundle's."""
        return self._bundle.fingerprint

    @property
    def max_side(self) -> int:
        """Long side in pixels at which whole photos are seen."""
        return self._bundle.preprocessing.max_side

    @property
    def batch_size(self) -> int:
        """One: photos are described on their own."""
        return 1

    def extract(self, photos: Sequence[Photo]) -> list[ImageFeatures]:
        """Returns descriptor and strongest keypoints of each photo, in pixels of the whole upright photo.

        Safe to call from several threads at once; the same photo gives the same bits in each.
        """
        return [self._features(photo) for photo in photos]

    def to_bundle(self) -> Bundle:
        """Returns the bundle this model was made from."""
        return self._bundle

    @property
    def codebook(self) -> Codebook:
        """What keypoints' descriptors are compared with."""
        return self._codebook

    @property
    def projection(self) -> Float32[np.ndarray, "dim aggregate"]:
        """From an aggregate to a descriptor, before its mean is subtracted and it is made unit."""
        return self._projection

    @property
    def offset(self) -> Float32[np.ndarray, " dim"]:
        """The projected mean of aggregates."""
        return self._offset

    def weighted_keypoints(self, photo: Photo) -> tuple[rootsift.Keypoints, Float32[np.ndarray, " n"]]:
        """Returns the keypoints that are aggregated, in pixels of the picture shown, and what each counts."""
        found = rootsift.keypoints(
            photo.pixels, count=self._keypoints, contrast_threshold=self._contrast_threshold
        )
        # The size in the whole photo, so that a boxed query is weighted as the database is.
        scales = found.scales / np.float32(photo.scale)
        return found, size_weights(scales, max(photo.width, photo.height), self._full_size)

    def _features(self, photo: Photo) -> ImageFeatures:
        found, weights = self.weighted_keypoints(photo)
        scales = found.scales / np.float32(photo.scale)
        aggregate = vlad(found.descriptors, found.orientations, weights, self._codebook)
        # Not by BLAS: it would split the product among threads that spin while they wait for busy cores.
        descriptor = np.einsum("da,a->d", self._projection, aggregate) - self._offset
        descriptor /= np.linalg.norm(descriptor)
        kept = slice(0, self._stored)
        local = LocalFeatures(
            photo.in_full_pixels(found.positions[kept]),
            scales[kept],
            found.orientations[kept],
            found.responses[kept],
            rootsift.to_codes(found.descriptors[kept]),
        )
        return ImageFeatures(descriptor, local)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TypeError(f"a setting must be a positive whole number, not {value!r}")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"a setting must be a number, not {value!r}")
    return float(value)
