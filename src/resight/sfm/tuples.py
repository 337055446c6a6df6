"""Which photo of a 3D model is a positive of which: the three ways of GeM, and the limits of a pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int64

from resight.errors import InvalidInput
from resight.sfm.covisibility import Covisibility
from resight.sfm.reconstruction import Reconstruction

__all__ = ["PositiveConfig", "select_positives"]


@dataclass(frozen=True, slots=True)
class PositiveConfig:
    """How positives are selected (Radenović, Tolias and Chum, TPAMI 2018, section 4).

    Attributes:
        way: ``random``: every photo of the cluster within the limits below is a positive, of which training
            draws one (m3 of the paper). ``most_points``: the one with the most points in common (m2).
            ``nearest``: the one whose descriptor is nearest (m1).
        cameras: ``most_points`` and ``nearest`` choose among the so many photos whose cameras stand nearest.
        least_points: 3D points that both must see.
        least_overlap: These as a share of the points that the query sees.
        largest_scale: By how much one of the two may show them larger than the other.
        largest_angle: Between the rays to a point, degrees, median over the points.
    """

    way: Literal["random", "most_points", "nearest"] = "random"
    cameras: int = 100
    least_points: int = 10
    least_overlap: float = 0.2
    largest_scale: float = 1.5
    largest_angle: float = 60.0


def select_positives(
    pairs: Covisibility,
    reconstruction: Reconstruction,
    config: PositiveConfig,
    *,
    copies: Int64[np.ndarray, " photos"],
    descriptors: Float[np.ndarray, "photos dim"] | None = None,
) -> Int64[np.ndarray, " tuples"]:
    """Returns rows of ``pairs`` whose second photo is a positive of the first, ascending.

    Two files with the same content are no pair. The limits on overlap, scale and angle are those of
    ``random`` alone, as in the paper.

    Args:
        pairs: Of the reconstruction.
        reconstruction: Where the cameras stand.
        config: The way and its limits.
        copies: A number a photo, the same for files with the same content.
        descriptors: Of all photos; ``nearest`` needs them.

    Raises:
        InvalidInput: ``nearest`` has no descriptors.
    """
    candidates = (pairs.points >= config.least_points) & (copies[pairs.query] != copies[pairs.other])
    if config.way == "random":
        within = (
            (pairs.overlap >= config.least_overlap)
            & (np.maximum(pairs.scale, 1 / pairs.scale) <= config.largest_scale)
            & (pairs.angle <= config.largest_angle)
        )
        return np.flatnonzero(candidates & within)
    if config.way == "most_points":
        quality = pairs.points.astype(np.float64)
    elif descriptors is None:
        raise InvalidInput("positives that are nearest by descriptor need the photos' descriptors")
    else:
        quality = (descriptors[pairs.query].astype(np.float64) * descriptors[pairs.other]).sum(axis=1)
    rows = np.flatnonzero(candidates & _near(pairs, reconstruction, config.cameras))
    # The best of each query; ties go to the photo with the smaller row.
    order = rows[np.lexsort((pairs.other[rows], -quality[rows], pairs.query[rows]))]
    _, first = np.unique(pairs.query[order], return_index=True)
    return np.sort(order[first])


def _near(pairs: Covisibility, reconstruction: Reconstruction, cameras: int) -> Bool[np.ndarray, " pairs"]:
    """Returns which pairs' second camera is among the so many that stand nearest to the first."""
    centres = np.zeros((len(reconstruction.photos), 3))
    limits = np.full(len(reconstruction.photos), np.inf)
    for cluster in reconstruction.clusters:
        centres[cluster.photos] = cluster.centres
        if cameras < len(cluster) - 1:
            for photo, centre in zip(cluster.photos.tolist(), cluster.centres, strict=True):
                distances = np.linalg.norm(cluster.centres - centre, axis=1)
                limits[photo] = np.partition(distances, cameras)[cameras]
    between = np.linalg.norm(centres[pairs.query] - centres[pairs.other], axis=1)
    return between <= limits[pairs.query]
