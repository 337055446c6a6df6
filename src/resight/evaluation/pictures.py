"""Queries to look at: the worst and the median ones, their first answers, and the positives they missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from resight.datasets.dataset import LabelledImages
from resight.datasets.landmark_truth import LandmarkTruth, Task
from resight.evaluation.measures.labels import PerQuery
from resight.evaluation.measures.landmarks import LandmarkColumn
from resight.evaluation.result import PictureRow, ShownAnswer, ShownPhoto
from resight.search.exact import Ranks, rank_marked
from resight.search.ranking import Ranking, without

__all__ = ["Pictures", "first_answers", "labelled_rows", "landmark_rows"]

_ROWS_OF_A_KIND, _ANSWERS, _MISSED = 8, 8, 8


def first_answers(
    descriptors: Float32[np.ndarray, "n dim"],
    queries: Sequence[int],
    k: int,
    *,
    gallery: Bool[np.ndarray, " n"] | None = None,
) -> Ranking:
    """Returns the k best answers of each query by the rule of `resight.search.exact`; ids are indices.

    Args:
        descriptors: Unit L2 norm.
        queries: Indices; each is left out of its own answers.
        k: How many answers.
        gallery: Which descriptors are the database; all by default.
    """
    rows = np.arange(len(descriptors)) if gallery is None else np.flatnonzero(gallery)
    database = descriptors if gallery is None else descriptors[rows]
    nothing = [np.empty(0, dtype=np.int64)] * len(queries)
    first = rank_marked(descriptors[list(queries)], [database], nothing, first=k + 1).first
    answers = without(Ranking(rows[first.ids], first.scores), [{query} for query in queries])
    return Ranking(answers.ids[:, :k].copy(), answers.scores[:, :k].copy())


def labelled_rows(
    values: PerQuery, test: LabelledImages, descriptors: Float32[np.ndarray, "n dim"]
) -> tuple[PictureRow, ...]:
    """Returns the worst queries by MAP@R, of different labels while there are such, and the median ones."""
    counted = np.flatnonzero(values.positives > 0)
    order = counted[np.lexsort((values.queries[counted], values.map_at_r[counted]))]
    worst = _of_different_labels(order, test.labels[values.queries])
    middle = max(0, len(order) // 2 - _ROWS_OF_A_KIND // 2)
    median = [place for place in order[middle:].tolist() if place not in worst][:_ROWS_OF_A_KIND]
    places = [*worst, *median]
    if not places:
        return ()
    answers = first_answers(descriptors, values.queries[places].tolist(), _ANSWERS, gallery=test.gallery)
    return tuple(
        PictureRow(
            "worst" if number < len(worst) else "median",
            _labelled_photo(test, int(values.queries[place])),
            float(values.map_at_r[place]),
            int(values.positives[place]),
            _judged(test, int(values.queries[place]), *answers.row(number)),
        )
        for number, place in enumerate(places)
    )


def _of_different_labels(order: np.ndarray, labels: np.ndarray) -> list[int]:
    """Returns the first places of an order; a label comes again only when every other one has been taken."""
    _, first = np.unique(labels[order], return_index=True)
    once = np.sort(first)[:_ROWS_OF_A_KIND]
    rest = np.setdiff1d(np.arange(len(order)), once)[: _ROWS_OF_A_KIND - len(once)]
    chosen: Sequence[int] = np.sort(np.concatenate([once, rest])).tolist()
    return [int(order[number]) for number in chosen]


def _judged(
    test: LabelledImages, query: int, ids: Int64[np.ndarray, " k"], scores: Float32[np.ndarray, " k"]
) -> tuple[ShownAnswer, ...]:
    return tuple(
        ShownAnswer(_labelled_photo(test, index), score, bool(test.labels[index] == test.labels[query]))
        for index, score in zip(ids.tolist(), scores.tolist(), strict=True)
    )


def _labelled_photo(test: LabelledImages, index: int) -> ShownPhoto:
    box = test.boxes[index] if test.boxes is not None else None
    return ShownPhoto(
        test.paths[index], test.label_names[int(test.labels[index])], None if box is None else box.corners
    )


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where a landmark benchmark's photos are.

    Attributes:
        database: Paths relative to the benchmark's root, or names.
        queries: The same of the queries.
        crop: Whether queries were cropped to their boxes.
    """

    database: tuple[str, ...]
    queries: tuple[str, ...]
    crop: bool


def landmark_rows(
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
    task = next(task for task in truth.tasks if task.name == main.quantity.task)
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
                _landmark_query(truth, query, pictures),
                float(main.values[query]),
                len(task.positives[query] or ()),
                answers,
                main.quantity,
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
                _landmark_photo(truth, index, pictures),
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
        ShownAnswer(_landmark_photo(truth, index, pictures), None, right=True, rank=rank + 1)
        for rank, index in late[:_MISSED]
        if rank >= _ANSWERS
    )


def _landmark_query(truth: LandmarkTruth, query: int, pictures: Pictures) -> ShownPhoto:
    box = truth.boxes[query] if pictures.crop else None
    return ShownPhoto(pictures.queries[query], truth.queries[query], None if box is None else box.corners)


def _landmark_photo(truth: LandmarkTruth, index: int, pictures: Pictures) -> ShownPhoto:
    if index >= len(truth.database):
        name = f"distractor {index - len(truth.database)}"
        return ShownPhoto(name, name, None)
    return ShownPhoto(pictures.database[index], truth.database[index], None)
