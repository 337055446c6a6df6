"""Folders that photos lie in, and how a photo is named by one of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple, final

from resight.errors import InvalidInput

__all__ = ["Key", "Root", "Roots"]


class Key(NamedTuple):
    """The primary key of a photo.

    Attributes:
        root: Number of the root it lies in.
        path: Path below the root, with forward slashes.
    """

    root: int
    path: str


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that photos lie in.

    Attributes:
        number: What rows call it.
        stored: Absolute, or relative to the collection's directory, with forward slashes.
    """

    number: int
    stored: str


@final
class Roots:
    """The roots of a collection, as they are stored and where they lie now.

    Args:
        stored: The roots.
        collection: The collection's directory, absolute.
    """

    def __init__(self, stored: Iterable[Root], collection: Path) -> None:
        self.stored = tuple(stored)
        self._collection = collection
        self._folders = {root.number: os.path.normpath(collection / root.stored) for root in self.stored}
        # The deepest first: the root of a photo is the deepest that holds it.
        self._deepest = sorted(self._folders.items(), key=lambda item: (-len(item[1]), item[0]))

    def __iter__(self) -> Iterator[Root]:
        return iter(self.stored)

    def folder(self, number: int) -> str:
        """Returns where a root is now, absolute."""
        return self._folders[number]

    def key_of(self, path: str) -> Key | None:
        """Returns the key of an absolute path, None when no root holds it; a root itself has the path ""."""
        for number, folder in self._deepest:
            if path == folder:
                return Key(number, "")
            if path.startswith(folder if folder.endswith(os.sep) else folder + os.sep):
                return Key(number, path[len(folder) :].strip(os.sep).replace(os.sep, "/"))
        return None

    def path_of(self, key: Key) -> str:
        """Returns where a photo is now, absolute."""
        return os.path.normpath(f"{self._folders[key.root]}{os.sep}{key.path}")

    def including(self, folder: str) -> Roots:
        """Returns the roots with one for this absolute folder, unless one holds it already."""
        if self.key_of(folder) is not None:
            return self
        number = max(self._folders, default=-1) + 1
        return Roots([*self.stored, self._root(number, folder)], self._collection)

    def moved(self, old: str, new: str) -> Roots:
        """Returns the roots after the folder ``old`` has become ``new`` (both absolute).

        Raises:
            InvalidInput: No root lies at or below ``old``, or one would overlap another.
        """
        folders = {number: PurePath(folder) for number, folder in self._folders.items()}
        followed = {
            number: PurePath(new) / folder.relative_to(old)
            for number, folder in folders.items()
            if folder.is_relative_to(old)
        }
        if not followed:
            known = ", ".join(self._folders.values()) or "none yet"
            raise InvalidInput(
                f"no folder of this collection lies at or below {old}; its folders are: {known}"
            )
        for here in followed.values():
            for number, there in folders.items():
                if number not in followed and (here.is_relative_to(there) or there.is_relative_to(here)):
                    raise InvalidInput(
                        f"cannot follow {old} to {new}: {here} would overlap {there}, another folder of this "
                        f"collection; remove {there} from it first"
                    )
        stored = [
            self._root(root.number, str(followed[root.number])) if root.number in followed else root
            for root in self.stored
        ]
        return Roots(stored, self._collection)

    def _root(self, number: int, folder: str) -> Root:
        """Returns a root, relative where photos and collection are likely to be moved together.

        That is where the folder lies beside the collection or below its parent, or holds the collection.
        """
        beside = PurePath(folder).is_relative_to(self._collection.parent)
        if not beside and not self._collection.is_relative_to(folder):
            return Root(number, folder)
        return Root(number, PurePath(os.path.relpath(folder, self._collection)).as_posix())
