"""3D models of one set of photos, joined to one reconstruction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from resight.errors import InvalidInput
from resight.sfm.colmap import ColmapModel, find_models, read_model
from resight.sfm.reconstruction import Cluster, Reconstruction

__all__ = ["joined", "read_reconstruction"]

_LEAST_PHOTOS = 2


def joined(
    models: Sequence[ColmapModel],
    photos: tuple[Path, ...],
    row_of: Mapping[str, int],
    *,
    least_points: int = 0,
) -> Reconstruction:
    """Returns the models as clusters; a photo of several models stays in the largest.

    Args:
        models: In any order.
        photos: All photos.
        row_of: Row of a photo by its name in the models; others are left out.
        least_points: A photo that sees fewer points of a model is left out of it.
    """
    order = sorted(models, key=lambda model: (-len(model.names), -len(model.points), model.names))
    taken: set[int] = set()
    clusters = []
    for model in order:
        rows = np.array([row_of.get(name, -1) for name in model.names], dtype=np.int64)
        fresh = np.array([row >= 0 and row not in taken for row in rows.tolist()], dtype=np.bool_)
        fresh &= np.bincount(model.observations[:, 0], minlength=len(rows)) >= least_points
        if np.count_nonzero(fresh) < _LEAST_PHOTOS:
            continue
        taken.update(rows[fresh].tolist())
        clusters.append(_cluster(model, rows, fresh))
    clusters.sort(key=lambda cluster: (-len(cluster), -len(cluster.points), int(cluster.photos[0])))
    return Reconstruction(photos, tuple(clusters))


def _cluster(model: ColmapModel, rows: np.ndarray, fresh: np.ndarray) -> Cluster:
    chosen = np.flatnonzero(fresh)
    chosen = chosen[np.argsort(rows[chosen], kind="stable")]
    place = np.full(len(rows), -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    seen = model.observations[place[model.observations[:, 0]] >= 0]
    points, point_rows = np.unique(seen[:, 1], return_inverse=True)
    observations = np.stack([place[seen[:, 0]], point_rows.reshape(-1)], axis=1)
    return Cluster(
        photos=rows[chosen],
        centres=model.centres[chosen],
        rotations=model.rotations[chosen],
        focal_lengths=model.focal_lengths[chosen],
        points=model.points[points],
        observations=np.unique(observations, axis=0),
    )


def read_reconstruction(folder: str | Path, photos: Sequence[Path]) -> Reconstruction:
    """Returns a reconstruction that COLMAP or hloc has made, of the photos at hand.

    A photo belongs to the name in the model that its path ends with; the longest such name where there are
    several.

    Args:
        folder: A model, or a folder that holds some at any depth.
        photos: Absolute paths.

    Raises:
        InvalidInput: There is no model, one is damaged, or it names none of the photos.
    """
    models = [read_model(model) for model in find_models(folder)]
    names = {name for model in models for name in model.names}
    row_of: dict[str, int] = {}
    for row, photo in enumerate(photos):
        parts = photo.parts
        ends = (str(PurePosixPath(*parts[start:])) for start in range(len(parts)))
        name = next((end for end in ends if end in names), None)
        if name is not None:
            row_of.setdefault(name, row)
    if not row_of:
        example = min(names, default="none at all")
        raise InvalidInput(
            f"the 3D models in {folder} name none of the {len(photos):,} photos: they name {example!r}"
        )
    return joined(models, tuple(photos), row_of)
