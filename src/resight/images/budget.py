"""How many pixels may be decoded: of one photo, and of all that are decoded at once."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import final

from resight.errors import InvalidInput, UnreadableImage

__all__ = ["PIXEL_BYTES", "Limit", "PixelBudget", "usual_memory"]

PIXEL_BYTES = 4
"""Of an RGB pixel in memory while a photo is decoded."""

_LEAST_MEMORY = 1_000_000_000
_SHARE = 4

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD`` of glibc's malloc.h."""

_LEAST_LARGE = 1 << 20

_LONG = 1 << 20
_ROW = 4.0
"""As many pixels as the place of a row takes the memory of, in photos with a side over `_LONG`."""


def usual_memory() -> int:
    """Returns the bytes that photos may take by default: a quarter of the machine's memory, at least 1 GB."""
    if not hasattr(os, "sysconf"):
        return _LEAST_MEMORY
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(_LEAST_MEMORY, memory // _SHARE)


@final
class PixelBudget:
    """Lets threads work on photos at once as long as all their pixels together stay within a number.

    So a few panoramas side by side take no more memory than one of the largest size that is allowed. What
    describing takes counts as the pixels of that many bytes.

    What a thread has freed comes on top where the C library keeps it for that thread's next use: from the
    first time that a thread has to wait, large blocks go back to the system, in the whole process.
    """

    def __init__(self, pixels: int) -> None:
        """Makes a budget.

        Args:
            pixels: How many RGB pixels, of `PIXEL_BYTES` each, may be in memory at once.

        Raises:
            InvalidInput: It is below 1.
        """
        if pixels < 1:
            raise InvalidInput(f"a budget of pixels must be at least 1, not {pixels}")
        self._pixels = pixels
        self._free = float(pixels)
        self._short = False
        self._early: set[int] = set()
        self._changed = threading.Condition()

    @classmethod
    def of_memory(cls, memory: int | None, max_pixels: int) -> PixelBudget:
        """Returns four fifths of so many bytes; the last one is for the bytes of files, see `for_files`.

        Args:
            memory: What all photos together may take; `usual_memory` where none is given.
            max_pixels: Of the largest photo that is let in.

        Raises:
            InvalidInput: Such a photo takes more, or ``max_pixels`` is below 1.
        """
        largest = PIXEL_BYTES * max_pixels * 5 // 4
        if memory is None:
            memory = max(usual_memory(), largest)
        if memory < largest:
            raise InvalidInput(
                f"a working memory of {memory:,} bytes does not hold a photo of {max_pixels:,} pixels, the "
                f"most that are let in, {largest:,} bytes: allow more memory, or fewer pixels (--max-pixels)"
            )
        return cls(memory * 4 // 5 // PIXEL_BYTES if max_pixels > 0 else max_pixels)

    def for_files(self) -> PixelBudget:
        """Returns a budget of a quarter of this one, for what is held of files while they are decoded.

        It is one of its own, and taken first: who waits for pixels keeps nobody waiting who holds some.
        """
        return PixelBudget(max(1, self._pixels // 4))

    @property
    def bytes(self) -> int:
        """How much memory the whole budget is."""
        return PIXEL_BYTES * self._pixels

    @contextmanager
    def taking(self, pixels: float) -> Iterator[None]:
        """Holds some pixels for the time of the block, after waiting until they are free.

        More than the whole budget is taken as the whole of it.
        """
        share = min(pixels, float(self._pixels))
        with self._changed:
            if self._free < share and not self._short:
                # Not before: where all fit in at once, so does what each thread keeps, and that saves time.
                self._short = True
                _keep_no_large_blocks()
            self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
            if not self._short:
                self._early.add(threading.get_ident())
        try:
            yield
        finally:
            if self._short and threading.get_ident() in self._early:
                # It fills what it took before large blocks went back by themselves, again and again.
                _give_back()
            with self._changed:
                self._free += share
                self._changed.notify_all()


def _keep_no_large_blocks() -> None:
    """Has glibc give freed blocks back to the system from now on; nothing where the C library is another.

    Of its own accord it keeps blocks of up to 32 MB, a heap for each thread: of 16 threads that describe one
    photo after the other 0.7 GB above a working memory of 1 GB were measured (benchmarks/indexing_memory.py).
    """
    library = _glibc()
    if library is not None:
        library.mallopt(_MMAP_THRESHOLD, _LEAST_LARGE)
        library.mallopt(_TRIM_THRESHOLD, _LEAST_LARGE)
    _give_back()


def _give_back() -> None:
    """Has glibc give back what is free now."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


@final
@dataclass(frozen=True, slots=True)
class Limit:
    """What one photo may take while it is decoded and reduced.

    Attributes:
        max_pixels: Most pixels, counted as RGB pixels by the memory they take.
        budget: Of all photos that are decoded at once; None: there is none.
        held: Gives the photo's share of the budget back when it is closed.
    """

    max_pixels: int
    budget: PixelBudget | None
    held: ExitStack

    def admit(self, name: str, size: tuple[int, int], pixels: float) -> None:
        """Takes a photo's share of the budget, after waiting for it.

        Args:
            name: Of the file, for the error.
            size: Its width and height.
            pixels: As how many RGB pixels they count.

        Raises:
            UnreadableImage: They are more than ``max_pixels``.
        """
        width, height = size
        # Pillow keeps a place for each row, and a photo may be turned: a line of pixels takes more than they.
        pixels += _ROW * max(size) if max(size) > _LONG else 0
        if pixels > self.max_pixels:
            counted = "" if pixels <= width * height else f", for they take the memory of {pixels:.0f}"
            raise UnreadableImage(
                name,
                f"its {width} x {height} pixels are more than the limit of {self.max_pixels}{counted}; "
                "save it smaller or raise the limit (--max-pixels, or max_pixels in Python)",
            )
        if self.budget is not None:
            self.held.enter_context(self.budget.taking(pixels))
