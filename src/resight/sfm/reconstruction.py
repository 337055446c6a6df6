"""Photos of places and the 3D models made of them: cameras, points, and which photo sees which point."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["Cluster", "Reconstruction"]


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """One 3D model: the photos that show one place, with their cameras.

    Attributes:
        photos: Rows of `Reconstruction.photos`, ascending.
        centres: Camera centres, in the model's own unit and axes.
        rotations: World to camera; the third row looks along the viewing direction.
        focal_lengths: As a share of the photo's long side.
        points: 3D points.
        observations: Row of ``photos`` and row of ``points``, one a photo that sees a point, each once,
            sorted.
    """

    photos: Int64[np.ndarray, " photos"]
    centres: Float64[np.ndarray, "photos 3"]
    rotations: Float64[np.ndarray, "photos 3 3"]
    focal_lengths: Float64[np.ndarray, " photos"]
    points: Float64[np.ndarray, "points 3"]
    observations: Int64[np.ndarray, "observations 2"]

    def __len__(self) -> int:
        """Returns the number of photos."""
        return len(self.photos)


@dataclass(frozen=True, slots=True, eq=False)
class Reconstruction:
    """Photos and their 3D models.

    Attributes:
        photos: Absolute paths.
        clusters: The largest first, by photos and then by points; no photo is in two.
    """

    photos: tuple[Path, ...]
    clusters: tuple[Cluster, ...]

    @property
    def labels(self) -> Int64[np.ndarray, " photos"]:
        """Cluster of each photo; -1 where no model shows it."""
        labels = np.full(len(self.photos), -1, dtype=np.int64)
        for number, cluster in enumerate(self.clusters):
            labels[cluster.photos] = number
        return labels
