"""Does one geometric transform carry a query's local features onto those of an answer?

Matches are gathered into the largest group that one similarity transform explains: that of a single match (by
its positions, scales and orientations), or that of a pair of matches where keypoints have no orientation. The
chosen transform is fitted to the group, grown over the other matches, and refused if no camera sees it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Float64

from resight.features import Box, LocalFeatures
from resight.files import available_cpus, in_threads
from resight.search.geometry.config import SAMPLES, VerificationConfig
from resight.search.geometry.consensus import Consensus, Pairs, chance_of, consensus_of, distinct
from resight.search.geometry.evidence import (
    LEAST_INLIERS,
    MOST_SHARED,
    Evidence,
    Group,
    common_points,
    outside_hulls,
    weigh,
    with_shared_parts,
)
from resight.search.geometry.fitting import apply, least_squares
from resight.search.geometry.matching import Matches, match_many, of_bits
from resight.search.geometry.plain_ransac import random_consensus
from resight.search.geometry.verdict import verdict

__all__ = ["DEFAULT", "Verification", "verify", "verify_answers", "verify_queries"]

DEFAULT = VerificationConfig()
"""The settings of `verify` and `rerank` by default."""

MARGIN = 1.25
"""Inliers count as evidence beyond this many times what chance reaches."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What geometry says of one answer. Positions are in pixels of the whole photos.

    Attributes:
        inliers: Matches that one transform explains; 0 without one. Each is between two points that occur
            once, but for ``sampling="random"``, where several features may match one.
        query_points: float32 ``(inliers, 2)``.
        answer_points: float32 ``(inliers, 2)``, in the same order.
        transform: float64 ``(3, 3)``, query pixels (x, y, 1) to answer pixels; ``None`` without inliers.
        region: float32 ``(4, 2)``, the query box's corners in the answer, from its upper left clockwise.
        expected: Inliers that the best of all transforms would have if the matches meant nothing
            (`resight.search.geometry.chance`); an answer deserves trust by what it has beyond.
        evidence: Whether the whole agrees or only a part; ``None`` with too few inliers to ask, and for
            ``sampling="random"``.
    """

    inliers: int
    query_points: Float32[np.ndarray, "inliers 2"]
    answer_points: Float32[np.ndarray, "inliers 2"]
    transform: Float64[np.ndarray, "3 3"] | None
    region: Float32[np.ndarray, "4 2"] | None
    expected: float = 0.0
    evidence: Evidence | None = None

    @property
    def beyond(self) -> float:
        """Inliers beyond `MARGIN` times what chance reaches, but for those on a part that others share."""
        own = self.inliers if self.evidence is None else self.inliers * (1.0 - self.evidence.shared)
        return max(0.0, own - MARGIN * self.expected)


def verify(
    query: LocalFeatures,
    answer: LocalFeatures,
    *,
    region: Box | None = None,
    config: VerificationConfig = DEFAULT,
) -> Verification:
    """Returns how many local features of the query one transform carries onto the answer's, and where.

    The same input gives the same result, alone or in `rerank`.

    Args:
        query: Features of the query, inside its box if it has one.
        answer: Features of the answer.
        region: What to outline in the answer; the bounding box of the query's features if absent.
        config: Matching, model and thresholds.

    Raises:
        InvalidInput: The features come from different models.
    """
    return _verify_share(query, [answer], region, config)[0]


SIMILAR = 0.75
"""Similarity from which two features agree where one is expected; of .65 to .8 the one that errs least."""

_EMPTY = np.empty(0, dtype=np.float32)
_NOTHING = LocalFeatures(_EMPTY.reshape(0, 2), _EMPTY, _EMPTY, _EMPTY, np.empty((0, 0), dtype=np.uint8))


def verify_answers(
    query: LocalFeatures,
    answers: Sequence[LocalFeatures | None],
    *,
    region: Box | None = None,
    config: VerificationConfig = DEFAULT,
) -> list[Verification]:
    """Returns what `verify` does for each of several answers; one without features has no inliers.

    The evidence of each also says what it shares with the others (`Evidence.shared`). One that shares much
    with them, such as a frame or a logo, is verified once more without it; where that confirms the answer,
    that is what is returned. Every processor takes a share of the answers.

    Raises:
        InvalidInput: The features come from different models.
    """
    features = [answer if answer is not None else _NOTHING for answer in answers]
    return _together(_in_shares, query, features, region, config)


def verify_queries(
    queries: Iterable[tuple[LocalFeatures, Sequence[LocalFeatures | None]]],
    *,
    config: VerificationConfig = DEFAULT,
) -> Iterator[list[Verification]]:
    """Yields what `verify_answers` does for each of several queries; a processor takes a query at a time.

    Args:
        queries: Features of each query and of its answers; consumed a few ahead.
        config: Matching, model and thresholds.

    Raises:
        InvalidInput: The features come from different models.
    """

    def work(query: tuple[LocalFeatures, Sequence[LocalFeatures | None]]) -> list[Verification]:
        answers = [answer if answer is not None else _NOTHING for answer in query[1]]
        return _together(_verify_share, query[0], answers, None, config)

    yield from in_threads(work, queries, blas_threads=1)


_Verify: TypeAlias = Callable[
    [LocalFeatures, Sequence[LocalFeatures], Box | None, VerificationConfig], list[Verification]
]


def _together(
    verify_all: _Verify,
    query: LocalFeatures,
    answers: Sequence[LocalFeatures],
    region: Box | None,
    config: VerificationConfig,
) -> list[Verification]:
    """Returns what is said of the answers, with what they share noted; without it where that confirms one.

    Two views of one thing, both with one logo, may agree best on the logo.
    """
    verified = verify_all(query, answers, region, config)
    seen = [(match.query_points, match.evidence) for match in verified]
    common = common_points(seen)
    if not common:
        return verified
    noted = [
        replace(match, evidence=evidence)
        for match, evidence in zip(verified, with_shared_parts(seen, common), strict=True)
    ]
    own = np.array([tuple(point) not in common for point in query.positions.tolist()])
    asked = [
        number
        for number, match in enumerate(noted)
        if match.evidence is not None and match.evidence.shared >= MOST_SHARED
    ]
    (x0, y0), (x1, y1) = query.positions.min(axis=0).tolist(), query.positions.max(axis=0).tolist()
    whole = region or Box(x0, y0, x1 + 1.0, y1 + 1.0)
    again = verify_all(query.take(own), [answers[number] for number in asked], whole, config)
    for number, match in zip(asked, again, strict=True):
        if verdict(match) == "confirmed":
            noted[number] = match
    return noted


def _in_shares(
    query: LocalFeatures, answers: Sequence[LocalFeatures], region: Box | None, config: VerificationConfig
) -> list[Verification]:
    """Returns what `_verify_share` does; every processor takes a share of the answers."""
    threads = max(1, min(available_cpus(), len(answers)))
    verified: list[Verification] = [_REFUSED] * len(answers)
    shares = in_threads(
        lambda first: _verify_share(query, answers[first::threads], region, config),
        range(threads),
        workers=threads,
        blas_threads=1,
    )
    for first, share in enumerate(shares):
        verified[first::threads] = share
    return verified


def _verify_share(
    query: LocalFeatures, answers: Sequence[LocalFeatures], region: Box | None, config: VerificationConfig
) -> list[Verification]:
    matches = match_many(
        query,
        answers,
        rule=config.rule_for(query),
        ratio=config.ratio,
        max_distance=config.distance_for(query),
    )
    fit = _fit_plain if config.sampling == "random" else _fit
    return [fit(query, answer, pairs, region, config) for answer, pairs in zip(answers, matches, strict=True)]


def _fit(
    query: LocalFeatures,
    answer: LocalFeatures,
    matches: Matches,
    region: Box | None,
    config: VerificationConfig,
) -> Verification:
    left, right = distinct(query, answer, matches, config.max_matches)
    consensus = consensus_of(query, answer, (left, right), config)
    if consensus.transform is None:
        return _refused(consensus.expected)
    points, answer_points = query.positions[left[consensus.close]], answer.positions[right[consensus.close]]
    evidence = None
    if len(points) >= max(LEAST_INLIERS, consensus.expected):
        evidence = _evidence(query, answer, (left, right), consensus, config)
    corners = apply(consensus.transform, _corners(query, region)).astype(np.float32)
    return Verification(
        len(points), points, answer_points, consensus.transform, corners, consensus.expected, evidence
    )


def _evidence(
    query: LocalFeatures, answer: LocalFeatures, pairs: Pairs, first: Consensus, config: VerificationConfig
) -> Evidence | None:
    if first.transform is None:
        return None
    inliers = query.positions[pairs[0][first.close]], answer.positions[pairs[1][first.close]]
    outside = outside_hulls(inliers, (query.positions[pairs[0]], answer.positions[pairs[1]]))
    rest = pairs[0][outside], pairs[1][outside]
    second = consensus_of(query, answer, rest, config)
    groups = [Group(first.transform, pairs[0][first.close], pairs[1][first.close])]
    if second.transform is not None and np.count_nonzero(second.close) >= max(8, second.expected + 2):
        groups.append(Group(second.transform, rest[0][second.close], rest[1][second.close]))
    # Where matches are neighbours within a distance, what is near enough to be a match agrees.
    is_distance = config.rule_for(query) in ("distance", "near")
    least = 1.0 - config.distance_for(query) ** 2 / 2 if is_distance else SIMILAR
    if query.metric == "hamming":
        least = of_bits(least)
    return weigh(query, answer, groups, pairs, least)


def _fit_plain(
    query: LocalFeatures,
    answer: LocalFeatures,
    matches: Matches,
    region: Box | None,
    config: VerificationConfig,
) -> Verification:
    """Returns what plain RANSAC from the answer to the query finds; nothing is refused, no match left out."""
    here, there = query.positions[matches.query], answer.positions[matches.answer]
    close = random_consensus(there, here, threshold=config.threshold, trials=config.trials, seed=config.seed)
    if close is None:
        return _REFUSED
    sample = SAMPLES[config.model]
    tests = min(math.comb(len(here), sample), config.trials)
    transform = least_squares(here[close], there[close])
    return Verification(
        int(np.count_nonzero(close)),
        here[close],
        there[close],
        transform,
        apply(transform, _corners(query, region)).astype(np.float32),
        chance_of(len(here), sample, tests, np.ptp(query.positions, axis=0), config.threshold),
    )


_NO_POINTS = np.empty((0, 2), dtype=np.float32)


def _refused(expected: float) -> Verification:
    return Verification(0, _NO_POINTS, _NO_POINTS, None, None, expected)


_REFUSED = _refused(0.0)


def _corners(query: LocalFeatures, region: Box | None) -> Float32[np.ndarray, "4 2"]:
    """Returns the corners to outline, as positions: boxes run along pixel edges, positions on centres."""
    if region is None:
        (x0, y0), (x1, y1) = query.positions.min(axis=0), query.positions.max(axis=0)
    else:
        x0, y0, x1, y1 = (value - 0.5 for value in region.corners)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float32)
