"""Which photos there are under files and folders."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import final

from resight.collection.exclusion import Exclusion
from resight.collection.own_files import TABLE_NAME
from resight.errors import InvalidInput
from resight.files import Stamp, StoreRefused, is_address, is_below, object_path, spelled
from resight.images import PHOTO_SUFFIXES

__all__ = ["BrokenPhoto", "PhotoFile", "Scan", "absolute", "canonical", "find_photos", "printable", "scan"]


@dataclass(frozen=True, slots=True)
class BrokenPhoto:
    r"""A file that cannot be searched, or only with a warning, and why.

    Attributes:
        path: The file, absolute; undecodable bytes of its name are written as ``\\xNN``.
        reason: Why, in a few words without the path.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo met while walking.

    Attributes:
        path: Absolute; below the folder it was found in, links are left as they are.
        folder: The given folder it was found in; for a file given itself, the folder that holds it.
        target: Where its bytes lie when it was reached through a symbolic link, else `path`.
        stamp: Of an object of a bucket, as it was listed.
    """

    path: str
    folder: str
    target: str
    stamp: Stamp | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """What lies under some paths.

    Attributes:
        photos: Sorted by path.
        broken: What could not be looked at, sorted by path.
        passed_over: Files whose suffix is no photo's: how many of each suffix, in lower case with its dot,
            ``""`` for none; the most frequent first. Hidden files are not counted.
        left_out: Files and folders that a pattern leaves out: how many each, the most frequent first.
        unlisted: Folders that could not be listed and links that lead nowhere, absolute: nobody knows what
            lies below them.
    """

    photos: list[PhotoFile]
    broken: list[BrokenPhoto]
    passed_over: dict[str, int]
    left_out: dict[str, int]
    unlisted: list[str]


def printable(path: str) -> str:
    r"""Returns the path as text that can be written anywhere: undecodable bytes of it become ``\\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def absolute(path: str | Path) -> str:
    """Returns the path from the root of the disk, without dots, links left as they are."""
    return os.path.abspath(path)  # noqa: PTH100 (Path.resolve would follow links)


def canonical(path: str | Path) -> str:
    """Returns the one absolute spelling of a path: links resolved in a folder, and in a file's folder.

    That of an address ``s3://bucket/key`` has no slash at its end.
    """
    address = spelled(path)
    if is_address(address):
        return address
    # Path's method raises where a name is too long, or holds a null character.
    if os.path.isdir(path):  # noqa: PTH112
        return os.path.realpath(path)
    parent, name = os.path.split(absolute(path))
    return os.path.join(os.path.realpath(parent), name)  # noqa: PTH118 (Path cannot hold every name)


def find_photos(paths: Sequence[str | Path]) -> list[Path]:
    """Returns the photos under files and folders, absolute and sorted, each file once.

    Folders are walked with all that is in them; of these, files with a suffix of `PHOTO_SUFFIXES` are taken
    and hidden ones (a name beginning with a dot) are not. Files given by themselves are always taken.
    Symbolic links are followed, loops survived, and a file that links lead to is taken once; two names of one
    file (hard links) are two photos. Folders of thumbnails and waste bins (`KNOWN_FOLDERS`) are left out.

    Raises:
        InvalidInput: A path does not exist.
    """
    return [Path(photo.path) for photo in scan(paths).photos]


def scan(paths: Iterable[str | Path], exclude: Sequence[str] = ()) -> Scan:
    """Returns what `find_photos` does, with the folder each photo was found in and what could not be read.

    Args:
        paths: Files and folders.
        exclude: Patterns of files and folders that are left out, see `Exclusion`.

    Raises:
        InvalidInput: A path does not exist.
    """
    walk = _Walk(Exclusion(tuple(exclude)))
    for path in sorted({canonical(path) for path in paths}):
        if is_address(path):
            walk.bucket(path)
        elif os.path.isdir(path):  # noqa: PTH112 (Path raises where a folder may not be entered)
            walk.folder(path, origin=path)
        elif os.path.exists(path):  # noqa: PTH110 (likewise)
            walk.file(path, origin=str(Path(path).parent), linked=Path(path).is_symlink())
        else:
            raise InvalidInput(f"there is no file or folder {printable(path)}")
    return walk.finish()


@final
@dataclass(slots=True)
class _Walk:
    """Takes what lies in folders at once, and what links lead to afterwards: files keep their own names."""

    exclusion: Exclusion
    photos: list[PhotoFile] = field(default_factory=list)
    objects: list[PhotoFile] = field(default_factory=list)
    broken: list[BrokenPhoto] = field(default_factory=list)
    visited: set[tuple[int, int]] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)
    unlisted: list[str] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def folder(self, path: str, *, origin: str, linked: bool = False) -> None:
        """Takes a folder and all below it; without recursion, so that depth has no limit."""
        folders = [path]
        while folders:
            current = folders.pop()
            try:
                if not self._first_visit(current):
                    continue
                with os.scandir(current) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                reason = f"this folder cannot be listed ({error.strerror})"
                self.unlisted.append(current)
                self.broken.append(BrokenPhoto(printable(current), reason))
                continue
            if any(entry.name == TABLE_NAME for entry in entries):
                # A collection beside its photos: none of its files is a photo, or was passed over.
                continue
            for entry in entries:
                if self._is_left_out(entry, origin) or entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    self.links.append((entry.path, origin))
                elif entry.is_dir():
                    folders.append(entry.path)
                elif entry.is_file():
                    self.offered(entry.path, origin=origin, linked=linked)

    def bucket(self, origin: str) -> None:
        """Takes the objects below an address, or the one that it names.

        Raises:
            InvalidInput: There is neither, or the store refuses.
        """
        address = object_path(origin)
        if address is None:
            return
        try:
            listed = {str(one): status for one, status in address.below() if one != address}
            listed = listed or {origin: address.status()}
        except FileNotFoundError:
            raise InvalidInput(f"there is no object {printable(origin)}, nor any below it") from None
        except StoreRefused as error:
            raise InvalidInput(str(error)) from None
        mark = f"/{TABLE_NAME}/"
        collections = {path.partition(mark)[0] for path in listed if mark in path}
        patterns: dict[str, str | None] = {}
        for path, status in listed.items():
            stamp = Stamp(status.size, status.modified_ns)
            if path == origin:
                self.objects.append(PhotoFile(path, str(address.parent), path, stamp))
            elif not any(is_below(path, one) for one in collections):
                self._object(PhotoFile(path, origin, path, stamp), patterns)

    def _object(self, photo: PhotoFile, patterns: dict[str, str | None]) -> None:
        """Takes an object unless it is hidden, left out, or no photo by its suffix.

        Args:
            photo: The object.
            patterns: Which pattern leaves out what lies at or below an address, of those met so far.
        """
        names = photo.path[len(photo.folder) :].strip("/").split("/")
        if any(name.startswith(".") for name in names):
            return
        at = photo.folder
        for number, name in enumerate(names, 1):
            at = f"{at}/{name}"
            if at not in patterns:
                is_folder = number < len(names)
                patterns[at] = self.exclusion.pattern_of(at, photo.folder, is_folder=is_folder)
                if (pattern := patterns[at]) is not None:
                    self.left_out[pattern] += 1
            if patterns[at] is not None:
                return
        suffix = PurePosixPath(names[-1]).suffix.lower()
        if suffix in PHOTO_SUFFIXES:
            self.objects.append(photo)
        elif suffix or photo.stamp is None or photo.stamp.size:
            # Else it stands for a folder, as some programs make one.
            self.passed_over[printable(suffix)] += 1

    def offered(self, path: str, *, origin: str, linked: bool) -> None:
        """Takes a file of a folder where its suffix is a photo's, else counts it as passed over."""
        suffix = Path(path).suffix.lower()
        if suffix in PHOTO_SUFFIXES:
            self.file(path, origin=origin, linked=linked)
        else:
            self.passed_over[printable(suffix)] += 1

    def file(self, path: str, *, origin: str, linked: bool) -> None:
        """Takes a file, unless a link leads to one that is taken already."""
        try:
            path.encode()
        except UnicodeEncodeError:
            reason = "its name holds bytes that are no text; rename it"
            self.broken.append(BrokenPhoto(printable(path), reason))
            return
        target = os.path.realpath(path) if linked else path
        try:
            Path(path).stat()
        except OSError as error:
            self.broken.append(BrokenPhoto(printable(path), f"it cannot be looked at ({error.strerror})"))
            return
        if target not in self.taken:
            self.taken.add(target)
            self.photos.append(PhotoFile(path, origin, target))

    def finish(self) -> Scan:
        """Follows the links met so far, and those met on the way; returns all."""
        while self.links:
            links, self.links = sorted(self.links), []
            for path, origin in links:
                if not os.path.exists(path):  # noqa: PTH110 (Path raises where a folder may not be entered)
                    self.unlisted.append(path)
                if os.path.isdir(path):  # noqa: PTH112 (as above)
                    self.folder(path, origin=origin, linked=True)
                else:
                    self.offered(path, origin=origin, linked=True)
        # One that is given by itself and by what it lies below is one.
        objects = {photo.path: photo for photo in self.objects}
        return Scan(
            sorted([*self.photos, *objects.values()], key=lambda photo: photo.path),
            sorted(self.broken, key=lambda file: file.path),
            dict(self.passed_over.most_common()),
            dict(self.left_out.most_common()),
            self.unlisted,
        )

    def _is_left_out(self, entry: os.DirEntry[str], origin: str) -> bool:
        is_folder = entry.is_dir(follow_symlinks=False)
        pattern = self.exclusion.pattern_of(entry.path, origin, is_folder=is_folder)
        if pattern is not None:
            self.left_out[pattern] += 1
        return pattern is not None

    def _first_visit(self, path: str) -> bool:
        status = Path(path).stat()
        identity = (status.st_dev, status.st_ino)
        if identity in self.visited:
            return False
        self.visited.add(identity)
        return True
