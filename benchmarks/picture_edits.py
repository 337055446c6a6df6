"""Fifteen edits of a picture, each on a scale of strengths, and pictures that look like copies and are none.

A strength is a number whose meaning each edit states; every random choice comes from the generator.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

WORDS = (
    *("the", "cat", "sat", "on", "a", "wall", "when", "nobody", "looked", "and", "everything", "was", "fine"),
    *(
        "until",
        "Monday",
        "morning",
        "came",
        "again",
        "with",
        "rain",
        "over",
        "old",
        "towns",
        "where",
        "bread",
    ),
    *("markets", "sell", "apples", "maps", "lamps", "yellow", "paint"),
)
FONT = "DejaVuSans-Bold.ttf"

Edit = Callable[[Image.Image, float, np.random.Generator], Image.Image]


@dataclass(frozen=True, slots=True)
class Scale:
    """An edit and the strengths at which it is measured, mild to strong."""

    edit: Edit
    strengths: tuple[float, ...]


def crop(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A rectangle of that share of the area, anywhere, its sides changed by up to a tenth."""
    stretch = float(rng.uniform(0.9, 1.1))
    width, height = (image.size[0] * share**0.5 * stretch, image.size[1] * share**0.5 / stretch)
    width, height = min(width, image.width), min(height, image.height)
    x, y = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
    return image.crop((int(x), int(y), int(x + width), int(y + height)))


def turn_quarter(image: Image.Image, degrees: float, _rng: np.random.Generator) -> Image.Image:
    return image.rotate(degrees, expand=True)


def turn(image: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    """A free angle, the corners filled with one colour."""
    fill = tuple(int(value) for value in rng.integers(0, 256, 3))
    sign = 1 if rng.random() < 0.5 else -1
    return image.rotate(sign * degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=fill)


def mirror(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Left and right exchanged, and a crop of that share of it."""
    mirrored = ImageOps.mirror(image)
    return mirrored if share == 1 else crop(mirrored, share, rng)


def mirror_turned(image: Image.Image, degrees: float, _rng: np.random.Generator) -> Image.Image:
    return ImageOps.mirror(image).rotate(degrees, expand=True)


def resize(image: Image.Image, factor: float, _rng: np.random.Generator) -> Image.Image:
    size = max(int(image.width * factor), 16), max(int(image.height * factor), 16)
    return image.resize(size, Image.Resampling.LANCZOS)


def stretch(image: Image.Image, factor: float, _rng: np.random.Generator) -> Image.Image:
    return image.resize((int(image.width * factor), image.height), Image.Resampling.LANCZOS)


def recompress(image: Image.Image, quality: float, _rng: np.random.Generator) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=int(quality))
    return Image.open(stream).convert("RGB")


def recolour(image: Image.Image, amount: float, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast and saturation by up to that factor, and a cast; grey from 1 on."""
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(float(np.exp(rng.choice((-1, 1)) * 0.6 * amount)))
    if amount >= 1:
        return ImageOps.grayscale(image).convert("RGB")
    cast = 1 + amount * rng.uniform(-0.3, 0.3, 3)
    return Image.fromarray(np.clip(np.asarray(image) * cast, 0, 255).astype(np.uint8))


def blur(image: Image.Image, sigma: float, _rng: np.random.Generator) -> Image.Image:
    """Pixels of sigma where the long side has 640."""
    sigma *= max(image.size) / 640
    return Image.fromarray(cv2.GaussianBlur(np.asarray(image), (0, 0), sigma))


def noise(image: Image.Image, sigma: float, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image) + rng.normal(0, sigma, (image.height, image.width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def border(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A frame on all sides, each that share of the long side wide."""
    fill = tuple(int(value) for value in rng.integers(0, 256, 3))
    return ImageOps.expand(image, int(share * max(image.size)), fill)


def caption(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Words over that share of the picture, at its top and bottom, on bars."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    height = int(image.height * share / 2)
    dark = rng.random() < 0.5
    bar, ink = ((0, 0, 0), (255, 255, 255)) if dark else ((255, 255, 255), (0, 0, 0))
    font = ImageFont.truetype(FONT, max(int(height * 0.6), 6))
    for top in (0, image.height - height):
        draw.rectangle((0, top, image.width, top + height), fill=bar)
        words = " ".join(rng.choice(WORDS, 6))
        draw.text((4, top + height * 0.1), words, fill=ink, font=font)
    return image


def written_over(image: Image.Image, size: float, rng: np.random.Generator) -> Image.Image:
    """Three lines of words across the picture, each that share of its height."""
    image = image.copy()
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(FONT, max(int(image.height * size), 6))
    for line in range(3):
        place = (0.02 * image.width, image.height * (0.1 + 0.3 * line))
        words = " ".join(rng.choice(WORDS, 5))
        draw.text(place, words, fill=(255, 255, 255), font=font, stroke_width=2, stroke_fill=(0, 0, 0))
    return image


def screenshot(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A window with bars, a column of text and the picture over that share of it."""
    area = image.width * image.height / share
    width = int((area * 4 / 3) ** 0.5)
    height = int(area / width)
    page = Image.new("RGB", (max(width, image.width + 20), max(height, image.height + 20)), (245, 245, 245))
    draw = ImageDraw.Draw(page)
    bar = max(page.height // 18, 6)
    draw.rectangle((0, 0, page.width, bar), fill=(40, 60, 120))
    font = ImageFont.truetype(FONT, max(bar // 2, 6))
    draw.text((6, bar // 6), " ".join(rng.choice(WORDS, 6)), fill=(255, 255, 255), font=font)
    for line in range(bar + 4, page.height - bar, max(bar, 8)):
        draw.text((4, line), " ".join(rng.choice(WORDS, 12)), fill=(60, 60, 60), font=font)
    x = int(rng.integers(0, page.width - image.width + 1))
    y = int(rng.integers(min(bar, page.height - image.height), page.height - image.height + 1))
    page.paste(image, (x, y))
    return page


def photographed(image: Image.Image, tilt: float, rng: np.random.Generator) -> Image.Image:
    """A photo of a screen or a print: perspective, surroundings, a stripe pattern, blur, noise, a cast."""
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    pad = int(0.15 * max(width, height))
    canvas = np.full((height + 2 * pad, width + 2 * pad, 3), rng.integers(20, 200, 3), np.uint8)
    corners = np.float32([[0, 0], [width, 0], [width, height], [0, height]])
    moved = corners + pad + rng.uniform(-tilt, tilt, (4, 2)) * max(width, height)
    warp = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    size = canvas.shape[1], canvas.shape[0]
    shown = cv2.warpPerspective(pixels, warp, size, flags=cv2.INTER_AREA)
    inside = cv2.warpPerspective(np.full((height, width), 255, np.uint8), warp, size)
    canvas[inside > 127] = shown[inside > 127]
    stripes = 1 + 0.06 * np.sin(np.arange(canvas.shape[0]) * 2.3)[:, None, None]
    cast = rng.uniform(0.85, 1.1, 3)
    seen = cv2.GaussianBlur(canvas.astype(np.float32), (0, 0), 0.8) * stripes * cast
    return Image.fromarray(np.clip(seen + rng.normal(0, 5, seen.shape), 0, 255).astype(np.uint8))


EDITS: dict[str, Scale] = {
    "crop": Scale(crop, (0.75, 0.5, 0.25, 0.15, 0.1)),
    "quarter turn": Scale(turn_quarter, (90, 180, 270)),
    "turn": Scale(turn, (3, 10, 25, 45)),
    "mirror": Scale(mirror, (1, 0.5, 0.25)),
    "mirror, quarter turn": Scale(mirror_turned, (90, 180)),
    "resize": Scale(resize, (0.5, 0.25, 0.15)),
    "stretch": Scale(stretch, (0.8, 0.6)),
    "recompress": Scale(recompress, (40, 15, 5)),
    "recolour": Scale(recolour, (0.3, 0.7, 1.0)),
    "blur": Scale(blur, (1, 2, 4)),
    "noise": Scale(noise, (10, 25, 50)),
    "border": Scale(border, (0.05, 0.15, 0.4)),
    "caption": Scale(caption, (0.1, 0.25, 0.5)),
    "written over": Scale(written_over, (0.06, 0.12, 0.2)),
    "screenshot": Scale(screenshot, (0.6, 0.3, 0.12)),
    "photographed": Scale(photographed, (0.0, 0.05, 0.12)),
}


def page_of_text(layout: int, text: int, side: int = 640) -> Image.Image:
    """A printed page or slide: one of some layouts (heading, logo, columns, frame), with its own words."""
    shape = np.random.default_rng(layout)
    words = np.random.default_rng([layout, text])
    width, height = side, int(side * shape.choice((0.5625, 0.75, 1.0)))
    page = Image.new("RGB", (width, height), tuple(int(v) for v in shape.integers(200, 256, 3)))
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, width, height // 9), fill=tuple(int(v) for v in shape.integers(0, 160, 3)))
    for _ in range(5):
        x, y = shape.integers(0, width // 8), shape.integers(0, height // 9)
        box = (x, y, x + shape.integers(8, 40), y + shape.integers(8, 30))
        draw.ellipse([int(value) for value in box], fill=tuple(int(v) for v in shape.integers(0, 256, 3)))
    title = ImageFont.truetype(FONT, height // 16)
    draw.text((width // 5, height // 40), " ".join(shape.choice(WORDS, 3)), fill=(255, 255, 255), font=title)
    body = ImageFont.truetype(FONT, height // 26)
    columns = int(shape.integers(1, 3))
    for column in range(columns):
        for line in range(12):
            place = (20 + column * width // columns, height // 7 + line * height // 16)
            draw.text(place, " ".join(words.choice(WORDS, 6 // columns + 1)), fill=(20, 20, 20), font=body)
    footer = " ".join(shape.choice(WORDS, 7))
    draw.text(
        (20, height - height // 18), footer, fill=(90, 90, 90), font=ImageFont.truetype(FONT, height // 30)
    )
    return page
