"""Search among descriptors: exact scan, query expansion, geometric verification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face
from resight.search.combination import combine
from resight.search.expansion import augment_database, expand, rerank_expanded, search_expanded
from resight.search.geometry.matching import (
    Matches,
    match_distance,
    match_many,
    match_mutual,
    match_ratio,
)
from resight.search.ranking import PADDING_ID, Ranking
from resight.search.reciprocal import rerank_reciprocal
from resight.search.removal import without
from resight.search.super_global import rerank_super_global

if TYPE_CHECKING:
    from resight.search.diffusion import Diffusion, OfflineDiffusion, rerank_diffusion
    from resight.search.exact import ExactIndex
    from resight.search.geometry.config import VerificationConfig, verification_config
    from resight.search.geometry.reranking import VerifiedRanking, rerank
    from resight.search.geometry.verdict import Verdict, verdict
    from resight.search.geometry.verification import Verification, verify

__all__ = [
    "PADDING_ID",
    "Diffusion",
    "ExactIndex",
    "Matches",
    "OfflineDiffusion",
    "Ranking",
    "Verdict",
    "Verification",
    "VerificationConfig",
    "VerifiedRanking",
    "augment_database",
    "combine",
    "expand",
    "match_distance",
    "match_many",
    "match_mutual",
    "match_ratio",
    "rerank",
    "rerank_diffusion",
    "rerank_expanded",
    "rerank_reciprocal",
    "rerank_super_global",
    "search_expanded",
    "verdict",
    "verification_config",
    "verify",
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
    "rerank": "geometry.reranking",
    "rerank_diffusion": "diffusion",
    "verdict": "geometry.verdict",
    "verification_config": "geometry.config",
    "verify": "geometry.verification",
}

# FAISS and OpenCV are imported only with what needs them.
__getattr__, __dir__ = face(__name__, __all__, _HOMES)
