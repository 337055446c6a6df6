"""Whether data files can be opened: asked before a scan, where Lance would end the whole process.

A scan hands its batches, and its errors, to Arrow by C functions. Where a file's account of its own pages is
damaged, Lance's error may quote bytes of it; with a null among them the error is no C string, and Lance,
which cannot raise anything there, aborts. Opened by itself, the same file gives an ordinary error.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import final

from lance.file import LanceFileSession

from resight.collection.lance_errors import reason, vanished
from resight.errors import CollectionDamaged

__all__ = ["ReadableFiles"]


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
                session.open_reader(name)
            except OSError as error:
                if vanished(error):
                    raise
                raise CollectionDamaged(
                    f"the file {self._folder / name} cannot be read ({reason(error)}): check the disk, "
                    "restore the collection from a copy, or index the photos into a new one"
                ) from None
            self._opened.add(stamp)
