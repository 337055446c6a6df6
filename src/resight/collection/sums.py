"""Checksums of the files that a table is opened by, in a file beside it.

Rows carry checksums, and the header those of data files. What Lance reads before these, the manifest and the
lists of deleted rows, carries none, and Lance panics over some damage in it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from resight.errors import CollectionDamaged
from resight.files import write_whole

__all__ = ["SUMS_NAME", "file_sum", "require_sums", "write_sums"]

SUMS_NAME = "photos.sums"
_LINE = re.compile(r"([0-9a-f]{8}) (photos\.lance/(?:_versions|_deletions)/[^/\\]+)")
_MOST_BYTES = 1 << 24
"""Of the list: a line a fragment with deleted rows, of which there are some thousands at most."""


def write_sums(directory: Path, names: Iterable[str]) -> None:
    """Writes the CRC-32 of some files of a collection, one a line, after the CRC-32 of all these lines.

    Args:
        directory: The collection's.
        names: Of the files, below the directory.

    Raises:
        OSError: A file cannot be read, or the list not written.
    """
    lines = "".join(f"{file_sum(directory / name):08x} {name}\n" for name in sorted(names))
    write_whole(directory / SUMS_NAME, f"{zlib.crc32(lines.encode()):08x}\n{lines}")


def require_sums(directory: Path) -> None:
    """Returns if the files that `write_sums` has listed are as they were, or gone, as after later commits.

    Raises:
        CollectionDamaged: A file, or the list, has changed.
    """
    place = directory / SUMS_NAME
    try:
        with place.open("rb") as stream:
            head, _, lines = stream.read(_MOST_BYTES).partition(b"\n")
    except FileNotFoundError:
        return
    listed = [_LINE.fullmatch(line) for line in lines.decode("utf-8", "replace").splitlines()]
    if head != f"{zlib.crc32(lines):08x}".encode() or None in listed:
        raise CollectionDamaged(
            f"the list of checksums {place} is damaged: delete it, then check the collection"
        )
    for match in filter(None, listed):
        # A writer may have moved on and deleted it.
        with suppress(FileNotFoundError):
            if f"{file_sum(directory / match[2]):08x}" != match[1]:
                raise CollectionDamaged(
                    f"the file {directory / match[2]} was changed after it was written: check the disk, "
                    "restore the collection from a copy, or index the photos into a new one"
                )


def file_sum(path: Path) -> int:
    """Returns the CRC-32 of a file.

    Raises:
        OSError: It cannot be read.
    """
    checksum = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum
