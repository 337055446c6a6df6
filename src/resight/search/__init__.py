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
    from resight.search.geometry.verification import Settings, Verification, rerank, settings_named, verify

__all__ = [
    "PADDING_ID",
    "Diffusion",
    "ExactIndex",
    "Matches",
    "OfflineDiffusion",
    "Ranking",
    "Settings",
    "Verification",
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
    "settings_named",
    "verify",
    "without",
]

_HOMES = {
    "Diffusion": "diffusion",
    "ExactIndex": "exact",
    "OfflineDiffusion": "diffusion",
    "Settings": "geometry.verification",
    "Verification": "geometry.verification",
    "rerank": "geometry.verification",
    "rerank_diffusion": "diffusion",
    "settings_named": "geometry.verification",
    "verify": "geometry.verification",
}

# FAISS and OpenCV are imported only with what needs them.
__getattr__, __dir__ = face(__name__, __all__, _HOMES)
