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
from resight.models.describer import LocalSource, Traits
from resight.models.sift import rootsift
from resight.models.sift.aggregation import Codebook, size_weights, turned_vlad, vlad

__all__ = ["ARCHITECTURE", "Sift"]

_PYRAMID_BYTES = 240.0
"""A pixel: OpenCV begins at twice the size, with eleven float32 maps an octave, each octave a quarter."""

ARCHITECTURE = "sift"
"""The architecture's name in a bundle."""


@final
class Sift:
    """A `Describer`: RootSIFT keypoints, and a descriptor projected from their orientation-covariant VLAD.

    A photo without a single keypoint has an aggregate of zero, which is centred and projected like any
    other: all such photos share one descriptor, of unit norm too, and are not `recognisable`.

    Args:
        bundle: Settings ``keypoints`` (aggregated at most), ``stored_keypoints`` (of them, for verification),
            ``contrast_threshold``, ``full_size``, ``neighbours``, ``softness`` and ``angular``; tensors
            ``local_mean``, ``local_basis``, ``centres``, ``mean`` (of aggregates), ``projection`` (int8, dim
            by aggregate) and ``projection_step`` (its unit, one a row).
        name: What messages call the bundle.

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
            self._projection = np.multiply(tensors["projection"], step[:, None], dtype=np.float32)
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
        self._traits = Traits(
            ARCHITECTURE,
            dim=len(self._projection),
            max_side=bundle.preprocessing.max_side,
            pooling="vlad",
            local=LocalSource(ARCHITECTURE, rootsift.DIM, "uint8", mirrored=rootsift.mirrored),
            turned=self._turned,
            from_keypoints=True,
            memory=lambda rows, columns: _PYRAMID_BYTES * rows * columns,
        )

    @property
    def traits(self) -> Traits:
        """What it is."""
        return self._traits

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return self._traits.dim

    def extract(self, photos: Sequence[Photo]) -> list[ImageFeatures]:
        """Returns descriptor and strongest keypoints of each photo, in pixels of the whole upright photo.

        Safe to call from several threads at once; the same photo gives the same bits in each.
        """
        return [self._features(photo) for photo in photos]

    def to_bundle(self) -> Bundle:
        """Returns the bundle this describer was made from."""
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
        points = rootsift.keypoints(
            photo.pixels, count=self._keypoints, contrast_threshold=self._contrast_threshold
        )
        # The size in the whole photo, so that a boxed query is weighted as the database is.
        scales = points.scales / np.float32(photo.scale)
        return points, size_weights(scales, max(photo.width, photo.height), self._full_size)

    def _turned(self, local: LocalFeatures, long_side: float) -> Float32[np.ndarray, "4 dim"]:
        """Returns what `Traits.turned` says, from the stored keypoints, which are the strongest alone.

        At a cosine of .72 or more (median .85) with the descriptor of the turned photo itself, over 26
        photos: enough to propose candidates.
        """
        weights = size_weights(local.scales, long_side, self._full_size)
        root = rootsift.from_stored(local.descriptors)
        aggregates = turned_vlad(root, local.orientations, weights, self._codebook)
        descriptors = aggregates @ self._projection.T - self._offset
        return descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)

    def _features(self, photo: Photo) -> ImageFeatures:
        points, weights = self.weighted_keypoints(photo)
        scales = points.scales / np.float32(photo.scale)
        aggregate = vlad(points.descriptors, points.orientations, weights, self._codebook)
        # Not by BLAS: it would split the product among threads that spin while they wait for busy cores.
        descriptor = np.einsum("da,a->d", self._projection, aggregate) - self._offset
        descriptor /= np.linalg.norm(descriptor)
        first = slice(0, self._stored)
        local = LocalFeatures(
            photo.in_full_pixels(points.positions[first]),
            scales[first],
            points.orientations[first],
            points.responses[first],
            rootsift.to_codes(points.descriptors[first]),
        )
        return ImageFeatures(descriptor, local, recognisable=len(local) > 0)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TypeError(f"a setting must be a positive whole number, not {value!r}")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"a setting must be a number, not {value!r}")
    return float(value)
