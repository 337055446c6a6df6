"""Which queries of a ground truth show the same landmark.

Such queries resemble each other: an interval draws landmarks, each with all of its queries.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Sequence, Set
from dataclasses import dataclass

import numpy as np

from resight.datasets.landmark_truth import LandmarkTruth

__all__ = ["QueryLandmarks", "query_landmarks", "sharing_answers"]

_NUMBERED = re.compile(r"(.+)_(\d{1,3})")


@dataclass(frozen=True, slots=True)
class QueryLandmarks:
    """The landmark of each query.

    Attributes:
        of: A number a query, equal where queries show the same landmark.
        found: How that is known, in words.
    """

    of: tuple[int, ...]
    found: str

    @property
    def count(self) -> int:
        """How many landmarks there are."""
        return len(set(self.of))


def query_landmarks(truth: LandmarkTruth) -> QueryLandmarks | None:
    """Returns which queries show the same landmark; ``None`` where the ground truth does not tell.

    Tried one after the other:

    1. The ground truth names the landmark of each query: the field ``landmark`` of its entries, or the
       names of the lists of Oxford5k and Paris6k (``all_souls_1_query.txt``).
    2. Queries are called so: ``all_souls_1`` to ``all_souls_5``, ``keble_1`` to ``keble_5``; each name is
       numbered without gaps, from 0 or 1, and there are two names or more. Photos of Oxford5k, such as
       ``oxford_002985``, are not: the first part is what the photo was tagged with.
    3. Queries have the same positives: those of one belong by half or more to the other, all tasks taken
       together, counted over the query that has fewer. In Oxford5k and Paris6k, original and revisited, this
       gives the landmarks of the authors.

    Ground truths of place recognition tell nothing: along a route each query shares references with the next.
    """
    if truth.landmarks:
        return QueryLandmarks(_numbered(truth.landmarks), "as the ground truth names them")
    names = _names(truth.queries)
    if names:
        return QueryLandmarks(_numbered(names), f"by the queries' names, such as {truth.queries[0]}")
    if truth.formula == "recall":
        return None
    positives = [
        frozenset().union(*(task.positives[query] or () for task in truth.tasks))
        for query in range(len(truth.queries))
    ]
    return QueryLandmarks(sharing_answers(positives), "queries that share half of their positives or more")


def sharing_answers(answers: Sequence[Set[Hashable]]) -> tuple[int, ...]:
    """Returns a number a query, equal where queries share at least half of the answers of one of them.

    The relation is closed: a query that shares with two others joins them. One without answers is alone.

    >>> sharing_answers([{"a", "b"}, {"b", "c", "d"}, {"c"}, {"e"}, set()])
    (0, 0, 0, 1, 2)
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    places = {name: place for place, name in enumerate({name: None for some in answers for name in some})}
    sizes = np.array([len(some) for some in answers])
    held = (
        np.ones(int(sizes.sum()), dtype=np.int64),
        (np.repeat(np.arange(len(answers)), sizes), [places[name] for some in answers for name in some]),
    )
    marks = csr_array(held, shape=(len(answers), max(len(places), 1)))
    shared = (marks @ marks.T).tocoo()
    row, column = shared.coords
    enough = 2 * shared.data >= np.minimum(sizes[row], sizes[column])
    links = csr_array((shared.data[enough], (row[enough], column[enough])), shape=(len(answers),) * 2)
    return _numbered(connected_components(links, directed=False)[1].tolist())


def _numbered(names: Sequence[Hashable]) -> tuple[int, ...]:
    """Returns the names as numbers, in the order in which they come first."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return tuple(numbers[name] for name in names)


def _names(queries: Sequence[str]) -> tuple[str, ...]:
    """Returns the landmark in each query's name; nothing where names are not numbered by landmark."""
    matches = [match for query in queries if (match := _NUMBERED.fullmatch(query))]
    if len(matches) != len(queries):
        return ()
    numbers: dict[str, list[int]] = defaultdict(list)
    for match in matches:
        numbers[match[1]].append(int(match[2]))
    for some in numbers.values():
        first = min(some)
        if first > 1 or sorted(some) != list(range(first, first + len(some))):
            return ()
    return tuple(match[1] for match in matches) if len(numbers) > 1 else ()
