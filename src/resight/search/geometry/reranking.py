"""A ranking whose first answers are sorted by geometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from resight.errors import InvalidInput
from resight.features import Box, LocalFeatures
from resight.search.geometry.config import VerificationConfig
from resight.search.geometry.verification import DEFAULT, Verification, verify_answers
from resight.search.ranking import PADDING_ID, Ranking
from resight.search.recognition import neighbour_scores

__all__ = ["VerifiedRanking", "order_by_inliers", "rerank"]


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
        cls, ranking: Ranking, verified: Sequence[Sequence[Verification]], *, cap: int | None = None
    ) -> VerifiedRanking:
        """Returns the ranking with its verified answers sorted by inliers and similarity; the rest untouched.

        Args:
            ranking: Not changed.
            verified: Of each row, what geometry says of its first answers, in their order.
            cap: As in `order_by_inliers`.

        Raises:
            InvalidInput: A row has more verifications than answers, or ``cap`` is not positive.
        """
        ids, similarities = ranking.ids.copy(), ranking.scores.copy()
        matches: list[tuple[Verification | None, ...]] = []
        for row, fits in enumerate(verified):
            head = slice(len(fits))
            if len(fits) > len(ranking.row(row)[0]):
                raise InvalidInput(f"row {row} has {len(fits)} verifications for fewer answers")
            inliers = np.array([fit.inliers for fit in fits], dtype=np.int64)
            order = order_by_inliers(ranking.scores[row, head], inliers, cap=cap)
            ids[row, head], similarities[row, head] = ids[row, order], similarities[row, order]
            unchecked = (None,) * (ranking.k - len(fits))
            matches.append((*(fits[place] for place in order), *unchecked))
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


def order_by_inliers(
    similarities: Float32[np.ndarray, " n"], inliers: Int64[np.ndarray, " n"], *, cap: int | None = None
) -> Int64[np.ndarray, " n"]:
    """Returns the order by (inliers, similarity), larger first, ties as they stand.

    With ``cap`` the order by ``similarity + min(inliers, cap) / cap`` (`resight.search.recognition`; the DELG
    paper caps at 70).

    Raises:
        InvalidInput: ``cap`` is not positive.
    """
    if cap is None:
        return np.lexsort((np.arange(len(similarities)), -similarities, -inliers))
    if cap < 1:
        raise InvalidInput(f"inliers must be capped at 1 or more, not {cap}")
    combined = neighbour_scores(similarities.tolist(), inliers.tolist(), max_inliers=cap).astype(np.float32)
    return np.argsort(-combined, kind="stable")


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
    """Returns the ranking with its first ``top`` answers verified and sorted by (inliers, similarity).

    Args:
        ranking: Not changed.
        query_features: One entry a row.
        features_of: Local features of ids, in their order; ``None`` where a photo has none.
        top: Answers that are verified in each row.
        regions: Box of each query, to be outlined in its answers.
        config: Matching, model and thresholds.
        cap: Inliers beyond it count no more; sorts by similarity and inliers together (`order_by_inliers`).

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
    return VerifiedRanking.of(ranking, verified, cap=cap)
