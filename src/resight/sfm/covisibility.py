"""Which photos of a 3D model see the same points, how large each sees them, and from how different places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.sparse import csr_matrix, triu

from resight.sfm.reconstruction import Cluster, Reconstruction

__all__ = ["Covisibility", "covisibility"]


@dataclass(frozen=True, slots=True, eq=False)
class Covisibility:
    """Pairs of photos of one cluster that see points together, each in both orders.

    Attributes:
        query: Rows of `Reconstruction.photos`.
        other: Rows of the same cluster.
        cluster: Of both.
        points: 3D points that both see.
        overlap: These as a share of the points that the query sees.
        scale: How much larger the other photo shows them, median over the points: focal length by depth,
            both photos brought to the same long side.
        angle: Between the rays from both cameras to a point, degrees, median over the points.
    """

    query: Int64[np.ndarray, " pairs"]
    other: Int64[np.ndarray, " pairs"]
    cluster: Int64[np.ndarray, " pairs"]
    points: Int64[np.ndarray, " pairs"]
    overlap: Float64[np.ndarray, " pairs"]
    scale: Float64[np.ndarray, " pairs"]
    angle: Float64[np.ndarray, " pairs"]

    def __len__(self) -> int:
        """Returns the number of pairs."""
        return len(self.query)


def covisibility(reconstruction: Reconstruction) -> Covisibility:
    """Returns the pairs that see at least one point together, by query and then by the other photo."""
    rows = [
        row
        for number, cluster in enumerate(reconstruction.clusters)
        for a, b, points, overlap, scale, angle in _pairs(cluster)
        for row in (
            (a, b, number, points, overlap[0], scale, angle),
            (b, a, number, points, overlap[1], 1 / scale, angle),
        )
    ]
    rows.sort()
    table = np.array(rows, dtype=np.float64).reshape(-1, 7).T
    whole = table[:4].astype(np.int64)
    return Covisibility(whole[0], whole[1], whole[2], whole[3], table[4], table[5], table[6])


def _pairs(cluster: Cluster) -> Iterator[tuple[int, int, int, tuple[float, float], float, float]]:
    seen = np.ones(len(cluster.observations), dtype=np.int32)
    sees = csr_matrix((seen, cluster.observations.T), shape=(len(cluster), len(cluster.points)))
    visible = np.diff(sees.indptr)
    together = triu(sees @ sees.T, k=1).tocoo()
    for a, b, count in zip(together.row.tolist(), together.col.tolist(), together.data.tolist(), strict=True):
        common = np.intersect1d(_row(sees, a), _row(sees, b), assume_unique=True)
        scale, angle = _views(cluster, a, b, cluster.points[common])
        overlap = (count / int(visible[a]), count / int(visible[b]))
        yield int(cluster.photos[a]), int(cluster.photos[b]), int(count), overlap, scale, angle


def _row(sees: csr_matrix, photo: int) -> Int64[np.ndarray, " points"]:
    return np.asarray(sees.indices[sees.indptr[photo] : sees.indptr[photo + 1]])


def _views(cluster: Cluster, a: int, b: int, points: Float64[np.ndarray, "n 3"]) -> tuple[float, float]:
    """Returns how much larger the second photo shows the points, and the angle between the rays, degrees."""
    rays = [points - cluster.centres[photo] for photo in (a, b)]
    # Points lie in front of a camera; the floor keeps the division finite where a damaged model says not.
    depths = [
        np.maximum(ray @ cluster.rotations[photo][2], 1e-12) for ray, photo in zip(rays, (a, b), strict=True)
    ]
    sizes = [cluster.focal_lengths[photo] / depth for photo, depth in zip((a, b), depths, strict=True)]
    lengths = [np.maximum(np.linalg.norm(ray, axis=1), 1e-12) for ray in rays]
    cosines = (rays[0] * rays[1]).sum(axis=1) / (lengths[0] * lengths[1])
    angle = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return float(np.median(sizes[1] / sizes[0])), float(np.median(angle))
