"""A pinhole camera and textured planes in space: where a plane's pixels fall in the picture.

World coordinates are metres: x to the right along the street front, y up, z towards the viewer.
Camera coordinates: x right, y down, z forwards. A plane is pictured by the homography
``K [R a / s | R b / s | R (o - c)]`` (Hartley and Zisserman 2004, section 8.1.1), with its corner ``o``, its
directions ``a`` and ``b``, its texture's ``s`` pixels a metre, and the camera ``K``, ``R`` at ``c``.
Planes at different depths drawn over one another give true parallax.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

__all__ = ["Camera", "Plane", "Texture", "draw", "look_at", "texture"]

# Nearer than this a plane is cut off, metres: a plane through the camera has no picture.
NEAR = 0.4


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera with its principal point in the middle of the picture.

    Attributes:
        position: Its centre in the world, metres.
        rotation: World directions to camera directions.
        focal: Focal length, pixels.
        width: Width of the picture, pixels.
        height: Height of the picture, pixels.
    """

    position: Float64[np.ndarray, "3"]
    rotation: Float64[np.ndarray, "3 3"]
    focal: float
    width: int
    height: int

    @property
    def intrinsics(self) -> Float64[np.ndarray, "3 3"]:
        """Camera coordinates to homogeneous pixels (integers are pixel centres)."""
        x, y = (self.width - 1) / 2, (self.height - 1) / 2
        return np.array([[self.focal, 0.0, x], [0.0, self.focal, y], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True)
class Plane:
    """A rectangle's pose: its texture's upper left corner and the unit directions of columns and rows."""

    corner: tuple[float, float, float]
    across: tuple[float, float, float] = (1.0, 0.0, 0.0)
    down: tuple[float, float, float] = (0.0, -1.0, 0.0)

    def shifted(self, x: float, y: float, z: float) -> Plane:
        """Returns the plane moved by so many metres."""
        return Plane((self.corner[0] + x, self.corner[1] + y, self.corner[2] + z), self.across, self.down)


@dataclass(frozen=True, slots=True)
class Texture:
    """A picture on a plane in several sizes, so that a distant one does not flicker.

    Attributes:
        levels: RGBA uint8, colour multiplied by alpha; each level half as large as the one before.
        density: Pixels a metre of the first level.
    """

    levels: tuple[UInt8[np.ndarray, "_ _ 4"], ...]
    density: float


def look_at(
    position: tuple[float, float, float],
    target: tuple[float, float, float],
    *,
    roll: float,
    focal: float,
    width: int,
    height: int,
) -> Camera:
    """Returns the camera at a position that looks at a target, rolled by so many radians clockwise."""
    forward = np.subtract(target, position).astype(np.float64)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 1.0, 0.0))
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    cosine, sine = np.cos(roll), np.sin(roll)
    rotation = np.stack([cosine * right + sine * down, cosine * down - sine * right, forward])
    return Camera(np.array(position, dtype=np.float64), rotation, focal, width, height)


def texture(
    colour: UInt8[np.ndarray, "rows columns 3"], alpha: UInt8[np.ndarray, "rows columns"], density: float
) -> Texture:
    """Returns a texture of a picture and its opacity (255 is opaque) at so many pixels a metre."""
    first = cv2.cvtColor(cv2.multiply(colour, cv2.merge([alpha] * 3), scale=1 / 255), cv2.COLOR_RGB2RGBA)
    levels = [cv2.insertChannel(alpha, first, 3)]
    while min(levels[-1].shape[:2]) >= 32 and len(levels) < 5:
        rows, columns = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], (columns // 2, rows // 2), interpolation=cv2.INTER_AREA))
    return Texture(tuple(levels), density)


def draw(
    canvas: Float32[np.ndarray, "height width 3"],
    camera: Camera,
    plane: Plane,
    image: Texture,
    *,
    light: tuple[float, float, float] = (1.0, 1.0, 1.0),
    opacity: float = 1.0,
) -> None:
    """Draws a textured plane over a canvas, changing the canvas.

    Args:
        canvas: The picture so far.
        camera: The camera of the picture.
        plane: Where the texture lies.
        image: The texture.
        light: Factor on the texture's colour; zeros draw its shadow.
        opacity: Factor on the texture's alpha.
    """
    rows, columns = image.levels[0].shape[:2]
    pose = _pose(camera, plane, image.density)
    outline = _clipped(pose, columns, rows)
    if len(outline) < 3:
        return
    pixels = outline @ camera.intrinsics.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    low = np.clip(np.floor(pixels.min(0)) - 1, 0, (camera.width, camera.height)).astype(int)
    high = np.clip(np.ceil(pixels.max(0)) + 2, 0, (camera.width, camera.height)).astype(int)
    size = high - low
    if size.min() <= 0:
        return
    homography = camera.intrinsics @ pose
    level = _level(homography, pixels, image)
    source = image.levels[level]
    scale = np.array([columns / source.shape[1], rows / source.shape[0]])
    shrink = np.array([[scale[0], 0, (scale[0] - 1) / 2], [0, scale[1], (scale[1] - 1) / 2], [0, 0, 1.0]])
    shift = np.array([[1.0, 0.0, -low[0]], [0.0, 1.0, -low[1]], [0.0, 0.0, 1.0]])
    warped = cv2.warpPerspective(source, shift @ homography @ shrink, (int(size[0]), int(size[1])))
    if len(outline) != 4 or (outline[:, 2] <= NEAR * 1.001).any():
        mask = np.zeros(warped.shape[:2], np.uint8)
        cv2.fillConvexPoly(mask, np.clip(pixels - low, -20000, 20000).astype(np.int32), 255)
        warped = cv2.bitwise_and(warped, warped, mask=mask)
    part = canvas[low[1] : high[1], low[0] : high[0]]
    kept = cv2.cvtColor(warped[:, :, 3], cv2.COLOR_GRAY2RGB)
    kept = cv2.convertScaleAbs(kept, alpha=opacity) if opacity != 1.0 else kept
    cv2.multiply(part, cv2.bitwise_not(kept), part, scale=1 / 255, dtype=cv2.CV_32F)
    if any(light):
        lit = cv2.multiply(
            cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB),
            np.array([*light, 0.0]) * opacity,
            dtype=cv2.CV_32F,
        )
        cv2.add(part, lit, part)


def _pose(camera: Camera, plane: Plane, density: float) -> Float64[np.ndarray, "3 3"]:
    """Returns texture pixels (homogeneous, integers are centres) to camera coordinates."""
    across, down = np.array(plane.across) / density, np.array(plane.down) / density
    origin = np.array(plane.corner) - camera.position + (across + down) / 2
    return camera.rotation @ np.stack([across, down, origin], axis=1)


def _clipped(pose: Float64[np.ndarray, "3 3"], columns: int, rows: int) -> Float64[np.ndarray, "n 3"]:
    """Returns the rectangle's corners in camera coordinates, what is nearer than ``NEAR`` cut off.

    One edge of the polygon clipping of Sutherland and Hodgman (1974).
    """
    ends = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], dtype=np.float64) - 0.5
    corners = np.column_stack([ends, np.ones(4)]) @ pose.T
    kept: list[Float64[np.ndarray, "3"]] = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if start[2] >= NEAR:
            kept.append(start)
        if (start[2] >= NEAR) != (end[2] >= NEAR):
            kept.append(start + (end - start) * ((NEAR - start[2]) / (end[2] - start[2])))
    return np.array(kept).reshape(-1, 3)


def _level(
    homography: Float64[np.ndarray, "3 3"], outline: Float64[np.ndarray, "n 2"], image: Texture
) -> int:
    """Returns the texture level whose pixels are pictured at about their own size in the middle."""
    back = np.linalg.inv(homography)
    middle = outline.mean(0)
    steps = np.array([[0, 0], [1, 0], [0, 1]]) + middle
    spots = np.column_stack([steps, np.ones(3)]) @ back.T
    spots = spots[:, :2] / spots[:, 2:]
    area = abs(float(np.linalg.det(spots[1:] - spots[0])))
    return int(np.clip(np.floor(0.5 * np.log2(max(area, 1e-9)) + 0.35), 0, len(image.levels) - 1))
