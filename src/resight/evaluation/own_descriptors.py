"""Descriptors of anybody's making, measured on a labelled set by the names of its photos."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Float32, Float64, Int64

from resight.datasets.dataset import Benchmark, LabelledImages, Split
from resight.errors import InvalidInput
from resight.evaluation.card import NOT_STATED, Fact, Source
from resight.evaluation.labelled import measure_source
from resight.evaluation.measures.arrays import as_matrix
from resight.evaluation.result import Result
from resight.evaluation.statistics import Intervals
from resight.files import name_key
from resight.images import PHOTO_SUFFIXES

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OwnResult", "evaluate_descriptors", "rows_by_name"]

Descriptors: TypeAlias = "np.ndarray | Tensor"
"""Rows of floating-point numbers of any width, of numpy or torch."""

_MOST_NAMED = 3
_UNIT = 1e-3
_ROWS = 4096


@dataclass(frozen=True, slots=True)
class OwnResult:
    """What was measured.

    Attributes:
        result: The numbers and how they came about.
        unused: Names that are none of the photos measured.
        lengths: The shortest and the longest descriptor, where they were not of unit length and were divided
            by their lengths; None where they were.
    """

    result: Result
    unused: tuple[str, ...]
    lengths: tuple[float, float] | None


def evaluate_descriptors(
    descriptors: Descriptors,
    names: Sequence[str],
    benchmark: Benchmark,
    *,
    split: Split = "test",
    source: str = "descriptors",
    fingerprint: str | None = None,
    clusters: bool = True,
    selection: str = NOT_STATED,
    intervals: Intervals | None = None,
    seed: int = 0,
) -> OwnResult:
    """Returns the result of descriptors on a labelled set, each photo's found by its name.

    float32 in the set's order is measured as it is, without a copy.

    Args:
        descriptors: A row a name; of any length, float16 and torch tensors too.
        names: The photos' paths as the set has them, with or without the suffix or their folders where that
            is enough to tell them apart, in any order; names of other photos are left out.
        benchmark: As ``resight.datasets.load`` returns it.
        split: Which of its photos are measured.
        source: What the card calls them.
        fingerprint: Of where they come from; of the numbers themselves by default.
        clusters: Whether NMI and AMI are measured too; above 2000 classes that takes minutes.
        selection: How what made them was chosen, for the card.
        intervals: What is drawn for the intervals.
        seed: Of k-means and the bootstrap.

    Raises:
        InvalidInput: They are no matrix of floating-point numbers, there are more or fewer of them than
            names, a photo has none or several, or one is not finite or zero.
    """
    matrix, photos = as_matrix(descriptors), benchmark.measured(split)
    rows, unused = rows_by_name(names, photos, source, count=len(matrix))
    in_order = len(rows) == len(matrix) and bool((rows == np.arange(len(rows))).all())
    chosen = np.asarray(matrix if in_order else matrix[rows], dtype=np.float32)
    lengths = _lengths(chosen, photos, source)
    unit = bool((np.abs(lengths - 1) < _UNIT).all())
    if not unit:
        chosen = (chosen / lengths[:, None]).astype(np.float32)
    ends = (float(lengths.min()), float(lengths.max()))
    told = "of unit length" if unit else f"of lengths {ends[0]:.4g} to {ends[1]:.4g}, divided by them"
    digest = (
        hashlib.sha256(np.ascontiguousarray(chosen).data).hexdigest() if fingerprint is None else fingerprint
    )
    made_by = Source(source, digest, matrix.shape[1], 0, (), "unknown", "not known", photos.root.name)
    result = measure_source(
        made_by,
        benchmark,
        chosen,
        split=split,
        facts=(Fact("descriptors", told),),
        clusters=clusters,
        selection=selection,
        intervals=intervals,
        seed=seed,
    )
    return OwnResult(result, unused, None if unit else ends)


def rows_by_name(
    names: Sequence[str], photos: LabelledImages, source: str, *, count: int
) -> tuple[Int64[np.ndarray, " n"], tuple[str, ...]]:
    """Returns the row of each photo of a set, and the names that are none of its photos.

    Names are compared as whole paths, without suffix, without folders, or without both: whichever of these
    finds most of the photos, of those that tell all of them apart.

    Args:
        names: One a row.
        photos: The set.
        source: What messages call the descriptors.
        count: How many rows there are.

    Raises:
        InvalidInput: Names and rows are not as many, or a photo has no name or several.
    """
    if len(names) != count:
        raise InvalidInput(f"{source} has {count:,} descriptors and {len(names):,} names")
    relative = [_relative(name, photos.root) for name in names]
    distinct = dict.fromkeys(_relative(path, photos.root) for path in photos.paths)
    rules = [rule for rule in _RULES if len({rule(path) for path in distinct}) == len(distinct)]
    found = [len({rule(path) for path in distinct} & {rule(name) for name in relative}) for rule in rules]
    rule = rules[found.index(max(found))]
    keys, wanted = (
        [rule(name) for name in relative],
        [rule(_relative(path, photos.root)) for path in photos.paths],
    )
    known = set(wanted)
    doubled = [key for key, times in Counter(keys).items() if times > 1 and key in known]
    if doubled:
        raise InvalidInput(f"{source} has {_some(doubled)} more than once: each photo needs one descriptor")
    places = {key: row for row, key in enumerate(keys)}
    missing = [path for path, key in zip(photos.paths, wanted, strict=True) if key not in places]
    if missing:
        raise InvalidInput(
            f"{source} has no descriptor of {_some(missing)}: {len(missing):,} of {len(photos):,} photos of "
            f"{photos.name} are missing; its names begin with {_some(names) or 'nothing'}"
        )
    unused = tuple(name for name, key in zip(names, keys, strict=True) if key not in known)
    return np.array([places[key] for key in wanted], dtype=np.int64), unused


def _relative(name: str, root: Path) -> str:
    """Returns a path as it is compared: relative to the root of the photos, ``/`` between folders."""
    path = PurePosixPath(name_key(name.strip().replace("\\", "/")))
    top = PurePosixPath(name_key(root.absolute().as_posix()))
    return (path.relative_to(top) if path.is_relative_to(top) else path).as_posix()


_RULES: tuple[Callable[[str], str], ...] = (
    lambda path: path,
    lambda path: _without_suffix(path),
    lambda path: PurePosixPath(path).name,
    lambda path: _without_suffix(PurePosixPath(path).name),
)


def _without_suffix(path: str) -> str:
    """Returns a path without the suffix of a photo; another dot belongs to the name."""
    suffix = PurePosixPath(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in PHOTO_SUFFIXES else path


def _lengths(
    rows: Float32[np.ndarray, "n dim"], photos: LabelledImages, source: str
) -> Float64[np.ndarray, " n"]:
    """Returns the L2 norm of each row.

    Raises:
        InvalidInput: One is zero or not finite.
    """
    lengths = np.concatenate(
        [
            np.linalg.norm(rows[at : at + _ROWS].astype(np.float64), axis=1)
            for at in range(0, len(rows), _ROWS)
        ]
    )
    for wrong, what in (
        (~np.isfinite(lengths), "NaN or infinite numbers"),
        (lengths == 0, "nothing but zeros"),
    ):
        paths = [photos.paths[row] for row in np.flatnonzero(wrong)]
        if paths:
            raise InvalidInput(f"{source} has {what} for {_some(paths)} ({len(paths):,} photos)")
    return lengths


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED])
