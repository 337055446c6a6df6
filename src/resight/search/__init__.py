"""Search among descriptors: exact ranking, query expansion, re-ranking, verification, recognition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face
from resight.search.exact import rank_marked, rank_positives, rank_scores, ranks_of, top_k
from resight.search.expansion import augment_database, combine, expand, rerank_expanded, search_expanded
from resight.search.geometry.chance import inliers_by_chance
from resight.search.geometry.matching import (
    Matches,
    match_distance,
    match_many,
    match_mutual,
    match_ratio,
)
from resight.search.grouping import dense_groups, groups_of
from resight.search.imported import ImportedRankings, read_rankings
from resight.search.ranking import PADDING_ID, Ranking, without
from resight.search.reciprocal import rerank_reciprocal
from resight.search.recognition import (
    Calibration,
    LabelScore,
    VotingRule,
    choose_threshold,
    neighbour_scores,
    recognise,
)
from resight.search.super_global import rerank_super_global

if TYPE_CHECKING:
    from resight.search.diffusion import Diffusion, OfflineDiffusion, neighbour_graph, rerank_diffusion
    from resight.search.exact import ExactIndex
    from resight.search.geometry.config import VerificationConfig, verification_config
    from resight.search.geometry.reranking import VerifiedRanking, order_verified, rerank
    from resight.search.geometry.verdict import Verdict, verdict
    from resight.search.geometry.verification import (
        Verification,
        verify,
        verify_answers,
        verify_queries,
    )

__all__ = [
    "PADDING_ID",
    "Calibration",
    "Diffusion",
    "ExactIndex",
    "ImportedRankings",
    "LabelScore",
    "Matches",
    "OfflineDiffusion",
    "Ranking",
    "Verdict",
    "Verification",
    "VerificationConfig",
    "VerifiedRanking",
    "VotingRule",
    "augment_database",
    "choose_threshold",
    "combine",
    "dense_groups",
    "expand",
    "groups_of",
    "inliers_by_chance",
    "match_distance",
    "match_many",
    "match_mutual",
    "match_ratio",
    "neighbour_graph",
    "neighbour_scores",
    "order_verified",
    "rank_marked",
    "rank_positives",
    "rank_scores",
    "ranks_of",
    "read_rankings",
    "recognise",
    "rerank",
    "rerank_diffusion",
    "rerank_expanded",
    "rerank_reciprocal",
    "rerank_super_global",
    "search_expanded",
    "top_k",
    "verdict",
    "verification_config",
    "verify",
    "verify_answers",
    "verify_queries",
    "without",
]

_HOMES = {
    "Diffusion": "diffusion",
    "ExactIndex": "exact",
    "OfflineDiffusion": "diffusion",
    "Verdict": "geometry.verdict",
    "Verification": "geometry.verification",
    "VerificationConfig": "geometry.config",
    "VerifiedRanking": "geometry.reranking",
    "neighbour_graph": "diffusion",
    "order_verified": "geometry.reranking",
    "rerank": "geometry.reranking",
    "rerank_diffusion": "diffusion",
    "verdict": "geometry.verdict",
    "verification_config": "geometry.config",
    "verify": "geometry.verification",
    "verify_answers": "geometry.verification",
    "verify_queries": "geometry.verification",
}

# FAISS, SciPy and OpenCV are imported only with what needs them.
__getattr__, __dir__ = face(__name__, __all__, _HOMES)
