"""A reconstruction as tables: ``photos.parquet``, ``pairs.parquet`` and ``tuples.parquet`` in one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64
from scipy.spatial.transform import Rotation

from resight.datasets.tuples import PHOTOS, TUPLES
from resight.files import whole_files
from resight.sfm.covisibility import Covisibility
from resight.sfm.reconstruction import Reconstruction

__all__ = ["PAIRS", "write_tables"]

PAIRS = "pairs.parquet"
_VERSION = "1"
_NO_CLUSTER = -1


def write_tables(
    folder: Path,
    reconstruction: Reconstruction,
    pairs: Covisibility,
    chosen: Int64[np.ndarray, " tuples"],
    made_by: Mapping[str, object],
) -> None:
    """Writes the three tables; those that are there stay until the new ones are complete.

    Args:
        folder: Where.
        reconstruction: Photos and cameras: ``photos.parquet``, a row a photo.
        pairs: Photos that see points together: ``pairs.parquet``, a row a pair and order.
        chosen: Rows of ``pairs`` that are a query and its positive: ``tuples.parquet``.
        made_by: Settings, kept in the header of each table.

    Raises:
        OSError: A file cannot be written.
    """
    names = [str(photo) for photo in reconstruction.photos]
    every = np.arange(len(pairs), dtype=np.int64)
    tables = (
        _photos(reconstruction, names),
        _pairs(pairs, every, names, ("photo", "other")),
        _pairs(pairs, chosen, names, ("query", "positive")),
    )
    header = {b"resight.tuples": _VERSION.encode(), b"resight.made_by": json.dumps(made_by).encode()}
    with whole_files([folder / name for name in (TUPLES, PAIRS, PHOTOS)]) as streams:
        for stream, table in zip(streams, reversed(tables), strict=True):
            pq.write_table(table.replace_schema_metadata(header), stream, write_page_checksum=True)


def _photos(reconstruction: Reconstruction, names: list[str]) -> pa.Table:
    count = len(names)
    labels = reconstruction.labels
    values = np.full((count, 9), np.nan)
    for cluster in reconstruction.clusters:
        # Scalar last, as SciPy has it; COLMAP writes the scalar first.
        quaternions = Rotation.from_matrix(cluster.rotations).as_quat(canonical=True)[:, [3, 0, 1, 2]]
        seen = np.bincount(cluster.observations[:, 0], minlength=len(cluster))
        values[cluster.photos] = np.column_stack([cluster.centres, quaternions, cluster.focal_lengths, seen])
    outside = labels == _NO_CLUSTER
    columns = ("x", "y", "z", "qw", "qx", "qy", "qz", "focal_length")
    floats = {name: pa.array(values[:, i], mask=outside) for i, name in enumerate(columns)}
    points = pa.array(np.nan_to_num(values[:, 8]).astype(np.int64), mask=outside)
    return pa.table({"photo": names, "cluster": pa.array(labels, mask=outside), **floats, "points": points})


def _pairs(
    pairs: Covisibility, rows: Int64[np.ndarray, " n"], names: list[str], sides: tuple[str, str]
) -> pa.Table:
    photos = np.array(names, dtype=object)
    return pa.table(
        {
            sides[0]: pa.array(photos[pairs.query[rows]], pa.string()),
            sides[1]: pa.array(photos[pairs.other[rows]], pa.string()),
            "co_observed_points": pairs.points[rows],
            "overlap": pairs.overlap[rows],
            "scale_change": pairs.scale[rows],
            "angle": pairs.angle[rows],
            f"{sides[0]}_cluster": pairs.cluster[rows],
            f"{sides[1]}_cluster": pairs.cluster[rows],
        }
    )
