"""Folders whose changes are followed: what comes, changes or goes there does so in the collection."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import final

from resight.collection.scan import canonical, scan
from resight.errors import InvalidInput

__all__ = ["Watches"]

_SECONDS = 2.0
"""Between two looks at a folder; ten times as long as a look takes, where that is more."""

State = frozenset[tuple[str, int, int]]
"""Path, size and time of each photo."""


@final
class Watches:
    """Looks at folders from time to time; any disk allows that, shares of other machines included.

    Args:
        on_change: Called with a folder whose photos have changed and then stayed the same for one look, so
            that a file that is still being copied is not read half.
    """

    def __init__(self, on_change: Callable[[Path], None], *, seconds: float = _SECONDS) -> None:
        self._on_change = on_change
        self._seconds = seconds
        self._seen: dict[str, State] = {}
        self._indexed: dict[str, State] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to look."""
        self._thread = threading.Thread(target=self._run, name="resight-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Looks no more."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def folders(self) -> list[str]:
        """Returns the folders that are followed, sorted."""
        with self._lock:
            return sorted(self._indexed)

    def add(self, folder: Path) -> None:
        """Follows a folder from its state of now, which the caller indexes."""
        state = _state(str(folder))
        with self._lock:
            self._indexed[str(folder)] = self._seen[str(folder)] = state

    def drop(self, folder: str) -> bool:
        """Returns whether a folder was followed, and follows it no longer."""
        with self._lock:
            named = {folder, canonical(folder)} & self._indexed.keys()
            for each in named:
                del self._indexed[each], self._seen[each]
            return bool(named)

    def _run(self) -> None:
        wait = self._seconds
        while not self._stopping.wait(wait):
            started = time.monotonic()
            for folder in self.folders():
                self._look(folder)
            wait = max(self._seconds, 10 * (time.monotonic() - started))

    def _look(self, folder: str) -> None:
        state = _state(folder)
        with self._lock:
            if folder not in self._indexed:
                return
            is_still = state == self._seen[folder]
            is_new = state != self._indexed[folder]
            self._seen[folder] = state
            if is_still and is_new:
                self._indexed[folder] = state
        if is_still and is_new:
            self._on_change(Path(folder))


def _state(folder: str) -> State:
    """Returns the photos of a folder; none where it is not there."""
    try:
        photos = scan([folder]).photos
    except InvalidInput:
        return frozenset()
    held = []
    for photo in photos:
        try:
            status = os.stat(photo.path)  # noqa: PTH116 (quicker by far)
        except OSError:
            continue
        held.append((photo.path, status.st_size, status.st_mtime_ns))
    return frozenset(held)
