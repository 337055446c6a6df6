"""What ``resight whiten`` learns from: photos described, which of them match, and which are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from resight.collection.scan import BrokenPhoto, absolute, scan
from resight.errors import InvalidInput
from resight.files import Progress, read_rows
from resight.models.extract import extract
from resight.models.model import Model
from resight.models.whitening_fit import groups_of_pairs, matching_pairs, numbered

__all__ = ["Described", "Matches", "describe", "find_matches", "folders", "hold_out"]

_COLUMNS = ("query", "positive")
_MOST_NAMED = 4


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """Photos with their descriptors, and those that could not be read.

    Attributes:
        paths: Absolute, one a row of descriptors.
        descriptors: float32 ``(n, dim)``, unit L2 norm.
        broken: What could not be described, and why.
    """

    paths: list[str]
    descriptors: Float32[np.ndarray, "n dim"]
    broken: list[BrokenPhoto]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Which photos match.

    Attributes:
        pairs: int64 ``(m, 2)``, query and positive, rows of the descriptors.
        groups: int64 ``(n,)``, the same number for photos that match, over any number of steps.
    """

    pairs: Int64[np.ndarray, "m 2"]
    groups: Int64[np.ndarray, " n"]


def describe(model: Model, photos: Sequence[Path], *, report: Progress) -> Described:
    """Returns the photos under files and folders, described.

    Raises:
        InvalidInput: A path does not exist, or not one photo can be described.
    """
    found = scan(photos)
    paths, descriptors, broken = [], [], list(found.broken)
    for done, row in enumerate(extract([photo.path for photo in found.photos], model), 1):
        if row.features is not None:
            paths.append(str(row.path))
            descriptors.append(row.features.descriptor)
        else:
            broken.append(BrokenPhoto(str(row.path), row.reason or "it cannot be described"))
        report(done, len(found.photos))
    if not paths:
        why = f": {broken[0].path}, {broken[0].reason}" if broken else ""
        raise InvalidInput(f"there is no photo to learn from under {folders(photos)}{why}")
    return Described(paths, np.stack(descriptors), broken)


def find_matches(described: Described, table: Path | None, *, seed: int) -> Matches:
    """Returns the pairs that a table names, or pairs of photos that lie in one folder.

    Raises:
        InvalidInput: The table is none, or names a photo that is not among those described.
    """
    if table is not None:
        pairs = _read_pairs(table, described)
        return Matches(pairs, groups_of_pairs(pairs, len(described.paths)))
    groups = numbered([str(Path(path).parent) for path in described.paths])
    return Matches(matching_pairs(groups, np.random.default_rng(seed)), groups)


def hold_out(groups: Int64[np.ndarray, " n"], share: float, *, seed: int) -> Bool[np.ndarray, " n"]:
    """Returns which photos are held out: all of a random share of the groups of matching photos.

    Two groups at least, so that there are pairs that do not match; none where fewer than two would be left.
    """
    numbers, sizes = np.unique(groups, return_counts=True)
    candidates = numbers[sizes > 1]
    wanted = max(2, round(share * len(candidates)))
    if share == 0 or len(candidates) - wanted < 2:
        return np.zeros(len(groups), dtype=np.bool_)
    chosen = np.random.default_rng(seed).permutation(candidates)[:wanted]
    return np.isin(groups, chosen)


def folders(photos: Sequence[Path]) -> str:
    """Returns the names of the folders that were given, and of those that hold the files given."""
    whole = [photo.resolve() for photo in photos]
    names = list(dict.fromkeys(path.name if path.is_dir() else path.parent.name for path in whole))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _read_pairs(table: Path, described: Described) -> Int64[np.ndarray, "m 2"]:
    rows = {path: row for row, path in enumerate(described.paths)}
    rows |= {str(Path(path).resolve()): row for path, row in list(rows.items())}
    broken = {photo.path for photo in described.broken}
    pairs = []
    for row in read_rows(table, _COLUMNS):
        paths = [absolute(table.parent / row[column]) for column in _COLUMNS]
        if broken.intersection(paths):
            continue
        missing = [path for path in paths if path not in rows]
        if missing:
            raise InvalidInput(
                f"line {row.line} of {table} names {missing[0]}, which is none of the photos "
                f"given: give its folder, too, and paths relative to the table's own folder"
            )
        pairs.append([rows[path] for path in paths])
    if not pairs:
        raise InvalidInput(f"{table} names no pair of photos")
    return np.array(pairs, dtype=np.int64)
