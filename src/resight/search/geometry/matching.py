"""Matches between the local features of photos: nearest neighbours by large matrix products.

Descriptors are rounded before they are multiplied, so that every partial sum of a product fits the 24 bits of
a float32 and is exact: whatever the blocks, the threads and the matrix library, the same two photos have the
same similarities, alone and among many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from resight.errors import InvalidInput
from resight.features import LocalFeatures

__all__ = [
    "MatchRule",
    "Matches",
    "match_distance",
    "match_many",
    "match_mutual",
    "match_ratio",
    "of_bits",
    "similarities_of",
]

BLOCK = 1_000_000
"""Similarities held at once: 4 MB, which stay in the processor's cache. On one core of a Xeon a product takes
1.8 ms for a photo of 1000 features in blocks of one million, and 5.9 ms in blocks of sixteen million."""
STEP = 1 / 2048
"""Unit-length descriptors are rounded to multiples of it: inner products are then multiples of 2**-22 and
below 2, and a similarity changes by 0.0002, less than by the rounding of codes to uint8."""

MatchRule = Literal["mutual", "near", "ratio", "distance"]


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of features of two photos; no feature of the query occurs twice.

    Nor does one of the answer, but after `match_distance`.

    Attributes:
        query: Indices into the query's features, ascending.
        answer: Indices into the answer's features.
        similarities: Inner products of the unit-length descriptors, larger is better.
    """

    query: Int64[np.ndarray, " m"]
    answer: Int64[np.ndarray, " m"]
    similarities: Float32[np.ndarray, " m"]

    def __len__(self) -> int:
        return len(self.query)


def match_mutual(similarities: Float32[np.ndarray, "q a"]) -> Matches:
    """Returns the pairs that are each other's most similar; the smaller index wins ties."""
    if similarities.size == 0:
        return _none()
    nearest, best = _nearest(similarities)
    return _one_to_one(nearest, best, np.flatnonzero(best >= similarities.max(axis=0)[nearest]))


def match_ratio(similarities: Float32[np.ndarray, "q a"], ratio: float) -> Matches:
    """Returns each query feature's nearest answer feature where it is clearly nearer than the second.

    The test of D. Lowe, Distinctive Image Features from Scale-Invariant Keypoints, IJCV 2004, section 7.1:
    distance to the nearest below ``ratio`` times that to the second nearest. Of several query features
    with the same nearest only the most similar is kept (the smaller index at ties).
    """
    return _match_ratio(similarities.copy(), ratio)


def match_distance(similarities: Float32[np.ndarray, "q a"], max_distance: float) -> Matches:
    """Returns each query feature's nearest answer feature that is nearer than ``max_distance``.

    The rule of the DELG code: Euclidean distance of unit-length descriptors, the squared one being
    ``2 - 2 * similarity``. A feature of the answer may be the nearest of many.
    """
    if similarities.size == 0:
        return _none()
    nearest, best = _nearest(similarities)
    return _within(Matches(np.arange(len(nearest)), nearest, best), max_distance)


def match_many(
    query: LocalFeatures,
    answers: Sequence[LocalFeatures],
    *,
    rule: MatchRule,
    ratio: float,
    max_distance: float = 1.0,
) -> Iterator[Matches]:
    """Yields the matches of one photo with each of several, as many at a time as fit one matrix product.

    Args:
        query: Features of the one photo.
        answers: Features of the others.
        rule: `match_mutual`, the same within a distance (``near``), `match_ratio` or `match_distance`.
        ratio: Of `match_ratio`.
        max_distance: Of `match_distance` and ``near``; of binary codes, what `of_bits` makes of the
            cosine at that distance.

    Raises:
        InvalidInput: The descriptors of two photos have different lengths, types or metrics.
    """
    for answer in answers:
        if len(answer) and len(query):
            _check_comparable(query, answer)
    if query.metric == "hamming":
        max_distance = math.sqrt(2.0 - 2.0 * of_bits(1.0 - max_distance**2 / 2))
    rules: dict[MatchRule, Callable[[Float32[np.ndarray, "q a"]], Matches]] = {
        "mutual": match_mutual,
        "near": lambda similarities: _within(match_mutual(similarities), max_distance),
        "ratio": lambda similarities: _match_ratio(similarities, ratio),
        "distance": lambda similarities: match_distance(similarities, max_distance),
    }
    left = _rows([query.descriptors], query.metric)
    space = np.empty(0, dtype=np.float32)
    start = 0
    while start < len(answers):
        stop, columns = start, 0
        while stop < len(answers) and (stop == start or (columns + len(answers[stop])) * len(query) <= BLOCK):
            columns += len(answers[stop])
            stop += 1
        # Memory asked for anew is mapped in page by page, which takes as long as the product.
        if columns * len(query) > len(space):
            space = np.empty(columns * len(query), dtype=np.float32)
        yield from _match_block(left, answers[start:stop], space, rules[rule])
        start = stop


def of_bits(cosine: float) -> float:
    """Returns the similarity of the bits of two vectors that have a cosine, on average.

    Of two vectors at an angle the share angle / pi of the bits differs (M. Charikar, Similarity estimation
    techniques from rounding algorithms, STOC 2002, section 3).
    """
    return 1.0 - 2.0 * math.acos(cosine) / math.pi


def similarities_of(
    query: LocalFeatures,
    answer: LocalFeatures,
    left: Int64[np.ndarray, " pairs"],
    right: Int64[np.ndarray, " pairs"],
) -> Float32[np.ndarray, " pairs"]:
    """Returns the similarity of pairs of a feature of the query and one of the answer, as in `match_many`."""
    # Of the pairs' features alone, each once.
    (some, own), (others, other) = (np.unique(side, return_inverse=True) for side in (left, right))
    rows, columns = (
        _rows([query.descriptors[some]], query.metric),
        _rows([answer.descriptors[others]], query.metric),
    )
    products = np.einsum("nd,nd->n", rows[own], columns[other])
    return products / np.float32(rows.shape[1]) if query.metric == "hamming" else products


def _match_block(
    left: Float32[np.ndarray, "q dim"],
    answers: Sequence[LocalFeatures],
    space: Float32[np.ndarray, " room"],
    match: Callable[[Float32[np.ndarray, "q a"]], Matches],
) -> Iterator[Matches]:
    filled = [answer for answer in answers if len(answer)]
    if len(left) == 0 or not filled:
        yield from (_none() for _ in answers)
        return
    right = _rows([answer.descriptors for answer in filled], filled[0].metric)
    similarities = space[: len(left) * len(right)].reshape(len(left), len(right))
    np.matmul(left, right.T, out=similarities)
    if filled[0].metric == "hamming":
        similarities /= left.shape[1]
    start = 0
    for answer in answers:
        part = similarities[:, start : start + len(answer)]
        start += len(answer)
        yield match(part)


def _within(matches: Matches, max_distance: float) -> Matches:
    """Returns the matches of unit descriptors that are nearer than a distance."""
    kept = 2.0 - 2.0 * matches.similarities.astype(np.float64) < max_distance**2
    return Matches(matches.query[kept], matches.answer[kept], matches.similarities[kept])


def _rows(descriptors: Sequence[Shaped[np.ndarray, "_ width"]], metric: str) -> Float32[np.ndarray, "n dim"]:
    """Returns descriptors to be multiplied: unit vectors rounded to `STEP`, or bits as -1 and 1."""
    stacked = np.concatenate(descriptors)
    if metric == "hamming":
        return np.unpackbits(stacked, axis=1).astype(np.float32) * 2.0 - 1.0
    rows = stacked.astype(np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    rows *= (1.0 / (STEP * np.where(lengths > 0, lengths, 1.0))).astype(np.float32)[:, None]
    np.rint(rows, out=rows)
    rows *= np.float32(STEP)
    return rows


def _check_comparable(query: LocalFeatures, answer: LocalFeatures) -> None:
    left, right = query.descriptors, answer.descriptors
    if left.shape[1] != right.shape[1] or left.dtype != right.dtype or query.metric != answer.metric:
        raise InvalidInput(
            f"local features of {left.shape[1]} {left.dtype} numbers ({query.metric}) cannot be matched with "
            f"ones of {right.shape[1]} {right.dtype} numbers ({answer.metric}); "
            "both photos must be described by one model"
        )


def _match_ratio(similarities: Float32[np.ndarray, "q a"], ratio: float) -> Matches:
    """Returns `match_ratio`; overwrites the similarities, which a copy would take longer than all else."""
    if similarities.size == 0 or similarities.shape[1] < 2:
        return _none()
    nearest, best = _nearest(similarities)
    similarities[np.arange(len(nearest)), nearest] = -np.inf
    second = similarities.max(axis=1)
    # Squared distance of unit vectors: 2 - 2 * similarity. Rounding may take a similarity above 1.
    clear = np.maximum(1.0 - best, 0.0) < ratio**2 * np.maximum(1.0 - second, 0.0)
    order = np.argsort(-best, kind="stable")
    order = order[clear[order]]
    _, first = np.unique(nearest[order], return_index=True)
    query = np.sort(order[first])
    return Matches(query, nearest[query], best[query])


def _nearest(
    similarities: Float32[np.ndarray, "q a"],
) -> tuple[Int64[np.ndarray, " q"], Float32[np.ndarray, " q"]]:
    nearest = similarities.argmax(axis=1)
    return nearest, similarities[np.arange(len(nearest)), nearest]


def _one_to_one(
    nearest: Int64[np.ndarray, " q"], best: Float32[np.ndarray, " q"], chosen: Int64[np.ndarray, " m"]
) -> Matches:
    _, first = np.unique(nearest[chosen], return_index=True)
    query = np.sort(chosen[first])
    return Matches(query, nearest[query], best[query])


def _none() -> Matches:
    empty = np.empty(0, dtype=np.int64)
    return Matches(empty, empty, np.empty(0, dtype=np.float32))
