"""One writer at a time, by a lock of the operating system that dies with its process."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resight.errors import CollectionDamaged, CollectionLocked, StorageFailed

__all__ = ["LOCK_NAME", "folder_lock"]

LOCK_NAME = "writer.lock"
_POLL_SECONDS = 0.05

if sys.platform == "win32":
    import msvcrt

    # Windows forbids reading locked bytes: lock one far behind the text that names the holder.
    _LOCKED_BYTE = 1 << 30

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def folder_lock(directory: Path, *, timeout: float) -> Iterator[None]:
    """Holds the lock of the collection in a directory; the operating system frees it if the process dies.

    The file stays where it is: deleting it would let two writers lock two files of one name.

    Args:
        directory: The collection's directory.
        timeout: Seconds to wait for another writer; 0 tries once.

    Raises:
        CollectionLocked: Another process, or another object of this one, is writing.
        CollectionDamaged: The lock is a link, a pipe, a socket, a device or a folder.
        StorageFailed: The lock file cannot be opened or locked.
    """
    descriptor = _open_lock(directory)
    try:
        end = time.monotonic() + timeout
        while not _locked(descriptor, directory):
            if time.monotonic() >= end:
                os.lseek(descriptor, 0, os.SEEK_SET)
                holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
                raise CollectionLocked(
                    f"process {holder or '(unknown)'} is writing to the collection {directory}: "
                    f"waited {timeout:g} s; try again when it has finished"
                )
            time.sleep(_POLL_SECONDS)
        _name_holder(descriptor)
        yield
    finally:
        os.close(descriptor)


def _open_lock(directory: Path) -> int:
    """Returns the lock file opened: never through a link, and without waiting at a pipe."""
    lock = directory / LOCK_NAME
    refusal = CollectionDamaged(
        f"the collection {directory} is not written: {lock} is no file of its own, but a link, a pipe, a "
        "socket, a device or a folder; take it away"
    )
    # Windows has neither flag: there, links are looked for just before.
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if not flags and lock.is_symlink():
            raise refusal
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR):
            raise refusal from None
        raise StorageFailed(
            f"the collection {directory} cannot be written ({error.strerror}): give write access to it"
        ) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise refusal
    return descriptor


def _locked(descriptor: int, directory: Path) -> bool:
    try:
        return _try_lock(descriptor)
    except OSError as error:
        raise StorageFailed(
            f"the disk of the collection {directory} cannot lock files ({error.strerror}): "
            f"keep the collection on another disk"
        ) from None


def _name_holder(descriptor: int) -> None:
    """Writes this process's number into the file, which the next writer names; a full disk is no error."""
    if os.fstat(descriptor).st_nlink > 1:
        # A hard link: the same bytes may be another file of the user.
        return
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode("ascii"))
    except OSError:
        return
