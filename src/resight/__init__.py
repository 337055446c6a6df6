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

At the top of the package: each has a page of its own, ``help(resight.Collection)``.

    load_model, available, Model    models by name or bundle; photos to descriptors
    Collection, Query               described photos on disk, and what is searched for in them
    Answer, Hit, write_sheet        what was found, how sure it is, and a page that shows why
    Box                             a part of a photo, in pixels
    ResightError                    base of all errors (``resight.errors``); each says what to do

In the rooms of the package:

    resight.losses, .networks       SoftTriple, ArcFace, ...; GeMNet, CGD, DELG, DOLG, poolings, trunks
    resight.training                Recipe and train: from labelled photos to a bundle
    resight.evaluation, .datasets   Recall@K, MAP@R, mAP with intervals; readers of benchmarks
    resight.search                  rankings: exact index, expansion, geometry
    resight.scenes                  rendered photos of places, to try everything on

Networks, losses and training need ``pip install 'resight[train]'``. The same on the command line:
``resight --help``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight import errors
from resight._lazy import face
from resight._version import __version__

# Names of errors stand not in ``__all__``: ``help(resight)`` would show all that each of them inherits.
# isort: off
from resight.errors import (
    CollectionDamaged as CollectionDamaged,
    CollectionError as CollectionError,
    CollectionLocked as CollectionLocked,
    CollectionNotFound as CollectionNotFound,
    InvalidBundle as InvalidBundle,
    InvalidInput as InvalidInput,
    MissingExtra as MissingExtra,
    ModelError as ModelError,
    ModelMismatch as ModelMismatch,
    NoLocalFeatures as NoLocalFeatures,
    ResightError,
    SearchUnreachable as SearchUnreachable,
    StorageFailed as StorageFailed,
    UnknownModel as UnknownModel,
    UnreadableImage as UnreadableImage,
    WeightsUnavailable as WeightsUnavailable,
)
# isort: on

if TYPE_CHECKING:
    from resight.collection import Answer, Collection, Hit, Query
    from resight.features import Box
    from resight.models import Model, available, load_model
    from resight.reports import write_sheet

__all__ = [
    "Answer",
    "Box",
    "Collection",
    "Hit",
    "Model",
    "Query",
    "ResightError",
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
__getattr__, __dir__ = face(__name__, [*__all__, *errors.__all__], _HOMES)
