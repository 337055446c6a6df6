"""What lies at a path of this machine, or at an address of a bucket: the questions that both answer."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from resight.files.objects import ObjectPath, object_path

__all__ = [
    "Stamp",
    "exists",
    "is_address",
    "is_below",
    "is_empty",
    "is_file",
    "is_folder",
    "refusal",
    "spelled",
    "stamp_of",
]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells whether a file was written since: another one of the same stamp is taken for unchanged.

    Attributes:
        size: Bytes.
        modified_ns: When it was changed last, nanoseconds since 1970 within 64 bits; of an object, see
            `resight.files.objects.ObjectStatus.modified_ns`.
    """

    size: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Returns the stamp of a file: years are 1677 to 2262."""
        return cls(status.st_size, max(-(2**63), min(status.st_mtime_ns, 2**63 - 1)))


def is_address(path: str) -> bool:
    """Returns whether a path, as `spelled` writes it, is the address of a bucket."""
    return path.startswith("s3://")


def spelled(path: str | os.PathLike[str]) -> str:
    """Returns the one spelling of an address; a path of this machine as it is.

    Raises:
        InvalidInput: The name of the bucket cannot be one.
        MissingExtra: The extra ``s3`` is not installed.
        StoreRefused: There are no credentials.
    """
    address = object_path(path)
    return os.fspath(path) if address is None else str(address)


def stamp_of(path: str) -> Stamp:
    """Returns the stamp of a file or an object.

    Raises:
        OSError: It cannot be looked at; `FileNotFoundError` where there is none.
    """
    address = object_path(path)
    if address is None:
        return Stamp.of(os.stat(path))  # noqa: PTH116 (Path cannot hold every name)
    status = address.status()
    return Stamp(status.size, status.modified_ns)


def exists(path: str) -> bool:
    """Returns whether a file, a folder or an object is there; False where that cannot be asked."""
    # Path's method raises where a folder may not be entered.
    return is_file(path) if is_address(path) else os.path.exists(path)  # noqa: PTH110


def is_file(path: str) -> bool:
    """Returns whether there is a file or an object; False where that cannot be asked."""
    return _answered(path, os.path.isfile, ObjectPath.exists)


def is_folder(path: str) -> bool:
    """Returns whether there is a folder, or an object below an address; False where that cannot be asked."""
    return _answered(path, os.path.isdir, ObjectPath.has_below)


def _answered(path: str, of_path: Callable[[str], bool], of_address: Callable[[ObjectPath], bool]) -> bool:
    address = object_path(path)
    if address is None:
        # Path's methods raise where a folder on the way may not be entered.
        return of_path(path)
    try:
        return of_address(address)
    except OSError:
        return False


def refusal(path: str) -> str:
    """Returns why a file or folder of this machine may not be read, in the system's words.

    Empty where it may be, where there is none, and for an address.
    """
    if is_address(path):
        return ""
    try:
        os.stat(path)  # noqa: PTH116 (Path cannot hold every name)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return ""
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    return "" if os.access(path, os.R_OK) else os.strerror(errno.EACCES)


def is_empty(path: str) -> bool:
    """Returns whether a folder holds nothing, as the place of a disk that is not mounted does."""
    if is_address(path):
        # What nothing lies below is no folder.
        return False
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def is_below(path: str, folder: str) -> bool:
    """Returns whether a path is a folder, or lies below it; an address and a path never do."""
    if is_address(path) or is_address(folder):
        return path == folder or path.startswith(f"{folder}/")
    return PurePath(path).is_relative_to(folder)
