"""Windows and doors: the vocabulary of openings that all places of a town share.

An opening is a hole in the wall, something behind it (reveal, glass, bars, curtains), and something on the
wall around it (surround, sill, gable, shutters).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from resight.scenes.materials import Colour, shade
from resight.scenes.sheet import Sheet

__all__ = ["Opening", "Style", "outline", "paint_door", "paint_window", "town_style"]


@dataclass(frozen=True, slots=True)
class Style:
    """How a house is made; towns have a few dozen of them.

    Attributes:
        wall: Material of the wall.
        colour: Colour of the wall.
        trim: Colour of cornices, surrounds and sills.
        frame: Colour of window frames and doors.
        shape: Shape of the openings: "flat", "round", "segment" or "pointed".
        bars: Columns and rows of panes.
        crown: What is above an opening: "none", "slab", "gable", "arch" or "keystone".
        shutters: Whether windows have shutters.
        proportion: Height of a window by its width.
        top: How the house ends: "cornice", "gable", "steps", "pediment" or "parapet".
        balcony: Pattern of railings: "bars", "crosses" or "panel".
        order: Whether pilasters divide the front.
    """

    wall: str
    colour: Colour
    trim: Colour
    frame: Colour
    shape: str
    bars: tuple[int, int]
    crown: str
    shutters: bool
    proportion: float
    top: str
    balcony: str
    order: bool


@dataclass(frozen=True, slots=True)
class Opening:
    """Where an opening is, metres on its sheet, and what shape it has."""

    x: float
    y: float
    width: float
    height: float
    shape: str


_WALLS: tuple[tuple[str, tuple[Colour, ...]], ...] = (
    ("brick", ((158, 88, 66), (172, 112, 78), (122, 74, 62), (196, 168, 128))),
    ("stone", ((204, 188, 158), (178, 170, 156), (214, 202, 178), (160, 150, 138))),
    (
        "plaster",
        (
            (226, 204, 152),
            (214, 160, 128),
            (190, 204, 196),
            (232, 224, 208),
            (172, 190, 210),
            (208, 140, 110),
        ),
    ),
    ("tiles", ((170, 198, 200), (214, 214, 206), (140, 166, 150))),
    ("concrete", ((178, 176, 170), (160, 156, 150))),
    ("timber", ((150, 112, 80), (110, 128, 118), (178, 70, 58))),
)
_TRIMS: tuple[Colour, ...] = (
    (236, 228, 212),
    (214, 200, 172),
    (190, 180, 166),
    (150, 136, 120),
    (240, 240, 236),
)
_FRAMES: tuple[Colour, ...] = (
    (240, 238, 230),
    (84, 60, 44),
    (44, 62, 54),
    (60, 66, 78),
    (120, 40, 36),
    (200, 206, 204),
)


def town_style(rng: np.random.Generator) -> Style:
    """Returns a style drawn from the town's vocabulary."""
    wall, colours = _WALLS[rng.choice(len(_WALLS), p=(0.26, 0.24, 0.28, 0.07, 0.07, 0.08))]
    modern = wall in ("tiles", "concrete")
    shapes = ("flat", "flat", "flat", "round", "segment", "segment", "pointed")
    crowns = ("none", "slab", "gable", "arch", "keystone", "keystone")
    tops = ("cornice", "cornice", "gable", "steps", "pediment", "parapet")
    bars = ((2, 2), (2, 3), (2, 4), (3, 4), (1, 2), (3, 3), (2, 1))
    return Style(
        wall=wall,
        colour=colours[rng.integers(len(colours))],
        trim=_TRIMS[rng.integers(len(_TRIMS))],
        frame=_FRAMES[rng.integers(len(_FRAMES))],
        shape="flat" if modern else shapes[rng.integers(len(shapes))],
        bars=bars[rng.integers(len(bars))],
        crown=("none", "slab")[rng.integers(2)] if modern else crowns[rng.integers(len(crowns))],
        shutters=bool(not modern and rng.random() < 0.3),
        proportion=float(rng.uniform(0.7, 1.1) if modern else rng.uniform(1.35, 2.0)),
        top="parapet" if modern else tops[rng.integers(len(tops))],
        balcony=("bars", "crosses", "panel")[rng.integers(3)],
        order=bool(not modern and rng.random() < 0.3),
    )


def outline(opening: Opening, grow: float = 0.0) -> Float64[np.ndarray, "n 2"]:
    """Returns the rim of an opening as a polygon, made larger by so many metres on all sides but below."""
    left, right = opening.x - grow, opening.x + opening.width + grow
    top, bottom = opening.y - grow, opening.y + opening.height
    half, middle = (right - left) / 2, (left + right) / 2
    turn = np.linspace(np.pi, 0, 17)
    if opening.shape == "round":
        arc = np.column_stack([middle + half * np.cos(turn), top + half - half * np.sin(turn)])
    elif opening.shape == "segment":
        rise = 0.35 * half
        arc = np.column_stack([middle + half * np.cos(turn), top + rise - rise * np.sin(turn)])
    elif opening.shape == "pointed":
        side = np.linspace(0, np.pi / 3, 9)
        rising = np.column_stack(
            [right - 2 * half * np.cos(side), top + 1.74 * half - 2 * half * np.sin(side)]
        )
        falling = np.column_stack([2 * middle - rising[::-1, 0], rising[::-1, 1]])
        arc = np.concatenate([rising, falling])
    else:
        arc = np.array([[left, top], [right, top]])
    return np.concatenate([arc, [[right, bottom], [left, bottom]]])


def paint_window(
    rng: np.random.Generator,
    style: Style,
    opening: Opening,
    wall: Sheet,
    behind: Sheet,
    glow: Sheet,
    relief: Sheet,
) -> None:
    """Paints a window on the sheets of a front: hole, glass behind it, its light at night, its surround."""
    x, y, width, height = opening.x, opening.y, opening.width, opening.height
    wall.polygon(outline(opening), style.colour, alpha=0)
    behind.rectangle(x - 0.3, y - 0.3, width + 0.6, height + 0.6, shade(style.colour, 0.45))
    _paint_glass(rng, behind, opening)
    if rng.random() < 0.45:
        warm = (255.0, float(rng.uniform(190, 225)), float(rng.uniform(110, 170)))
        glow.rectangle(x, y, width, height, shade(warm, float(rng.uniform(0.6, 1.0))))
        if rng.random() < 0.5:
            glow.rectangle(x, y, width * rng.uniform(0.2, 0.45), height, shade(warm, 0.55))
        _paint_bars(glow, opening, style, shade(style.frame, 0.25))
    _paint_bars(behind, opening, style, style.frame)
    rim, light, dark = style.trim, shade(style.trim, 1.12), shade(style.trim, 0.6)
    if style.crown != "none" or style.shape != "flat":
        relief.polygon(outline(opening, 0.16), dark)
        relief.polygon(outline(opening, 0.13), rim)
        relief.polygon(outline(opening), rim, alpha=0)
    relief.rectangle(x - 0.2, y + height, width + 0.4, 0.14, light)
    relief.rectangle(x - 0.2, y + height + 0.12, width + 0.4, 0.05, dark)
    _paint_crown(relief, style, opening)
    if style.shutters:
        _paint_shutters(rng, relief, style, opening)


def _paint_glass(rng: np.random.Generator, behind: Sheet, opening: Opening) -> None:
    x, y, width, height = opening.x, opening.y, opening.width, opening.height
    tone = rng.uniform(0.6, 1.3)
    for step in range(5):
        colour = shade((70 + 16.0 * (4 - step), 84 + 18.0 * (4 - step), 98 + 20.0 * (4 - step)), tone)
        behind.rectangle(x, y + height * step / 5, width, height / 5 + 0.02, colour)
    kind = rng.random()
    cloth = shade((226, 220, 206), rng.uniform(0.65, 1.0))
    if kind < 0.35:
        part = rng.uniform(0.15, 0.4)
        behind.polygon(
            [(x, y), (x + width * part, y), (x + width * part * 0.5, y + height), (x, y + height)], cloth
        )
        right = x + width
        behind.polygon(
            [
                (right, y),
                (right - width * part, y),
                (right - width * part * 0.5, y + height),
                (right, y + height),
            ],
            cloth,
        )
    elif kind < 0.6:
        behind.rectangle(x, y, width, height * rng.uniform(0.2, 0.75), cloth)
    elif kind < 0.75:
        behind.ellipse(
            x + width * rng.uniform(0.3, 0.7), y + height * 0.85, width * 0.2, height * 0.2, (70, 96, 60)
        )


def _paint_bars(sheet: Sheet, opening: Opening, style: Style, colour: Colour) -> None:
    x, y, width, height = opening.x, opening.y, opening.width, opening.height
    columns, rows = style.bars
    for column in range(columns + 1):
        spot = x + width * column / columns
        thick = 0.14 if column in (0, columns) else 0.07
        sheet.rectangle(spot - thick / 2, y, thick, height, colour)
    for row in range(rows + 1):
        sheet.rectangle(x, y + height * row / rows - 0.035, width, 0.07, colour)


def _paint_crown(relief: Sheet, style: Style, opening: Opening) -> None:
    x, y, width = opening.x, opening.y, opening.width
    light, dark = shade(style.trim, 1.1), shade(style.trim, 0.6)
    middle = x + width / 2
    if style.crown == "slab":
        relief.rectangle(x - 0.25, y - 0.42, width + 0.5, 0.18, light)
        relief.rectangle(x - 0.25, y - 0.25, width + 0.5, 0.05, dark)
    elif style.crown == "gable":
        tip = 0.32 * width + 0.2
        relief.polygon([(x - 0.32, y - 0.22), (middle, y - 0.22 - tip), (x + width + 0.32, y - 0.22)], light)
        relief.polygon([(x - 0.02, y - 0.29), (middle, y - 0.12 - tip), (x + width + 0.02, y - 0.29)], dark)
        relief.polygon(
            [(x + 0.08, y - 0.28), (middle, y - 0.06 - tip), (x + width - 0.08, y - 0.28)], style.trim
        )
        relief.rectangle(x - 0.32, y - 0.24, width + 0.64, 0.07, dark)
    elif style.crown == "arch":
        crown = Opening(x - 0.25, y - 0.3 - 0.18 * width, width + 0.5, 0.18 * width + 0.08, "segment")
        relief.polygon(outline(crown, 0.05), dark)
        relief.polygon(outline(crown), light)
    elif style.crown == "keystone":
        stone = [
            (middle - 0.18, y - 0.45),
            (middle + 0.18, y - 0.45),
            (middle + 0.11, y + 0.02),
            (middle - 0.11, y + 0.02),
        ]
        relief.polygon([(px + 0.03, py + 0.03) for px, py in stone], dark)
        relief.polygon(stone, light)


def _paint_shutters(rng: np.random.Generator, relief: Sheet, style: Style, opening: Opening) -> None:
    colour = shade(style.frame, 0.9) if sum(style.frame) < 500 else (74.0, 104.0, 92.0)
    wide = opening.width * 0.46
    for left in (opening.x - wide - 0.06, opening.x + opening.width + 0.06):
        if rng.random() < 0.08:
            continue
        relief.rectangle(left, opening.y, wide, opening.height, shade(colour, 0.55))
        relief.rectangle(left + 0.04, opening.y + 0.04, wide - 0.08, opening.height - 0.08, colour)
        for y in np.arange(opening.y + 0.12, opening.y + opening.height - 0.08, 0.13):
            relief.line([(left + 0.08, y), (left + wide - 0.08, y)], shade(colour, 0.6), 0.03)


def paint_door(
    rng: np.random.Generator, style: Style, opening: Opening, wall: Sheet, behind: Sheet, relief: Sheet
) -> None:
    """Paints a door on the sheets of a front: hole, leaves behind it, surround."""
    x, y, width, height = opening.x, opening.y, opening.width, opening.height
    wall.polygon(outline(opening), style.colour, alpha=0)
    colour = style.frame if sum(style.frame) < 500 else (96.0, 66.0, 46.0)
    behind.rectangle(x - 0.3, y - 0.3, width + 0.6, height + 0.6, shade(colour, 0.5))
    behind.rectangle(x, y, width, height, colour)
    leaves, rows = int(rng.integers(1, 3)), int(rng.integers(2, 5))
    for leaf in range(leaves):
        for row in range(rows):
            left, upper = x + width * leaf / leaves + 0.1, y + height * (0.12 + 0.84 * row / rows)
            size = (width / leaves - 0.2, height * 0.84 / rows - 0.1)
            behind.rectangle(left, upper, *size, shade(colour, 0.6))
            behind.rectangle(left + 0.04, upper + 0.04, size[0] - 0.06, size[1] - 0.06, shade(colour, 1.15))
    behind.ellipse(x + width * 0.5 + 0.12, y + height * 0.55, 0.06, 0.06, (220, 190, 110))
    dark = shade(style.trim, 0.6)
    relief.polygon(outline(opening, 0.3), dark)
    relief.polygon(outline(opening, 0.26), style.trim)
    relief.polygon(outline(opening, 0.12), shade(style.trim, 0.8))
    relief.polygon(outline(opening), dark, alpha=0)
    if rng.random() < 0.5:
        relief.rectangle(x - 0.45, y - 0.6, width + 0.9, 0.2, shade(style.trim, 1.1))
        relief.rectangle(x - 0.4, y - 0.41, width + 0.8, 0.07, dark)
