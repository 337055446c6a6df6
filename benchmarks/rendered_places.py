"""Renders the places that local and global features are trained and judged on: a table and test folders.

    python benchmarks/rendered_places.py OUT

OUT gets
* ``labels.csv``: a table of `resight.datasets.table`: training places of one seed, validation of another.
* ``test-SEED/`` for each test seed, in the folder form of the revisited benchmarks: ``gnd_places.json``,
  ``queries/`` with a view of each place, ``jpg/`` with its other views and photos of places seen once.
* ``test-SEED.csv``: the training places and that test seed's places as a table, first views as queries.
* ``places.json``: seeds, counts and sides.

Seeds are towns: no place, window or texture of one is drawn from the random numbers of another.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from resight.scenes.render import RenderedPhoto, write_collection

COLUMNS = ("path", "label", "label_name", "split", "query", "gallery", "seed", "place", "view")


@dataclass(frozen=True, slots=True)
class Plan:
    """Seeds, counts and long sides (pixels)."""

    train_seed: int = 101
    train_places: int = 500
    train_views: int = 6
    train_side: int = 256
    validation_seed: int = 102
    validation_places: int = 100
    validation_views: int = 5
    test_seeds: tuple[int, ...] = (201, 202, 203)
    test_places: int = 200
    test_views: int = 5
    test_distractors: int = 200
    test_side: int = 320


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table; ``place`` is ``None`` for a photo of a place seen once."""

    path: str
    split: str
    seed: int
    place: int | None
    view: int
    query: bool = True
    gallery: bool = True


def write_places(out: Path, plan: Plan, *, workers: int) -> None:
    started = time.perf_counter()
    train = places(
        out, "train", plan.train_seed, plan.train_places, plan.train_views, plan.train_side, workers=workers
    )
    validation = places(
        out,
        "validation",
        plan.validation_seed,
        plan.validation_places,
        plan.validation_views,
        plan.test_side,
        workers=workers,
    )
    write_table(out / "labels.csv", [*train, *validation])
    print(f"labels.csv after {time.perf_counter() - started:.0f} s", flush=True)
    for seed in plan.test_seeds:
        write_table(out / f"test-{seed}.csv", [*train, *write_test(out, plan, seed, workers=workers)])
        print(f"test-{seed} after {time.perf_counter() - started:.0f} s", flush=True)
    (out / "places.json").write_text(json.dumps(asdict(plan), indent=2) + "\n")


def places(out: Path, split: str, seed: int, count: int, views: int, side: int, *, workers: int) -> list[Row]:
    """Returns the table's rows of a split without distractors, whose photos are then in its folder."""
    photos = write_collection(
        out / split, places=count, views=views, distractors=0, seed=seed, side=side, workers=workers
    )
    return labelled(out, split, seed, photos)


def labelled(out: Path, split: str, seed: int, photos: Sequence[RenderedPhoto]) -> list[Row]:
    return [
        Row(photo.path.relative_to(out).as_posix(), split, seed, photo.place, photo.view) for photo in photos
    ]


def write_test(out: Path, plan: Plan, seed: int, *, workers: int) -> list[Row]:
    """Returns the table's rows of a test seed, whose photos and ground truth are then in its folder."""
    folder = out / f"test-{seed}"
    photos = write_collection(
        folder / "jpg",
        places=plan.test_places,
        views=plan.test_views,
        distractors=plan.test_distractors,
        seed=seed,
        side=plan.test_side,
        workers=workers,
    )
    (folder / "queries").mkdir(exist_ok=True)
    queries, database = [], []
    for photo in photos:
        if photo.place is not None and photo.view == 0:
            queries.append(photo.path.rename(folder / "queries" / photo.path.name))
        else:
            database.append(photo)
    answers = [
        [index for index, photo in enumerate(database) if photo.place == place]
        for place in range(len(queries))
    ]
    truth = {
        "imlist": [photo.path.stem for photo in database],
        "qimlist": [path.stem for path in queries],
        "gnd": [
            {"bbx": whole(path), "easy": easy, "hard": [], "junk": []}
            for path, easy in zip(queries, answers, strict=True)
        ],
    }
    (folder / "gnd_places.json").write_text(json.dumps(truth))
    rows = [
        Row(path.relative_to(out).as_posix(), "test", seed, place, 0, gallery=False)
        for place, path in enumerate(queries)
    ]
    return rows + [
        Row(photo.path.relative_to(out).as_posix(), "test", seed, photo.place, photo.view, query=False)
        for photo in database
    ]


def whole(path: Path) -> list[float]:
    with Image.open(path) as photo:
        return [0.0, 0.0, float(photo.width), float(photo.height)]


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Writes labels as numbers, places in order of their rows; each place seen once is a label of its own."""
    numbers: dict[str, int] = {}
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            name = f"{row.seed} place {row.place}" if row.place is not None else f"once {row.path}"
            label = numbers.setdefault(name, len(numbers))
            place = "" if row.place is None else row.place
            roles = ("", "") if row.split == "train" else (int(row.query), int(row.gallery))
            writer.writerow((row.path, label, name, row.split, *roles, row.seed, place, row.view))


def main() -> None:
    usual = Plan()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--train-places", type=int, default=usual.train_places)
    parser.add_argument("--train-views", type=int, default=usual.train_views)
    parser.add_argument("--train-side", type=int, default=usual.train_side)
    parser.add_argument("--validation-places", type=int, default=usual.validation_places)
    parser.add_argument("--test-seeds", type=int, nargs="*", default=usual.test_seeds)
    parser.add_argument("--test-places", type=int, default=usual.test_places)
    parser.add_argument("--test-distractors", type=int, default=usual.test_distractors)
    parser.add_argument("--test-side", type=int, default=usual.test_side)
    parser.add_argument("--workers", type=int, default=2, help="threads")
    options = parser.parse_args()
    plan = Plan(
        train_places=options.train_places,
        train_views=options.train_views,
        train_side=options.train_side,
        validation_places=options.validation_places,
        test_seeds=tuple(options.test_seeds),
        test_places=options.test_places,
        test_distractors=options.test_distractors,
        test_side=options.test_side,
    )
    write_places(options.out, plan, workers=options.workers)


if __name__ == "__main__":
    main()
