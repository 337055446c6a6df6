"""What makes a place this one and no other: lettering, murals, stains, statues."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from resight.scenes.lettering import paint_letters
from resight.scenes.materials import Colour, cloudiness, shade, weathered
from resight.scenes.sheet import Sheet, blank

__all__ = ["paint_mural", "paint_sign", "paint_statue", "paint_weather"]

_TRADES = ("CAFE", "HOTEL", "BAR", "BOOKS", "BAKER", "TEA", "RADIO", "MUSEUM", "CINEMA", "WINE", "HATS", "")
_INKS: tuple[Colour, ...] = (
    (176, 44, 40),
    (36, 66, 120),
    (30, 84, 62),
    (236, 196, 84),
    (32, 32, 36),
    (238, 232, 220),
    (208, 112, 48),
)


def paint_sign(rng: np.random.Generator, sheet: Sheet, x: float, y: float, width: float) -> None:
    """Paints a name board at most so wide, its upper left corner at (x, y) metres."""
    words = (_TRADES[rng.integers(len(_TRADES))], _name(rng))
    text = " ".join(word for word in words if word)
    board, ink = rng.choice(len(_INKS), 2, replace=False)
    height = float(min(0.55, width / (0.8 * len(text) + 1)))
    long = (0.8 * len(text) + 1) * height
    if abs(sum(_INKS[board]) - sum(_INKS[ink])) < 150:
        ink = 5 if sum(_INKS[board]) < 350 else 4
    sheet.rectangle(x, y, long, height * 1.7, shade(_INKS[ink], 0.8))
    sheet.rectangle(x + 0.05, y + 0.05, long - 0.1, height * 1.7 - 0.1, _INKS[board])
    paint_letters(
        rng, sheet, text, x + height * 0.5, y + height * 0.38, long - height, height * 0.95, _INKS[ink]
    )


def _name(rng: np.random.Generator) -> str:
    """Returns a name of two or three syllables that sounds like one."""
    count = int(rng.integers(2, 4))
    return "".join(
        str(rng.choice(tuple("BCDFGHKLMNPRSTVWZ"))) + str(rng.choice(tuple("AEIOU"))) for _ in range(count)
    )


def paint_mural(
    rng: np.random.Generator, sheet: Sheet, x: float, y: float, width: float, height: float
) -> None:
    """Paints a picture or poster of its own: shapes in a few inks within a frame."""
    chosen = rng.choice(len(_INKS), 4, replace=False)
    sheet.rectangle(x, y, width, height, shade(_INKS[chosen[0]], 1.1))
    for _ in range(int(rng.integers(8, 18))):
        ink = shade(_INKS[chosen[rng.integers(4)]], float(rng.uniform(0.7, 1.2)))
        across, down = rng.uniform(0.05, 0.3, 2) * (width, height)
        left = x + across + rng.random() * (width - 2 * across)
        upper = y + down + rng.random() * (height - 2 * down)
        kind = rng.integers(3)
        if kind == 0:
            sheet.ellipse(left, upper, across, down, ink)
        elif kind == 1:
            corners = rng.uniform(-1, 1, (4, 2)) * (across, down) + (left, upper)
            sheet.polygon(corners, ink)
        else:
            walk = np.cumsum(rng.uniform(-0.5, 0.5, (6, 2)), axis=0) * (across, down) + (left, upper)
            walk = np.clip(walk, (x, y), (x + width, y + height))
            sheet.line(walk, ink, 0.03 * width)


def paint_weather(rng: np.random.Generator, wall: Sheet, sills: list[tuple[float, float]]) -> None:
    """Stains a wall: large clouds of damp, dark streaks under sills, dirt at its foot."""
    rows, columns = wall.alpha.shape
    small = (max(2, rows // 4), max(2, columns // 4))
    clouds = 1 + 0.06 * cloudiness(rng, *small, 0.5 * wall.density, octaves=4)
    for x, y in sills:
        if rng.random() < 0.4:
            left, upper = round((x - 0.4) * wall.density / 4), round(y * wall.density / 4)
            long, wide = (
                round(rng.uniform(0.6, 2.0) * wall.density / 4),
                round(rng.uniform(0.1, 0.8) * wall.density / 4),
            )
            part = clouds[max(upper, 0) : upper + long, max(left, 0) : left + wide]
            if part.size:
                part *= 1 - 0.2 * np.linspace(1, 0, part.shape[0], dtype=np.float32)[:, None]
    foot = round(0.9 * wall.density / 4)
    clouds[-foot:] *= np.linspace(1, 0.75, foot, dtype=np.float32)[:, None][: len(clouds)]
    np.copyto(wall.colour, weathered(wall.colour, clouds))


def paint_statue(rng: np.random.Generator, density: float) -> list[tuple[Sheet, float]]:
    """Returns a statue on its pedestal as slices with their depths in metres, the backmost first.

    A body of limbs is a field of heights over the picture plane; its normals give the shading
    (Lambert), and each slice holds what is higher than its depth, so that it turns as the camera moves.
    """
    width, height, base = 2.6, 2.9, 1.7
    bronze = rng.random() < 0.5
    colour: Colour = (104, 124, 104) if bronze else (206, 200, 188)
    rows, columns = round(height * density), round(width * density)
    body = _body(rng, rows, columns, density)
    down, across = np.gradient(body * density)
    light = (0.35 - 0.55 * across - 0.6 * down + 0.5) / np.sqrt(1 + across**2 + down**2)
    light += 0.07 * cloudiness(rng, rows, columns, 0.2 * density)
    painted = np.clip(np.clip(light, 0.18, 1.25)[..., None] * np.array(colour), 0, 255).astype(np.uint8)
    slices = []
    for depth in (0.02, 0.14, 0.26, 0.38):
        sheet = blank(width, height + base, density, colour)
        sheet.colour[:rows, :columns] = painted
        sheet.alpha[:rows, :columns] = np.clip((body - depth) * 2500, 0, 255).astype(np.uint8)
        slices.append((sheet, depth))
    front = slices[-1][0]
    stone: Colour = (190, 182, 168) if bronze else (150, 142, 132)
    for left, top, wide, tall, tone in (
        (0.35, 0.0, 1.9, 0.2, 1.1),
        (0.5, 0.2, 1.6, 1.2, 0.95),
        (0.3, 1.4, 2.0, 0.3, 1.05),
    ):
        front.rectangle(left, height + top, wide, tall, shade(stone, tone))
        front.rectangle(left, height + top + tall - 0.05, wide, 0.05, shade(stone, 0.6))
    front.rectangle(0.7, height + 0.45, 1.2, 0.65, shade(stone, 0.7))
    paint_letters(rng, front, _name(rng), 0.8, height + 0.52, 1.0, 0.24, (40, 36, 30))
    paint_letters(rng, front, _name(rng), 0.8, height + 0.82, 1.0, 0.2, (40, 36, 30))
    start = round(height * density)
    field = 1 + 0.08 * cloudiness(rng, front.alpha.shape[0] - start, front.alpha.shape[1], 0.3 * density)
    front.colour[start:] = np.clip(front.colour[start:] * field[..., None], 0, 255).astype(np.uint8)
    return slices


def _body(
    rng: np.random.Generator, rows: int, columns: int, density: float
) -> Float32[np.ndarray, "rows columns"]:
    """Returns heights in metres of a figure: torso, head, robe, arms, something held."""
    shoulder = 1.0 + rng.uniform(-0.1, 0.1)
    lean = rng.uniform(-0.15, 0.15)
    limbs = [
        ((1.3, shoulder), (1.3 + lean, 1.8), 0.36),
        ((1.3 + lean * 0.5, shoulder - 0.45), (1.3 + lean * 0.5, shoulder - 0.4), 0.19),
    ]
    limbs += [
        ((1.2 + lean, 1.7), (1.05 + rng.uniform(-0.25, 0.1), 2.85), 0.24),
        ((1.4 + lean, 1.7), (1.6 + rng.uniform(-0.1, 0.25), 2.85), 0.24),
    ]
    for side in (-1, 1):
        elbow = (1.3 + side * rng.uniform(0.4, 0.7), shoulder + rng.uniform(-0.3, 0.6))
        hand = (elbow[0] + rng.uniform(-0.2, 0.4) * side, elbow[1] + rng.uniform(-0.7, 0.5))
        limbs += [((1.3 + side * 0.3, shoulder), elbow, 0.13), (elbow, hand, 0.11)]
        if rng.random() < 0.6:
            limbs.append((hand, (hand[0] + rng.uniform(-0.2, 0.2), hand[1] + rng.uniform(-0.9, 1.2)), 0.05))
    limbs += [
        (
            (1.3 + rng.uniform(-0.3, 0.3), rng.uniform(1.0, 2.0)),
            (1.3 + rng.uniform(-0.4, 0.4), rng.uniform(1.8, 2.8)),
            rng.uniform(0.1, 0.2),
        )
        for _ in range(4)
    ]
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32) / np.float32(density)
    heights = np.zeros((rows, columns), np.float32)
    for (x0, y0), (x1, y1), radius in limbs:
        length = max((x1 - x0) ** 2 + (y1 - y0) ** 2, 1e-6)
        along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length, 0, 1)
        gap = (x - x0 - along * (x1 - x0)) ** 2 + (y - y0 - along * (y1 - y0)) ** 2
        np.maximum(heights, np.sqrt(np.maximum(radius * radius - gap, 0)) * np.float32(1.3), out=heights)
    folds = cloudiness(rng, rows, columns, 0.3 * density, octaves=2) * np.float32(0.02)
    return np.where(heights > 0.03, heights + folds, heights).astype(np.float32)
