"""What walls, roofs and grounds are made of: brick, stone, plaster, tiles, concrete, timber.

Materials repeat between places as in real towns: the same sizes and patterns everywhere. What tells one wall
from another are the tones of its stones and its stains, drawn from the place's own generator.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

__all__ = ["Colour", "cloudiness", "material", "shade", "weathered"]

Colour = tuple[float, float, float]
Field = Float32[np.ndarray, "rows columns"]
Picture = UInt8[np.ndarray, "rows columns 3"]


def shade(colour: Colour, factor: float) -> Colour:
    """Returns a colour made lighter or darker, RGB in 0 to 255."""
    red, green, blue = (min(255.0, channel * factor) for channel in colour)
    return red, green, blue


def cloudiness(rng: np.random.Generator, rows: int, columns: int, cell: float, *, octaves: int = 3) -> Field:
    """Returns smooth noise of zero mean and about unit deviation, its largest spots ``cell`` pixels wide."""
    total: Field | None = None
    weight, squares = 1.0, 0.0
    for _ in range(octaves):
        # Spots wider than eight pixels are as smooth at a quarter of the size, and sixteen times as fast.
        shrink = 4 if cell >= 8 else 1
        small = (max(2, -(-columns // shrink)), max(2, -(-rows // shrink)))
        size = (max(2, round(rows / cell) + 2), max(2, round(columns / cell) + 2))
        grid = rng.standard_normal(size, dtype=np.float32) * np.float32(weight)
        layer = cv2.resize(grid, small, interpolation=cv2.INTER_CUBIC)
        if total is None:
            total = layer
        else:
            total = (
                cv2.add(cv2.resize(total, small), layer)
                if total.shape != layer.shape
                else cv2.add(total, layer)
            )
        squares += weight * weight
        weight *= 0.6
        cell = max(cell / 2.7, 1.0)
    field = np.zeros((rows, columns), np.float32) if total is None else total
    if field.shape != (rows, columns):
        field = cv2.resize(field, (columns, rows))
    return field * np.float32(1.4 / np.sqrt(squares))


def weathered(
    colour: UInt8[np.ndarray, "rows columns 3"], field: Field
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns a picture multiplied by a field of factors from 0 to 2, which may be of any size."""
    factors = np.clip(field * np.float32(128), 0, 255).astype(np.uint8)
    grown = cv2.resize(factors, (colour.shape[1], colour.shape[0]))
    return cv2.multiply(colour, cv2.merge([grown, grown, grown]), scale=1 / 128)


def material(
    rng: np.random.Generator, kind: str, colour: Colour, rows: int, columns: int, density: float
) -> Picture:
    """Returns a wall of a material, RGB uint8.

    Args:
        rng: Decides tones, joints and stains.
        kind: "brick", "stone", "plaster", "tiles", "concrete", "timber" or "paving".
        colour: Mean colour.
        rows: Height, pixels.
        columns: Width, pixels.
        density: Pixels a metre.
    """
    patterns = {
        "brick": _brick,
        "stone": _stone,
        "plaster": _plaster,
        "tiles": _tiles,
        "concrete": _concrete,
        "timber": _timber,
        "paving": _paving,
    }
    tone = patterns[kind](rng, rows, columns, density)
    tone += 0.05 * cloudiness(rng, rows, columns, 1.6 * density)
    tone += 0.03 * cloudiness(rng, rows, columns, 0.08 * density, octaves=2)
    warmth = 0.025 * cloudiness(rng, rows, columns, 0.5 * density, octaves=2)
    channels = [
        cv2.convertScaleAbs(np.maximum(tone + warmth * np.float32(sign), 0), alpha=channel)
        for channel, sign in zip(colour, (1, 0, -1), strict=True)
    ]
    return cv2.merge(channels)


def _courses(
    rng: np.random.Generator,
    rows: int,
    columns: int,
    *,
    height: float,
    width: float,
    spread: float,
    joint: float,
) -> tuple[Field, Field]:
    """Returns each stone's tone (zero mean, unit deviation) and 1 where a joint is, of a wall in courses."""
    count = int(rows / height) + 2
    across = int(columns / width) + 3
    tones = rng.standard_normal((count, across), dtype=np.float32)
    starts = np.cumsum(rng.uniform(1 - spread, 1 + spread, (count, across)), axis=1) * width
    starts -= width * (0.5 + 0.5 * (np.arange(count) % 2))[:, None]
    tone = np.empty((count, columns), np.float32)
    joints = np.zeros((count, columns), np.float32)
    position = np.arange(columns)
    for course in range(count):
        stone = np.minimum(np.searchsorted(starts[course], position, side="right"), across - 1)
        tone[course] = tones[course, stone]
        edges = starts[course].astype(int)
        joints[course, edges[(edges >= 0) & (edges < columns)]] = 1.0
    thick = cv2.dilate(joints, np.ones((1, max(1, round(joint))), np.uint8))
    which = np.minimum((np.arange(rows) / height).astype(int), count - 1)
    lines = (np.arange(rows) % height) < joint
    field = np.where(lines[:, None], np.float32(1), thick[which])
    return tone[which], field


def _brick(rng: np.random.Generator, rows: int, columns: int, density: float) -> Field:
    height, width = 0.16 * density, 0.42 * density
    tone, joints = _courses(rng, rows, columns, height=height, width=width, spread=0.0, joint=0.022 * density)
    return np.where(joints > 0, np.float32(1.22), 1 + 0.12 * tone)


def _stone(rng: np.random.Generator, rows: int, columns: int, density: float) -> Field:
    height = rng.choice([0.36, 0.48]) * density
    tone, joints = _courses(
        rng, rows, columns, height=height, width=2.2 * height, spread=0.45, joint=0.03 * density
    )
    return np.where(joints > 0, np.float32(0.72), 1 + 0.07 * tone)


def _plaster(rng: np.random.Generator, rows: int, columns: int, density: float) -> Field:
    tone = 1 + 0.04 * cloudiness(rng, rows, columns, 0.6 * density, octaves=3)
    patches = cloudiness(rng, rows, columns, 1.8 * density, octaves=4)
    bare = _brick(rng, rows, columns, density) * np.float32(0.8)
    return np.where(patches > 2.5, bare, np.where(patches > 2.35, np.float32(0.78), tone))


def _tiles(rng: np.random.Generator, rows: int, columns: int, density: float) -> Field:
    size = 0.3 * density
    tone, joints = _courses(rng, rows, columns, height=size, width=size, spread=0.0, joint=0.02 * density)
    return np.where(joints > 0, np.float32(0.8), 1 + 0.08 * tone)


def _concrete(rng: np.random.Generator, rows: int, columns: int, density: float) -> Field:
    height, width = 1.4 * density, 2.6 * density
    tone, joints = _courses(rng, rows, columns, height=height, width=width, spread=0.0, joint=0.04 * density)
    streaks = cloudiness(rng, max(2, rows // 40), columns, 0.15 * density, octaves=2)
    tone = 1 + 0.04 * tone + 0.04 * cv2.resize(streaks, (columns, rows))
    return np.where(joints > 0, np.float32(0.65), tone)


def _timber(rng: np.random.Generator, rows: int, columns: int, density: float) -> Field:
    height = 0.22 * density
    tone, joints = _courses(
        rng, rows, columns, height=height, width=18 * height, spread=0.4, joint=0.03 * density
    )
    grain = cloudiness(rng, rows, max(2, columns // 12), 0.05 * density, octaves=2)
    tone = 1 + 0.08 * tone + 0.04 * cv2.resize(grain, (columns, rows))
    return np.where(joints > 0, np.float32(0.6), tone)


def _paving(rng: np.random.Generator, rows: int, columns: int, density: float) -> Field:
    size = 0.6 * density
    tone, joints = _courses(
        rng, rows, columns, height=size, width=1.5 * size, spread=0.2, joint=max(1.0, 0.03 * density)
    )
    return np.where(joints > 0, np.float32(0.78), 1 + 0.05 * tone)
