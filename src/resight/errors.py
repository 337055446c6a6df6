"""Every error a user of Resight can meet.

::

    ResightError
    ├── InvalidInput            an argument that cannot be right (also a ValueError)
    │   ├── NoLocalFeatures     verification is asked of a model without local features
    │   └── NoTuples            photos that hold nothing to train on (in resight.pipelines.tuples)
    ├── MissingExtra            an optional part is not installed
    ├── UnreadableImage         a file that is no image, or a broken one
    ├── ModelError
    │   ├── UnknownModel        no such name in the zoo, no such file
    │   ├── InvalidBundle       a file that is no bundle, or a damaged one
    │   ├── WeightsUnavailable  pretrained weights that cannot be fetched
    │   └── ModelMismatch       made by another model
    ├── TrainingDiverged        an objective or gradient is no longer finite (in resight.training)
    └── CollectionError
        ├── CollectionNotFound  nothing there, or something that is no collection
        ├── CollectionLocked    another process is writing to it
        ├── CollectionDamaged   written by a newer version, or damaged
        ├── SearchUnreachable   the server that searches it does not answer
        └── StorageFailed       the disk is full or refuses to be written

Messages are one sentence: what is wrong with which input, what was got, what is accepted, what to do.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = [
    "CollectionDamaged",
    "CollectionError",
    "CollectionLocked",
    "CollectionNotFound",
    "InvalidBundle",
    "InvalidInput",
    "MissingExtra",
    "ModelError",
    "ModelMismatch",
    "NoLocalFeatures",
    "ResightError",
    "SearchUnreachable",
    "StorageFailed",
    "UnknownModel",
    "UnreadableImage",
    "WeightsUnavailable",
]


_MOST_ECHOED = 200
_LONG = re.compile(rf"'[^']{{{_MOST_ECHOED + 1},}}'|[^\s']{{{_MOST_ECHOED + 1},}}")


class ResightError(Exception):
    """Base of all errors of this package.

    What a message quotes of an input is cut to 200 characters: a word or a text in quotes that is longer.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(clipped(message))


def clipped(message: str) -> str:
    """Returns a message in which words, and texts in quotes, of more than 200 characters are cut."""
    return _LONG.sub(_shortened, message)


def _shortened(echo: re.Match[str]) -> str:
    quote = "'" if echo[0].startswith("'") else ""
    return f"{echo[0][:_MOST_ECHOED]}...{quote}"


class InvalidInput(ResightError, ValueError):
    """An argument that cannot be right."""


class NoLocalFeatures(InvalidInput):
    """Geometry is asked for and the model has no local features."""


class MissingExtra(ResightError, ImportError):
    """An optional part of the package is not installed.

    Attributes:
        extra: Name of the extra that brings it.
    """

    def __init__(self, extra: str, needed_for: str) -> None:
        self.extra = extra
        super().__init__(f"{needed_for} needs an optional part: pip install 'resight[{extra}]'")


class UnreadableImage(ResightError):
    """A file that cannot be read as an image.

    Attributes:
        path: The file, or a description of the stream, as the caller named it.
        reason: Why, in a few words without the path ("the file is empty").
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(f"cannot read {self.path}: {reason}")

    def __reduce__(self) -> tuple[type[UnreadableImage], tuple[str, str]]:
        return type(self), (self.path, self.reason)


class ModelError(ResightError):
    """Something about a model is wrong."""


class UnknownModel(ModelError):
    """No model of that name in the zoo and no bundle at that path."""


class InvalidBundle(ModelError):
    """A file that is no model bundle, or a damaged one."""


class WeightsUnavailable(ModelError):
    """Pretrained weights that are not here and cannot be fetched."""


class ModelMismatch(ModelError):
    """Descriptors of one model meet a collection or index of another."""


class CollectionError(ResightError):
    """Something about a collection is wrong."""


class CollectionNotFound(CollectionError):
    """There is no collection at that path."""


class CollectionLocked(CollectionError):
    """Another process is writing to the collection."""


class CollectionDamaged(CollectionError):
    """The collection's files cannot be understood."""


class SearchUnreachable(CollectionError):
    """The server that searches a collection does not answer."""


class StorageFailed(CollectionError):
    """The disk refused a write: it is full, read-only or gone. What was committed before is intact."""
