"""A directory of described photos that can be searched, changed and trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face
from resight.collection.answer import Answer, Hit, QueryPhoto, Seconds, ShownKeypoints
from resight.collection.collection import Collection
from resight.collection.query import Query, RefineMethod

if TYPE_CHECKING:
    from resight.collection.check import CheckReport
    from resight.collection.index_report import IndexReport, IndexSeconds
    from resight.collection.info import CollectionInfo, LocalInfo, RootInfo
    from resight.collection.scan import BrokenPhoto, find_photos

__all__ = [
    "Answer",
    "BrokenPhoto",
    "CheckReport",
    "Collection",
    "CollectionInfo",
    "Hit",
    "IndexReport",
    "IndexSeconds",
    "LocalInfo",
    "Query",
    "QueryPhoto",
    "RefineMethod",
    "RootInfo",
    "Seconds",
    "ShownKeypoints",
    "find_photos",
]

_HOMES = {
    "BrokenPhoto": "scan",
    "CheckReport": "check",
    "CollectionInfo": "info",
    "IndexReport": "index_report",
    "IndexSeconds": "index_report",
    "LocalInfo": "info",
    "RootInfo": "info",
    "find_photos": "scan",
}

# A search needs none of these.
__getattr__, __dir__ = face(__name__, __all__, _HOMES)
