"""A ranking whose first answers are sorted by geometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from resight.errors import InvalidInput
from resight.features import Box, LocalFeatures
from resight.search.geometry.config import VerificationConfig, VerifiedOrder
from resight.search.geometry.verification import DEFAULT, Verification, verify_answers
from resight.search.ranking import PADDING_ID, Ranking
from resight.search.recognition import neighbour_scores

__all__ = ["EVIDENCE_WEIGHT", "VerifiedRanking", "order_verified", "rerank"]

EVIDENCE_WEIGHT = 2.0
"""What evidence counts against similarity. Of the weights, shapes and margins tried on rendered places, the
scenes of ``sfm`` and ``grocery`` (420 queries, `benchmarks/verified_order.py`) one that loses on none:
mAP .837, .902 and .259 against .837, .894 and .244 by the number of inliers and .519, .885 and .231 without
geometry."""


@dataclass(frozen=True, slots=True, eq=False)
class VerifiedRanking:
    """Answers of several queries, the verified ones of each row first; make it with `of` or `rerank`.

    Attributes:
        ids: int64 ``(queries, k)``, in the new order; `PADDING_ID` after the last answer.
        similarities: float32 ``(queries, k)``: the score that each answer had before, larger is better, -inf
            at padding. They do not decide the order of the verified answers alone and may increase there.
        matches: The `Verification` of each answer of each row, None where geometry has not checked it.
    """

    ids: Int64[np.ndarray, "queries k"]
    similarities: Float32[np.ndarray, "queries k"]
    matches: tuple[tuple[Verification | None, ...], ...]

    @classmethod
    def of(
        cls,
        ranking: Ranking,
        verified: Sequence[Sequence[Verification | None]],
        *,
        order: VerifiedOrder = "evidence",
        cap: int | None = None,
    ) -> VerifiedRanking:
        """Returns the ranking with its verified answers sorted by `order_verified`; the rest untouched.

        Args:
            ranking: Not changed.
            verified: Of each row, what geometry says of its first answers, in their order; None of one that
                could not be checked.
            order: As in `order_verified`.
            cap: As in `order_verified`.

        Raises:
            InvalidInput: A row has more verifications than answers, or ``cap`` is not positive.
        """
        ids, similarities = ranking.ids.copy(), ranking.scores.copy()
        matches: list[tuple[Verification | None, ...]] = []
        for row, fits in enumerate(verified):
            head = slice(len(fits))
            if len(fits) > len(ranking.row(row)[0]):
                raise InvalidInput(f"row {row} has {len(fits)} verifications for fewer answers")
            places = order_verified(ranking.scores[row, head], fits, order=order, cap=cap)
            ids[row, head], similarities[row, head] = ids[row, places], similarities[row, places]
            unchecked = (None,) * (ranking.k - len(fits))
            matches.append((*(fits[place] for place in places), *unchecked))
        for array in (ids, similarities):
            array.flags.writeable = False
        return cls(ids, similarities, tuple(matches))

    def __len__(self) -> int:
        return len(self.ids)

    def row(
        self, query: int
    ) -> tuple[
        Int64[np.ndarray, " answers"], Float32[np.ndarray, " answers"], tuple[Verification | None, ...]
    ]:
        """Returns ids, similarities and matches of one query without padding."""
        count = int(np.count_nonzero(self.ids[query] != PADDING_ID))
        return self.ids[query, :count], self.similarities[query, :count], self.matches[query][:count]


def order_verified(
    similarities: Float32[np.ndarray, " n"],
    matches: Sequence[Verification | None],
    *,
    order: VerifiedOrder = "evidence",
    cap: int | None = None,
) -> Int64[np.ndarray, " n"]:
    """Returns the order of verified answers, the best first, ties as they stand.

    By evidence: by ``similarity + 2 log(1 + beyond)``, where ``beyond`` counts the inliers beyond 1.25 times
    what chance reaches, without those on a part that other answers share (`Verification.beyond`). An answer
    with no more inliers than chance keeps its place among its like by similarity.
    Beyond: by (beyond, similarity). By inliers: by (inliers, similarity). With
    ``cap``, whatever the order, by ``similarity + min(inliers, cap) / cap`` (`resight.search.recognition`;
    the DELG paper caps at 70).

    Args:
        similarities: Of the answers with the query, larger is better.
        matches: What geometry says of each answer; None, where it has not checked one, counts as no inliers.
        order: ``evidence``, ``beyond`` or ``inliers``.
        cap: Inliers beyond it count no more.

    Raises:
        InvalidInput: ``cap`` is not positive.
    """
    inliers = np.array([0 if match is None else match.inliers for match in matches], dtype=np.int64)
    if cap is not None:
        if cap < 1:
            raise InvalidInput(f"inliers must be capped at 1 or more, not {cap}")
        scores = neighbour_scores(similarities.tolist(), inliers.tolist(), max_inliers=cap)
        return np.argsort(-scores.astype(np.float32), kind="stable")
    if order == "inliers":
        return np.lexsort((np.arange(len(similarities)), -similarities, -inliers))
    beyond = np.array([0.0 if match is None else match.beyond for match in matches], dtype=np.float64)
    if order == "beyond":
        return np.lexsort((np.arange(len(similarities)), -similarities, -beyond))
    return np.argsort(-(similarities + EVIDENCE_WEIGHT * np.log1p(beyond)), kind="stable")


def rerank(
    ranking: Ranking,
    query_features: Sequence[LocalFeatures],
    features_of: Callable[[Int64[np.ndarray, " n"]], Sequence[LocalFeatures | None]],
    *,
    top: int = 100,
    regions: Sequence[Box | None] | None = None,
    config: VerificationConfig = DEFAULT,
    cap: int | None = None,
) -> VerifiedRanking:
    """Returns the ranking with its first ``top`` answers verified and sorted by `order_verified`.

    Args:
        ranking: Not changed.
        query_features: One entry a row.
        features_of: Local features of ids, in their order; ``None`` where a photo has none.
        top: Answers that are verified in each row.
        regions: Box of each query, to be outlined in its answers.
        config: Matching, model and thresholds.
        cap: Inliers beyond it count no more; sorts by similarity and inliers together (`order_verified`).

    Raises:
        InvalidInput: Lengths differ, ``top`` is negative, ``cap`` is not positive, or features come from
            different models.
    """
    boxes = list(regions) if regions is not None else [None] * len(ranking)
    if len(query_features) != len(ranking) or len(boxes) != len(ranking) or top < 0:
        raise InvalidInput(
            f"re-ranking {len(ranking)} queries needs as many local features and boxes and top >= 0, "
            f"got {len(query_features)}, {len(boxes)} and {top}"
        )
    verified = []
    for row, query in enumerate(query_features):
        head = ranking.row(row)[0][:top]
        answers = features_of(head)
        if len(answers) != len(head):
            raise InvalidInput(f"features_of returned {len(answers)} entries for {len(head)} ids")
        verified.append(verify_answers(query, answers, region=boxes[row], config=config))
    return VerifiedRanking.of(ranking, verified, order=config.order, cap=cap)
