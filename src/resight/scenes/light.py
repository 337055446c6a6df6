"""Light and lens: the time of day on surfaces and sky, then exposure, blur, noise and vignetting."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from resight.scenes.materials import Colour, cloudiness

__all__ = ["Daylight", "daylight", "develop", "light_on", "paint_sky"]


@dataclass(frozen=True, slots=True)
class Daylight:
    """The light of one moment.

    Attributes:
        towards: Unit direction to the sun.
        sun: Colour of its light on a surface that faces it, as factors.
        ambient: Colour of the light from everywhere, as factors.
        zenith: Colour of the sky above, RGB in 0 to 255.
        horizon: Colour of the sky at the horizon.
        shadow: Opacity of the shadows the sun throws.
        night: Whether lamps and windows are lit.
    """

    towards: Float64[np.ndarray, "3"]
    sun: Colour
    ambient: Colour
    zenith: Colour
    horizon: Colour
    shadow: float
    night: bool


_MOMENTS: tuple[tuple[float, Colour, Colour, Colour, Colour, float, bool], ...] = (
    # chance, sun, ambient, zenith, horizon, shadow, night
    (0.30, (0.72, 0.68, 0.60), (0.50, 0.53, 0.58), (72, 122, 190), (190, 210, 228), 0.42, False),
    (0.20, (0.95, 0.70, 0.42), (0.40, 0.42, 0.50), (96, 124, 172), (244, 208, 164), 0.50, False),
    (0.28, (0.06, 0.06, 0.06), (0.86, 0.88, 0.92), (176, 184, 192), (214, 218, 220), 0.10, False),
    (0.12, (0.04, 0.04, 0.06), (0.50, 0.54, 0.74), (58, 72, 128), (200, 148, 132), 0.10, True),
    (0.10, (0.02, 0.02, 0.02), (0.34, 0.32, 0.36), (12, 16, 34), (44, 42, 58), 0.12, True),
)


def daylight(rng: np.random.Generator) -> Daylight:
    """Returns a moment of the day: sun, low sun, clouds, dusk or night."""
    moment = _MOMENTS[rng.choice(len(_MOMENTS), p=[entry[0] for entry in _MOMENTS])]
    _, sun, ambient, zenith, horizon, shadow, night = moment
    side, rise = rng.uniform(-1.1, 1.1), rng.uniform(0.35, 1.1)
    towards = np.array([np.sin(side) * np.cos(rise), np.sin(rise), np.cos(side) * np.cos(rise)])
    return Daylight(towards, sun, ambient, zenith, horizon, shadow, night)


def light_on(moment: Daylight, facing: tuple[float, float, float], factor: float) -> Colour:
    """Returns the light on a surface by Lambert's cosine law, as factors on its colour."""
    part = max(0.0, float(moment.towards @ np.array(facing)))
    red, green, blue = (
        factor * (around + part * straight)
        for around, straight in zip(moment.ambient, moment.sun, strict=True)
    )
    return red, green, blue


def paint_sky(
    rng: np.random.Generator, moment: Daylight, width: int, height: int, horizon: float, ground: Colour
) -> Float32[np.ndarray, "height width 3"]:
    """Returns sky above the horizon's row and bare ground below it, RGB in 0 to 255."""
    rows, columns = height // 4, width // 4
    rise = np.clip(1 - np.arange(rows, dtype=np.float32) / max(horizon / 4, 1.0), 0, 1)[:, None, None] ** 0.7
    zenith, edge = np.array(moment.zenith, dtype=np.float32), np.array(moment.horizon, dtype=np.float32)
    small = np.repeat(rise * zenith + (1 - rise) * edge, columns, axis=1)
    clouds = np.clip(cloudiness(rng, rows, columns, 34.0, octaves=4) - rng.uniform(-0.4, 1.0), 0, 1)
    white = edge * np.float32(0.35 if moment.night else 1.08)
    small += (white - small) * (clouds * np.float32(0.7))[..., None]
    canvas = cv2.resize(small.astype(np.float32), (width, height))
    below = np.arange(height) > horizon
    canvas[below] = np.array(ground) * light_on(moment, (0.0, 1.0, 0.0), 1.0)
    return canvas


def develop(
    rng: np.random.Generator, canvas: Float32[np.ndarray, "height width 3"], moment: Daylight
) -> UInt8[np.ndarray, "height width 3"]:
    """Returns what a camera makes of the light: exposed, white-balanced, a little blurred, noisy."""
    height, width = canvas.shape[:2]
    aim = rng.uniform(62, 84) if moment.night else rng.uniform(98, 132)
    mean = float(cv2.mean(canvas)[1])
    gain = float(np.clip(aim / max(mean, 1.0), 0.6, 2.4 if moment.night else 1.8))
    balance = np.array([1.0, 1.0, 1.0]) + rng.uniform(-0.06, 0.06) * np.array([1.0, 0.0, -1.0])
    shaken = rng.random()
    if shaken < 0.3:
        canvas = cv2.GaussianBlur(canvas, (0, 0), float(rng.uniform(0.5, 1.3)))
    elif shaken < 0.42:
        length = int(rng.integers(3, 7))
        canvas = cv2.blur(canvas, (length, 1) if rng.random() < 0.5 else (1, length))
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    falling = (1 - rng.uniform(0.0, 0.22) * (x[None] ** 2 + y[:, None] ** 2) / 2).astype(np.float32)
    canvas = cv2.multiply(canvas, cv2.merge([falling * np.float32(gain * part) for part in balance]))
    sigma = rng.uniform(3.0, 8.0) if moment.night else rng.uniform(0.8, 4.5)
    grain = rng.standard_normal((height, width), dtype=np.float32) * np.float32(sigma)
    canvas = cv2.add(canvas, cv2.merge([grain, grain, grain]))
    curve = np.arange(256) / 255
    contrast = rng.uniform(0.05, 0.35)
    curve = (1 - contrast) * curve + contrast * (3 * curve**2 - 2 * curve**3)
    table = np.clip(255 * curve ** rng.uniform(0.85, 1.1), 0, 255).astype(np.uint8)
    return cv2.LUT(np.clip(canvas, 0, 255).astype(np.uint8), table)
