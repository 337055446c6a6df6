"""A place: a house front between its neighbours, the ground before it, and what stands there.

A place is planes in the order in which they are painted, made once and pictured from anywhere before it.
The front of the main house lies at z = 0 and is centred at x = 0; the ground is y = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from resight.scenes.camera import Plane, Texture, texture
from resight.scenes.clutter import lamp, tree
from resight.scenes.fronts import Front, paint_front
from resight.scenes.materials import Colour, material, shade
from resight.scenes.openings import Style, town_style
from resight.scenes.ornaments import paint_statue
from resight.scenes.sheet import Sheet, blank

__all__ = ["Place", "Surface", "build_place", "standing"]

# Houses of one seed draw from so many styles: few enough that places share them.
STYLES = 14


@dataclass(frozen=True, slots=True)
class Surface:
    """One textured plane of a place.

    Attributes:
        plane: Where it lies.
        image: Its texture.
        facing: Its outward normal, which decides how the sun lights it.
        shade: Factor on its light; less than 1 for undersides and reveals.
        glow: Its lights at night.
        height: Metres it stands out from the wall behind it, onto which it throws a shadow; 0 throws none.
    """

    plane: Plane
    image: Texture
    facing: tuple[float, float, float] = (0.0, 0.0, 1.0)
    shade: float = 1.0
    glow: Texture | None = None
    height: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """What a camera can see.

    Attributes:
        surfaces: Planes from the farthest to the nearest.
        centre: The middle of the thing the place is about, metres.
        size: Its width and height, metres.
        ground: Mean colour of the ground.
    """

    surfaces: tuple[Surface, ...]
    centre: tuple[float, float, float]
    size: tuple[float, float]
    ground: Colour


def build_place(town: np.random.Generator, rng: np.random.Generator) -> Place:
    """Returns a place; the town's generator decides the shared styles, the other one everything else."""
    styles = [town_style(town) for _ in range(STYLES)]
    main_style = _own(rng, styles[rng.integers(STYLES)])
    bays, floors = int(rng.integers(3, 6)), int(rng.integers(1, 4))
    main = paint_front(rng, main_style, bays=bays, floors=floors, density=58.0)
    surfaces: list[Surface] = [_skyline(rng)]
    for side in (-1, 1):
        surfaces += _neighbour(rng, styles, side, main.width)
    pavement = ((150, 146, 140), (172, 158, 138), (128, 126, 128))[rng.integers(3)]
    surfaces += _ground(rng, pavement)
    surfaces += _sides(rng, main)
    surfaces += _stacked(main, -main.width / 2, 0.0)
    surfaces += _street_furniture(rng, main.width)
    centre, size = (0.0, main.height * 0.48, 0.0), (main.width, main.height)
    if rng.random() < 0.25:
        distance = float(rng.uniform(3.5, 6.0))
        surfaces += _statue(rng, distance)
        centre, size = (0.0, 2.6, distance), (6.5, 6.0)
    return Place(tuple(surfaces), centre, size, pavement)


def _own(rng: np.random.Generator, style: Style) -> Style:
    """Returns a style as one house has it: the same vocabulary, its own coat of paint."""
    tint = rng.uniform(0.92, 1.08, 3)
    colour = (style.colour[0] * tint[0], style.colour[1] * tint[1], style.colour[2] * tint[2])
    return Style(
        style.wall,
        shade(colour, 1.0),
        style.trim,
        style.frame,
        style.shape,
        style.bars,
        style.crown,
        style.shutters,
        style.proportion * float(rng.uniform(0.85, 1.18)),
        style.top,
        style.balcony,
        style.order,
    )


def _stacked(front: Front, left: float, z: float) -> list[Surface]:
    """Returns a front's sheets at their depths; what stands out is repeated darker below as its flanks."""
    plane = Plane((left, front.height, z))
    relief, proud = front.relief.texture(), front.proud.texture()
    return [
        Surface(plane.shifted(0, 0, -0.22), front.behind.texture(), glow=front.glow.texture()),
        Surface(plane, front.wall.texture()),
        Surface(plane.shifted(0, 0, 0.06), relief, shade=0.6, height=0.12),
        Surface(plane.shifted(0, 0, 0.12), relief),
        Surface(plane.shifted(0, 0, 0.45), proud, shade=0.55, height=0.5),
        Surface(plane.shifted(0, 0, 0.52), proud),
    ]


def _flat(front: Front) -> Texture:
    """Returns a front's sheets painted over one another."""
    colour, alpha = front.behind.colour.copy(), cv2.max(front.behind.alpha, front.wall.alpha)
    for sheet in (front.wall, front.relief, front.proud):
        _, mask = cv2.threshold(sheet.alpha, 127, 255, cv2.THRESH_BINARY)
        cv2.copyTo(sheet.colour, mask, colour)
    return texture(colour, cv2.max(alpha, front.proud.alpha), front.wall.density)


def _neighbour(rng: np.random.Generator, styles: list[Style], side: int, width: float) -> list[Surface]:
    """Returns the house left (-1) or right (1) of the main one, or nothing where there is a gap."""
    if rng.random() < 0.15:
        return []
    style = _own(rng, styles[rng.integers(len(styles))])
    front = paint_front(
        rng, style, bays=int(rng.integers(2, 5)), floors=int(rng.integers(1, 4)), density=32.0
    )
    back = -float(rng.uniform(0.0, 2.5))
    gap = float(rng.choice([0.0, 0.0, 2.0]))
    inner = side * (width / 2 + gap)
    left = inner if side > 0 else inner - front.width
    flank = _flank(rng, style, front.eaves)
    corner = (inner, front.eaves, back) if side > 0 else (inner, front.eaves, back - 8.0)
    across = (0.0, 0.0, -1.0) if side > 0 else (0.0, 0.0, 1.0)
    return [
        Surface(Plane(corner, across), flank, facing=(-float(side), 0.0, 0.0)),
        Surface(Plane((left, front.height, back)), _flat(front), glow=front.glow.texture()),
    ]


def _skyline(rng: np.random.Generator) -> Surface:
    """Returns the roofs of the town far behind the houses."""
    sheet = blank(180.0, 16.0, 4.0, (150, 156, 164))
    x = 0.0
    while x < sheet.width:
        wide, top, tone = float(rng.uniform(5, 14)), float(rng.uniform(3, 11)), float(rng.uniform(0.82, 1.12))
        ridge = top - float(rng.choice([0.0, 2.0, 3.0]))
        colour = shade((150, 150, 158), tone)
        sheet.polygon([(x, 16.0), (x, top), (x + wide / 2, ridge), (x + wide, top), (x + wide, 16.0)], colour)
        for y in np.arange(top + 1.5, 15.0, 2.6):
            for left in np.arange(x + 1.0, x + wide - 1.2, 1.9):
                sheet.rectangle(left, y, 0.8, 1.3, shade(colour, 0.8))
        x += wide
    return Surface(Plane((-90.0, 15.0, -45.0)), sheet.texture(), shade=1.1)


def _flank(rng: np.random.Generator, style: Style, height: float) -> Texture:
    density = 24.0
    rows, columns = round(height * density), round(8.0 * density)
    wall = material(rng, style.wall, shade(style.colour, 0.95), rows, columns, density)
    return texture(wall, np.full((rows, columns), 255, np.uint8), density)


def _sides(rng: np.random.Generator, main: Front) -> list[Surface]:
    """Returns the main house's flanks, seen where a neighbour is lower or set back."""
    level = main.eaves
    flank = _flank(rng, main.style, level)
    half = main.width / 2
    return [
        Surface(Plane((-half, level, -8.0), (0.0, 0.0, 1.0)), flank, facing=(-1.0, 0.0, 0.0)),
        Surface(Plane((half, level, 0.0), (0.0, 0.0, -1.0)), flank, facing=(1.0, 0.0, 0.0)),
    ]


def _ground(rng: np.random.Generator, pavement: Colour) -> list[Surface]:
    """Returns the pavement before the houses and the street beyond it, in strips of their own sharpness."""
    strips = []
    for near, far, wide, density, kind in (
        (4.0, -9.0, 56.0, 12.0, "paving"),
        (16.0, 4.0, 56.0, 14.0, "street"),
        (46.0, 16.0, 56.0, 5.0, "street"),
    ):
        rows, columns = round((near - far) * density), round(wide * density)
        colour = pavement if kind == "paving" else shade(pavement, 0.72)
        stones = material(rng, "paving" if kind == "paving" else "concrete", colour, rows, columns, density)
        if kind == "street" and far == 4.0:
            kerb = stones[: round(0.3 * density)]
            np.copyto(kerb, cv2.convertScaleAbs(kerb, alpha=1.35))
        opaque = np.full((rows, columns), 255, np.uint8)
        image = texture(stones, opaque, density)
        plane = Plane((-wide / 2, 0.0, far), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
        strips.append(Surface(plane, image, facing=(0.0, 1.0, 0.0)))
    return strips


def standing(sheet: Sheet, x: float, z: float) -> Surface:
    """Returns a sheet that stands on the ground with the middle of its lower edge at (x, z) metres."""
    return Surface(Plane((x - sheet.width / 2, sheet.height, z)), sheet.texture())


def _street_furniture(rng: np.random.Generator, width: float) -> list[Surface]:
    found = []
    for _ in range(int(rng.integers(0, 3))):
        side = -1 if rng.random() < 0.5 else 1
        found.append(
            standing(
                tree(rng, 40.0), side * float(rng.uniform(0.35, 1.0)) * width, float(rng.uniform(2.2, 3.5))
            )
        )
    for _ in range(int(rng.integers(0, 3))):
        found.append(
            standing(lamp(rng, 60.0), float(rng.uniform(-0.8, 0.8)) * width, float(rng.uniform(2.0, 3.8)))
        )
    return sorted(found, key=lambda surface: surface.plane.corner[2])


def _statue(rng: np.random.Generator, z: float) -> list[Surface]:
    surfaces = []
    for sheet, depth in paint_statue(rng, 90.0):
        surfaces.append(Surface(Plane((-sheet.width / 2, sheet.height, z + depth)), sheet.texture()))
    return surfaces
