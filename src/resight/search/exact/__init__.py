"""Exact rankings, all by one rule.

A score is the inner product in float64, rounded to a multiple of 2**-30, so that copies of a descriptor score
the same whatever the order of additions. Larger is better; equal scores go to the smaller id. `ExactIndex`
scores the descriptors that it stores, rounded to float16; measures score the descriptors they are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face
from resight.search.exact.order import rounded, top_k
from resight.search.exact.positives import PositiveRanks, rank_positives
from resight.search.exact.ranks import Ranks, rank_marked, rank_scores, ranks_of

if TYPE_CHECKING:
    from resight.search.exact.index import ExactIndex

__all__ = [
    "ExactIndex",
    "PositiveRanks",
    "Ranks",
    "rank_marked",
    "rank_positives",
    "rank_scores",
    "ranks_of",
    "rounded",
    "top_k",
]

# FAISS is imported only with the index.
__getattr__, __dir__ = face(__name__, __all__, {"ExactIndex": "index"})
