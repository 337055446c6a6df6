"""A directory of described photos that can be searched, changed and trusted."""

from resight.collection.answer import Answer, Hit, QueryPhoto, Seconds, ShownKeypoints
from resight.collection.check import CheckReport
from resight.collection.collection import Collection
from resight.collection.index_report import IndexReport, IndexSeconds
from resight.collection.info import CollectionInfo, LocalInfo, RootInfo
from resight.collection.query import Query, RefineMethod
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
