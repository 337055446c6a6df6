"""Outputs that are written whole or not at all.

A new output grows in a hidden partial file or folder beside its place, reaches the disk, and takes the place
by one rename. Until then the old output stays. The writer holds a lock of the operating system on its partial
output, so that the next writer of the same output can tell the rest of a killed writer from work in progress,
and removes it.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from resight.files.objects import ObjectPath

try:
    import fcntl
except ImportError:  # Windows refuses to remove what a living process holds open, which is lock enough.
    fcntl = None  # type: ignore[assignment]

__all__ = ["whole_file", "whole_files", "whole_folder", "write_whole"]

_SUFFIX = ".partial"
_MARKS = re.compile(r"[0-9a-f]{8}\.(?:partial|tmp)|[0-9]+\.unfinished")
"""Ends of the names of partial outputs, after a dot, the output's name and a dot; two are of version 0.1."""

_LONGEST_NAME = 200
"""Bytes of a name to which the marks of a partial output can be added on every usual disk (255 in all)."""


def write_whole(path: str | Path | ObjectPath, content: str | bytes) -> None:
    """Writes a file or an object, text in UTF-8; what was there before stays until the new one is complete.

    Raises:
        OSError: As `whole_file` raises it.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    if isinstance(path, ObjectPath):
        path.write_bytes(data)
        return
    with whole_file(path) as stream:
        stream.write(data)


@contextmanager
def whole_file(path: str | Path, *, device: bool = True) -> Iterator[BinaryIO]:
    """Yields a stream whose bytes become the file when the block ends without an error.

    A symbolic link stays and its target is written. A pipe or device is written to, after the block. The
    permissions of an existing file are kept.

    Args:
        path: The file.
        device: Whether a pipe or device will do; without it, it is refused.

    Raises:
        OSError: The file cannot be written. ``filename`` is ``path``, ``strerror`` says why.
    """
    with whole_files([path], device=device) as (stream,):
        yield stream


@contextmanager
def whole_files(paths: Sequence[str | Path], *, device: bool = True) -> Iterator[tuple[BinaryIO, ...]]:
    """Yields a stream for each of several files that belong together, in the manner of `whole_file`.

    No file of the old set ever lies beside one of the new: the old files but the first are removed, then the
    new files take their places one after the other. A process that is killed between these steps leaves a set
    that lacks a file. Of two writers at once, one writes the whole set after the other.

    Args:
        paths: The files; the first is the one that readers open first.
        device: Whether pipes and devices will do.

    Raises:
        OSError: A file cannot be written. ``filename`` is the path as it was given, ``strerror`` says why.
    """
    with ExitStack() as stack:
        outputs = [stack.enter_context(_output(Path(path), device=device)) for path in paths]
        yield tuple(output.stream for output in outputs)
        for output in outputs:
            output.finish()
        # Two writers of the same set must not take turns.
        with _locked_folder(outputs[0].place.parent) if len(outputs) > 1 else nullcontext():
            for output in outputs[:0:-1]:
                output.remove_old()
            for output in outputs:
                output.take_place()


@contextmanager
def whole_folder(path: str | Path, *, own: re.Pattern[str] | None = None) -> Iterator[Path]:
    """Yields an empty folder that takes the place of ``path`` when the block ends without an error.

    A folder that is there is moved aside for the rename and then removed.

    Args:
        path: The folder.
        own: Paths of files, from the folder on, that may be lost with a folder that is there; any by default.

    Raises:
        OSError: The folder cannot be written, a file has its place, or a folder that holds other files than
            ``own``. ``filename`` is ``path``.
    """
    path = Path(path)
    place = _place(path)
    partial: Path | None = None
    with _named(path, place), ExitStack() as stack:
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "there is a file in the place of the folder", str(path))
        _refuse_others(path, own)
        _remove_leftovers(place)
        partial = _partial_name(place)
        with _named(path, partial):
            partial.mkdir()
        stack.callback(shutil.rmtree, partial, ignore_errors=True)
        stack.enter_context(_locked_folder(partial))
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                _sync(file)
        if place.is_dir():
            _refuse_others(path, own)
            old = _partial_name(place)
            place.replace(old)
            stack.callback(shutil.rmtree, old, ignore_errors=True)
        partial.replace(place)


@contextmanager
def filled_folder(path: Path) -> Iterator[None]:
    """Makes a folder, and those above it, that a block fills; where an error leaves them empty they go.

    Args:
        path: The folder; one that is there stays.

    Raises:
        OSError: The folder cannot be made.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):
            for folder in made:
                folder.rmdir()
        raise


class _Output:
    """One file that is being written: a partial file beside its place, or memory for a pipe or device."""

    def __init__(self, path: Path, place: Path) -> None:
        self.path, self.place = path, place
        self.is_device = _is_device(place)
        self.partial: Path | None = None
        self.stream: BinaryIO
        if self.is_device:
            self.stream = io.BytesIO()
            return
        _remove_leftovers(place)
        self.partial, self.stream = _open_partial(place)
        with suppress(FileNotFoundError):
            self.partial.chmod(stat.S_IMODE(place.stat().st_mode))

    def finish(self) -> None:
        """Sees to it that the bytes are on the disk."""
        if not self.is_device:
            with _named(self.path, self.partial):
                self.stream.flush()
                os.fsync(self.stream.fileno())

    def remove_old(self) -> None:
        if not self.is_device:
            with _named(self.path, self.place):
                self.place.unlink(missing_ok=True)

    def take_place(self) -> None:
        if isinstance(self.stream, io.BytesIO):
            with _named(self.path, self.place), self.place.open("wb") as device:
                device.write(self.stream.getbuffer())
        elif self.partial is not None:
            with _named(self.path, self.partial):
                if fcntl is None:  # Windows renames closed files only.
                    self.stream.close()
                self.partial.replace(self.place)

    def close(self) -> None:
        # A full disk fails again when the rest of the buffer is written.
        with suppress(OSError):
            self.stream.close()
        if self.partial is not None:
            self.partial.unlink(missing_ok=True)


@contextmanager
def _output(path: Path, *, device: bool) -> Iterator[_Output]:
    place = _place(path)
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder has the place of the file", str(path))
    with _named(path, place):
        output = _Output(path, place)
    if output.is_device and not device:
        raise OSError(errno.EINVAL, "it is no file but a pipe or device, which cannot hold it", str(path))
    try:
        with _named(path, output.partial):
            yield output
    finally:
        output.close()


def _place(path: Path) -> Path:
    """Returns where an output goes: behind all symbolic links.

    Raises:
        OSError: Its folder is missing, or the links lead in a circle.
    """
    try:
        # Linux's /dev/stdout leads to a pipe that has no other name.
        place = path if _is_device(path) else Path(os.path.realpath(path))
        if place.is_symlink() and not _is_device(place):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if not place.parent.is_dir():
            folder = place.parent if path.is_symlink() else path.parent
            raise FileNotFoundError(errno.ENOENT, f"there is no folder {folder} to write it into")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise OSError(getattr(error, "errno", None) or errno.EINVAL, reason, str(path)) from None
    return place


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _partial_stem(place: Path) -> str:
    name = place.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}."


def _partial_name(place: Path) -> Path:
    return place.with_name(f"{_partial_stem(place)}{secrets.token_hex(4)}{_SUFFIX}")


def _open_partial(place: Path) -> tuple[Path, BinaryIO]:
    """Returns a new partial file, locked."""
    while True:
        partial = _partial_name(place)
        with _named(place, partial):
            stream = partial.open("xb")
        if fcntl is None:
            return partial, stream
        with suppress(OSError):  # Some network disks cannot lock; there a second writer must not come.
            fcntl.flock(stream, fcntl.LOCK_EX)
        # Between opening and locking, another writer may have taken it for a leftover.
        with suppress(FileNotFoundError):
            if partial.stat().st_ino == os.fstat(stream.fileno()).st_ino:
                return partial, stream
        stream.close()


@contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_leftovers(place: Path) -> None:
    """Removes the partial outputs that killed writers of the same output have left."""
    stem = _partial_stem(place)
    try:
        entries = list(place.parent.iterdir())
    except PermissionError:  # A folder may be written to and not listed.
        return
    for entry in entries:
        is_partial = entry.name.startswith(stem) and _MARKS.fullmatch(entry.name.removeprefix(stem))
        if is_partial and _is_abandoned(entry):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                with suppress(OSError):
                    entry.unlink()


def _is_abandoned(partial: Path) -> bool:
    if fcntl is None:
        return True
    try:
        descriptor = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if not (stat.S_ISREG(mode := os.fstat(descriptor).st_mode) or stat.S_ISDIR(mode)):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextmanager
def _named(path: Path, hidden: Path | None) -> Iterator[None]:
    """Lets errors name the output that the user named, not the file that stands for it."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, str(hidden)):
            raise
        # numpy says how many bytes a disk has taken, and nothing else.
        reason = error.strerror or f"the disk did not take all of it ({error})"
        raise OSError(error.errno or errno.EIO, reason, str(path)) from None


def _refuse_others(folder: Path, own: re.Pattern[str] | None) -> None:
    """Refuses a folder that holds files, or links, of other names."""
    if own is None or not folder.is_dir():
        return

    def unlisted(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=unlisted):
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in sorted([*files, *links]):
            relative = Path(place, name).relative_to(folder)
            if not own.fullmatch(relative.as_posix()):
                what = f"it holds other things ({relative}): name a new or an empty folder"
                raise FileExistsError(errno.EEXIST, what, str(folder))


def _sync(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
