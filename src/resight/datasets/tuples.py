"""Pairs of a query and its positive as a benchmark: of ``resight tuples``, or the authors' retrieval-SfM."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from resight.datasets.dataset import Benchmark, LabelledImages
from resight.datasets.folder import KS
from resight.datasets.retrieval_sfm import read_retrieval_sfm
from resight.datasets.tuple_set import TupleSet
from resight.errors import InvalidInput
from resight.files import reading, shown
from resight.files.apart import parquet_rows

__all__ = ["PHOTOS", "TUPLES", "read_tuple_benchmark", "read_tuples"]

PHOTOS, TUPLES = "photos.parquet", "tuples.parquet"
_NO_TABLE = "is no table of resight tuples"
_NO_CLUSTER = -1
_EVERY = 5
"""Every so many clusters, from the largest on, one is for testing."""


def read_tuples(folder: str | Path) -> TupleSet:
    """Returns the photos, clusters and pairs that ``resight tuples`` wrote to a folder.

    Raises:
        InvalidInput: A table is missing or damaged, or names a photo that is not there.
    """
    folder = Path(folder)
    if not all((folder / name).is_file() for name in (PHOTOS, TUPLES)):
        raise InvalidInput(
            f"there are no tuples in {folder}: make them with resight tuples PHOTOS --out {folder}"
        )
    names, numbers = _read(folder / PHOTOS, ("photo", "cluster"))
    row_of = {name: row for row, name in enumerate(names)}
    with reading(folder / PHOTOS, f"{folder / PHOTOS} {_NO_TABLE}"):
        clusters = np.array([int(number or _NO_CLUSTER) for number in numbers], dtype=np.int64)
    sides = []
    for column in _read(folder / TUPLES, ("query", "positive")):
        strangers = [name for name in column if name not in row_of]
        if strangers:
            raise InvalidInput(
                f"{folder / TUPLES} names {shown(repr(strangers[0]))}, which {PHOTOS} does not"
            )
        sides.append(np.array([row_of[name] for name in column], dtype=np.int64))
    return TupleSet(tuple(Path(name) for name in names), clusters, sides[0], sides[1])


def read_tuple_benchmark(path: Path) -> Benchmark:
    """Returns pairs as a benchmark: photos of one cluster have one label, and training photos have pairs.

    ``path`` is a folder of ``resight tuples``, of which every fifth cluster, from the largest on, is for
    testing; or a pickle of retrieval-SfM, whose part ``val`` is.

    Raises:
        InvalidInput: The files cannot be read, or show fewer than two clusters.
    """
    if path.suffix == ".pkl":
        train, test = (read_retrieval_sfm(path, split) for split in ("train", "val"))
        root = _root([*train.photos, *test.photos])
        labelled, pairs = _labelled(train, train.clusters >= 0, "train", root)
        tested = _labelled(test, test.clusters >= 0, "test", root)[0]
        return Benchmark("tuples", labelled, tested, KS, files=(path,), pairs=pairs)
    tuples = read_tuples(path)
    numbers, sizes = np.unique(tuples.clusters[tuples.clusters >= 0], return_counts=True)
    if len(numbers) < 2:
        raise InvalidInput(
            f"training on tuples needs photos of two places or more, and those of {path} show "
            f"{len(numbers)}: add photos of other places and run resight tuples again"
        )
    order = numbers[np.argsort(-sizes, kind="stable")]
    # The second, seventh, ... so that the largest is trained on, and something is held out of two.
    held = np.isin(tuples.clusters, order[1::_EVERY])
    trained = (tuples.clusters >= 0) & ~held
    root = _root([tuples.photos[row] for row in np.flatnonzero(tuples.clusters >= 0)])
    labelled, pairs = _labelled(tuples, trained, "train", root)
    tested = _labelled(tuples, held, "test", root)[0]
    return Benchmark("tuples", labelled, tested, KS, files=(path / PHOTOS, path / TUPLES), pairs=pairs)


def _root(photos: Sequence[Path]) -> Path:
    """Returns the folder that holds all of them."""
    return Path(os.path.commonpath([photo.parent for photo in photos]))


def _labelled(
    tuples: TupleSet, chosen: Bool[np.ndarray, " photos"], split: str, root: Path
) -> tuple[LabelledImages, Int64[np.ndarray, "pairs 2"]]:
    rows = np.flatnonzero(chosen)
    place = np.full(len(tuples.photos), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    clusters, labels = np.unique(tuples.clusters[rows], return_inverse=True)
    labelled = LabelledImages(
        f"tuples {split}",
        root,
        tuple(tuples.photos[row].relative_to(root).as_posix() for row in rows),
        labels.reshape(-1).astype(np.int64),
        tuple(f"cluster {cluster}" for cluster in clusters),
    )
    pairs = np.stack([place[tuples.queries], place[tuples.positives]], axis=1)
    return labelled, pairs[(pairs >= 0).all(axis=1)]


def _read(path: Path, columns: tuple[str, str]) -> list[list[str]]:
    """Returns two columns of a table."""
    with reading(path, f"{path} {_NO_TABLE}"):
        rows = parquet_rows(path, columns)
        names = next(rows)
        places = [names.index(column) for column in columns]
        cells = list(rows)
        return [[row[place] for row in cells] for place in places]
