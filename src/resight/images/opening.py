"""Opens a photo's file, after looking at what it is: nothing that would be waited for, or read, for ever."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from resight.errors import UnreadableImage

__all__ = ["MAX_FILE_BYTES", "open_file"]

MAX_FILE_BYTES = 1 << 32
"""Largest file that is opened, bytes: four gibibytes, more than any photo within the limit on pixels takes.

A sparse file claims any size without taking room on the disk, and reading its holes takes hours.
"""


def open_file(path: str | Path) -> BufferedReader:
    """Returns a regular file opened for reading; links are followed, and what they lead to is looked at.

    Raises:
        UnreadableImage: It is a directory, a pipe, a socket or a device, or larger than `MAX_FILE_BYTES`.
        OSError: The system refuses it: there is no such file, or no permission.
        ValueError: The path holds a null character.
    """
    # Opening can have an effect on a device, and waits at a pipe: hence a look before.
    _check(path, Path(path).stat())
    # It may have been replaced since: a pipe is not waited for, and what was opened is looked at again.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _check(path: str | Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableImage(path, "it is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImage(path, "it is a pipe, a socket or a device, not a file")
    if status.st_size > MAX_FILE_BYTES:
        raise UnreadableImage(
            path, f"its {status.st_size:,} bytes are more than the limit of {MAX_FILE_BYTES:,}"
        )
