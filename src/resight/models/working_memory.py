"""How much memory a network takes for a photo, by one look at a small image."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

__all__ = ["WorkingMemory"]

_SIDE = 64
_LIVE = 4.0
"""Maps of the largest one's size that are there at once: a layer's input, output, shortcut and workspace."""


@final
class WorkingMemory:
    """Bytes that a network takes for a photo, beside its weights; measured once, when first asked for.

    On a GPU they are not in main memory, and count nothing.
    """

    def __init__(
        self,
        net: nn.Module,
        run: Callable[[Tensor], object],
        *,
        device: torch.device,
        size: tuple[int, int] | None = None,
        largest_scale: float = 1.0,
    ) -> None:
        """Keeps what the measurement needs.

        Args:
            net: Its modules' outputs are the maps.
            run: Describes an image ``(1, 3, rows, columns)``.
            device: Where the network is.
            size: Rows and columns, where the network takes one size; photos are stretched to it.
            largest_scale: At which a photo is described, as a multiple of its size.
        """
        self._net, self._run, self._device, self._size = net, run, device, size
        self._scale = largest_scale
        self._lock = threading.Lock()
        self._largest: float | None = None

    def __call__(self, rows: int, columns: int) -> float:
        """Returns the bytes for a photo of this size, as it is shown."""
        if self._device.type != "cpu":
            return 0.0
        with self._lock:
            if self._largest is None:
                self._largest = self._measured()
        rows, columns = (rows, columns) if self._size is None else self._size
        return _LIVE * self._largest * rows * columns * self._scale**2

    def _measured(self) -> float:
        """Returns the bytes a pixel of the largest map."""
        rows, columns = (_SIDE, _SIDE) if self._size is None else self._size
        with torch.inference_mode(), _sizes_of_maps(self._net) as sizes:
            self._run(torch.zeros(1, 3, rows, columns))
        return max(sizes, default=0) / (rows * columns)


@contextmanager
def _sizes_of_maps(net: nn.Module) -> Iterator[list[int]]:
    """Gives the bytes of what the network's modules return in this thread."""
    sizes: list[int] = []
    thread = threading.get_ident()

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and threading.get_ident() == thread:
            sizes.append(output.numel() * output.element_size())

    handles = [module.register_forward_hook(note) for module in net.modules()]
    try:
        yield sizes
    finally:
        for handle in handles:
            handle.remove()
