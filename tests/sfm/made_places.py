"""Photos of made places from known cameras: a wall with a board before it, each with its own texture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

WIDTH, HEIGHT, FOCAL = 360, 270, 380.0


def camera(degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns centre and rotation (world to camera) of a camera that looks at the place from an angle."""
    angle = np.radians(degrees)
    centre = np.array([4.5 * np.sin(angle), 0.2 * np.sin(3 * angle), -4.5 * np.cos(angle)])
    ahead = -centre / np.linalg.norm(centre)
    right = np.cross([0.0, 1.0, 0.0], ahead)
    right /= np.linalg.norm(right)
    return centre, np.stack([right, np.cross(ahead, right), ahead])


def photo(place: int, degrees: float) -> np.ndarray:
    """Returns RGB uint8 ``(270, 360, 3)``: the wall 6 x 5 units at z = 0, the board 1.6 x 1.4 at z = -1."""
    centre, rotation = camera(degrees)
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    rays = np.stack(
        [(columns - WIDTH / 2) / FOCAL, (rows - HEIGHT / 2) / FOCAL, np.ones_like(rows, float)], -1
    )
    rays = rays @ rotation
    picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for number, (depth, half) in enumerate(((0.0, (3.0, 2.5)), (-1.0, (0.8, 0.7)))):
        hit = centre + rays * ((depth - centre[2]) / rays[..., 2])[..., None]
        texture = _texture(2 * place + number)
        side = len(texture)
        x, y = ((hit[..., i] + half[i]) / (2 * half[i]) * (side - 1) for i in range(2))
        shown = cv2.remap(texture, x.astype(np.float32), y.astype(np.float32), cv2.INTER_AREA)
        inside = (np.abs(hit[..., 0]) < half[0]) & (np.abs(hit[..., 1]) < half[1])
        picture[inside] = shown[inside]
    return picture


def write_places(folder: Path, places: dict[int, list[float]]) -> None:
    """Writes the photos of places from some angles: ``place_0_10.png`` is place 0 from 10 degrees."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, angles in places.items():
        for degrees in angles:
            Image.fromarray(photo(place, degrees)).save(folder / f"place_{place}_{degrees:g}.png")


def _texture(seed: int) -> np.ndarray:
    """Returns blots of many sizes, so that keypoints are found at every scale."""
    rng = np.random.default_rng(seed)
    texture = np.full((600, 600, 3), rng.integers(90, 160, 3), np.uint8)
    for _ in range(700):
        place, radius = tuple(int(value) for value in rng.integers(0, 600, 2)), int(rng.integers(3, 22))
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        cv2.circle(texture, place, radius, colour, -1, cv2.LINE_AA)
    return texture
