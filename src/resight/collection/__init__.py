"""A directory of described photos that can be searched, changed and trusted."""

from resight.collection.answer import Answer, Hit, QueryPhoto, Seconds
from resight.collection.classifying import Classified, Classifier
from resight.collection.collection import Collection
from resight.collection.query import Query, RefineMethod
from resight.collection.reports import (
    BrokenPhoto,
    CheckReport,
    CollectionInfo,
    CpuSeconds,
    IndexReport,
    LocalInfo,
    RootInfo,
)
from resight.collection.scan import find_photos

__all__ = [
    "Answer",
    "BrokenPhoto",
    "CheckReport",
    "Classified",
    "Classifier",
    "Collection",
    "CollectionInfo",
    "CpuSeconds",
    "Hit",
    "IndexReport",
    "LocalInfo",
    "Query",
    "QueryPhoto",
    "RefineMethod",
    "RootInfo",
    "Seconds",
    "find_photos",
]
