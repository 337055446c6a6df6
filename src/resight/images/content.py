"""What identifies the bytes of a photo's file: their hash, their number and when they were written."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from resight.errors import UnreadableImage
from resight.files import Stamp
from resight.images.opening import ObjectStream, open_photo, stamp_in

__all__ = ["HASH_BYTES", "Content", "content_in", "content_of", "is_unchanged"]

HASH_BYTES = 20
"""Length of the hash of a file's bytes."""


@dataclass(frozen=True, slots=True)
class Content:
    """What identifies a file's bytes.

    Attributes:
        hash: BLAKE2b of the file's bytes, 20 bytes long.
        size: Bytes of the file.
        modified_ns: When it was changed last, nanoseconds since 1970, taken before its bytes were read.
    """

    hash: bytes
    size: int
    modified_ns: int


def content_of(path: str | Path) -> Content:
    """Returns what identifies the file's bytes now.

    Raises:
        OSError: It cannot be read.
    """
    try:
        stream = open_photo(path)
    except UnreadableImage as error:
        raise OSError(errno.EINVAL, error.reason, str(path)) from None
    with stream:
        return content_in(stream)


def content_in(stream: BufferedReader | ObjectStream) -> Content:
    """Returns what identifies the bytes of an open file, which is read from where it stands to its end."""
    stamp = stamp_in(stream)
    digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=HASH_BYTES)).digest()
    return Content(digest, stamp.size, stamp.modified_ns)


def is_unchanged(stream: BufferedReader | ObjectStream, known: Content) -> bool:
    """Returns whether an open file holds the bytes that are known, by its size and time or else by its bytes.

    Copied or restored, a file of the same bytes has another time.
    """
    stamp = stamp_in(stream)
    is_same = stamp == Stamp(known.size, known.modified_ns)
    return is_same or (stamp.size == known.size and content_in(stream).hash == known.hash)
