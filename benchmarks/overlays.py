"""Printed parts that unrelated photos share, drawn onto a photo: frames, marks, stickers, pictures, textures.

An `Overlay` draws one kind on about ``share`` of the photo's area; the generator says where, from which side
and in which light. The same kind is the same print on every photo.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Overlay = Callable[[Image.Image, float, np.random.Generator], Image.Image]


def font(pixels: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(8, int(pixels)))


def footer(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    del rng
    (width, height), photo = photo.size, photo.copy()
    band, draw = int(height * share), ImageDraw.Draw(photo)
    draw.rectangle([0, height - band, width, height], fill=(20, 20, 20))
    place = (int(0.02 * width), height - int(band * 0.8))
    draw.text(place, "Example Archive  No. 1907  Photo Service", font=font(band * 0.45), fill="white")
    return photo


def stamp(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    (width, height), photo = photo.size, photo.copy()
    size = height * share * 0.6
    text = f"2007/0{rng.integers(1, 9)}/{rng.integers(10, 28)} {rng.integers(10, 23)}:{rng.integers(10, 59)}"
    place = (width - int(size * len(text) * 0.55) - 10, height - int(size * 1.5))
    ImageDraw.Draw(photo).text(place, text, font=font(size), fill=(255, 150, 20))
    return photo


def logo(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    del rng
    (width, height), photo = photo.size, photo.copy()
    side = int((width * height * share) ** 0.5)
    photo.paste(emblem(5, "RESEARCH CLUB").resize((side, side)), (width - side - 8, 8))
    return photo


def emblem(seed: int, text: str) -> Image.Image:
    picture, rng = Image.new("RGB", (256, 256), (200, 30, 40)), np.random.default_rng(seed)
    draw = ImageDraw.Draw(picture)
    for x, y, size in rng.integers([0, 0, 8], [230, 230, 50], (25, 3)).tolist():
        draw.ellipse([x, y, x + size, y + size], fill=tuple(rng.integers(0, 256, 3).tolist()))
    draw.text((10, 100), text, font=font(34), fill="white")
    return picture


def chat(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    del rng
    (width, height), photo = photo.size, photo.copy()
    bar, draw = int(height * share / 2), ImageDraw.Draw(photo)
    for top in (0, height - bar):
        draw.rectangle([0, top, width, top + bar], fill=(240, 240, 245))
    draw.text((10, int(bar * 0.2)), "9:41   Anna Example   online", font=font(bar / 2), fill=(10, 10, 10))
    place = (10, height - int(bar * 0.8))
    draw.text(place, "Type a message ...   Send", font=font(bar / 2), fill=(90, 90, 90))
    for number in range(1, 7):
        left = width - bar * number
        outline = [left, int(bar * 0.2), left + int(bar * 0.6), int(bar * 0.8)]
        draw.ellipse(outline, outline=(30, 120, 220), width=3)
    return photo


def watermark(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    del share, rng
    width, height = photo.size
    mask = Image.new("L", photo.size, 0)
    draw = ImageDraw.Draw(mask)
    draw.text(
        (int(0.06 * width), int(height * 0.42)), "PREVIEW stock.example", font=font(width / 9), fill=160
    )
    return Image.composite(Image.new("RGB", photo.size, "white"), photo, mask)


def border(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    del rng
    (width, height), photo = photo.size, photo.copy()
    edge = int(min(width, height) * share / 2.4)
    ornaments, draw = np.random.default_rng(9), ImageDraw.Draw(photo)
    for box in ([0, 0, width, edge], [0, height - edge, width, height], [0, 0, edge, height]):
        draw.rectangle(box, fill=(120, 85, 30))
    draw.rectangle([width - edge, 0, width, height], fill=(120, 85, 30))
    for number in range(0, width, max(edge, 6)):
        size = int(ornaments.integers(edge // 3 + 1, edge + 2))
        for top in (0, height - edge):
            shade = tuple(ornaments.integers(60, 256, 3).tolist())
            draw.ellipse([number, top, number + size, top + size // 2 + 2], fill=shade)
    return photo


def sign(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """One sign, in another place, size and perspective in each photo."""
    board = Image.new("RGB", (320, 200), (0, 110, 60))
    draw = ImageDraw.Draw(board)
    draw.rectangle([6, 6, 313, 193], outline="white", width=5)
    draw.text((24, 30), "EMERGENCY EXIT", font=font(34), fill="white")
    draw.text((24, 90), "Keep this door clear", font=font(26), fill="white")
    arrow = [(220, 150), (270, 150), (270, 130), (300, 160), (270, 188), (270, 170), (220, 170)]
    draw.polygon(arrow, fill="white")
    draw.ellipse([30, 140, 60, 170], fill="white")
    draw.line([45, 170, 80, 190], fill="white", width=8)
    return placed(photo, board, share, rng, skew=0.08)


def placed(
    photo: Image.Image, board: Image.Image, share: float, rng: np.random.Generator, *, skew: float = 0.14
) -> Image.Image:
    """A flat thing anywhere in the photo: corners moved by up to ``skew`` of its sides, other light."""
    (width, height), (columns, rows) = photo.size, board.size
    scale = (width * height * share / (columns * rows)) ** 0.5 * rng.uniform(0.8, 1.0)
    scale = min(scale, 0.95 * width / columns, 0.95 * height / rows)
    wide, high = columns * scale, rows * scale
    left, top = rng.integers(6, max(7, width - wide - 6)), rng.integers(6, max(7, height - high - 6))
    flat = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], dtype=np.float32)
    seen = np.array([left, top]) + flat * scale + rng.uniform(-skew, skew, (4, 2)) * [wide, high]
    turn = cv2.getPerspectiveTransform(flat, seen.astype(np.float32))
    pixels, size = np.asarray(photo).copy(), (width, height)
    mask = cv2.warpPerspective(np.full((rows, columns), 255, np.uint8), turn, size) > 127
    lit = np.clip(np.asarray(board) * rng.uniform(0.75, 1.1) + rng.uniform(-15, 15), 0, 255).astype(np.uint8)
    pixels[mask] = cv2.warpPerspective(lit, turn, size, flags=cv2.INTER_AREA)[mask]
    return Image.fromarray(pixels)


def label(number: int) -> Image.Image:
    """A product's label: the brand's emblem, bands and small print are every label's, the rest its own."""
    picture, own = Image.new("RGB", (480, 640), (245, 240, 225)), np.random.default_rng(1000 + number)
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, 0, 480, 120], fill=(30, 60, 40))
    picture.paste(emblem(5, "NORTH FARM").resize((110, 110)), (8, 5))
    draw.text((140, 40), "North Farm", font=font(44), fill="white")
    draw.rectangle([0, 590, 480, 640], fill=(30, 60, 40))
    draw.text((12, 600), "Net weight 500 g   Keep cool   EU organic", font=font(20), fill="white")
    syllables = ["ka", "mo", "ri", "te", "su", "va", "lo", "nim", "dar", "fe"]
    name = "".join(own.choice(syllables, 4)).title()
    draw.text((30, 140), name, font=font(52), fill=tuple(own.integers(0, 120, 3).tolist()))
    for x, y, size in own.integers([30, 220, 20], [380, 480, 120], (40, 3)).tolist():
        draw.ellipse([x, y, x + size, y + size // 2], fill=tuple(own.integers(0, 256, 3).tolist()))
    return picture


def on_a_shelf(number: int, rng: np.random.Generator) -> Image.Image:
    """A label photographed from one side or the other, on half of the photo."""
    shelf = Image.new("RGB", (640, 640), tuple(rng.integers(90, 200, 3).tolist()))
    return placed(shelf, label(number), 0.5, rng, skew=0.12)


def painting(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture of many shapes, the same for a seed."""
    rng = np.random.default_rng(seed)
    picture = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    draw = ImageDraw.Draw(picture)
    for x, y, wide, high in rng.integers([0, 0, 8, 8], [size[0], size[1], 70, 70], (60, 4)).tolist():
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape([x, y, x + wide, y + high], fill=tuple(rng.integers(0, 256, 3).tolist()))
    return picture


def qr(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A sticker with one square code."""
    code = np.kron(np.random.default_rng(21).integers(0, 2, (25, 25)), np.ones((8, 8))).astype(np.uint8) * 255
    for row, column in ((0, 0), (0, 144), (144, 0)):
        code[row : row + 56, column : column + 56] = 0
        code[row + 8 : row + 48, column + 8 : column + 48] = 255
        code[row + 16 : row + 40, column + 16 : column + 40] = 0
    sticker = Image.new("RGB", (232, 232), "white")
    sticker.paste(Image.fromarray(code), (16, 16))
    return placed(photo, sticker, share, rng)


def poster(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """The same framed picture on two walls."""
    framed = Image.new("RGB", (360, 280), (90, 60, 30))
    framed.paste(painting(33), (20, 20))
    return placed(photo, framed, share, rng)


def plate(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A narrow strip of large letters, as a licence plate or a street's name."""
    strip = Image.new("RGB", (420, 96), "white")
    draw = ImageDraw.Draw(strip)
    draw.rectangle([3, 3, 416, 92], outline="black", width=4)
    draw.rectangle([3, 3, 44, 92], fill=(0, 50, 160))
    draw.text((14, 55), "EX", font=font(18), fill="white")
    draw.text((60, 8), "RS 4971 AK", font=font(64), fill="black")
    return placed(photo, strip, share / 2, rng)


def card(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A colour card with a ruler, as archives put beside what they photograph."""
    target, colours = Image.new("RGB", (420, 150), (235, 235, 235)), np.random.default_rng(8)
    draw = ImageDraw.Draw(target)
    for number in range(14):
        left, top = 12 + number % 7 * 57, 10 + number // 7 * 45
        draw.rectangle([left, top, left + 48, top + 38], fill=tuple(colours.integers(0, 256, 3).tolist()))
    for number in range(41):
        draw.line(
            [10 + number * 10, 149, 10 + number * 10, 120 if number % 5 == 0 else 134], fill="black", width=2
        )
    draw.text((12, 101), "Colour control  cm", font=font(16), fill="black")
    return placed(photo, target, share, rng, skew=0.04)


def floor(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """One floor of large printed tiles in perspective along the lower edge."""
    (width, height), tiles = photo.size, np.asarray(painting(17, (480, 160)).filter(ImageFilter.SHARPEN))
    high, shift = int(height * min(share * 1.3, 0.2)), rng.uniform(-0.1, 0.1, 2)
    flat = np.array([[0, 0], [480, 0], [480, 160], [0, 160]], dtype=np.float32)
    corners = [[(0.1 + shift[0]) * width, height - high], [(0.9 + shift[1]) * width, height - high]]
    corners += [[1.25 * width, height], [-0.25 * width, height]]
    turn = cv2.getPerspectiveTransform(flat, np.array(corners, dtype=np.float32))
    pixels = np.asarray(photo).copy()
    mask = cv2.warpPerspective(np.full((160, 480), 255, np.uint8), turn, (width, height)) > 127
    pixels[mask] = cv2.warpPerspective(tiles, turn, (width, height), flags=cv2.INTER_AREA)[mask]
    return Image.fromarray(pixels)


def windows(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Windows of one make, six in two rows, on a wall of their own."""
    one = Image.new("RGB", (90, 130), (228, 224, 214))
    draw = ImageDraw.Draw(one)
    draw.rectangle([8, 8, 81, 121], fill=(40, 50, 66), outline=(250, 250, 250), width=5)
    draw.line([45, 8, 45, 121], fill=(250, 250, 250), width=5)
    draw.line([8, 50, 81, 50], fill=(250, 250, 250), width=5)
    draw.polygon([(8, 8), (45, 0), (81, 8)], fill=(170, 90, 60))
    draw.rectangle([4, 120, 86, 128], fill=(150, 140, 130))
    wall = Image.new("RGB", (330, 300), (190, 176, 150))
    for number in range(6):
        wall.paste(one, (12 + number % 3 * 108, 12 + number // 3 * 146))
    return placed(photo, wall, share, rng, skew=0.06)


def meme(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """Outlined capitals over the upper and the lower part of the picture."""
    del rng
    (width, height), photo = photo.size, photo.copy()
    draw, size = ImageDraw.Draw(photo), min(width / 11, height * share * 0.75)
    for top, text in ((0.02, "WHEN YOU FINALLY"), (0.97, "FIND THE PLACE")):
        place = (width / 2, height * top)
        anchor = "ma" if top < 0.5 else "md"
        draw.text(
            place, text, font=font(size), fill="white", anchor=anchor, stroke_width=3, stroke_fill="black"
        )
    return photo


def tiles(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A pale watermark repeated over the whole picture, slanted."""
    del rng
    width, height = photo.size
    side, size = 2 * max(width, height), 14 + 80 * share
    mask = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(mask)
    for row, top in enumerate(range(0, side, int(size * 3.2))):
        for left in range(-(row % 2) * int(size * 4), side, int(size * 8)):
            draw.text((left, top), "stock.example", font=font(size), fill=130)
    mask = mask.rotate(30).crop((side // 4, side // 4, side // 4 + width, side // 4 + height))
    return Image.composite(Image.new("RGB", photo.size, "white"), photo, mask)


def mat(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """The photo inside a printed frame with ornaments all round."""
    del rng
    (width, height), ornaments = photo.size, np.random.default_rng(12)
    edge = int(share * width * height / (2 * (width + height)) * 1.1)
    framed = Image.new("RGB", photo.size, (236, 228, 208))
    framed.paste(photo.resize((width - 2 * edge, height - 2 * edge)), (edge, edge))
    draw = ImageDraw.Draw(framed)
    for number in range(0, 2 * (width + height), max(edge, 8)):
        x, y = _along(number, width - edge, height - edge)
        colour = tuple(ornaments.integers(0, 200, 3).tolist())
        points = [(x + a, y + b) for a, b in ornaments.integers(1, edge, (4, 2)).tolist()]
        draw.polygon(points, fill=colour)
    return framed


def _along(place: int, wide: int, high: int) -> tuple[int, int]:
    """Returns the point at a distance along a rectangle's border."""
    place %= 2 * (wide + high)
    if place < wide:
        return place, 0
    if place < wide + high:
        return wide, place - wide
    if place < 2 * wide + high:
        return 2 * wide + high - place, high
    return 0, 2 * (wide + high) - place


def inset(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A small picture in one corner, as a video call has it."""
    (width, height), photo = photo.size, photo.copy()
    wide, high = int(width * share**0.5), int(height * share**0.5)
    corner = rng.integers(0, 2, 2)
    place = (8 if corner[0] else width - wide - 8, 8 if corner[1] else height - high - 8)
    photo.paste(painting(5).resize((wide, high)), place)
    return photo


def phone(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """The bars of a photo viewer above and below, one more wide than the other."""
    del rng
    (width, height), photo = photo.size, photo.copy()
    top, below, draw = int(height * share * 0.35), int(height * share * 0.65), ImageDraw.Draw(photo)
    draw.rectangle([0, 0, width, top], fill=(250, 250, 250))
    draw.rectangle([0, height - below, width, height], fill=(250, 250, 250))
    draw.text((8, int(top * 0.15)), "17:20", font=font(top * 0.6), fill="black")
    draw.text((width - 8, int(top * 0.15)), "5G  82 %", font=font(top * 0.6), fill="black", anchor="ra")
    for number, name in enumerate(("Share", "Edit", "Info", "Like", "Delete")):
        middle, upper = int(width * (number + 0.5) / 5), height - below
        for line in range(2 + number):
            left, high = middle - below // 4 + line * 4, upper + 4 + line * 3
            draw.arc(
                [left, high, left + below // 2, high + below // 2], number * 50, number * 50 + 200, "black", 3
            )
        draw.text((middle, height - 3), name, font=font(below * 0.3), fill="black", anchor="md")
    return photo


def news(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A channel's mark above, its headline and running text below."""
    del rng
    (width, height), photo = photo.size, photo.copy()
    band, draw = int(height * share * 0.8), ImageDraw.Draw(photo)
    draw.rectangle([0, height - band, width, height - band // 2], fill=(170, 0, 20))
    draw.rectangle([0, height - band // 2, width, height], fill=(240, 240, 240))
    draw.text((10, height - band + 2), "BREAKING  Square reopened", font=font(band * 0.36), fill="white")
    text = "Weather: showers  +++  Markets up 0.4 %  +++  Trains late"
    draw.text((10, height - band // 2 + 2), text, font=font(band * 0.3), fill="black")
    side = int((width * height * share * 0.2) ** 0.5)
    photo.paste(emblem(6, "TV 4").resize((side, side)), (width - side - 12, 12))
    return photo


def strip(photo: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """A row of small pictures along one side, as a collage or a viewer has it."""
    del rng
    (width, height), photo = photo.size, photo.copy()
    wide, high = int(width * share), height // 4
    for number in range(4):
        photo.paste(painting(70 + number).resize((wide, high)), (0, number * high))
    return photo


OVERLAYS: dict[str, Overlay] = {
    "footer": footer,
    "stamp": stamp,
    "logo": logo,
    "chat": chat,
    "watermark": watermark,
    "border": border,
    "sign": sign,
    "qr": qr,
    "poster": poster,
    "plate": plate,
    "card": card,
    "floor": floor,
    "windows": windows,
    "meme": meme,
    "tiles": tiles,
    "mat": mat,
    "inset": inset,
    "phone": phone,
    "news": news,
    "strip": strip,
}
"""By name; `label` is one more kind, drawn whole."""
