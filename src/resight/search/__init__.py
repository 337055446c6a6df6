"""Search among descriptors: exact scan, query expansion, geometric verification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight.search.combination import combine
from resight.search.expansion import augment_database, expand, search_expanded
from resight.search.matching import Matches, match_many, match_mutual, match_ratio
from resight.search.ranking import PADDING_ID, Ranking

if TYPE_CHECKING:
    from resight.search.exact import ExactIndex
    from resight.search.verification import Settings, Verification, rerank, verify

__all__ = [
    "PADDING_ID",
    "ExactIndex",
    "Matches",
    "Ranking",
    "Settings",
    "Verification",
    "augment_database",
    "combine",
    "expand",
    "match_many",
    "match_mutual",
    "match_ratio",
    "rerank",
    "search_expanded",
    "verify",
]

_HOMES = {
    "ExactIndex": "resight.search.exact",
    "Settings": "resight.search.verification",
    "Verification": "resight.search.verification",
    "rerank": "resight.search.verification",
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
