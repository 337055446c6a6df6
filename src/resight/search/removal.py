"""Rankings without some of their answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from resight.errors import InvalidInput
from resight.search.ranking import PADDING_ID, Ranking

__all__ = ["without"]


def without(ranking: Ranking, ignored: Sequence[Collection[int]]) -> Ranking:
    """Returns the ranking with some ids of each row taken out; the rest moves up, padding fills the end.

    A benchmark's junk leaves before the first answers are re-ranked, each difficulty its own::

        for difficulty in ("medium", "hard"):
            left = without(ranking, [truth.ignored(difficulty) for truth in truths])
            reranked, _ = rerank(left, queries, features_of, top=100, config=verification_config("delg"))

    Args:
        ranking: Not changed.
        ignored: Ids of each row.

    Raises:
        InvalidInput: There is not one collection a row.
    """
    if len(ignored) != len(ranking):
        raise InvalidInput(f"{len(ranking)} queries need as many collections of ids, got {len(ignored)}")
    ids = np.full_like(ranking.ids, PADDING_ID)
    scores = np.full_like(ranking.scores, -np.inf)
    for row, taken in enumerate(ignored):
        found, values = ranking.row(row)
        kept = ~np.isin(found, np.array(sorted(taken), dtype=np.int64))
        count = int(np.count_nonzero(kept))
        ids[row, :count], scores[row, :count] = found[kept], values[kept]
    return Ranking(ids, scores)
