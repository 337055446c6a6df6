"""Folders that photos lie in, and how a photo is named by one of them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import NamedTuple, final

from resight.collection.seal import seal_of
from resight.errors import CollectionDamaged, InvalidInput
from resight.files import ObjectPath, is_address, is_below, is_empty, is_file, is_folder, refusal, shown

__all__ = ["Key", "Root", "Roots", "Sample", "without_access"]

Sample = tuple[str, int | None]
"""A photo's path below its root, and its size in bytes where that is known."""


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
        seal: Of the folder, made on the machine where it was named (`seal_of`); empty for none.
    """

    number: int
    stored: str
    seal: str = ""


@final
class Roots:
    """The roots of a collection, as they are stored and where they lie now.

    Args:
        stored: The roots.
        collection: The collection's directory, absolute; or its address in a bucket, where all roots are
            absolute.
        place: Where that directory was when it was written last, absolute; empty where that was not stored.
            A folder that is not where it lies relative to the directory is looked for relative to this.
        identity: Of the collection.
        samples: Path and size of some photos by the number of their root: by these a folder of that name is
            told from that folder, once the collection has been moved.
    """

    def __init__(
        self,
        stored: Iterable[Root],
        collection: Path | ObjectPath,
        *,
        place: str = "",
        identity: str = "",
        samples: Mapping[int, Sequence[Sample]] | None = None,
    ) -> None:
        self.stored = tuple(stored)
        self._collection = collection
        self._place = place
        self._identity = identity
        self._samples = samples or {}
        self._by_number = {root.number: root for root in self.stored}
        self._folders = {root.number: self._located(root) for root in self.stored}
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
            below = _below(folder, path)
            if below is not None:
                return Key(number, below)
        return None

    def path_of(self, key: Key) -> str:
        """Returns where a photo is now, absolute.

        Raises:
            CollectionDamaged: The collection has no folder of that number.
        """
        if key.root not in self._folders:
            raise CollectionDamaged(
                f"{shown(key.path)} lies in the folder number {key.root}, which the header of "
                f"{self._collection} does not know: index the photos into a new collection"
            )
        return _joined(self._folders[key.root], key.path)

    def is_here(self, key: Key) -> bool:
        """Returns whether a photo is there and may be read: a file below a folder that is known here."""
        root = self._by_number.get(key.root)
        return (
            root is not None
            and self.is_known_here(root)
            and _is_plain(key.path)
            and is_file(self.path_of(key))
        )

    def refused(self, key: Key) -> str:
        """Returns why a photo may not be read by this user, in the system's words; empty where it may."""
        root = self._by_number.get(key.root)
        if root is None or not self.is_known_here(root) or not _is_plain(key.path):
            return ""
        return refusal(self.path_of(key))

    def is_known_here(self, root: Root) -> bool:
        """Returns whether photos of a folder may be looked at when the collection is read on this machine.

        That is a folder that was named on this machine, and one at or below the folder that holds the
        collection, as they may have come together. A collection from elsewhere could name any other.
        """
        return self._is_beside(self._folders[root.number]) or self.is_named_here(root.number)

    def is_named_here(self, number: int) -> bool:
        """Returns whether a folder was named on this machine, so that all photos below may be shown.

        Below one that is only believed to have come with the collection those may that have the very bytes
        that were described, for whoever made the collection had these. A name alone proves nothing: the
        folder may be the reader's own, or what lies in it a link.
        """
        return self._by_number[number].seal == seal_of(self._folders[number], self._identity)

    def _is_beside(self, folder: str) -> bool:
        """Returns whether a folder lies beside the collection, in one folder or bucket."""
        return is_below(folder, str(self._collection.parent))

    def notes(self) -> list[str]:
        """Returns what is amiss with the folders, a sentence each with the command that mends it."""
        sentences = []
        collection = shlex.quote(str(self._collection))
        for root in self.stored:
            folder = self._folders[root.number]
            said = f"resight info {collection} --move-root {shlex.quote(folder)}"
            held = f"the folder {folder}, which photos of this collection lie in,"
            # A foreign folder is not even looked at: its path may be a share of another machine.
            if not self.is_known_here(root):
                sentences.append(
                    f"the folder {folder} was named on another machine, and its photos are not shown: index "
                    f"it, or confirm it by `{said} {shlex.quote(folder)}`, or by `{said} NEW` where it is now"
                )
            elif reason := refusal(folder):
                sentences.append(without_access(held, reason))
            elif not is_folder(folder):
                sentences.append(
                    f"{held} is not there: if it has moved, index it where it is now, or say so by "
                    f"`{said} NEW`"
                )
            elif is_empty(folder):
                sentences.append(
                    f"{held} is empty: if its disk is not mounted, mount it; if the photos are gone for "
                    f"good, `resight remove {collection} {shlex.quote(folder)}` forgets them"
                )
        return sentences

    def settled(self) -> Roots:
        """Returns the roots as they are stored for the collection's directory of now."""
        stored = []
        for root in self.stored:
            settled = self._root(root.number, self._folders[root.number])
            stored.append(settled if self.is_named_here(root.number) else replace(settled, seal=""))
        return self._with(stored)

    def among(self, numbers: Collection[int]) -> Roots:
        """Returns the roots of these numbers alone."""
        return self._with([root for root in self.stored if root.number in numbers])

    def including(self, folder: str) -> Roots:
        """Returns the roots with one for this absolute folder, unless one holds it already.

        A root of that very folder is known on this machine afterwards.
        """
        key = self.key_of(folder)
        if key is None:
            number = max(self._folders, default=-1) + 1
            return self._with([*self.stored, self._root(number, folder)])
        if key.path or self.is_named_here(key.root):
            return self
        return self._with(
            [self._root(key.root, folder) if root.number == key.root else root for root in self.stored]
        )

    def moved(self, old: str, new: str) -> Roots:
        """Returns the roots after the folder ``old`` has become ``new``, both absolute, or addresses.

        Raises:
            InvalidInput: No root lies at or below ``old``, or one would overlap another.
        """
        folders = self._folders
        followed = {
            number: _joined(new, below)
            for number, folder in folders.items()
            if (below := _below(old, folder)) is not None
        }
        if not followed:
            known = ", ".join(self._folders.values()) or "none yet"
            raise InvalidInput(
                f"no folder of this collection lies at or below {old}; its folders are: {known}"
            )
        for here in followed.values():
            for number, there in folders.items():
                if number not in followed and (is_below(here, there) or is_below(there, here)):
                    raise InvalidInput(
                        f"cannot follow {old} to {new}: {here} would overlap {there}, another folder of this "
                        f"collection; index {here} instead, which recognises its photos by their bytes"
                    )
        stored = [
            self._root(root.number, followed[root.number]) if root.number in followed else root
            for root in self.stored
        ]
        return self._with(stored)

    def _with(self, stored: Iterable[Root]) -> Roots:
        return Roots(
            stored,
            self._collection,
            place=self._place,
            identity=self._identity,
            samples=self._samples,
        )

    def _located(self, root: Root) -> str:
        """Returns where a root is now: beside the collection, or where that was when it was written last."""
        if is_address(root.stored):
            return root.stored
        if isinstance(self._collection, ObjectPath):
            # A relative one was stored while the collection lay in a folder.
            return os.path.normpath(Path(self._place) / root.stored)
        here = os.path.normpath(self._collection / root.stored)
        if not self._place or self._place == str(self._collection) or PurePath(root.stored).is_absolute():
            return here
        before = os.path.normpath(Path(self._place) / root.stored)
        if not self._is_beside(here) and not self._collection.is_relative_to(here):
            # A path that climbs elsewhere may lead to a share of another machine: it is not looked at.
            return before
        samples = [each for each in self._samples.get(root.number, []) if _is_plain(each[0])]
        is_it = any(_is_file_of(f"{here}{os.sep}{path}", size) for path, size in samples)
        return here if is_it or (not samples and is_folder(here)) else before

    def _root(self, number: int, folder: str) -> Root:
        """Returns a root, relative where photos and collection are likely to be moved together.

        That is where the folder lies beside the collection or below its parent, or holds the collection.
        """
        seal = seal_of(folder, self._identity)
        if (
            isinstance(self._collection, ObjectPath)
            or is_address(folder)
            or not (self._is_beside(folder) or self._collection.is_relative_to(folder))
        ):
            return Root(number, folder, seal)
        return Root(number, PurePath(os.path.relpath(folder, self._collection)).as_posix(), seal)


def without_access(what: str, reason: str) -> str:
    """Returns the sentence about a file or folder that may not be read, see `resight.files.refusal`."""
    return f"{what} may not be read ({reason}): give access to it, and to the folders that it is in"


def _below(folder: str, path: str) -> str | None:
    """Returns where a path lies in a folder, with forward slashes, "" for the folder; None for elsewhere."""
    if path == folder:
        return ""
    separator = "/" if is_address(folder) else os.sep
    if not path.startswith(folder if folder.endswith(separator) else folder + separator):
        return None
    below = path[len(folder) :]
    # Keys may begin with slashes, or end with them.
    return below[1:] if is_address(folder) else below.strip(os.sep).replace(os.sep, "/")


def _joined(folder: str, path: str) -> str:
    """Returns what lies in a folder by a path with forward slashes."""
    if is_address(folder):
        return f"{folder}/{path}" if path else folder
    return os.path.normpath(f"{folder}{os.sep}{path}")


def _is_plain(path: str) -> bool:
    """Returns whether a path leads nowhere but down."""
    parts = PurePath(path)
    return not parts.is_absolute() and not parts.drive and ".." not in parts.parts


def _is_file_of(path: str, size: int | None) -> bool:
    """Returns whether there is a file of that size; any file where the size is not known."""
    try:
        return os.stat(path).st_size == size or size is None  # noqa: PTH116
    except (OSError, ValueError):
        return False
