"""The authors' files: ``retrieval-SfM-30k.pkl``, ``-120k.pkl`` and their pairs for whitening.

A pickle holds ``train`` and ``val``, each with ``cids`` (names of images), ``cluster`` (3D model of each),
``qidxs`` and ``pidxs`` (rows of queries and of their positives). The file for whitening holds ``cids``,
``qidxs`` and ``pidxs`` alone. An image lies at ``ims/`` and six characters of its name's end, two a folder.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64

from resight.datasets.plain_pickle import Plain, read_plain_pickle
from resight.datasets.tuple_set import TupleSet
from resight.errors import InvalidInput
from resight.files import write_whole
from resight.models.whitening_fit import groups_of_pairs

__all__ = ["image_path", "read_retrieval_sfm", "write_retrieval_sfm"]

Split = Literal["train", "val", "whiten"]


def image_path(root: Path, name: str) -> Path:
    """Returns where the authors keep an image: ``root/ims/ef/cd/ab/...abcdef``."""
    return root / "ims" / name[-2:] / name[-4:-2] / name[-6:-4] / name


def read_retrieval_sfm(
    path: str | Path, split: Split = "train", *, root: str | Path | None = None
) -> TupleSet:
    """Returns one part of the authors' file.

    Pairs whose query is their own positive are left out (the public set has 47 of them).

    Args:
        path: The pickle; it is read without executing anything of it.
        split: ``train`` or ``val``; ``whiten`` of the file for whitening, where photos joined by pairs are
            one cluster.
        root: The folder that holds ``ims``; the pickle's own by default.

    Raises:
        InvalidInput: The file cannot be read or has another layout.
    """
    path = Path(path)
    content = read_plain_pickle(path)
    part = content
    if split != "whiten":
        part = content.get(split) if isinstance(content, dict) else None
    if not isinstance(part, dict):
        raise _foreign(path, "it is no mapping" if split == "whiten" else f"it lacks the mapping {split!r}")
    names = part.get("cids")
    if not isinstance(names, list):
        raise _foreign(path, "it lacks the list 'cids'")
    queries, positives = (_rows(part, name, path) for name in ("qidxs", "pidxs"))
    if len(queries) != len(positives):
        raise InvalidInput(f"{path} has {len(queries):,} queries and {len(positives):,} positives")
    clusters = groups_of_pairs(_checked(queries, positives, len(names), path), len(names))
    if split != "whiten":
        clusters = _rows(part, "cluster", path)
    pairs = queries != positives
    folder = path.parent if root is None else Path(root)
    photos = tuple(image_path(folder, str(name)) for name in names)
    return TupleSet(photos, clusters, queries[pairs], positives[pairs])


def write_retrieval_sfm(path: str | Path, parts: Mapping[str, TupleSet]) -> None:
    """Writes sets in the authors' layout; the names of images are the photos' paths.

    Args:
        path: The file; one that is there is replaced.
        parts: ``train``, and ``val`` where there is one.

    Raises:
        OSError: The file cannot be written.
    """
    content = {
        name: {
            "cids": [str(photo) for photo in part.photos],
            "cluster": part.clusters.tolist(),
            "qidxs": part.queries.tolist(),
            "pidxs": part.positives.tolist(),
        }
        for name, part in parts.items()
    }
    write_whole(path, pickle.dumps(content, protocol=2))


def _checked(
    queries: Int64[np.ndarray, " n"], positives: Int64[np.ndarray, " n"], count: int, path: Path
) -> Int64[np.ndarray, "n 2"]:
    pairs = np.stack([queries, positives], axis=1)
    if pairs.size and not (pairs.min() >= 0 and pairs.max() < count):
        raise InvalidInput(f"a query or positive of {path} is none of its {count:,} images")
    return pairs


def _foreign(path: Path, reason: str) -> InvalidInput:
    return InvalidInput(f"{path} has not the layout of retrieval-SfM: {reason}")


def _rows(part: Mapping[str, Plain], name: str, path: Path) -> Int64[np.ndarray, " n"]:
    value = part.get(name)
    try:
        rows = np.asarray(value if isinstance(value, list | np.ndarray) else None)
    except (ValueError, OverflowError):
        raise _foreign(path, f"{name!r} is no list of whole numbers") from None
    if rows.ndim != 1 or (rows.dtype.kind not in "iu" and rows.size):
        raise _foreign(path, f"{name!r} is no list of whole numbers")
    return rows.astype(np.int64)
