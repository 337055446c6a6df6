"""What stands before and around houses: trees, people, cars, lamps, foliage close to the camera."""

from __future__ import annotations

import numpy as np

from resight.scenes.materials import Colour, shade
from resight.scenes.sheet import Sheet, blank

__all__ = ["car", "foliage", "lamp", "person", "tree"]


def tree(rng: np.random.Generator, density: float) -> Sheet:
    """Returns a tree with its foot in the middle of the lower edge."""
    height = float(rng.uniform(4.0, 7.5))
    spread = height * float(rng.uniform(0.28, 0.4))
    sheet = blank(2 * spread, height, density, (70, 92, 48))
    middle, bark = spread, (82.0, 66.0, 52.0)
    sheet.polygon(
        [
            (middle - 0.12, height),
            (middle + 0.12, height),
            (middle + 0.05, 0.4 * height),
            (middle - 0.05, 0.4 * height),
        ],
        bark,
    )
    for _ in range(7):
        end = (middle + rng.uniform(-0.6, 0.6) * spread, height * rng.uniform(0.12, 0.45))
        sheet.line([(middle, height * rng.uniform(0.45, 0.7)), end], bark, 0.06)
    _leaves(rng, sheet, [(middle, 0.36 * height, 0.8 * spread, 0.3 * height)], int(55 * spread * height))
    return sheet


def foliage(rng: np.random.Generator, density: float) -> Sheet:
    """Returns a bough that hangs into the picture from above, 2 by 1.2 metres."""
    sheet = blank(2.0, 1.2, density, (58, 80, 40))
    for _ in range(5):
        walk = np.cumsum(rng.uniform((0.1, -0.05), (0.5, 0.25), (5, 2)), axis=0)
        sheet.line(walk, (70, 58, 46), 0.02)
    _leaves(rng, sheet, [(rng.uniform(0.2, 1.8), 0.3, 0.8, 0.5), (rng.uniform(0, 2), 0.1, 0.9, 0.35)], 260)
    return sheet


def _leaves(
    rng: np.random.Generator, sheet: Sheet, clumps: list[tuple[float, float, float, float]], count: int
) -> None:
    size = 0.14 if sheet.height > 2 else 0.05
    green = rng.uniform((56, 84, 30), (110, 128, 62))
    for x, y, across, down in clumps:
        spots = rng.standard_normal((count, 2)) * 0.42
        spots = spots[np.linalg.norm(spots, axis=1) < 1.0]
        order = np.argsort(-spots[:, 1] + rng.normal(0, 0.5, len(spots)))
        for right, lower in spots[order]:
            tone = 0.85 - 0.35 * lower + 0.25 * rng.standard_normal()
            colour: Colour = shade((green[0], green[1], green[2]), max(0.3, tone))
            stretch = rng.uniform(0.6, 1.4)
            corner = (x + across * right, y + down * lower)
            turn = rng.uniform(0, np.pi)
            tip = (size * stretch * np.cos(turn), size * stretch * np.sin(turn))
            side = (-0.5 * tip[1], 0.5 * tip[0])
            sheet.polygon(
                [
                    (corner[0] - tip[0], corner[1] - tip[1]),
                    (corner[0] + side[0], corner[1] + side[1]),
                    (corner[0] + tip[0], corner[1] + tip[1]),
                    (corner[0] - side[0], corner[1] - side[1]),
                ],
                colour,
            )


def person(rng: np.random.Generator, density: float) -> Sheet:
    """Returns somebody standing or walking, 1.0 by 1.85 metres."""
    sheet = blank(1.0, 1.85, density, (60, 60, 70))
    top, legs, skin = (
        _muted(rng, 40, 220),
        _muted(rng, 25, 110),
        shade((222, 178, 150), float(rng.uniform(0.4, 1.05))),
    )
    coat, cloth = top, legs
    step = float(rng.uniform(0.02, 0.2))
    sheet.line([(0.46, 0.95), (0.46 - step, 1.8)], cloth, 0.16)
    sheet.line([(0.54, 0.95), (0.54 + step, 1.8)], shade(cloth, 0.85), 0.16)
    for side in (-1, 1):
        sheet.line(
            [
                (0.5 + 0.18 * side, 0.42),
                (0.5 + (0.22 + step) * side, 0.72),
                (0.5 + (0.16 + step) * side, 0.98),
            ],
            shade(coat, 0.8),
            0.1,
        )
    sheet.polygon([(0.3, 0.36), (0.7, 0.36), (0.68, 0.7), (0.7, 1.05), (0.3, 1.05), (0.33, 0.7)], coat)
    sheet.line([(0.5, 0.4), (0.5, 1.0)], shade(coat, 0.7), 0.03)
    sheet.ellipse(0.5, 0.2, 0.105, 0.14, skin)
    hair: Colour = shade((90, 66, 46), float(rng.uniform(0.3, 2.0)))
    sheet.polygon(
        [(0.39, 0.2), (0.41, 0.08), (0.5, 0.04), (0.59, 0.08), (0.61, 0.2), (0.56, 0.13), (0.44, 0.13)], hair
    )
    if rng.random() < 0.4:
        sheet.rectangle(0.66, 0.9, 0.22, 0.28, shade(coat, 0.5))
    return sheet


def _muted(rng: np.random.Generator, low: float, high: float) -> Colour:
    """Returns a colour people wear: any lightness, little saturation."""
    grey = rng.uniform(low, high)
    red, green, blue = (float(np.clip(grey + rng.normal(0, 0.16) * grey, 0, 255)) for _ in range(3))
    return red, green, blue


def car(rng: np.random.Generator, density: float) -> Sheet:
    """Returns a car from its side, 4.2 by 1.6 metres."""
    paints: tuple[Colour, ...] = (
        (150, 30, 32),
        (40, 60, 100),
        (200, 202, 204),
        (44, 46, 50),
        (92, 110, 96),
        (226, 222, 210),
        (196, 150, 60),
    )
    paint = shade(paints[rng.integers(len(paints))], float(rng.uniform(0.8, 1.1)))
    sheet = blank(4.2, 1.6, density, paint)
    front, back = rng.uniform(0.9, 1.6), rng.uniform(2.9, 3.9)
    roof, belt, rake = rng.uniform(0.1, 0.32), rng.uniform(0.66, 0.82), rng.uniform(0.15, 0.6)
    tail, pillar = rng.uniform(0.05, 0.5), rng.uniform(0.4, 0.62)
    sheet.polygon(
        [(front - 0.3, belt + 0.05), (front + rake, roof), (back - tail, roof), (back + 0.25, belt + 0.05)],
        paint,
    )
    sheet.polygon(
        [(0.05, 1.25), (0.1, belt + 0.12), (0.9, belt), (3.9, belt), (4.12, belt + 0.15), (4.15, 1.25)], paint
    )
    sheet.polygon([(0.05, 1.05), (4.15, 1.05), (4.15, 1.28), (0.05, 1.28)], shade(paint, 0.7))
    glass = shade((66, 78, 88), float(rng.uniform(0.6, 1.6)))
    middle, top = front + (back - front) * pillar, roof + 0.08
    sheet.polygon(
        [(front - 0.1, belt), (front + rake + 0.06, top), (middle - 0.05, top), (middle - 0.05, belt)], glass
    )
    sheet.polygon(
        [(middle + 0.05, top), (back - tail, top), (back + 0.05, belt), (middle + 0.05, belt)],
        shade(glass, 1.25),
    )
    sheet.line([(middle, belt), (middle, 1.2)], shade(paint, 0.6), 0.025)
    sheet.rectangle(middle + 0.12, belt + 0.1, 0.18, 0.05, shade(paint, 0.5))
    sheet.ellipse(0.16, belt + 0.2, 0.1, rng.uniform(0.05, 0.1), (250, 244, 214))
    sheet.ellipse(4.08, belt + 0.22, 0.07, rng.uniform(0.06, 0.12), (190, 30, 30))
    hub = rng.uniform(0.12, 0.26)
    for x in (rng.uniform(0.7, 0.95), rng.uniform(3.2, 3.5)):
        sheet.ellipse(x, 1.25, 0.36, 0.36, (28, 28, 30))
        sheet.ellipse(x, 1.25, hub, hub, (170, 172, 176))
        sheet.ellipse(x, 1.25, 0.4 * hub, 0.4 * hub, (60, 60, 64))
    return (
        sheet
        if rng.random() < 0.5
        else Sheet(sheet.colour[:, ::-1].copy(), sheet.alpha[:, ::-1].copy(), density)
    )


def lamp(rng: np.random.Generator, density: float) -> Sheet:
    """Returns a street lamp with its foot in the middle of the lower edge, 0.8 by 4.4 metres."""
    iron: Colour = ((40, 44, 42), (70, 74, 78), (36, 58, 48))[rng.integers(3)]
    sheet = blank(0.8, 4.4, density, iron)
    sheet.line([(0.4, 4.4), (0.4, 0.75)], iron, 0.09)
    sheet.rectangle(0.28, 3.9, 0.24, 0.5, iron)
    sheet.rectangle(0.32, 2.2, 0.16, 0.08, shade(iron, 1.4))
    sheet.polygon([(0.24, 0.3), (0.56, 0.3), (0.5, 0.75), (0.3, 0.75)], (238, 230, 204))
    sheet.line([(0.24, 0.3), (0.3, 0.75), (0.5, 0.75), (0.56, 0.3)], iron, 0.035)
    sheet.polygon([(0.18, 0.3), (0.4, 0.08), (0.62, 0.3)], iron)
    return sheet
