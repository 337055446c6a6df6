"""Ground truth of INRIA Holidays (Jégou et al., ECCV 2008)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from resight.datasets.landmark_truth import LandmarkTruth, Task, indices
from resight.datasets.revisited import names_of, read_annotations
from resight.errors import InvalidInput

__all__ = ["holidays_truth", "read_holidays"]

QUERY_RULE = "The query's own photo is taken out of its ranking, and is no positive."
_NAME = re.compile(r"\d{6}")


def read_holidays(path: str | Path) -> LandmarkTruth:
    """Returns the ground truth of ``gnd_holidays.mat``: names, queries by number, ok and junk from 1.

    Raises:
        InvalidInput: The file is missing, holds something else, or an index lies outside the database.
        MissingExtra: SciPy is not installed.
    """
    path = Path(path)
    content = read_annotations(path)
    try:
        database = names_of(content, "feature_name")
        listed, entries = content["query_list"], content["gnd"]
        if not isinstance(listed, list) or not isinstance(entries, list):
            raise InvalidInput("query_list or gnd is no list")
        queries = tuple(str(row[0]) for row in listed if isinstance(row, list))
        positives, ignored = zip(*map(_answers, entries), strict=True)
        return replace(_truth(database, queries, positives, ignored), files=(path,))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is no ground truth of Holidays: {error}") from None


def holidays_truth(names: Iterable[str]) -> LandmarkTruth:
    """Returns the ground truth that the names say: NNNN00 is a query, the other NNNN.. its positives.

    Args:
        names: Of all images, six digits each.

    Raises:
        InvalidInput: A name is another, or a group has no query.
    """
    database = tuple(sorted(names))
    foreign = [name for name in database if not _NAME.fullmatch(name)]
    if foreign or not database:
        raise InvalidInput(
            f"photos of Holidays are called by six digits, such as 100000.jpg, not {foreign[:1] or 'nothing'}"
        )
    groups: dict[str, dict[str, int]] = defaultdict(dict)
    for index, name in enumerate(database):
        groups[name[:4]][name] = index
    lone = [group for group, members in groups.items() if f"{group}00" not in members]
    if lone:
        raise InvalidInput(f"the photos {lone[0]}xx of Holidays have no query {lone[0]}00")
    queries = tuple(f"{group}00" for group in groups)
    own = [groups[query[:4]][query] for query in queries]
    positives = tuple(
        frozenset(groups[query[:4]].values()) - {number} for query, number in zip(queries, own, strict=True)
    )
    return _truth(database, queries, positives, tuple(frozenset({number}) for number in own))


def _answers(entry: object) -> tuple[frozenset[int], frozenset[int]]:
    if not isinstance(entry, Mapping):
        raise InvalidInput(f"an entry of gnd is a dict, not a {type(entry).__name__}")
    return indices(entry["ok"], first=1), indices(entry["junk"], first=1)


def _truth(
    database: tuple[str, ...],
    queries: tuple[str, ...],
    positives: tuple[frozenset[int], ...],
    ignored: tuple[frozenset[int], ...],
) -> LandmarkTruth:
    boxes = (None,) * len(queries)
    task = Task("all", positives, ignored)
    return LandmarkTruth("holidays", database, queries, boxes, (task,), "trapezoidal", QUERY_RULE)
