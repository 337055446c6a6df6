"""A directory of described photos that can be searched, changed and trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face
from resight.collection.answer import Answer, Hit, QueryPhoto, Seconds, ShownKeypoints, written_score
from resight.collection.collection import Collection
from resight.collection.query import Query, RefineMethod

if TYPE_CHECKING:
    from resight.collection.check import CheckReport
    from resight.collection.groups import Edit, Group, GroupKind, Groups, KeepRule, Member
    from resight.collection.index_report import IndexReport, IndexSeconds
    from resight.collection.info import CollectionInfo, LocalInfo, RootInfo
    from resight.collection.scan import BrokenPhoto, find_photos

__all__ = [
    "Answer",
    "BrokenPhoto",
    "CheckReport",
    "Collection",
    "CollectionInfo",
    "Edit",
    "Group",
    "GroupKind",
    "Groups",
    "Hit",
    "IndexReport",
    "IndexSeconds",
    "KeepRule",
    "LocalInfo",
    "Member",
    "Query",
    "QueryPhoto",
    "RefineMethod",
    "RootInfo",
    "Seconds",
    "ShownKeypoints",
    "find_photos",
    "written_score",
]

_HOMES = {
    "BrokenPhoto": "scan",
    "CheckReport": "check",
    "CollectionInfo": "info",
    "Edit": "groups",
    "Group": "groups",
    "GroupKind": "groups",
    "Groups": "groups",
    "IndexReport": "index_report",
    "IndexSeconds": "index_report",
    "KeepRule": "groups",
    "LocalInfo": "info",
    "Member": "groups",
    "RootInfo": "info",
    "find_photos": "scan",
}

# A search needs none of these.
__getattr__, __dir__ = face(__name__, __all__, _HOMES)
