"""Resight finds the same thing again: the same building, painting, product or place in other photos of it.

From a folder of photos to an answer:

    >>> import resight
    >>> model = resight.load_model("sift")     # a name, or a bundle's path
    >>> photos = resight.Collection.create("photos.resight", model=model)
    >>> photos.add(["Pictures"]).broken        # again at any time: only new photos are described
    []
    >>> for hit in photos.search("query.jpg", top=2):
    ...     print(hit.rank, hit.verdict, hit.path)
    1 confirmed ...
    2 confirmed ...

From photos to descriptors, for work of your own:

    >>> model.describe(["query.jpg", "other.jpg"]).shape    # float32, of unit length
    (2, 512)

At the top of the package:

    load_model          a model by name or bundle; available() lists the names
    Model               photos to descriptors and local features
    Collection          described photos on disk: add, remove, search, check
    Query               what is searched for: photos, box, filter, depth
    Answer, Hit         similarity, match and verdict of each photo
    write_sheet         an answer as an HTML page that shows why
    Box                 a part of a photo, in pixels
    ResightError        base of all errors; each says what to do

In the rooms of the package:

    resight.losses      SoftTriple, ArcFace, ... and each formula as a function
    resight.networks    GeMNet, CGD, DELG, DOLG, poolings, trunks
    resight.training    Recipe and train: from labelled photos to a bundle
    resight.evaluation  Recall@K, MAP@R, mAP, with intervals and protocols
    resight.datasets    readers of labelled sets and landmark benchmarks
    resight.search      rankings: exact index, expansion, geometry
    resight.scenes      rendered photos of places, to try everything on

Networks, losses and training need ``pip install 'resight[train]'``. The same on the command line:
``resight --help``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face
from resight._version import __version__
from resight.errors import (
    CollectionDamaged,
    CollectionError,
    CollectionLocked,
    CollectionNotFound,
    InvalidBundle,
    InvalidInput,
    MissingExtra,
    ModelError,
    ModelMismatch,
    NoLocalFeatures,
    ResightError,
    StorageFailed,
    UnknownModel,
    UnreadableImage,
    WeightsUnavailable,
)

if TYPE_CHECKING:
    from resight.collection import Answer, Collection, Hit, Query
    from resight.features import Box
    from resight.models import Model, available, load_model
    from resight.reports import write_sheet

__all__ = [
    "Answer",
    "Box",
    "Collection",
    "CollectionDamaged",
    "CollectionError",
    "CollectionLocked",
    "CollectionNotFound",
    "Hit",
    "InvalidBundle",
    "InvalidInput",
    "MissingExtra",
    "Model",
    "ModelError",
    "ModelMismatch",
    "NoLocalFeatures",
    "Query",
    "ResightError",
    "StorageFailed",
    "UnknownModel",
    "UnreadableImage",
    "WeightsUnavailable",
    "__version__",
    "available",
    "load_model",
    "write_sheet",
]

_HOMES = {
    "Answer": "collection",
    "Box": "features",
    "Collection": "collection",
    "Hit": "collection",
    "Model": "models",
    "Query": "collection",
    "available": "models",
    "load_model": "models",
    "write_sheet": "reports",
}

# So that ``import resight`` costs nothing.
__getattr__, __dir__ = face(__name__, __all__, _HOMES)
