"""How many threads of their own OpenCV and PyTorch start in each of ours."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it comes without types

__all__ = ["opencv_shared", "torch_shared"]


@dataclass(slots=True)
class _Shares:
    """Blocks that are under way in this process, and the threads of OpenCV before."""

    reading: int = 0
    describing: int = 0
    opencv: int = 1
    lock: threading.Lock = field(default_factory=threading.Lock)


_SHARES = _Shares()


@contextmanager
def opencv_shared(threads: int) -> Iterator[None]:
    """Shares OpenCV's threads out among so many of ours; blocks may overlap, the last one gives them back."""
    import cv2

    if threads == 1:
        yield
        return
    with _SHARES.lock:
        if _SHARES.reading == 0:
            _SHARES.opencv = cv2.getNumThreads()
            cv2.setNumThreads(max(1, _SHARES.opencv // threads))
        _SHARES.reading += 1
    try:
        yield
    finally:
        with _SHARES.lock:
            _SHARES.reading -= 1
            if _SHARES.reading == 0:
                cv2.setNumThreads(_SHARES.opencv)


@contextmanager
def torch_shared() -> Iterator[None]:
    """Gives a block that describes its share of PyTorch's threads: all, if no other block is under way.

    On two processors two threads of ours with two of PyTorch each wait for one another: ResNet-50 at 224
    pixels described 18 photos a second so, and describes 24.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with _SHARES.lock:
        _SHARES.describing += 1
        share = max(1, torch.get_num_threads() // _SHARES.describing)
    try:
        # Of this thread alone: PyTorch's own setting would also be that of threads that begin meanwhile.
        with _openmp().limit(limits=share):
            yield
    finally:
        with _SHARES.lock:
            _SHARES.describing -= 1


@cache
def _openmp() -> ThreadpoolController:
    """Looks through the loaded libraries once, when PyTorch is one of them."""
    return ThreadpoolController().select(user_api="openmp")
