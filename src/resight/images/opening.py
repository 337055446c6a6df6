"""Opens photos, and turns what goes wrong with them into one error with a reason.

A file is looked at before it is opened: nothing is waited for, or read, for ever.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, final

from PIL import Image

from resight.errors import UnreadableImage
from resight.files import Stamp, object_path, on_disk, typed_path
from resight.files.names import is_too_long

__all__ = ["MAX_FILE_BYTES", "ObjectStream", "open_file", "open_photo", "opened", "reasons", "stamp_in"]

MAX_FILE_BYTES = 1 << 32
"""Largest file that is opened, bytes: four gibibytes, more than any photo within the limit on pixels takes.

A sparse file claims any size without taking room on the disk, and reading its holes takes hours.
"""

_MOST_OBJECT_BYTES = 1 << 30
"""Largest object of a bucket that is read: it is held in memory."""

# What Pillow's decoders raise on broken files, found by corrupting files of every format and reading their
# sources.
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def open_file(path: str | Path) -> BufferedReader:
    """Returns a regular file opened for reading; links are followed, and what they lead to is looked at.

    A name may be composed or decomposed (`on_disk`).

    Raises:
        UnreadableImage: It is a directory, a pipe, a socket or a device, or larger than `MAX_FILE_BYTES`.
        OSError: The system refuses it: there is no such file, or no permission.
        ValueError: The path holds a null character.
    """
    path = on_disk(Path(path))
    # Opening can have an effect on a device, and waits at a pipe: hence a look before.
    _check(path, path.stat())
    # It may have been replaced since: a pipe is not waited for, and what was opened is looked at again.
    stream = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 (closed by the caller)
    try:
        _check(path, os.fstat(stream.fileno()))
    except BaseException:
        stream.close()
        raise
    return stream


@final
class ObjectStream(io.BytesIO):
    """The bytes of an object of a bucket, its address, and what tells its versions apart."""

    def __init__(self, data: bytes, name: str, stamp: Stamp) -> None:
        super().__init__(data)
        self.name, self.stamp = name, stamp


def open_photo(path: str | Path) -> BufferedReader | ObjectStream:
    """Returns what `open_file` does, or an object ``s3://bucket/key``, which is read at once.

    For photos of a collection whose folder was named on this machine: `open_file` reads no address.

    Raises:
        UnreadableImage: As `open_file`.
        OSError: The system or the store refuses it; there is no such file.
        ValueError: The path holds a null character.
    """
    address = object_path(path)
    if address is None:
        return open_file(path)
    data, status = address.read(_MOST_OBJECT_BYTES)
    if len(data) != status.size:
        raise UnreadableImage(
            path, f"its {status.size:,} bytes are more than the limit of {_MOST_OBJECT_BYTES:,} in a bucket"
        )
    return ObjectStream(data, str(address), Stamp(status.size, status.modified_ns))


def stamp_in(stream: BufferedReader | ObjectStream) -> Stamp:
    """Returns what tells the versions of an open file or object apart."""
    return stream.stamp if isinstance(stream, ObjectStream) else Stamp.of(os.fstat(stream.fileno()))


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check(path: str | Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableImage(path, "it is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImage(path, "it is a pipe, a socket or a device, not a file")
    if status.st_size > MAX_FILE_BYTES:
        raise UnreadableImage(
            path, f"its {status.st_size:,} bytes are more than the limit of {MAX_FILE_BYTES:,}"
        )


@contextmanager
def opened(source: str | Path | bytes | BinaryIO) -> Iterator[tuple[str, BinaryIO]]:
    """Opens a source for the time of the block: its name for errors, a seekable stream at its start."""
    if isinstance(source, bytes):
        yield "the given bytes", io.BytesIO(source)
    elif isinstance(source, str | Path):
        # One that is too long is refused below, like any photo that cannot be opened.
        path = Path(source) if is_too_long(source) else typed_path(source)
        name = str(path)
        with reasons(name):
            # Closed below: failures inside the block are not failures to open it.
            stream = open_file(path)
        with stream:
            yield name, stream
    else:
        name = str(getattr(source, "name", "the given stream"))
        with reasons(name):
            seekable = source.seekable()
            if seekable:
                source.seek(0)
        yield name, source if seekable else io.BytesIO(source.read())


@contextmanager
def reasons(name: str, kind: str | None = None) -> Iterator[None]:
    """Turns whatever the system or a format's decoder raises inside into the one error, with a reason."""
    try:
        yield
    except UnreadableImage:
        raise
    except FileNotFoundError:
        raise UnreadableImage(name, "there is no such file") from None
    except PermissionError:
        raise UnreadableImage(name, "there is no permission to read it") from None
    except MemoryError:
        raise UnreadableImage(name, "decoding it needs more memory than there is") from None
    except Image.DecompressionBombError as error:
        raise UnreadableImage(name, f"its decoder refuses so many pixels ({error})") from None
    except _BROKEN as error:
        words = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        of_system = kind is None or getattr(error, "errno", None) is not None
        whose = "the system refuses it" if of_system else f"its {kind} data are broken or cut off"
        raise UnreadableImage(name, f"{whose} ({words})") from error
