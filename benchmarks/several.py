"""Things found of things shown: walls of paintings and shelves of products, answered thing by thing.

    python benchmarks/several.py --data FOLDER --work DIR [--walls 12] [--json FILE]

The collection holds rendered places (the paintings), products of ``grocery`` and photos of ``sfm``. A wall
shows four of its paintings and two that nobody has, framed, of different sizes, photographed at a slant; a
shelf shows six of its products and four that nobody has, in two rows. A thing is found where an answer has it
first and its box is nearest to where it hangs or stands; every other answer is false.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from resight import scenes
from resight.collection import Collection, Query
from resight.pipelines.several import answer_several

SEED, PAINTINGS, PRODUCTS, OTHERS = 33, 40, 80, 60


@dataclass(frozen=True, slots=True)
class Shown:
    """A thing in a made photo: its name in the collection, none of a stranger, and its middle."""

    name: str | None
    middle: tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--walls", type=int, default=12)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rng = np.random.default_rng(SEED)
    paintings, products = things(arguments.data, rng)
    collection = indexed(arguments.data, arguments.work, paintings, products, rng)
    results: dict[str, object] = {"photos": len(collection)}
    for name, pictures, known, make in (
        ("walls", paintings, PAINTINGS, wall),
        ("shelves", products, PRODUCTS, shelf),
    ):
        photos = []
        for number in range(arguments.walls):
            photo, shown = make(pictures, known, rng)
            photos.append((photo, shown))
            Image.fromarray(photo).save(arguments.work / f"{name}-{number}.jpg", quality=88)
        results[name] = measured(collection, photos)
        print(name, json.dumps(results[name]), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def things(data: Path, rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns paintings and products, first those of the collection and then strangers."""
    places = range(PAINTINGS + 20)
    paintings = [scenes.render_view(place, 0, seed=SEED, side=320) for place in places]
    files = sorted((data / "grocery").glob("**/*.jpg"))
    chosen = rng.permutation(len(files))[: PRODUCTS + 40].tolist()
    return paintings, [np.asarray(Image.open(files[place]).convert("RGB")) for place in chosen]


def indexed(
    data: Path, work: Path, paintings: list[np.ndarray], products: list[np.ndarray], rng: np.random.Generator
) -> Collection:
    """Returns the collection, of files in ``work/photos``."""
    folder = work / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, pictures in (("wall", paintings[:PAINTINGS]), ("shelf", products[:PRODUCTS])):
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / f"{kind}-{number}.jpg", quality=90)
    files = sorted((data / "sfm").glob("*/**/*.jpg"))
    for number, place in enumerate(rng.permutation(len(files))[:OTHERS].tolist()):
        Image.open(files[place]).convert("RGB").save(folder / f"other-{number}.jpg", quality=90)
    collection = Collection.open_or_create(work / "made.resight", model="sift")
    collection.add(folder)
    return collection


def wall(pictures: list[np.ndarray], known: int, rng: np.random.Generator) -> tuple[np.ndarray, list[Shown]]:
    return _photo("wall", pictures, known, rng, columns=3, counts=(4, 2), cell=(420, 380), sizes=(170, 340))


def shelf(pictures: list[np.ndarray], known: int, rng: np.random.Generator) -> tuple[np.ndarray, list[Shown]]:
    return _photo("shelf", pictures, known, rng, columns=5, counts=(6, 4), cell=(230, 240), sizes=(150, 210))


def _photo(
    kind: str,
    pictures: list[np.ndarray],
    known: int,
    rng: np.random.Generator,
    *,
    columns: int,
    counts: tuple[int, int],
    cell: tuple[int, int],
    sizes: tuple[int, int],
) -> tuple[np.ndarray, list[Shown]]:
    """Returns a photo of things in two rows, seen at a slant, and what it shows."""
    places = [*rng.permutation(known)[: counts[0]].tolist()]
    places += (known + rng.permutation(len(pictures) - known)[: counts[1]]).tolist()
    canvas = np.full((2 * cell[1], columns * cell[0], 3), rng.integers(120, 220, 3), np.uint8)
    shown = []
    for spot, place in zip(rng.permutation(len(places)).tolist(), places, strict=True):
        picture = pictures[place]
        factor = float(rng.uniform(*sizes)) / max(picture.shape[:2])
        small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        framed = cv2.copyMakeBorder(small, 6, 6, 6, 6, cv2.BORDER_CONSTANT, value=(60, 40, 20))
        rows, width = framed.shape[:2]
        x = spot % columns * cell[0] + int(rng.integers(0, cell[0] - width))
        y = spot // columns * cell[1] + int(rng.integers(0, cell[1] - rows))
        canvas[y : y + rows, x : x + width] = framed
        shown.append((f"{kind}-{place}" if place < known else None, (x + width / 2, y + rows / 2)))
    size = canvas.shape[1], canvas.shape[0]
    corners = np.float32([[0, 0], [size[0], 0], size, [0, size[1]]])
    moved = corners + rng.uniform(0, 0.04, (4, 2)) * size * np.float32([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    slant = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    photo = cv2.warpPerspective(canvas, slant, size, borderMode=cv2.BORDER_REPLICATE)
    noisy = np.clip(photo + rng.normal(0, 4, photo.shape), 0, 255).astype(np.uint8)
    middles = cv2.perspectiveTransform(np.float32([[middle for _, middle in shown]]), slant)[0]
    return noisy, [Shown(name, (x, y)) for (name, _), (x, y) in zip(shown, middles.tolist(), strict=True)]


def measured(collection: Collection, photos: list[tuple[np.ndarray, list[Shown]]]) -> dict[str, float | int]:
    """Returns how many things were shown and found, false answers, and the seconds of a photo.

    ``found by one search`` are the things among the confirmed answers of one ordinary search.
    """
    shown_known = shown_others = found = at_once = false = doubled = 0
    seconds = 0.0
    for photo, shown in photos:
        names = {one.name for one in shown if one.name}
        shown_known, shown_others = shown_known + len(names), shown_others + len(shown) - len(names)
        hits = collection.search(photo, top=20)
        at_once += len(names & {Path(hit.path).stem for hit in hits if hit.verdict == "confirmed"})
        started = time.perf_counter()
        answers = answer_several(collection, Query(photo))
        seconds += time.perf_counter() - started
        seen: set[str] = set()
        for answer in answers:
            box = answer.queries[0].box
            middle = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
            nearest = min(shown, key=lambda one: float(np.linalg.norm(middle - one.middle)))
            name = Path(answer.hits[0].path).stem
            false += name != nearest.name
            doubled += name == nearest.name and name in seen
            seen |= {name} if name == nearest.name else set()
        found += len(seen)
    return {
        "photos": len(photos),
        "things shown": shown_known,
        "strangers shown": shown_others,
        "found by one search": at_once,
        "found": found,
        "false": false,
        "found twice": doubled,
        "seconds a photo": round(seconds / len(photos), 2),
    }


if __name__ == "__main__":
    main()
