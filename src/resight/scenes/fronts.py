"""The front of a house: floors and bays of openings, cornices, balconies, signs, and what ends it at the top.

A front is painted on sheets that lie at different depths, so that windows recede and balconies stand out when
the camera moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from resight.scenes.materials import Colour, cloudiness, material, shade, weathered
from resight.scenes.openings import Opening, Style, paint_door, paint_window
from resight.scenes.ornaments import paint_mural, paint_sign, paint_weather
from resight.scenes.sheet import Sheet, blank

__all__ = ["Front", "paint_front"]


@dataclass(frozen=True, slots=True)
class Front:
    """The sheets of a house front, all of one size, their lower edge on the ground.

    Attributes:
        behind: Glass and doors, behind the wall.
        glow: Windows lit at night, where ``behind`` is.
        wall: The wall with its holes.
        relief: Surrounds, pilasters and cornices, on the wall.
        proud: Balconies, signs and awnings, well before the wall.
        style: How the house is made.
        eaves: Height above the ground at which the roof begins, metres.
    """

    behind: Sheet
    glow: Sheet
    wall: Sheet
    relief: Sheet
    proud: Sheet
    style: Style
    eaves: float

    @property
    def width(self) -> float:
        """Width in metres."""
        return self.wall.width

    @property
    def height(self) -> float:
        """Height in metres."""
        return self.wall.height


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where floors and bays are: metres from the sheet's upper left corner."""

    width: float
    crown: float
    floors: tuple[float, ...]
    bays: tuple[float, ...]
    bay: float
    bottom: float


def paint_front(rng: np.random.Generator, style: Style, *, bays: int, floors: int, density: float) -> Front:
    """Returns a front of so many bays and floors over a ground floor, painted at so many pixels a metre."""
    grid = _divide(rng, style, bays, floors)
    sheets = [
        blank(grid.width, grid.bottom, density, colour) for colour in (style.frame, (0, 0, 0), style.colour)
    ]
    behind, glow, wall = sheets
    relief, proud = (blank(grid.width, grid.bottom, density, shade(style.trim, 0.8)) for _ in range(2))
    rows, columns = wall.alpha.shape
    wall.colour[:] = material(rng, style.wall, style.colour, rows, columns, density)
    if rng.random() < 0.3:
        _paint_other_ground_floor(rng, style, grid, wall)
    colours = wall.colour.copy()
    _paint_top(style, grid, wall, relief)
    front = Front(behind, glow, wall, relief, proud, style, grid.bottom - grid.crown)
    _paint_divisions(rng, style, grid, relief)
    _paint_openings(rng, grid, front)
    # Holes were cut in colour, too; the wall shows its own material up to their rims.
    np.copyto(wall.colour, colours)
    _paint_unique(rng, grid, front)
    paint_weather(rng, wall, [(x, y + 2.0) for x in grid.bays for y in grid.floors])
    _grain(rng, relief)
    _grain(rng, proud)
    return front


def _divide(rng: np.random.Generator, style: Style, bays: int, floors: int) -> _Grid:
    bay = float(rng.uniform(1.9, 3.1)) * (1.2 if style.proportion < 1.2 else 1.0)
    margin = float(rng.uniform(0.3, 0.9))
    width = bays * bay + 2 * margin
    crown = {
        "cornice": 0.9,
        "parapet": 0.8,
        "gable": 0.42 * width,
        "steps": 0.38 * width,
        "pediment": 0.22 * width,
    }
    top = crown[style.top]
    height = float(rng.uniform(2.8, 3.7))
    levels = tuple(top + 0.2 + height * floor for floor in range(floors))
    bottom = top + 0.2 + height * floors + float(rng.uniform(3.4, 4.4))
    lefts = tuple(margin + bay * (column + 0.5) for column in range(bays))
    return _Grid(width, top, levels, lefts, bay, bottom)


def _paint_other_ground_floor(rng: np.random.Generator, style: Style, grid: _Grid, wall: Sheet) -> None:
    start = round((grid.bottom - 3.6) * wall.density)
    rows, columns = wall.alpha.shape[0] - start, wall.alpha.shape[1]
    stone = material(rng, "stone", shade(style.trim, 0.85), rows, columns, wall.density)
    wall.colour[start:] = stone


def _paint_top(style: Style, grid: _Grid, wall: Sheet, relief: Sheet) -> None:
    """Cuts the wall's silhouette and paints the cornice along it."""
    width, crown = grid.width, grid.crown
    light, dark = shade(style.trim, 1.08), shade(style.trim, 0.55)
    middle = width / 2
    if style.top in ("gable", "pediment"):
        rim = [(0.0, crown), (middle, 0.1), (width, crown)]
    elif style.top == "steps":
        steps = 5
        rim = []
        for step in range(steps):
            left, upper = middle * step / steps, crown * (1 - (step + 0.6) / steps)
            rim += [(left, upper), (middle * (step + 1) / steps, upper)]
        rim += [(width - x, y) for x, y in reversed(rim)]
    else:
        rim = [(0.0, 0.15), (width, 0.15)]
    wall.polygon([*rim, (width, grid.bottom), (0.0, grid.bottom)], style.colour)
    if style.top in ("gable", "pediment", "steps"):
        relief.line(rim, dark, 0.42)
        relief.line([(x, y - 0.05) for x, y in rim], light, 0.26)
    if style.top in ("cornice", "pediment", "parapet"):
        top = crown - 0.05 if style.top == "pediment" else 0.12
        relief.rectangle(0, top, width, 0.3, light)
        relief.rectangle(0, top + 0.3, width, 0.1, dark)
        relief.rectangle(0, top + 0.4, width, 0.22, style.trim)
        if style.top != "parapet":
            for x in np.arange(0.2, width - 0.1, 0.45):
                relief.rectangle(x, top + 0.42, 0.2, 0.26, dark)
                relief.rectangle(x, top + 0.42, 0.16, 0.2, light)


def _paint_divisions(rng: np.random.Generator, style: Style, grid: _Grid, relief: Sheet) -> None:
    light, dark = shade(style.trim, 1.06), shade(style.trim, 0.6)
    if rng.random() < 0.7:
        levels = grid.floors[1:] if rng.random() < 0.5 else ()
        for y in (*levels, grid.bottom - 3.5):
            relief.rectangle(0, y, grid.width, 0.2, light)
            relief.rectangle(0, y + 0.2, grid.width, 0.06, dark)
    if style.order:
        foot = grid.bottom - 3.5
        for x in [centre - grid.bay / 2 for centre in grid.bays] + [grid.bays[-1] + grid.bay / 2]:
            left = float(np.clip(x - 0.2, 0, grid.width - 0.4))
            relief.rectangle(left, grid.crown + 0.4, 0.42, foot - grid.crown - 0.4, dark)
            relief.rectangle(left, grid.crown + 0.4, 0.34, foot - grid.crown - 0.4, style.trim)
            relief.rectangle(left - 0.08, grid.crown + 0.4, 0.56, 0.3, light)
            relief.rectangle(left - 0.08, foot - 0.3, 0.56, 0.3, light)
    relief.rectangle(0, grid.bottom - 0.5, grid.width, 0.5, shade(style.trim, 0.7))


def _paint_openings(rng: np.random.Generator, grid: _Grid, front: Front) -> None:
    style = front.style
    wide = grid.bay * float(rng.uniform(0.42, 0.56))
    tall = min(wide * style.proportion, 2.35)
    first = len(grid.floors) - 1
    balconies = rng.random() < 0.5
    for floor, level in enumerate(grid.floors):
        shape = "flat" if floor != first and rng.random() < 0.4 else style.shape
        lower = level + 0.75 + (2.2 - tall) * 0.5
        for centre in grid.bays:
            if rng.random() < 0.07:
                continue
            opening = Opening(centre - wide / 2, lower, wide, tall, shape)
            paint_window(rng, style, opening, front.wall, front.behind, front.glow, front.relief)
            if balconies and rng.random() < 0.35:
                _paint_balcony(rng, style, opening, front.proud)
            elif rng.random() < 0.12:
                _paint_flowers(rng, opening, front.proud)
    if grid.crown > 3.0:
        size = min(1.4, grid.crown * 0.25)
        spot = Opening(grid.width / 2 - size / 2, grid.crown - 1.6 * size, size, size * 1.15, style.shape)
        paint_window(rng, style, spot, front.wall, front.behind, front.glow, front.relief)
    _paint_ground_floor(rng, grid, front, wide)


def _paint_ground_floor(rng: np.random.Generator, grid: _Grid, front: Front, wide: float) -> None:
    style = front.style
    shop = rng.random() < 0.5
    door = int(rng.integers(len(grid.bays)))
    for column, centre in enumerate(grid.bays):
        if column == door:
            size = min(1.5, grid.bay * 0.55)
            opening = Opening(centre - size / 2, grid.bottom - 2.7, size, 2.7, style.shape)
            paint_door(rng, style, opening, front.wall, front.behind, front.relief)
        elif shop:
            size = grid.bay * 0.84
            opening = Opening(centre - size / 2, grid.bottom - 2.7, size, 2.1, "flat")
            paint_window(rng, style, opening, front.wall, front.behind, front.glow, front.relief)
            _paint_wares(rng, opening, front.behind)
            if rng.random() < 0.5:
                _paint_awning(rng, opening, front.proud)
        else:
            opening = Opening(centre - wide / 2, grid.bottom - 2.7, wide, 1.7, style.shape)
            paint_window(rng, style, opening, front.wall, front.behind, front.glow, front.relief)


def _paint_wares(rng: np.random.Generator, opening: Opening, behind: Sheet) -> None:
    for x in np.arange(opening.x + 0.15, opening.x + opening.width - 0.3, 0.32):
        colour = tuple(float(value) for value in rng.uniform(60, 240, 3))
        height = float(rng.uniform(0.2, 0.9))
        behind.rectangle(
            x, opening.y + opening.height - height, 0.26, height, (colour[0], colour[1], colour[2])
        )


def _paint_awning(rng: np.random.Generator, opening: Opening, proud: Sheet) -> None:
    colours: tuple[Colour, ...] = ((176, 48, 44), (40, 92, 70), (44, 72, 128), (196, 140, 50))
    main = colours[rng.integers(len(colours))]
    left, top, width = opening.x - 0.1, opening.y - 0.25, opening.width + 0.2
    count = round(width / 0.3)
    for stripe in range(count):
        colour = main if stripe % 2 else (236.0, 230.0, 216.0)
        x0, x1 = left + width * stripe / count, left + width * (stripe + 1) / count
        proud.rectangle(x0, top, x1 - x0, 0.6, colour)
        proud.ellipse((x0 + x1) / 2, top + 0.6, (x1 - x0) / 2, 0.12, shade(colour, 0.85))


def _paint_balcony(rng: np.random.Generator, style: Style, opening: Opening, proud: Sheet) -> None:
    left, width = opening.x - 0.35, opening.width + 0.7
    foot = opening.y + opening.height + 0.05
    iron = (44.0, 44.0, 48.0) if sum(style.trim) > 480 else (230.0, 228.0, 220.0)
    if style.balcony == "panel":
        proud.rectangle(left, foot - 0.8, width, 0.8, shade(style.trim, 0.8))
        proud.rectangle(left + 0.08, foot - 0.72, width - 0.16, 0.6, style.trim)
    else:
        for x in np.arange(left, left + width + 0.01, 0.14):
            lean = 0.14 if style.balcony == "crosses" else 0.0
            proud.line([(x, foot - 0.8), (min(x + lean, left + width), foot)], iron, 0.035)
            if lean:
                proud.line([(min(x + lean, left + width), foot - 0.8), (x, foot)], iron, 0.03)
        proud.line([(left, foot - 0.82), (left + width, foot - 0.82)], iron, 0.07)
    proud.rectangle(left - 0.05, foot, width + 0.1, 0.16, shade(style.trim, 0.95))
    if rng.random() < 0.4:
        _paint_flowers(rng, Opening(left, foot - 0.9 - opening.height, width, opening.height, "flat"), proud)


def _paint_flowers(rng: np.random.Generator, opening: Opening, proud: Sheet) -> None:
    foot = opening.y + opening.height
    proud.rectangle(opening.x, foot - 0.05, opening.width, 0.22, (120, 72, 52))
    bloom = ((214, 60, 70), (230, 180, 60), (220, 120, 170), (240, 236, 240))[rng.integers(4)]
    for _ in range(int(opening.width * 26)):
        x, y = opening.x + rng.random() * opening.width, foot - rng.random() * 0.32
        colour = bloom if rng.random() < 0.3 else (60 + 40 * rng.random(), 110 + 50 * rng.random(), 50)
        proud.ellipse(x, y, 0.05, 0.05, colour)


def _paint_unique(rng: np.random.Generator, grid: _Grid, front: Front) -> None:
    """Adds what only this house has: a sign, a mural, a drainpipe, a lamp."""
    if rng.random() < 0.6:
        paint_sign(
            rng, front.proud, grid.width * rng.uniform(0.08, 0.35), grid.bottom - 3.45, grid.width * 0.55
        )
    if rng.random() < 0.35:
        column = int(rng.integers(len(grid.bays)))
        paint_mural(
            rng, front.wall, grid.bays[column] + grid.bay * 0.24, grid.bottom - 3.2 + rng.random(), 1.3, 1.9
        )
    if rng.random() < 0.5:
        x = grid.bays[int(rng.integers(len(grid.bays)))] + grid.bay / 2 - 0.1
        front.relief.line([(x, grid.crown + 0.5), (x, grid.bottom)], (84, 86, 84), 0.12)
        for y in np.arange(grid.crown + 1, grid.bottom, 1.7):
            front.relief.rectangle(x - 0.1, y, 0.2, 0.08, (60, 62, 60))
    for centre in grid.bays:
        if rng.random() < 0.2:
            x, y = centre + grid.bay * 0.42, grid.bottom - 2.5
            front.proud.line([(x, y), (x, y - 0.35)], (40, 40, 42), 0.05)
            front.proud.ellipse(x, y + 0.1, 0.1, 0.16, (244, 230, 190))
            front.glow.ellipse(x, y + 0.1, 0.12, 0.18, (255, 236, 190))


def _grain(rng: np.random.Generator, sheet: Sheet) -> None:
    """Roughens painted parts as weather does, changing the sheet."""
    rows, columns = sheet.alpha.shape
    field = cloudiness(rng, max(2, rows // 2), max(2, columns // 2), 0.25 * sheet.density, octaves=3)
    np.copyto(sheet.colour, weathered(sheet.colour, 1 + np.float32(0.05) * field))
