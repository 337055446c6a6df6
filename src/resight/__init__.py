"""Resight finds the same building, object, product or picture again in other photos of it.

>>> import resight
>>> model = resight.load_model("sift")
>>> model.dim <= 512
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight._version import __version__

if TYPE_CHECKING:
    from resight.collection import Collection
    from resight.features import Box
    from resight.models import load_model

__all__ = ["Box", "Collection", "__version__", "load_model"]

_HOMES = {"Box": "resight.features", "Collection": "resight.collection", "load_model": "resight.models"}


def __getattr__(name: str) -> object:
    """Imports a public name when it is first asked for, so that ``import resight`` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'resight' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
