"""The page of two results side by side: differences with intervals, and the queries that changed most."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float64

from resight.evaluation.comparison import ComparedMeasure, Comparison
from resight.evaluation.result import Result
from resight.evaluation.statistics import most_changed
from resight.files import write_whole
from resight.reports.embedded import embed
from resight.reports.evaluation import protocol_of
from resight.reports.page import render

__all__ = ["render_comparison", "write_comparison"]

_PHOTO_SIDE, _ROWS, _POINTS = 200, 8, 2000


@dataclass(frozen=True, slots=True)
class _Query:
    """A query that changed; ``uri`` is its photo, None where it is not at hand."""

    path: str
    uri: str | None
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class _Whisker:
    """A difference in a drawing from 0 to 100, where 50 is no difference."""

    low: float
    mean: float
    high: float


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the table of measures."""

    measure: ComparedMeasure
    drawn: _Whisker


@dataclass(frozen=True, slots=True)
class _Point:
    """A query in the drawing: its values, from 0 to 100, and whether it gained, lost or stayed."""

    first: float
    second: float
    kind: str


@dataclass(frozen=True, slots=True)
class _Fact:
    """A line of both protocol cards."""

    name: str
    first: str
    second: str

    @property
    def differs(self) -> bool:
        """Whether the cards say different things."""
        return self.first != self.second


@dataclass(frozen=True, slots=True)
class _Page:
    """What ``comparison.html`` shows."""

    title: str
    comparison: Comparison
    names: tuple[str, str]
    main: ComparedMeasure
    lines: tuple[_Line, ...]
    reach: float
    points: tuple[_Point, ...]
    queries: int
    gained: tuple[_Query, ...]
    lost: tuple[_Query, ...]
    facts: tuple[_Fact, ...]


def write_comparison(
    comparison: Comparison,
    first: Result,
    second: Result,
    path: str | Path,
    *,
    root: str | Path | None = None,
    names: tuple[str, str] | None = None,
) -> None:
    """Writes the page: one HTML file that needs nothing else, whole or not at all.

    Args:
        comparison: Of both results, as `resight.evaluation.compare` returns it.
        first: The one to start from.
        second: The one that may be better.
        path: The file to write; one that is there is replaced.
        root: The benchmark's folder, for the photos of queries; by default none is shown.
        names: What the results are called; their models by default.

    Raises:
        OSError: The file cannot be written.
    """
    write_whole(path, render_comparison(comparison, first, second, root=root, names=names))


def render_comparison(
    comparison: Comparison,
    first: Result,
    second: Result,
    *,
    root: str | Path | None = None,
    names: tuple[str, str] | None = None,
) -> str:
    """Returns the page as HTML."""
    main = next(
        (one for one in comparison.measures if one.quantity == comparison.main), comparison.measures[0]
    )
    left, right = (
        next(column.array for column in result.columns if column.quantity == main.quantity)
        for result in (first, second)
    )
    reach = max(
        max(abs(one.test.difference.low), abs(one.test.difference.high)) for one in comparison.measures
    )
    folder = None if root is None else Path(root)
    counted = ~np.isnan(left) & ~np.isnan(right)
    left, right = np.where(counted, left, np.nan), np.where(counted, right, np.nan)
    shown = tuple(names or (PurePosixPath(model).name for model in (comparison.first, comparison.second)))
    page = _Page(
        f"{shown[1]} against {shown[0]} on {first.card.benchmark}, {first.card.folder}",
        comparison,
        (shown[0], shown[1]),
        main,
        tuple(_Line(one, _whisker(one, reach or 1.0)) for one in comparison.measures),
        reach,
        _points(left, right),
        int(counted.sum()),
        _changed(first, left, np.fmax(left, right), left, right, folder),
        _changed(first, left, np.fmin(left, right), left, right, folder),
        _facts(first, second),
    )
    return render("comparison.html", page)


def _whisker(measure: ComparedMeasure, reach: float) -> _Whisker:
    difference = measure.test.difference
    ends = (50 + 48 * value / reach for value in (difference.low, difference.mean, difference.high))
    return _Whisker(*ends)


def _points(
    first: Float64[np.ndarray, " queries"], second: Float64[np.ndarray, " queries"]
) -> tuple[_Point, ...]:
    """Returns the queries that count, evenly thinned to what a page can carry."""
    counted = np.flatnonzero(~np.isnan(first))
    step = -(-len(counted) // _POINTS) or 1
    return tuple(
        _Point(100 * one, 100 * other, "gained" if other > one else "lost" if other < one else "same")
        for one, other in zip(first[counted[::step]].tolist(), second[counted[::step]].tolist(), strict=True)
    )


def _changed(
    result: Result,
    before: Float64[np.ndarray, " queries"],
    after: Float64[np.ndarray, " queries"],
    first: Float64[np.ndarray, " queries"],
    second: Float64[np.ndarray, " queries"],
    root: Path | None,
) -> tuple[_Query, ...]:
    return tuple(
        _Query(
            result.queries[place],
            _photo(root, result.queries[place]),
            float(first[place]),
            float(second[place]),
        )
        for place in most_changed(before, after, _ROWS).tolist()
    )


def _photo(root: Path | None, path: str) -> str | None:
    if root is None or not (root / path).is_file():
        return None
    return embed(str(root / path), _PHOTO_SIDE).uri


def _facts(first: Result, second: Result) -> tuple[_Fact, ...]:
    ours, theirs = protocol_of(first), protocol_of(second)
    return tuple(_Fact(name, ours.get(name, "–"), theirs.get(name, "–")) for name in ours | theirs)
