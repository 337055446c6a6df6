"""Keypoints where a network's attention is highest, over a pyramid of sizes of one photo.

Noh, Araujo, Sim, Weyand and Han, "Large-Scale Image Retrieval with Attentive Deep Local Features", ICCV 2017,
and Cao, Araujo and Sim, "Unifying Deep Local and Global Features for Image Search" (DELG), ECCV 2020,
section 3.3. Nothing here needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from resight.errors import InvalidInput
from resight.features import LocalFeatures, ReceptiveField
from resight.images import Photo

__all__ = ["LEAST_SIDE", "KeypointConfig", "LocalMaps", "check_scales", "keypoints_of"]

LEAST_SIDE = 10
"""Pixels: a photo is not searched for keypoints at a size with a shorter side (the authors' code)."""


@dataclass(frozen=True, slots=True)
class KeypointConfig:
    """Sizes of a photo at which local features are computed, and which cells become keypoints.

    The defaults are those of the DELG authors' code.

    Attributes:
        scales: Those sizes, as multiples of the photo as the model sees it.
        max_features: Most keypoints of a photo; those of the highest attention are taken.
        threshold: Least attention of a keypoint, in units of one trained network; ``None`` for no limit.
        quantile: Least attention of a keypoint, as a quantile of the attention of all of the photo's cells at
            all sizes; ``None`` for no limit.

    Raises:
        InvalidInput: A number is out of its range.
    """

    scales: tuple[float, ...] = (0.25, 2**-1.5, 0.5, 2**-0.5, 1.0, 2**0.5, 2.0)
    max_features: int = 1000
    threshold: float | None = None
    quantile: float | None = None

    def __post_init__(self) -> None:
        check_scales(self.scales)
        if self.max_features < 1:
            raise InvalidInput(f"max_features must be at least 1, not {self.max_features}")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise InvalidInput(f"threshold must be a finite number or None, not {self.threshold}")
        if self.quantile is not None and not 0 <= self.quantile <= 1:
            raise InvalidInput(f"quantile must lie in 0 .. 1 or be None, not {self.quantile}")


def check_scales(scales: Sequence[float]) -> None:
    """Returns if these can be the scales of a photo.

    Raises:
        InvalidInput: There is none, one is not positive and finite, or two are the same.
    """
    if not scales or not all(math.isfinite(scale) and scale > 0 for scale in scales):
        raise InvalidInput(f"scales must be positive numbers, at least one, not {scales}")
    if len(set(scales)) < len(scales):
        raise InvalidInput(f"scales must differ from each other, not {scales}")


@dataclass(frozen=True, slots=True, eq=False)
class LocalMaps:
    """A network's attention and local descriptors of one photo at one size.

    Attributes:
        attention: float32 ``(rows, columns)``, larger is better.
        local: float32 ``(dim, rows, columns)``, of unit L2 norm over dim.
        width: Width of the network's input, pixels.
        height: Height of the network's input, pixels.
    """

    attention: Float32[np.ndarray, "rows columns"]
    local: Float32[np.ndarray, "dim rows columns"]
    width: int
    height: int


def keypoints_of(
    maps: Sequence[LocalMaps],
    photo: Photo,
    field: ReceptiveField,
    config: KeypointConfig,
    *,
    dim: int,
) -> LocalFeatures:
    """Returns the cells of highest attention as keypoints, best first, with float16 descriptors.

    A keypoint lies at the centre of what its cell sees, and is as large as that; both in pixels of the whole
    upright photo. Of equal attention the one of the earlier map, then the upper, then the left comes first.
    Overlapping keypoints stay: with the authors' overlap of 1.0 their non-maximum suppression only takes the
    best. Cells whose centre lies outside the photo (padding makes such) or whose features are all zero are
    left out.

    Args:
        maps: Of one photo at several sizes; without maps there are no keypoints.
        photo: The model's input at scale 1.
        field: Receptive field of a cell of the maps.
        config: How many keypoints, and from which attention on.
        dim: Length of a local descriptor.
    """
    if not maps:
        nothing = np.empty(0, dtype=np.float32)
        none = np.empty((0, dim), dtype=np.float16)
        return LocalFeatures(nothing.reshape(0, 2), nothing, nothing, nothing, none)
    cells = [_cells(each, photo, field) for each in maps]
    scores = np.concatenate([each.attention.reshape(-1) for each in maps])
    best = _best(scores, np.concatenate([each.usable for each in cells]), config)
    sizes = [each.attention.size for each in maps]
    owners, firsts = np.repeat(np.arange(len(maps)), sizes)[best], np.cumsum([0, *sizes])
    descriptors = np.empty((len(best), dim), dtype=np.float16)
    for number, each in enumerate(maps):
        rows = owners == number
        descriptors[rows] = each.local.reshape(dim, -1)[:, best[rows] - firsts[number]].T
    positions = np.concatenate([each.positions for each in cells])[best]
    return LocalFeatures(
        photo.in_full_pixels(positions.astype(np.float32)),
        np.concatenate([each.scales for each in cells])[best].astype(np.float32),
        np.zeros(len(best), dtype=np.float32),
        scores[best],
        descriptors,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """The cells of one map, row by row: centres and sizes in the photo, and which can be keypoints.

    Positions are in pixels of the photo as the model sees it, scales in those of the whole photo.
    """

    positions: Float64[np.ndarray, "cells 2"]
    scales: Float64[np.ndarray, " cells"]
    usable: Bool[np.ndarray, " cells"]


def _cells(maps: LocalMaps, photo: Photo, field: ReceptiveField) -> _Cells:
    photo_rows, photo_columns = photo.pixels.shape[:2]
    rows, columns = maps.attention.shape
    down, across = photo_rows / maps.height, photo_columns / maps.width
    y = (field.first_centre + field.stride * np.arange(rows) + 0.5) * down - 0.5
    x = (field.first_centre + field.stride * np.arange(columns) + 0.5) * across - 0.5
    positions = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1).reshape(-1, 2)
    # The same step of the network spans a slightly different number of pixels along both sides.
    enlarged = math.sqrt(maps.width / photo_columns * maps.height / photo_rows)
    last = np.array([photo_columns, photo_rows]) - 0.5
    inside = ((positions >= -0.5) & (positions <= last)).all(axis=1)
    return _Cells(
        positions,
        np.full(len(positions), field.size / enlarged / photo.scale),
        inside & maps.local.any(axis=0).reshape(-1),
    )


def _best(
    scores: Float32[np.ndarray, " cells"], usable: Bool[np.ndarray, " cells"], config: KeypointConfig
) -> Int64[np.ndarray, " best"]:
    """Returns the numbers of the cells that become keypoints, highest score first, ties in their order."""
    least = -math.inf if config.threshold is None else config.threshold
    if config.quantile is not None:
        least = max(least, float(np.quantile(scores, config.quantile)))
    candidates = np.flatnonzero(usable & (scores >= least))
    order = np.argsort(-scores[candidates], kind="stable")
    return candidates[order[: config.max_features]]
