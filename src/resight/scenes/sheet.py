"""A sheet to draw on in metres, with opacity: what every painted part of a scene starts from."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from resight.scenes.camera import Texture, texture
from resight.scenes.materials import Colour

__all__ = ["Sheet", "blank"]

Points = Float[np.ndarray, "n 2"] | list[tuple[float, float]]

# OpenCV's drawing takes positions in sixteenths of a pixel.
_SHIFT = 4


@dataclass(frozen=True, slots=True)
class Sheet:
    """RGB and opacity under construction; positions are metres from the upper left corner, y downwards.

    Attributes:
        colour: RGB uint8.
        alpha: Opacity uint8, 255 is opaque.
        density: Pixels a metre.
    """

    colour: UInt8[np.ndarray, "rows columns 3"]
    alpha: UInt8[np.ndarray, "rows columns"]
    density: float

    @property
    def width(self) -> float:
        """Width in metres."""
        return self.alpha.shape[1] / self.density

    @property
    def height(self) -> float:
        """Height in metres."""
        return self.alpha.shape[0] / self.density

    def polygon(self, points: Points, colour: Colour, *, alpha: int = 255) -> None:
        """Fills a polygon."""
        fixed = self._fixed(points)
        cv2.fillPoly(self.colour, [fixed], colour, cv2.LINE_AA, _SHIFT)
        cv2.fillPoly(self.alpha, [fixed], (alpha,), cv2.LINE_AA, _SHIFT)

    def rectangle(
        self, x: float, y: float, width: float, height: float, colour: Colour, *, alpha: int = 255
    ) -> None:
        """Fills a rectangle given by its upper left corner and size."""
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        self.polygon(corners, colour, alpha=alpha)

    def ellipse(
        self, x: float, y: float, across: float, down: float, colour: Colour, *, alpha: int = 255
    ) -> None:
        """Fills an ellipse given by its centre and its two radii."""
        angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        rim = np.column_stack([x + across * np.cos(angles), y + down * np.sin(angles)])
        self.polygon(rim, colour, alpha=alpha)

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """Draws a line of a width through points; it is opaque."""
        fixed = self._fixed(points)
        thickness = max(1, round(width * self.density))
        cv2.polylines(
            self.colour,
            [fixed],
            isClosed=False,
            color=colour,
            thickness=thickness,
            lineType=cv2.LINE_AA,
            shift=_SHIFT,
        )
        cv2.polylines(
            self.alpha,
            [fixed],
            isClosed=False,
            color=(255,),
            thickness=thickness,
            lineType=cv2.LINE_AA,
            shift=_SHIFT,
        )

    def texture(self) -> Texture:
        """Returns the sheet as a texture."""
        return texture(self.colour, self.alpha, self.density)

    def _fixed(self, points: Points) -> np.ndarray:
        scaled = (np.asarray(points, dtype=np.float64) * self.density - 0.5) * (1 << _SHIFT)
        return np.round(scaled).astype(np.int32)


def blank(width: float, height: float, density: float, colour: Colour) -> Sheet:
    """Returns a transparent sheet of a size in metres.

    Its hidden colour is the one its parts will mostly have: it shows at their smoothed edges.
    """
    rows, columns = max(2, round(height * density)), max(2, round(width * density))
    painted = np.empty((rows, columns, 3), np.uint8)
    cv2.rectangle(painted, (0, 0), (columns, rows), colour, cv2.FILLED)
    return Sheet(painted, np.zeros((rows, columns), np.uint8), density)
