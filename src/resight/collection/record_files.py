"""Files of records beside a collection's table: what is derived from its photos and can be made again.

A file is one line of JSON and rows of numbers, so that reading one runs no compiled parser. Files of eight
digits are read in their order. One that is damaged, or made otherwise, counts for nothing.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import final

from resight.files import ObjectPath, write_whole

__all__ = ["RecordFiles"]


@final
class RecordFiles:
    """The files of one kind: one more for each batch, one for all after a run.

    Args:
        collection: The collection's directory.
        name: Of the folder in it.
        made_by: What the records depend on; files that say something else are not used.
        suffix: Of the files; the folder's name by default.
    """

    def __init__(
        self, collection: Path | ObjectPath, name: str, made_by: Mapping[str, object], *, suffix: str = ""
    ) -> None:
        self._folder = collection / name
        self._suffix = suffix or name
        self._form = re.compile(rf"\d{{8}}\.{self._suffix}")
        self._made_by = dict(made_by)

    @property
    def paths(self) -> list[Path] | list[ObjectPath]:
        """The files there are, in order."""
        with suppress(OSError):
            if isinstance(self._folder, ObjectPath):
                return [path for path in self._folder.iterdir() if self._form.fullmatch(path.name)]
            return sorted(path for path in self._folder.iterdir() if self._form.fullmatch(path.name))
        return []

    def read(self) -> Iterator[tuple[Mapping[str, int], bytes]]:
        """Yields how many records of each kind a file holds, and their bytes."""
        for path in self.paths:
            try:
                line, _, body = path.read_bytes().partition(b"\n")
                head = json.loads(line)
                counts, checksum = head.pop("counts"), head.pop("crc32")
            except (OSError, ValueError, KeyError, AttributeError, TypeError):
                continue
            if head == self._made_by and checksum == zlib.crc32(body) and isinstance(counts, dict):
                yield counts, body

    def append(self, counts: Mapping[str, int], body: bytes) -> None:
        """Writes one more file; hold the writer's lock.

        Raises:
            OSError: The disk refuses it.
        """
        self._folder.mkdir(exist_ok=True)
        number = max((int(path.name[:8]) for path in self.paths), default=-1) + 1
        head = {**self._made_by, "counts": dict(counts), "crc32": zlib.crc32(body)}
        write_whole(self._folder / f"{number:08d}.{self._suffix}", json.dumps(head).encode() + b"\n" + body)

    def replace(self, counts: Mapping[str, int], body: bytes) -> None:
        """Writes a file in place of all; hold the writer's lock.

        Raises:
            OSError: The disk refuses it.
        """
        old = self.paths
        self.append(counts, body)
        # Killed before the last is gone, what they say is said twice.
        for path in old:
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Deletes all of them; hold the writer's lock.

        Raises:
            OSError: The disk refuses it.
        """
        for path in self.paths:
            path.unlink(missing_ok=True)
