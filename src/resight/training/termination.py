"""SIGTERM put off until the run is on the disk."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, final

__all__ = ["Termination"]


@final
class Termination:
    """Notes SIGTERM while a block runs, in the main thread; `follow` then lets it do what it does.

    Attributes:
        requested: Whether the signal came.
    """

    def __init__(self, *, active: bool) -> None:
        """Takes whether to listen at all; other threads than the main one never do."""
        self.requested = False
        self._active = active and threading.current_thread() is threading.main_thread()
        self._before: Any = None

    def __enter__(self) -> Termination:
        if self._active:
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._active:
            signal.signal(signal.SIGTERM, self._before)
            if self.requested:
                # It came after the last step: it is not lost.
                os.kill(os.getpid(), signal.SIGTERM)

    def follow(self) -> None:
        """Sends the signal again, to whom it was meant for."""
        self.requested = False
        signal.signal(signal.SIGTERM, self._before)
        os.kill(os.getpid(), signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.requested = True
