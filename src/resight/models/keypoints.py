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
from jaxtyping import Bool, Float32

from resight.errors import InvalidInput
from resight.features import LocalFeatures, ReceptiveField
from resight.images import Photo

__all__ = ["LEAST_SIDE", "KeypointConfig", "LocalMaps", "keypoints_of"]

LEAST_SIDE = 10
"""Pixels: a photo is not searched for keypoints at a size with a shorter side (the authors' code)."""


@dataclass(frozen=True, slots=True)
class KeypointConfig:
    """Which sizes of a photo are looked at and which keypoints are kept; the defaults are the authors'.

    Attributes:
        scales: Sizes at which keypoints are looked for, as factors of the photo as the model sees it.
        global_scales: Sizes whose global descriptors are summed.
        max_features: Keypoints kept at most, those of the highest attention.
        threshold: Least attention of a keypoint; means something for one trained network only.
        quantile: Share of a photo's cells, over all sizes, whose attention a keypoint must reach.

    Raises:
        InvalidInput: A number is out of its range.
    """

    scales: tuple[float, ...] = (0.25, 2**-1.5, 0.5, 2**-0.5, 1.0, 2**0.5, 2.0)
    global_scales: tuple[float, ...] = (2**-0.5, 1.0, 2**0.5)
    max_features: int = 1000
    threshold: float | None = None
    quantile: float | None = None

    def __post_init__(self) -> None:
        for name in ("scales", "global_scales"):
            scales = getattr(self, name)
            if not scales or not all(math.isfinite(scale) and scale > 0 for scale in scales):
                raise InvalidInput(f"{name} must be positive numbers, at least one, not {scales}")
            if len(set(scales)) < len(scales):
                raise InvalidInput(f"{name} must differ from each other, not {scales}")
        if self.max_features < 1:
            raise InvalidInput(f"max_features must be at least 1, not {self.max_features}")
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise InvalidInput(f"threshold must be a finite number or None, not {self.threshold}")
        if self.quantile is not None and not 0 <= self.quantile <= 1:
            raise InvalidInput(f"quantile must lie in 0 .. 1 or be None, not {self.quantile}")


@dataclass(frozen=True, slots=True, eq=False)
class LocalMaps:
    """What a network says of one photo at one size.

    Attributes:
        attention: float32 ``(rows, columns)``, larger is better.
        local: float32 ``(dim, rows, columns)``, of unit L2 norm over dim.
        width: Width of the image the network saw, pixels.
        height: Height of it, pixels.
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
    What overlaps is kept: with the authors' overlap of 1.0 their suppression is the choice of the best.
    Cells whose centre lies outside the photo, which padding can make, and ones without any response are
    left out.

    Args:
        maps: Of the same photo at several sizes; without any there are no keypoints.
        photo: What the model was given, at the size that is scale 1.
        field: What a cell of the maps sees.
        config: How many keypoints, and from which attention on.
        dim: Length of a local descriptor.
    """
    if not maps:
        nothing = np.empty(0, dtype=np.float32)
        none = np.empty((0, dim), dtype=np.float16)
        return LocalFeatures(nothing.reshape(0, 2), nothing, nothing, nothing, none)
    shown_rows, shown_columns = photo.pixels.shape[:2]
    positions, scales, usable = [], [], []
    for each in maps:
        rows, columns = each.attention.shape
        y = (field.first_centre + field.stride * np.arange(rows) + 0.5) * (shown_rows / each.height) - 0.5
        x = (field.first_centre + field.stride * np.arange(columns) + 0.5) * (
            shown_columns / each.width
        ) - 0.5
        grid = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1).reshape(-1, 2)
        positions.append(grid)
        # The same step of the network spans a slightly different number of pixels along both sides.
        enlarged = math.sqrt(each.width / shown_columns * each.height / shown_rows)
        scales.append(np.full(len(grid), field.size / enlarged / photo.scale))
        inside = ((grid >= -0.5) & (grid <= np.array([shown_columns, shown_rows]) - 0.5)).all(axis=1)
        usable.append(inside & each.local.any(axis=0).reshape(-1))
    scores = np.concatenate([each.attention.reshape(-1) for each in maps])
    kept = _best(scores, np.concatenate(usable), config)
    owner = np.repeat(np.arange(len(maps)), [each.attention.size for each in maps])[kept]
    first = np.cumsum([0, *(each.attention.size for each in maps)])
    descriptors = np.empty((len(kept), dim), dtype=np.float16)
    for number, each in enumerate(maps):
        mine = owner == number
        descriptors[mine] = each.local.reshape(dim, -1)[:, kept[mine] - first[number]].T
    return LocalFeatures(
        photo.in_full_pixels(np.concatenate(positions)[kept].astype(np.float32)),
        np.concatenate(scales)[kept].astype(np.float32),
        np.zeros(len(kept), dtype=np.float32),
        scores[kept],
        descriptors,
    )


def _best(
    scores: Float32[np.ndarray, " cells"], usable: Bool[np.ndarray, " cells"], config: KeypointConfig
) -> np.ndarray:
    """Returns the numbers of the cells kept, highest score first, ties in their order."""
    least = -math.inf if config.threshold is None else config.threshold
    if config.quantile is not None:
        least = max(least, float(np.quantile(scores, config.quantile)))
    candidates = np.flatnonzero(usable & (scores >= least))
    order = np.argsort(-scores[candidates], kind="stable")
    return candidates[order[: config.max_features]]
