"""Whether data files can be opened: asked before a scan, where Lance would end the whole process.

A scan hands its batches, and its errors, to Arrow by C functions. Where a file's account of its own pages is
damaged, Lance's error may quote bytes of it; with a null among them the error is no C string, and Lance,
which cannot raise anything there, aborts. Opened by itself, the same file gives an ordinary error. Before
that the sizes at its very end are compared with its own: Lance asks for as much memory, and aborts where
there is less.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import final

from lance.file import LanceFileSession

from resight.collection.lance_errors import reason, vanished
from resight.errors import CollectionDamaged

__all__ = ["ReadableFiles"]

_END = struct.Struct("<QQQIIHH4s")
"""Of a file: where columns, the table of columns and that of buffers begin, how many buffers and columns
there are, two numbers of the version, a mark. Tables have 16 bytes an entry."""


@final
class ReadableFiles:
    """The data files of one table that could be opened; each is opened once, as it is never written again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: set[tuple[str, int, int, int]] = set()

    def require(self, names: Iterable[str]) -> None:
        """Returns if each file can be opened: about 0.2 ms for each that is new or has changed.

        Raises:
            CollectionDamaged: One cannot be understood.
            OSError: One is gone, perhaps as a writer cleaned up meanwhile.
        """
        session = LanceFileSession(str(self._folder))
        for name in names:
            status = (self._folder / name).stat()
            stamp = (name, status.st_ino, status.st_size, status.st_mtime_ns)
            if stamp in self._opened:
                continue
            try:
                _require_end(self._folder / name, status.st_size)
                session.open_reader(name)
            except OSError as error:
                if vanished(error):
                    raise
                raise CollectionDamaged(
                    f"the file {self._folder / name} cannot be read ({reason(error)}): check the disk, "
                    "restore the collection from a copy, or index the photos into a new one"
                ) from None
            self._opened.add(stamp)


def _require_end(path: Path, size: int) -> None:
    """Returns if a file's tables lie where its end says, one behind the other.

    Raises:
        OSError: They do not, or it cannot be read.
    """
    with path.open("rb") as stream:
        stream.seek(max(0, size - _END.size))
        end = stream.read(_END.size)
    if len(end) == _END.size:
        columns, table, buffers, buffer_count, column_count, *_, mark = _END.unpack(end)
        in_order = columns <= table and table + 16 * column_count <= buffers
        if mark == b"LANC" and in_order and buffers + 16 * buffer_count <= size - _END.size:
            return
    raise OSError("the end of the file is damaged, or was cut off")
