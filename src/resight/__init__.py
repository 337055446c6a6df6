"""Resight finds the same building, object, product or picture again in other photos of it.

>>> import resight
>>> model = resight.load_model("sift")
>>> model.dim <= 512
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._lazy import face
from resight._version import __version__

if TYPE_CHECKING:
    from resight.collection import Collection
    from resight.features import Box
    from resight.models import load_model

__all__ = ["Box", "Collection", "__version__", "load_model"]

_HOMES = {"Box": "features", "Collection": "collection", "load_model": "models"}

# So that ``import resight`` costs nothing.
__getattr__, __dir__ = face(__name__, __all__, _HOMES)
