"""Small files that can be made anew, kept on the disk within a limit."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import final

from resight.files import write_whole

__all__ = ["ThumbnailCache"]


@final
class ThumbnailCache:
    """Thumbnails by name. A disk that refuses them costs time, and nothing else.

    Args:
        folder: Where they are; made with the first. Only its owner may look into it.
        max_bytes: Most bytes of all; those not made or read for longest go first. 0: none are kept.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes = sum(size for _, size, _ in self._kept())

    def get(self, name: str) -> bytes | None:
        """Returns a thumbnail, None without one."""
        path = self._path(name)
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return content

    def put(self, name: str, content: bytes) -> None:
        """Keeps a thumbnail."""
        if len(content) > self._max_bytes:
            return
        path = self._path(name)
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_whole(path, content)
        with self._lock:
            self._bytes += len(content)
            if self._bytes > self._max_bytes:
                self._shrink()

    def drop(self, name: str) -> None:
        """Forgets a thumbnail."""
        with suppress(OSError):
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / f"{name}.jpg"

    def _kept(self) -> list[tuple[float, int, Path]]:
        kept = []
        for path in self._folder.glob("*/*.jpg"):
            with suppress(OSError):
                status = path.stat()
                kept.append((status.st_mtime, status.st_size, path))
        return kept

    def _shrink(self) -> None:
        """Forgets the oldest until a tenth of the room is free."""
        kept = sorted(self._kept())
        self._bytes = sum(size for _, size, _ in kept)
        for _, size, path in kept:
            if self._bytes <= 0.9 * self._max_bytes:
                return
            with suppress(OSError):
                path.unlink()
                self._bytes -= size
