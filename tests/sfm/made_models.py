"""3D models with known truth: a ring of cameras around points, written as COLMAP writes them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from resight.sfm import Cluster, Reconstruction


def ring(count=5, points=40, seed=0, first=0) -> Cluster:
    """Cameras on a circle of radius 4 that look at the origin; each sees a random half of the points."""
    rng = np.random.default_rng(seed)
    angles = np.linspace(0, np.pi / 2, count)
    centres = np.stack([4 * np.cos(angles), np.zeros(count), 4 * np.sin(angles)], axis=1)
    rotations = []
    for centre in centres:
        ahead = -centre / np.linalg.norm(centre)
        down = np.array([0.0, 1.0, 0.0])
        rotations.append([np.cross(down, ahead), down, ahead])
    seen = rng.random((count, points)) < 0.5
    seen[:2] = True
    return Cluster(
        photos=np.arange(first, first + count),
        centres=centres,
        rotations=np.array(rotations),
        focal_lengths=rng.uniform(0.8, 1.6, count),
        points=rng.normal(size=(points, 3)) * 0.3,
        observations=np.argwhere(seen),
    )


def reconstruction(*clusters: Cluster, alone: int = 0) -> Reconstruction:
    count = sum(map(len, clusters)) + alone
    return Reconstruction(tuple(Path(f"/photos/{row}.jpg") for row in range(count)), clusters)


def write_colmap(folder: Path, cluster: Cluster, names: list[str], *, text: bool = False) -> None:
    """Writes a cluster literally, field by field, as COLMAP's documentation lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    quaternions = Rotation.from_matrix(cluster.rotations).as_quat()[:, [3, 0, 1, 2]]
    translations = [
        -rotation @ centre for rotation, centre in zip(cluster.rotations, cluster.centres, strict=True)
    ]
    tracks = [
        cluster.observations[cluster.observations[:, 1] == point, 0] for point in range(len(cluster.points))
    ]
    if text:
        cameras = [
            f"{i + 1} SIMPLE_RADIAL 640 480 {f * 640} 320 240 0" for i, f in enumerate(cluster.focal_lengths)
        ]
        images = [
            line
            for i, name in enumerate(names)
            for line in (f"{i + 1} {_join(quaternions[i])} {_join(translations[i])} {i + 1} {name}", "")
        ]
        points = [
            f"{row + 1} {_join(point)} 1 2 3 0.5 {' '.join(f'{image + 1} 0' for image in tracks[row])}"
            for row, point in enumerate(cluster.points)
        ]
        for file, lines in (("cameras", cameras), ("images", images), ("points3D", points)):
            (folder / f"{file}.txt").write_text("# a comment\n" + "\n".join(lines) + "\n")
        return
    cameras = [
        struct.pack("<IiQQ4d", i + 1, 2, 640, 480, f * 640, 320, 240, 0)
        for i, f in enumerate(cluster.focal_lengths)
    ]
    images = [
        struct.pack("<I7dI", i + 1, *quaternions[i], *translations[i], i + 1)
        + name.encode()
        + b"\0"
        + struct.pack("<Q", 1)
        + struct.pack("<ddq", 1.5, 2.5, -1)
        for i, name in enumerate(names)
    ]
    points = [
        struct.pack("<Q3d3BdQ", row + 1, *point, 1, 2, 3, 0.5, len(tracks[row]))
        + b"".join(struct.pack("<II", image + 1, 0) for image in tracks[row])
        for row, point in enumerate(cluster.points)
    ]
    for file, records in (("cameras", cameras), ("images", images), ("points3D", points)):
        (folder / f"{file}.bin").write_bytes(struct.pack("<Q", len(records)) + b"".join(records))


def _join(values) -> str:
    return " ".join(repr(float(value)) for value in values)
