"""The transform that explains most matches of two photos, and how many chance would give it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from resight.features import LocalFeatures
from resight.search.geometry import hypotheses
from resight.search.geometry.chance import inliers_by_chance
from resight.search.geometry.config import SAMPLES, VerificationConfig
from resight.search.geometry.fitting import GROUP, grow, is_possible
from resight.search.geometry.matching import Matches
from resight.search.geometry.places import span

Pairs: TypeAlias = tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]
"""Matches: numbers of features of the query, and of the answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """The transform that explains most matches, if any, which these are, and how many chance would reach."""

    transform: Float64[np.ndarray, "3 3"] | None
    close: Bool[np.ndarray, " m"]
    expected: float


def distinct(
    query: LocalFeatures, answer: LocalFeatures, matches: Matches, limit: int
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
    """Returns the most similar matches between points that occur once on either side.

    A keypoint with two orientations is two features at one point; counted twice it supports any transform.
    """
    order = np.argsort(-matches.similarities, kind="stable")
    left, right = matches.query[order], matches.answer[order]
    first = _first_at_each_point(query.positions[left])
    left, right = left[first], right[first]
    first = _first_at_each_point(answer.positions[right])
    return left[first][:limit], right[first][:limit]


def _first_at_each_point(points: Float32[np.ndarray, "m 2"]) -> Int64[np.ndarray, " n"]:
    # Two float32 as one complex number: unique sorts numbers much faster than rows.
    _, first = np.unique(points[:, 0] + 1j * points[:, 1], return_index=True)
    return np.sort(first)


def consensus_of(
    query: LocalFeatures, answer: LocalFeatures, pairs: Pairs, config: VerificationConfig
) -> Consensus:
    """Returns the transform with most matches, refused where no camera sees it."""
    nothing = np.zeros(len(pairs[0]), dtype=bool)
    sample = SAMPLES[config.model]
    if len(pairs[0]) < sample:
        return Consensus(None, nothing, 0.0)
    # In units of the threshold's pixels, so that photos of any size are judged alike.
    query_span, answer_span = span(query), span(answer)
    source = query.positions[pairs[0]] / np.float32(query_span)
    target = answer.positions[pairs[1]] / np.float32(answer_span)
    # Photos larger than they are described at are reduced first; that is no scale between the views.
    reduction = max(query_span, 1.0) / max(answer_span, 1.0)
    oriented = bool(query.orientations.any() or answer.orientations.any())
    # The transforms that could be tried: one of each match, or of each pair.
    tests = len(source) if oriented else math.comb(len(source), 2)
    box = np.ptp(answer.positions, axis=0) / np.float32(answer_span)
    expected = chance_of(len(source), sample, tests, box, config.threshold)
    if oriented:
        size = np.maximum(answer.scales[pairs[1]], 1e-3) / np.maximum(query.scales[pairs[0]], 1e-3)
        turn = answer.orientations[pairs[1]] - query.orientations[pairs[0]]
        size = (size * (query_span / answer_span)).astype(np.float32)
        guesses = hypotheses.from_features(source, target, size, turn)
    else:
        tried, unit = hypotheses.pairs_of(len(source)), query_span / answer_span / reduction
        bounds = unit / config.max_scale, unit * config.max_scale
        guesses = hypotheses.from_pairs(source, target, tried, *bounds)
    group = _largest_group(guesses, source, target, GROUP * config.threshold)
    grown = None if group is None else grow(source, target, group, config)
    if grown is None:
        return Consensus(None, nothing, expected)
    fitted, close = grown
    to_query, to_answer = np.diag([query_span, query_span, 1.0]), np.diag([answer_span, answer_span, 1.0])
    transform = to_answer @ fitted @ np.linalg.inv(to_query)
    if not is_possible(transform, query.positions[pairs[0][close]], reduction, config):
        return Consensus(None, nothing, expected)
    return Consensus(transform, close, expected)


def _largest_group(
    guesses: Float32[np.ndarray, "h 2 3"],
    source: Float32[np.ndarray, "m 2"],
    target: Float32[np.ndarray, "m 2"],
    threshold: float,
) -> Bool[np.ndarray, " m"] | None:
    """Returns the matches that one transform explains, for the one with most; the first at ties."""
    if len(guesses) == 0:
        return None
    best = hypotheses.support(guesses, source, target, threshold).argmax()
    return hypotheses.near(guesses[best], source, target, threshold)


def chance_of(
    matches: int, sample: int, tests: int, box: Float32[np.ndarray, " 2"], threshold: float
) -> float:
    """Returns `inliers_by_chance` for matches that fall anywhere in a box of that width and height.

    About the 95 % quantile with shuffled features: rendered places, 120 pairs a setting, give 6 inliers or
    fewer in 95 % where this is 5.8, and 8 where it is 7.6 (mutual matches).
    """
    share = min(1.0, math.pi * threshold**2 / max(float(box.prod()), 1.0))
    return inliers_by_chance(matches, share, sample=sample, tests=tests)
