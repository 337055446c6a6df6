"""A decoded photo and where its pixels lie in the file's full-size picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, UInt8

from resight.features import Box
from resight.images.resize import fit, shown_side

__all__ = ["Photo"]


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo (or a part of one) as a model sees it.

    Attributes:
        pixels: RGB uint8 ``(rows, columns, 3)``, upright, possibly reduced.
        width: Width of the whole upright photo in its file, pixels.
        height: Height of the whole upright photo in its file, pixels.
        region: The part of the whole photo that ``pixels`` show, in its pixels.
        warning: What is wrong with the file though its pixels could be read; None for nothing.
    """

    pixels: UInt8[np.ndarray, "rows columns 3"]
    width: int
    height: int
    region: Box
    warning: str | None = None

    def in_full_pixels(self, positions: Float32[np.ndarray, "n 2"]) -> Float32[np.ndarray, "n 2"]:
        """Returns positions (x, y; integer coordinates are pixel centres) in pixels of the whole photo."""
        rows, columns = self.pixels.shape[:2]
        step = np.array([self.region.width / columns, self.region.height / rows])
        origin = np.array([self.region.x0, self.region.y0])
        return ((positions + 0.5) * step + origin - 0.5).astype(np.float32)

    def shown_at(self, max_side: int) -> Photo:
        """Returns the photo as it is shown where whole photos have that long side; itself where it is.

        Args:
            max_side: Long side at which the whole photo is shown, pixels; it is never enlarged.
        """
        side = shown_side(self.region, self.width, self.height, max_side)
        return replace(self, pixels=fit(self.pixels, side)) if max(self.pixels.shape[:2]) > side else self

    @property
    def scale(self) -> float:
        """Shown pixels per pixel of the whole photo (geometric mean of both axes), at most 1."""
        rows, columns = self.pixels.shape[:2]
        return float(np.sqrt((columns / self.region.width) * (rows / self.region.height)))
