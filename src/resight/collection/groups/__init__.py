"""Photos of a collection that belong together: copies of one picture, one thing, one scene."""

from __future__ import annotations

from resight.collection.groups.edges import EdgeStore, GroupConfig
from resight.collection.groups.run import edges_of, find_groups, known_groups
from resight.collection.groups.values import Edit, Group, GroupKind, Groups, KeepRule, Member

__all__ = [
    "EdgeStore",
    "Edit",
    "Group",
    "GroupConfig",
    "GroupKind",
    "Groups",
    "KeepRule",
    "Member",
    "edges_of",
    "find_groups",
    "known_groups",
]
