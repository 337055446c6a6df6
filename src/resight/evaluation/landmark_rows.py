"""Queries of a landmark benchmark to look at: their first answers, and the positives that were missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from resight.datasets.landmark_truth import LandmarkTruth, Task
from resight.evaluation.measures.landmarks import LandmarkColumn
from resight.evaluation.measures.ranks import Ranks
from resight.evaluation.result import PictureRow, ShownAnswer, ShownPhoto

__all__ = ["Pictures", "picture_rows"]

_ROWS_OF_A_KIND, _ANSWERS, _MISSED = 8, 8, 8


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where photos are.

    Attributes:
        database: Paths relative to the benchmark's root, or names.
        queries: The same of the queries.
        crop: Whether queries were cropped to their boxes.
    """

    database: tuple[str, ...]
    queries: tuple[str, ...]
    crop: bool


def picture_rows(
    truth: LandmarkTruth,
    ranks: Ranks,
    main: LandmarkColumn,
    pictures: Pictures,
    heads: Sequence[Int64[np.ndarray, " _"]] | None,
) -> tuple[PictureRow, ...]:
    """Returns the worst and the median queries with their first answers and the positives missed.

    Answers are those of the task that ``main`` measures; what it ignores is shown among them and marked, but
    not where a head was re-ranked, which has none.

    Args:
        truth: What is right.
        ranks: Of the first ranking.
        main: Orders the queries.
        pictures: Paths.
        heads: The re-ranked first answers of each query under that task, or None.
    """
    task = next(task for task in truth.tasks if task.name == main.task)
    counted = np.flatnonzero(~np.isnan(main.values))
    order = counted[np.argsort(main.values[counted], kind="stable")].tolist()
    worst = order[:_ROWS_OF_A_KIND]
    middle = max(0, len(order) // 2 - _ROWS_OF_A_KIND // 2)
    median = [query for query in order[middle:] if query not in worst][:_ROWS_OF_A_KIND]
    rows = []
    for query in [*worst, *median]:
        head = None if heads is None else heads[query]
        answers = _answers(truth, ranks, task, query, pictures, head)
        rows.append(
            PictureRow(
                "worst" if query in worst else "median",
                _query(truth, query, pictures),
                float(main.values[query]),
                len(task.positives[query] or ()),
                answers,
                main.name,
                _missed(truth, ranks, task, query, pictures, head),
            )
        )
    return tuple(rows)


def _answers(
    truth: LandmarkTruth,
    ranks: Ranks,
    task: Task,
    query: int,
    pictures: Pictures,
    head: Int64[np.ndarray, " top"] | None,
) -> tuple[ShownAnswer, ...]:
    ids, scores = ranks.first.row(query)
    score_of = dict(zip(ids.tolist(), scores.tolist(), strict=True))
    shown, rank = [], 0
    for index in (ids if head is None else head)[:_ANSWERS].tolist():
        ignored = index in task.ignored[query]
        rank += not ignored
        shown.append(
            ShownAnswer(
                _photo(truth, index, pictures),
                score_of[index],
                index in (task.positives[query] or ()),
                None if ignored else rank,
                ignored,
            )
        )
    return tuple(shown)


def _missed(
    truth: LandmarkTruth,
    ranks: Ranks,
    task: Task,
    query: int,
    pictures: Pictures,
    head: Int64[np.ndarray, " top"] | None,
) -> tuple[ShownAnswer, ...]:
    """Returns positives beyond the answers that are shown, those that come last first."""
    place_of = dict(zip(ranks.marked[query].tolist(), ranks.places[query].tolist(), strict=True))
    ignored = np.sort([place_of[index] for index in task.ignored[query] if place_of[index] >= 0])
    first = {} if head is None else {index: rank for rank, index in enumerate(head.tolist())}
    late: list[tuple[int, int]] = []
    for index in task.positives[query] or ():
        place = place_of[index]
        rank = first.get(index, place - int(np.searchsorted(ignored, place)) if place >= 0 else -1)
        # The images that are not ranked at all come before the last of those that are.
        late.append((rank if rank >= 0 else len(truth.database), index))
    late.sort(key=lambda pair: (-pair[0], pair[1]))
    return tuple(
        ShownAnswer(_photo(truth, index, pictures), None, right=True, rank=rank + 1)
        for rank, index in late[:_MISSED]
        if rank >= _ANSWERS
    )


def _query(truth: LandmarkTruth, query: int, pictures: Pictures) -> ShownPhoto:
    box = truth.boxes[query] if pictures.crop else None
    return ShownPhoto(pictures.queries[query], truth.queries[query], None if box is None else box.corners)


def _photo(truth: LandmarkTruth, index: int, pictures: Pictures) -> ShownPhoto:
    if index >= len(truth.database):
        name = f"distractor {index - len(truth.database)}"
        return ShownPhoto(name, name, None)
    return ShownPhoto(pictures.database[index], truth.database[index], None)
