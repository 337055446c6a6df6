"""Incremental mapping: verified matches to 3D models, one connected part of the photos at a time."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from resight.errors import InvalidInput
from resight.files import Progress, in_threads, silent, whole_folder
from resight.sfm.candidates import linked_pairs
from resight.sfm.colmap import find_models, read_model
from resight.sfm.database import (
    ReconstructionConfig,
    add_photos,
    colmap,
    match_pairs,
    verified_pairs,
)
from resight.sfm.models import joined
from resight.sfm.reconstruction import Reconstruction

__all__ = ["every_pair", "reconstruct"]

_LEAST_PHOTOS = 2
_PAIRS_A_PHOTO = 12
"""A photo's keypoints take as long as so many pairs, and so does its mapping (measured: 12 and 10)."""
_LINKS = 2
"""How often photos that match the same one are compared."""
_LEAST_POINTS = 30
"""Points by which COLMAP accepts a camera (``abs_pose_min_num_inliers``). A photo that lost them since, in
the adjustment, does not fit: on rendered streets it was of another place with the same windows.
"""


def reconstruct(
    photos: Sequence[Path],
    work: Path,
    config: ReconstructionConfig | None = None,
    *,
    pairs: Int64[np.ndarray, "n 2"] | None = None,
    progress: Progress = silent,
) -> Reconstruction:
    """Returns the 3D models of photos: SIFT, verified pairs, incremental mapping by COLMAP.

    What is done is kept in ``work``, and a killed call goes on there; a folder belongs to one list of photos,
    one list of pairs and one config. The same input gives the same models.

    Args:
        photos: Files.
        work: A folder for the database and the models; made if it is not there.
        config: How; the defaults if None.
        pairs: Rows of the photos that are matched with one another; every pair if None. What they match
            leads to further pairs (`linked_pairs`).
        progress: Called with pairs done and in all; keypoints of a photo count as a dozen, and so does its
            mapping, which take as long.

    Raises:
        MissingExtra: pycolmap is not installed.
        InvalidInput: The pairs name photos that are not there.
    """
    config = config or ReconstructionConfig()
    pairs = every_pair(len(photos)) if pairs is None else np.unique(np.sort(pairs, axis=1), axis=0)
    if pairs.size and not (
        pairs.min() >= 0 and pairs.max() < len(photos) and (pairs[:, 0] < pairs[:, 1]).all()
    ):
        raise InvalidInput(f"the pairs must be two different rows of the {len(photos):,} photos each")
    work.mkdir(parents=True, exist_ok=True)
    with colmap():
        parts = _mapped_parts(photos, work, config, pairs, progress)
    models = [read_model(model) for part in parts for model in _models(_place(work, part))]
    names = {str(row): row for row in range(len(photos))}
    return joined(models, tuple(photos), names, least_points=_LEAST_POINTS)


def _mapped_parts(
    photos: Sequence[Path],
    work: Path,
    config: ReconstructionConfig,
    pairs: Int64[np.ndarray, "n 2"],
    progress: Progress,
) -> list[Int64[np.ndarray, " part"]]:
    """Returns the connected parts of the photos, whose models are then in their places."""
    database, whole = work / "database.db", _PAIRS_A_PHOTO * len(photos)
    add_photos(
        database, photos, config, lambda done, _: progress(_PAIRS_A_PHOTO * done, 2 * whole + len(pairs))
    )
    compared = _match(database, pairs, config, lambda done, of: progress(whole + done, 2 * whole + of))
    parts = _connected(verified_pairs(database, config)[:, :2], len(photos))
    done, total = whole + compared, 2 * whole + compared
    # One at a time: COLMAP fails where two open a database at once. In a thread, so that Ctrl-C ends it.
    mapped = in_threads(partial(_map, work, config), parts, workers=1, ahead=1)
    for part, _ in zip(parts, mapped, strict=True):
        done += _PAIRS_A_PHOTO * len(part)
        progress(done, total)
    progress(total, total)
    return parts


def _match(
    database: Path, pairs: Int64[np.ndarray, "n 2"], config: ReconstructionConfig, progress: Progress
) -> int:
    """Returns how many pairs were compared: those given, and those that their matches lead to."""
    compared, new = pairs[:0], pairs
    for _ in range(1 + _LINKS):
        match_pairs(database, new, config, _after(len(compared), progress))
        compared = np.concatenate([compared, new])
        new = linked_pairs(verified_pairs(database, config), compared, config.neighbours)
    return len(compared)


def _after(before: int, progress: Progress) -> Progress:
    return lambda done, total: progress(before + done, before + total)


def every_pair(count: int) -> Int64[np.ndarray, "pairs 2"]:
    """Returns the pairs of so many photos, the smaller row first."""
    return np.stack(np.triu_indices(count, 1), axis=1).astype(np.int64)


def _connected(pairs: Int64[np.ndarray, "n 2"], count: int) -> list[Int64[np.ndarray, " part"]]:
    """Returns the parts of the graph that have two photos or more, the largest first."""
    graph = coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    parts = [
        np.flatnonzero(labels == label) for label in np.flatnonzero(np.bincount(labels) >= _LEAST_PHOTOS)
    ]
    return sorted(parts, key=lambda part: (-len(part), int(part[0])))


def _place(work: Path, part: Int64[np.ndarray, " part"]) -> Path:
    return work / "models" / f"{int(part[0]):06d}"


def _models(folder: Path) -> list[Path]:
    return find_models(folder) if any(folder.iterdir()) else []


def _map(work: Path, config: ReconstructionConfig, part: Int64[np.ndarray, " part"]) -> None:
    """Writes the models of one part of the photos; a part that is done stays as it is."""
    import pycolmap

    place = _place(work, part)
    if place.is_dir():
        return
    options = pycolmap.IncrementalPipelineOptions()
    options.image_names = [str(row) for row in part.tolist()]
    options.min_num_matches = config.least_matches
    options.min_model_size = _LEAST_PHOTOS
    options.ignore_watermarks = True
    options.extract_colors = False
    # Points that two photos alone see are left out, unless there are no others.
    options.triangulation.ignore_two_view_tracks = len(part) > _LEAST_PHOTOS
    # One thread: sums of several come in any order, and the models would differ from run to run.
    options.num_threads = 1
    for seeded in (options, options.mapper, options.triangulation):
        seeded.random_seed = config.seed
    # COLMAP draws some numbers from a generator of the thread, which may have mapped another part before.
    pycolmap.set_random_seed(config.seed)
    place.parent.mkdir(exist_ok=True)
    with whole_folder(place) as folder:
        pycolmap.incremental_mapping(work / "database.db", work, folder, options)
        for model in _models(folder):
            try:
                read_model(model)
            except InvalidInput:
                # Photos that do not fit can end as a model whose focal length is below 0.
                shutil.rmtree(model)
