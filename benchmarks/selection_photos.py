"""The photos by which settings of models are chosen. None of them belongs to a benchmark.

    python benchmarks/selection_photos.py --data DIR [--made DIR]

makes what is not there yet: rendered places, and printed labels on bottles and boxes. Four kinds are
judged: ``rendered`` (places of two towns, four views each, among places seen once), ``grocery`` (products of
the train split, second half of its classes), ``sfm`` (photos of 21 scenes) and ``labels`` (flat prints, and
the same prints bent and in perspective on photos). What is fitted sees other photos: ``prints`` of other
seeds, ``pictures`` (windows of photos as prints, half of them on photos) and ``grocery``, first half of the
classes.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int64, UInt8
from PIL import Image, ImageDraw, ImageFont

from resight import scenes

TOWNS, SEED_OF_PRINTS = (5001, 5002), 7001
FITTED_TOWNS, FITTED_PRINTS, FITTED_PICTURES = tuple(range(2001, 2007)), (7002, 7003), 8101
PRINTS, PICTURES, VIEWS = 40, 50, 3
PER_CLASS = 8
# One place in three sets of photos.
SAME_PLACE = {"entry-P10": "fountain-P11", "castle-P30": "fountain-P11"}
_SYLLABLES = ("ba", "lo", "mi", "ra", "ten", "sol", "ver", "ka", "no", "pri", "ol", "est")


@dataclass(frozen=True, slots=True)
class LabelledFiles:
    """Photos of one kind with labels; a negative label is nobody's partner."""

    name: str
    paths: Sequence[Path]
    labels: Int64[np.ndarray, " n"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds grocery/ and sfm/")
    parser.add_argument("--made", type=Path, default=Path("build/selection"))
    arguments = parser.parse_args()
    for kind in judged(arguments.data, arguments.made):
        print(kind.name, len(kind.paths), len(set(kind.labels.tolist())), flush=True)


def judged(data: Path, made: Path) -> list[LabelledFiles]:
    """Returns the four kinds that settings are chosen on, made where they are not there."""
    return [prints(made, SEED_OF_PRINTS), grocery(data), scenes_of(data), places(made, TOWNS)]


def fitted(data: Path, made: Path) -> list[LabelledFiles]:
    """Returns photos that whitenings are fitted to, none of a thing that is judged."""
    halves = [prints(made, seed) for seed in FITTED_PRINTS]
    paths = [path for half in halves for path in half.paths]
    labels = np.concatenate([1000 * number + half.labels for number, half in enumerate(halves)])
    return [
        LabelledFiles("fitted-labels", paths, labels),
        pictures(data, made),
        replace(grocery(data, half=0), name="fitted-grocery"),
    ]


def places(made: Path, towns: Sequence[int]) -> LabelledFiles:
    """Returns rendered places in several views, with places seen once."""
    paths, labels = [], []
    for seed in towns:
        town = made / f"views-{seed}"
        if not (town / "done").exists():
            scenes.write_collection(town, places=12, views=4, distractors=16, seed=seed, workers=1)
            (town / "done").touch()
        for path in sorted(town.glob("*.jpg")):
            paths.append(path)
            number = int(path.stem.split("_")[1])
            labels.append(seed * 1000 + number if path.stem.startswith("place") else -1)
    return LabelledFiles("rendered", paths, np.array(labels))


def grocery(data: Path, *, half: int = 1) -> LabelledFiles:
    """Returns photos of one half of the classes in grocery's train split, about as many of each."""
    with (data / "grocery" / "labels.csv").open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "train"]
    classes = sorted({int(row["label"]) for row in rows})
    paths, labels = [], []
    middle = len(classes) // 2
    for label in classes[middle:] if half else classes[:middle]:
        own = [row for row in rows if int(row["label"]) == label]
        chosen = own[:: max(1, len(own) // PER_CLASS)][:PER_CLASS]
        paths += [data / "grocery" / row["path"] for row in chosen]
        labels += [label] * len(chosen)
    return LabelledFiles("grocery", paths, np.array(labels))


def scenes_of(data: Path) -> LabelledFiles:
    """Returns every other photo of ``sfm`` by scene."""
    folders = sorted(folder for folder in (data / "sfm").iterdir() if folder.is_dir())
    names = sorted({folder.name for folder in folders})
    paths, labels = [], []
    for folder in folders:
        own = sorted(folder.rglob("*.jpg"))[::2]
        paths += own
        labels += [names.index(SAME_PLACE.get(folder.name, folder.name))] * len(own)
    return LabelledFiles("sfm", paths, np.array(labels))


def prints(made: Path, seed: int) -> LabelledFiles:
    """Returns flat prints, and photos that show them bent and in perspective, one label a print."""
    folder = made / f"prints-{seed}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(PRINTS):
            flat = flat_print(
                np.random.default_rng([seed, number]), np.random.default_rng([seed, number // 5])
            )
            Image.fromarray(flat).save(folder / f"{number:03d}_flat.jpg", quality=90)
            for view in range(VIEWS):
                rng = np.random.default_rng([seed, number, view])
                ground = _ground(rng)
                Image.fromarray(photographed(flat, ground, rng)).save(
                    folder / f"{number:03d}_view_{view}.jpg", quality=int(rng.integers(60, 92))
                )
        (folder / "done").touch()
    paths = sorted(folder.glob("*.jpg"))
    return LabelledFiles("labels", paths, np.array([int(path.stem[:3]) for path in paths]))


def pictures(data: Path, made: Path) -> LabelledFiles:
    """Returns windows of photos as flat prints, and the same bent, in perspective, half of them on photos."""
    folder = made / f"pasted-{FITTED_PICTURES}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shown = [path for seed in FITTED_TOWNS for path in _seen_once(made, seed)]
        sources = (shown, grocery(data, half=0).paths)
        for number in range(PICTURES):
            rng = np.random.default_rng([FITTED_PICTURES, number])
            some = sources[0 if number % 2 else 1]
            flat = _window(some[int(rng.integers(len(some)))], rng)
            Image.fromarray(flat).save(folder / f"{number:03d}_flat.jpg", quality=90)
            for view in range(VIEWS):
                rng = np.random.default_rng([FITTED_PICTURES, number, view])
                ground = _ground(rng)
                if rng.random() < 0.5:
                    with Image.open(shown[int(rng.integers(len(shown)))]) as photo:
                        ground = np.asarray(photo.convert("RGB").resize((640, 480)))
                Image.fromarray(photographed(flat, ground, rng)).save(
                    folder / f"{number:03d}_view_{view}.jpg", quality=int(rng.integers(60, 92))
                )
        (folder / "done").touch()
    paths = sorted(folder.glob("*.jpg"))
    return LabelledFiles("fitted-pictures", paths, np.array([int(path.stem[:3]) for path in paths]))


def _seen_once(made: Path, seed: int) -> list[Path]:
    folder = made / f"single-{seed}"
    if not (folder / "done").exists():
        scenes.write_collection(folder, places=0, views=0, distractors=24, seed=seed, workers=1)
        (folder / "done").touch()
    return sorted(folder.glob("*.jpg"))


def _window(path: Path, rng: np.random.Generator) -> UInt8[np.ndarray, "480 columns 3"]:
    with Image.open(path) as photo:
        share = rng.uniform(0.5, 1.0)
        across, down = (int(side * share) for side in photo.size)
        x, y = int(rng.integers(0, photo.width - across + 1)), int(rng.integers(0, photo.height - down + 1))
        columns = int(np.clip(480 * across / down, 260, 560))
        box = (x, y, x + across, y + down)
        return np.asarray(photo.convert("RGB").resize((columns, 480), Image.Resampling.LANCZOS, box=box))


def flat_print(own: np.random.Generator, brand: np.random.Generator) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns a print 480 pixels high: the brand decides its colours and layout, its own number the rest."""
    width, height = int(brand.integers(320, 520)), 480
    colours = [tuple(each) for each in brand.integers(20, 240, (4, 3)).tolist()]
    picture = Image.new("RGB", (width, height), colours[0])
    draw = ImageDraw.Draw(picture)
    band = int(brand.integers(60, 140))
    draw.rectangle([0, band, width, band + int(brand.integers(60, 120))], fill=colours[1])
    draw.text((20, 20), _word(brand).upper(), font=ImageFont.load_default(52), fill=colours[2])
    for _ in range(int(own.integers(6, 14))):
        x, y = own.integers(0, width - 40), own.integers(band, height - 60)
        across, down = own.integers(20, 120, 2)
        fill = tuple(own.integers(0, 256, 3).tolist()) if own.random() < 0.5 else colours[3]
        shape = draw.ellipse if own.random() < 0.5 else draw.rectangle
        shape([int(x), int(y), int(x + across), int(y + down)], fill=fill, outline=colours[2], width=2)
    draw.text((24, band + 14), _word(own), font=ImageFont.load_default(40), fill=colours[2])
    for line in range(5):
        text = " ".join(_word(own) for _ in range(4))
        draw.text((20, height - 120 + 22 * line), text, font=ImageFont.load_default(16), fill=colours[2])
    return np.asarray(picture)


def photographed(
    flat: UInt8[np.ndarray, "rows columns 3"],
    ground: UInt8[np.ndarray, "rows_ columns_ 3"],
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "rows_ columns_ 3"]:
    """Returns a photo with the print on it: bent as around a bottle, in perspective, in another light."""
    rows, columns = flat.shape[:2]
    bend = rng.uniform(0.0, 1.25)
    across = np.linspace(-1, 1, columns)
    # Orthographic view of a cylinder: what lies at angle a is seen at sin a.
    seen = np.arcsin(across * np.sin(bend)) / bend if bend > 0.05 else across
    x = np.broadcast_to((seen + 1) / 2 * (columns - 1), (rows, columns)).astype(np.float32)
    arch = rng.uniform(-0.08, 0.08) * rows * (1 - across**2)
    y = (np.arange(rows)[:, None] + arch).astype(np.float32)
    bent = cv2.remap(flat, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    bent = bent * (1 - 0.5 * np.sin(bend) * across**2)[None, :, None]
    light = rng.uniform(0.55, 1.15) + rng.uniform(-0.25, 0.25) * across
    bent = np.clip(bent * light[None, :, None] * rng.uniform(0.85, 1.1, 3), 0, 255).astype(np.uint8)
    corners = _corners(bent.shape[:2], ground.shape[:2], rng)
    box = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32) - 0.5
    pose = cv2.getPerspectiveTransform(box, corners)
    size = ground.shape[1], ground.shape[0]
    # Halved first where it is shown much smaller, or fine print would alias.
    shown = cv2.warpPerspective(cv2.GaussianBlur(bent, (0, 0), 0.8), pose, size, flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.full((rows, columns), 255, np.uint8), pose, size)[..., None] / 255
    photo = shown * mask + ground * (1 - mask) + rng.normal(0, rng.uniform(1, 6), ground.shape)
    return cv2.GaussianBlur(np.clip(photo, 0, 255).astype(np.uint8), (0, 0), rng.uniform(0.3, 1.1))


def _ground(rng: np.random.Generator) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns 480 by 640 pixels of smooth patches: shelves, walls and tables out of focus."""
    patches = rng.integers(20, 235, (int(rng.integers(3, 9)), int(rng.integers(3, 12)), 3)).astype(np.uint8)
    # Paler than prints are.
    patches = (0.6 * patches.mean(axis=2, keepdims=True) + 0.4 * patches).astype(np.uint8)
    ground = cv2.resize(patches, (640, 480), interpolation=cv2.INTER_NEAREST)
    ground = cv2.GaussianBlur(ground, (0, 0), rng.uniform(1.0, 12.0))
    return np.clip(ground + rng.normal(0, 6, ground.shape), 0, 255).astype(np.uint8)


def _corners(
    sheet: tuple[int, ...], ground: tuple[int, ...], rng: np.random.Generator
) -> Float[np.ndarray, "4 2"]:
    high = ground[0] * rng.uniform(0.35, 0.8)
    wide = min(high * sheet[1] / sheet[0] * rng.uniform(0.6, 1.0), 0.8 * ground[1])
    box = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 * (wide, high)
    box = box * (1 + rng.uniform(-0.18, 0.18, (4, 2)))
    turn = rng.normal(0, 0.2)
    box = box @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    centre = np.array([ground[1], ground[0]]) * rng.uniform(0.35, 0.65, 2)
    corners: Float[np.ndarray, "4 2"] = (box + centre).astype(np.float32)
    return corners


def _word(rng: np.random.Generator) -> str:
    return "".join(rng.choice(_SYLLABLES, int(rng.integers(2, 4))))


if __name__ == "__main__":
    main()
