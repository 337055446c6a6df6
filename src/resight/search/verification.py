"""Does one geometric transform carry a query's local features onto those of an answer?

Matches are gathered into the largest group that one match's own position, scale and orientation explains: a
similarity transform from a single match, tried for every match (J. Philbin et al., Object retrieval with
large vocabularies and fast spatial matching, CVPR 2007, section 3). An affine transform or a homography is
fitted to the group with OpenCV's MAGSAC++ (D. Barath et al., CVPR 2020), grown over the other matches, and
refused if no camera could see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from resight.errors import InvalidInput
from resight.features import Box, LocalFeatures
from resight.search.matching import Matches, match_many
from resight.search.ranking import Ranking

__all__ = ["Settings", "Verification", "rerank", "sort_by_inliers", "verify"]

SIDE = 640.0
"""Long side in pixels of the photo in which `Settings.threshold` is counted."""
ROUNDS = 4
"""Fits to a growing group at most; they add 3 % of inliers to a single fit, and harder pairs are found."""
SAMPLES = {"affine": 3, "homography": 4}
GROUP = 2.0
"""A match joins a group up to so many thresholds away: one match's scale and orientation are rough."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How matches are found and judged.

    Attributes:
        model: What is fitted: an affine transform (3 matches) or a homography (4).
        matching: Mutual nearest neighbours, or the ratio test.
        ratio: Of the distances to the nearest and the second nearest; only for ``matching="ratio"``.
        threshold: How far from its place a match may lie, in pixels where an answer's features span 640.
            Photos of any size are judged alike: the threshold grows with the span of the answer's features.
        max_scale: Fits that enlarge or shrink beyond it, relative to the spans above 640 pixels, are refused.
        max_stretch: Fits that stretch one direction this many times more than another are refused.
        max_matches: Only so many of the most similar matches are used; bounds the time.

    Raises:
        InvalidInput: A number is out of its range.
    """

    model: Literal["affine", "homography"] = "affine"
    matching: Literal["mutual", "ratio"] = "ratio"
    ratio: float = 0.9
    threshold: float = 20.0
    max_scale: float = 8.0
    max_stretch: float = 4.0
    max_matches: int = 500

    def __post_init__(self) -> None:
        if self.model not in SAMPLES or self.matching not in ("mutual", "ratio"):
            raise InvalidInput(
                f"verification fits 'affine' or 'homography' to 'mutual' or 'ratio' matches, "
                f"not {self.model!r} to {self.matching!r}"
            )
        if not (0 < self.ratio <= 1 and 0 < self.threshold < np.inf):
            raise InvalidInput(
                f"verification needs 0 < ratio <= 1 and a positive threshold, "
                f"not {self.ratio} and {self.threshold}"
            )
        if not (self.max_scale >= 1 and self.max_stretch >= 1 and self.max_matches >= 4):
            raise InvalidInput(
                "verification needs max_scale and max_stretch of at least 1 and max_matches of at least 4, "
                f"not {self.max_scale}, {self.max_stretch} and {self.max_matches}"
            )


@dataclass(frozen=True, slots=True)
class Verification:
    """What geometry says of one answer. Positions are in pixels of the whole photos.

    Attributes:
        inliers: Matches that one transform explains, each between two points that occur once; 0 without one.
        query_points: float32 ``(inliers, 2)``.
        answer_points: float32 ``(inliers, 2)``, in the same order.
        transform: float64 ``(3, 3)``, query pixels (x, y, 1) to answer pixels; ``None`` without inliers.
        region: float32 ``(4, 2)``, the query box's corners in the answer, from its upper left clockwise.
    """

    inliers: int
    query_points: Float32[np.ndarray, "inliers 2"]
    answer_points: Float32[np.ndarray, "inliers 2"]
    transform: Float64[np.ndarray, "3 3"] | None
    region: Float32[np.ndarray, "4 2"] | None


def verify(
    query: LocalFeatures,
    answer: LocalFeatures,
    *,
    region: Box | None = None,
    settings: Settings = Settings(),
) -> Verification:
    """Returns how many local features of the query one transform carries onto the answer's, and where.

    The same input gives the same result, alone or in `rerank`.

    Args:
        query: Features of the query, inside its box if it has one.
        answer: Features of the answer.
        region: What to outline in the answer; the bounding box of the query's features if absent.
        settings: Matching, model and thresholds.

    Raises:
        InvalidInput: The features come from different models.
    """
    return next(_verify_many(query, [answer], region, settings))


def rerank(
    ranking: Ranking,
    query_features: Sequence[LocalFeatures],
    features_of: Callable[[Int64[np.ndarray, " n"]], Sequence[LocalFeatures | None]],
    *,
    top: int = 100,
    regions: Sequence[Box | None] | None = None,
    settings: Settings = Settings(),
) -> tuple[Ranking, list[dict[int, Verification]]]:
    """Returns the ranking with its first ``top`` ids sorted by (inliers, score), and what was found for each.

    A score among the first ``top`` becomes ``score + 2 * inliers``: scores of unit-length descriptors
    differ by 2 at most, so rows stay sorted. The rest is untouched.

    Args:
        ranking: Not changed.
        query_features: One entry a row.
        features_of: Local features of ids, in their order; ``None`` where a photo has none.
        top: Answers that are verified in each row.
        regions: Box of each query, to be outlined in its answers.
        settings: Matching, model and thresholds.

    Raises:
        InvalidInput: Lengths differ, ``top`` is negative, or features come from different models.
    """
    boxes = list(regions) if regions is not None else [None] * len(ranking)
    if len(query_features) != len(ranking) or len(boxes) != len(ranking) or top < 0:
        raise InvalidInput(
            f"re-ranking {len(ranking)} queries needs as many local features and boxes and top >= 0, "
            f"got {len(query_features)}, {len(boxes)} and {top}"
        )
    ids, scores = ranking.ids.copy(), ranking.scores.copy()
    found: list[dict[int, Verification]] = []
    for row, query in enumerate(query_features):
        head = ranking.row(row)[0][:top]
        head_scores = ranking.scores[row, : len(head)]
        answers = [features if features is not None else _NOTHING for features in features_of(head)]
        if len(answers) != len(head):
            raise InvalidInput(f"features_of returned {len(answers)} entries for {len(head)} ids")
        verified = list(_verify_many(query, answers, boxes[row], settings))
        inliers = np.array([one.inliers for one in verified], dtype=np.int64)
        order, scores[row, : len(head)] = sort_by_inliers(head_scores, inliers)
        ids[row, : len(head)] = head[order]
        found.append(dict(zip(head.tolist(), verified, strict=True)))
    return Ranking(ids, scores), found


def sort_by_inliers(
    scores: Float32[np.ndarray, " n"], inliers: Int64[np.ndarray, " n"]
) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """Returns the order by (inliers, score), ties as they stand, and ``score + 2 * inliers`` in it."""
    order = np.lexsort((np.arange(len(scores)), -scores, -inliers))
    return order, (scores[order] + 2.0 * inliers[order]).astype(np.float32)


_EMPTY = np.empty(0, dtype=np.float32)
_NOTHING = LocalFeatures(_EMPTY.reshape(0, 2), _EMPTY, _EMPTY, _EMPTY, np.empty((0, 0), dtype=np.uint8))


def _verify_many(
    query: LocalFeatures, answers: Sequence[LocalFeatures], region: Box | None, settings: Settings
) -> Iterator[Verification]:
    matches = match_many(query, answers, rule=settings.matching, ratio=settings.ratio)
    if len(answers) == 1:
        yield _fit(query, answers[0], next(matches), region, settings)
        return
    with ThreadPoolExecutor(2) as pool:
        waiting = [
            pool.submit(_fit, query, answer, pairs, region, settings)
            for answer, pairs in zip(answers, matches, strict=True)
        ]
        for one in waiting:
            yield one.result()


def _fit(
    query: LocalFeatures, answer: LocalFeatures, matches: Matches, region: Box | None, settings: Settings
) -> Verification:
    pairs = _distinct(query, answer, matches, settings.max_matches)
    sample = SAMPLES[settings.model]
    if len(pairs[0]) < sample:
        return _refused()
    # In units of the threshold's pixels, so that photos of any size are judged alike.
    query_span, answer_span = _span(query), _span(answer)
    source = query.positions[pairs[0]] / np.float32(query_span)
    target = answer.positions[pairs[1]] / np.float32(answer_span)
    size = np.maximum(answer.scales[pairs[1]], 1e-3) / np.maximum(query.scales[pairs[0]], 1e-3)
    turn = answer.orientations[pairs[1]] - query.orientations[pairs[0]]
    group = _largest_group(source, target, size * query_span / answer_span, turn, GROUP * settings.threshold)
    grown = _grow(source, target, group, settings)
    if grown is None:
        return _refused()
    fitted, close = grown
    to_query, to_answer = np.diag([query_span, query_span, 1.0]), np.diag([answer_span, answer_span, 1.0])
    transform = to_answer @ fitted @ np.linalg.inv(to_query)
    # Photos larger than they are described at are reduced first; that is no scale between the views.
    reduction = max(query_span, 1.0) / max(answer_span, 1.0)
    points = query.positions[pairs[0][close]]
    if not _is_possible(transform, points, reduction, settings):
        return _refused()
    corners = _apply(transform, _corners(query, region)).astype(np.float32)
    return Verification(len(points), points, answer.positions[pairs[1][close]], transform, corners)


def _grow(
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
    group: Bool[np.ndarray, " m"],
    settings: Settings,
) -> tuple[Float64[np.ndarray, "3 3"], Bool[np.ndarray, " m"]] | None:
    """Returns the transform fitted to a group and what joins it, and which matches it explains.

    The group of a similarity transform is only a part of what an affine one explains.
    """
    best: tuple[Float64[np.ndarray, "3 3"], Bool[np.ndarray, " m"]] | None = None
    sample = SAMPLES[settings.model]
    for _ in range(ROUNDS):
        if np.count_nonzero(group) < sample:
            break
        transform = _estimate(source[group], target[group], settings.model, settings.threshold)
        if transform is None:
            break
        away = np.linalg.norm(_apply(transform, source) - target, axis=1)
        close = away <= settings.threshold
        if np.count_nonzero(close) < sample or (
            best and np.count_nonzero(close) <= np.count_nonzero(best[1])
        ):
            break
        best, group = (transform, close), away <= GROUP * settings.threshold
    return best


def _refused() -> Verification:
    nothing = np.empty((0, 2), dtype=np.float32)
    return Verification(0, nothing, nothing, None, None)


def _distinct(
    query: LocalFeatures, answer: LocalFeatures, matches: Matches, limit: int
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
    """Returns the most similar matches between points that occur once on either side.

    A keypoint with two orientations is two features at one point; counted twice it supports any transform.
    """
    order = np.lexsort((matches.query, -matches.similarities))
    left, right = matches.query[order], matches.answer[order]
    first = _first_at_each_point(query.positions[left])
    left, right = left[first], right[first]
    first = _first_at_each_point(answer.positions[right])
    return left[first][:limit], right[first][:limit]


def _first_at_each_point(points: Float32[np.ndarray, "m 2"]) -> Int64[np.ndarray, " n"]:
    _, first = np.unique(points, axis=0, return_index=True)
    return np.sort(first)


def _span(features: LocalFeatures) -> float:
    """Returns the long side of the features' bounding box, in units of 640 pixels."""
    low, high = features.positions.min(axis=0), features.positions.max(axis=0)
    return max(float((high - low).max()), 1.0) / SIDE


def _largest_group(
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
    size: Float32[np.ndarray, " m"],
    turn: Float32[np.ndarray, " m"],
    threshold: float,
) -> Bool[np.ndarray, " m"]:
    """Returns the matches that the similarity transform of one match explains, for the one with most."""
    # Complex numbers: a similarity transform is x -> factor * x + shift.
    start, end = source[:, 0] + 1j * source[:, 1], target[:, 0] + 1j * target[:, 1]
    factor = (size * np.exp(1j * turn)).astype(np.complex64)
    away = factor[:, None] * (start[None, :] - start[:, None]) - (end[None, :] - end[:, None])
    near = (away.real**2 + away.imag**2) <= threshold**2
    return near[near.sum(axis=1).argmax()]


def _estimate(
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
    model: Literal["affine", "homography"],
    threshold: float,
) -> Float64[np.ndarray, "3 3"] | None:
    if model == "homography":
        fitted, _ = cv2.findHomography(
            source, target, cv2.USAC_MAGSAC, threshold, maxIters=1000, confidence=0.999
        )
        return None if fitted is None else np.asarray(fitted, dtype=np.float64)
    affine, _ = cv2.estimateAffine2D(
        source,
        target,
        method=cv2.USAC_MAGSAC,
        ransacReprojThreshold=threshold,
        maxIters=1000,
        confidence=0.999,
    )
    return None if affine is None else np.vstack([np.asarray(affine, dtype=np.float64), [0.0, 0.0, 1.0]])


def _apply(
    transform: Float64[np.ndarray, "3 3"], points: Float32[np.ndarray, "m 2"]
) -> Float64[np.ndarray, "m 2"]:
    moved = points @ transform[:, :2].T + transform[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        return moved[:, :2] / moved[:, 2:]


def _is_possible(
    transform: Float64[np.ndarray, "3 3"],
    points: Float32[np.ndarray, "m 2"],
    reduction: float,
    settings: Settings,
) -> bool:
    """Returns whether a camera could see it: no mirror, no horizon, bounded scale and stretch."""
    if not np.isfinite(transform).all():
        return False
    depth = points @ transform[2, :2] + transform[2, 2]
    if (depth.min() <= 0) != (depth.max() <= 0) or depth.min() == 0:
        return False
    for point in (points.mean(axis=0), points.min(axis=0), points.max(axis=0)):
        scale = transform[2, :2] @ point + transform[2, 2]
        moved = (transform[:2, :2] @ point + transform[:2, 2]) / scale
        # Derivative of the transform at the point.
        jacobian = (transform[:2, :2] - np.outer(moved, transform[2, :2])) / scale
        large, small = np.linalg.svd(jacobian * reduction, compute_uv=False)
        if np.linalg.det(jacobian) <= 0 or small <= 0:
            return False
        if large > settings.max_scale or small < 1 / settings.max_scale:
            return False
        if large > settings.max_stretch * small:
            return False
    return True


def _corners(query: LocalFeatures, region: Box | None) -> Float32[np.ndarray, "4 2"]:
    """Returns the corners to outline, as positions: boxes run along pixel edges, positions on centres."""
    if region is None:
        (x0, y0), (x1, y1) = query.positions.min(axis=0), query.positions.max(axis=0)
    else:
        x0, y0, x1, y1 = (value - 0.5 for value in region.corners)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float32)
