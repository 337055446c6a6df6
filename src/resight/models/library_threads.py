"""How many threads of their own OpenCV and PyTorch start in each of ours."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["shared_threads"]


@contextmanager
def shared_threads(readers: int, describers: int) -> Iterator[None]:
    """Shares the threads of the libraries out among ours, of which each would start as many of its own.

    On two processors two threads of ours with two of PyTorch each wait for one another: ResNet-50 at 224
    pixels described 18 photos a second so, and describes 26. Runs may overlap: the first sets the number, the
    last gives the old one back.

    Args:
        readers: Threads of ours that read photos, with OpenCV.
        describers: Threads of ours that describe them, with PyTorch.
    """
    import cv2

    with _OPENCV.shared(cv2, readers), _TORCH.shared(sys.modules.get("torch"), describers):
        yield


@dataclass(slots=True)
class _Library:
    """Names of a library's functions, the number of threads that it had, and how many runs changed that."""

    get: str
    put: str
    runs: int = 0
    before: int = 1
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def shared(self, library: object, threads: int) -> Iterator[None]:
        """Gives each of so many threads its share of the library's, where that is loaded."""
        if library is None or threads == 1:
            yield
            return
        with self.lock:
            if self.runs == 0:
                self.before = getattr(library, self.get)()
                getattr(library, self.put)(max(1, self.before // threads))
            self.runs += 1
        try:
            yield
        finally:
            with self.lock:
                self.runs -= 1
                if self.runs == 0:
                    getattr(library, self.put)(self.before)


_OPENCV = _Library("getNumThreads", "setNumThreads")
_TORCH = _Library("get_num_threads", "set_num_threads")
