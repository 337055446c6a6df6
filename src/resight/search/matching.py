"""One-to-one matches between the local features of photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64

from resight.errors import InvalidInput
from resight.features import LocalFeatures

__all__ = ["Matches", "match_many", "match_mutual", "match_ratio"]

BLOCK = 16_000_000
"""Similarities held at once: 64 MB."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of features of two photos; no feature occurs twice.

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
    nearest = similarities.argmax(axis=1)
    best = similarities[np.arange(len(nearest)), nearest]
    return _one_to_one(nearest, best, np.flatnonzero(best >= similarities.max(axis=0)[nearest]))


def match_ratio(similarities: Float32[np.ndarray, "q a"], ratio: float) -> Matches:
    """Returns each query feature's nearest answer feature where it is clearly nearer than the second.

    The test of D. Lowe, Distinctive Image Features from Scale-Invariant Keypoints, IJCV 2004, section 7.1:
    distance to the nearest below ``ratio`` times that to the second nearest. Of several query features
    with the same nearest only the most similar is kept (the smaller index at ties).
    """
    if similarities.size == 0 or similarities.shape[1] < 2:
        return _none()
    nearest = similarities.argmax(axis=1)
    every = np.arange(len(nearest))
    best = similarities[every, nearest]
    others = similarities.copy()
    others[every, nearest] = -np.inf
    second = others.max(axis=1)
    # Squared distance of unit vectors: 2 - 2 * similarity.
    clear = (1.0 - best) < ratio**2 * (1.0 - second)
    order = np.lexsort((every, -best))
    order = order[clear[order]]
    _, first = np.unique(nearest[order], return_index=True)
    return _one_to_one(nearest, best, np.sort(order[first]))


def match_many(
    query: LocalFeatures,
    answers: Sequence[LocalFeatures],
    *,
    rule: Literal["mutual", "ratio"],
    ratio: float,
) -> Iterator[Matches]:
    """Yields the matches of one photo with each of several, by few large matrix products.

    Raises:
        InvalidInput: The descriptors of two photos have different lengths or types.
    """
    start = 0
    while start < len(answers):
        stop, columns = start, 0
        while stop < len(answers) and (stop == start or (columns + len(answers[stop])) * len(query) <= BLOCK):
            columns += len(answers[stop])
            stop += 1
        yield from _match_block(query, answers[start:stop], rule, ratio)
        start = stop


def _match_block(
    query: LocalFeatures, answers: Sequence[LocalFeatures], rule: Literal["mutual", "ratio"], ratio: float
) -> Iterator[Matches]:
    for answer in answers:
        if len(answer) and len(query):
            _check_comparable(query, answer)
    filled = [answer.descriptors for answer in answers if len(answer)]
    if len(query) == 0 or not filled:
        yield from (_none() for _ in answers)
        return
    left = query.descriptors.astype(np.float32)
    right = np.concatenate(filled).astype(np.float32)
    # Products of codes are whole numbers below 2**24: exact, hence the same alone and in a batch.
    similarities = left @ right.T
    similarities *= _inverse_lengths(left)[:, None]
    similarities *= _inverse_lengths(right)[None, :]
    start = 0
    for answer in answers:
        part = similarities[:, start : start + len(answer)]
        start += len(answer)
        yield match_mutual(part) if rule == "mutual" else match_ratio(part, ratio)


def _inverse_lengths(rows: Float32[np.ndarray, "n dim"]) -> Float32[np.ndarray, " n"]:
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return (1.0 / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def _check_comparable(query: LocalFeatures, answer: LocalFeatures) -> None:
    left, right = query.descriptors, answer.descriptors
    if left.shape[1] != right.shape[1] or left.dtype != right.dtype:
        raise InvalidInput(
            f"local features of {left.shape[1]} {left.dtype} numbers cannot be matched with ones of "
            f"{right.shape[1]} {right.dtype}; both photos must be described by one model"
        )


def _one_to_one(
    nearest: Int64[np.ndarray, " q"], best: Float32[np.ndarray, " q"], chosen: Int64[np.ndarray, " m"]
) -> Matches:
    _, first = np.unique(nearest[chosen], return_index=True)
    query = np.sort(chosen[first])
    return Matches(query, nearest[query], best[query])


def _none() -> Matches:
    empty = np.empty(0, dtype=np.int64)
    return Matches(empty, empty, np.empty(0, dtype=np.float32))
