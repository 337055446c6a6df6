"""Search among descriptors: exact scan, query expansion, geometric verification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight.search.combination import combine
from resight.search.expansion import augment_database, expand, rerank_expanded, search_expanded
from resight.search.matching import Matches, match_distance, match_many, match_mutual, match_ratio
from resight.search.ranking import PADDING_ID, Ranking
from resight.search.reciprocal import rerank_reciprocal
from resight.search.removal import without
from resight.search.super_global import rerank_super_global

if TYPE_CHECKING:
    from resight.search.diffusion import Diffusion, OfflineDiffusion, rerank_diffusion
    from resight.search.exact import ExactIndex
    from resight.search.verification import (
        Settings,
        Verification,
        rerank,
        settings_named,
        verify,
    )

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
    "Diffusion": "resight.search.diffusion",
    "ExactIndex": "resight.search.exact",
    "OfflineDiffusion": "resight.search.diffusion",
    "Settings": "resight.search.verification",
    "Verification": "resight.search.verification",
    "rerank": "resight.search.verification",
    "rerank_diffusion": "resight.search.diffusion",
    "settings_named": "resight.search.verification",
    "verify": "resight.search.verification",
}


def __getattr__(name: str) -> object:
    """Imports what needs FAISS or OpenCV when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'resight.search' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
