"""Makes the tuples that ``tuple_experiments.py`` trains on, of photos whose places it hides, and judges them.

    python benchmarks/tuple_sets.py PLACES SCENES OUT [--json FILE] [--sheet FILE]

PLACES is a folder that ``rendered_places.py`` wrote, of which the training photos are taken; SCENES holds a
folder a scene with its photos in ``images``. All photos go into one folder under names that say nothing, and
through the pipeline of ``resight tuples`` at 480 pixels, 1024 keypoints, 10 neighbours. A killed run goes on.
OUT gets a folder a way of choosing positives, all of the same 3D models:

* ``random``, ``most_points``, ``nearest``: the three of the paper, with the defaults of ``resight tuples``;
* ``any``: every photo of the model that sees a point with the query;
* ``labels``: no models; every two photos of one place, by the truth.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from reconstruction import ONE_PLACE, judged

from resight.collection import Collection
from resight.datasets.tuples import PHOTOS, TUPLES
from resight.files import Progress
from resight.pipelines.tuples import TuplesOutcome, TuplesSettings, make_tuples
from resight.reports.reconstruction import ShownTuples, write_reconstruction
from resight.sfm import PositiveConfig, ReconstructionConfig, select_positives, write_tables

SETTINGS = TuplesSettings(reconstruction=ReconstructionConfig(max_side=480, features=1024, neighbours=10))
WAYS = {
    "random": PositiveConfig(),
    "most_points": PositiveConfig(way="most_points"),
    "nearest": PositiveConfig(way="nearest"),
    "any": PositiveConfig(least_points=1, least_overlap=0.0, largest_scale=1e9, largest_angle=180.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("places", type=Path)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=int, help="only so many of the rendered places")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    out: Path = arguments.out
    place_of = hidden(arguments.places, arguments.scenes, out / "photos", arguments.limit)
    started = time.process_time()
    outcome = make_tuples([out / "photos"], out / "made", SETTINGS, stage=lines)
    result = asdict(judged(outcome, place_of)) | {"cpu_seconds": round(time.process_time() - started, 1)}
    result |= {"sets": sets(outcome, out)}
    write_labels(outcome, place_of, out / "labels")
    print(json.dumps(result, indent=2))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if arguments.sheet is not None:
        parts = (outcome.reconstruction, outcome.pairs, outcome.chosen, outcome.seconds)
        write_reconstruction(ShownTuples("rendered places and scenes", *parts), arguments.sheet)


def hidden(places: Path, scenes: Path, folder: Path, limit: int | None) -> dict[str, str]:
    """Returns the place of each photo by its new name; the photos are then in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    place_of = {}
    rendered = [(photo, f"rendered {photo.name.split('_')[1]}") for photo in (places / "train").iterdir()]
    real = [
        (photo, ONE_PLACE.get(scene.name, scene.name))
        for scene in scenes.iterdir()
        if scene.is_dir()
        for photo in (scene / "images").iterdir()
    ]
    if limit is not None:
        rendered = [each for each in rendered if int(each[1].split()[1]) < limit]
    for photo, place in sorted(rendered) + sorted(real):
        key = f"{photo.parent.parent.name}/{photo.name}"
        name = hashlib.sha256(key.encode()).hexdigest()[:16] + photo.suffix
        if not (folder / name).exists():
            shutil.copy(photo, folder / name)
        place_of[name] = place
    return place_of


@contextmanager
def lines(title: str, unit: str) -> Iterator[Progress]:
    """Prints how far a stage is, once a minute."""
    started = said = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said > 60 or done == total:
            said = time.monotonic()
            print(f"{title}: {done} of {total} {unit} after {said - started:.0f} s", file=sys.stderr)

    yield report


def sets(outcome: TuplesOutcome, out: Path) -> dict[str, int]:
    """Returns the number of tuples of each way; the tables of each are then in a folder of their own."""
    photos = outcome.reconstruction.photos
    names, descriptors = Collection.open(outcome.folder / "photos.resight").descriptors()
    row_of = {name: row for row, name in enumerate(names)}
    described = descriptors[[row_of[str(photo)] for photo in photos]]
    contents = [hashlib.sha256(photo.read_bytes()).digest() for photo in photos]
    copies = np.unique(contents, return_inverse=True)[1].reshape(-1)
    counts = {}
    for way, config in WAYS.items():
        chosen = select_positives(
            outcome.pairs, outcome.reconstruction, config, copies=copies, descriptors=described
        )
        (out / way).mkdir(exist_ok=True)
        write_tables(out / way, outcome.reconstruction, outcome.pairs, chosen, asdict(config))
        counts[way] = len(chosen)
    return counts


def write_labels(outcome: TuplesOutcome, place_of: Mapping[str, str], folder: Path) -> None:
    """Writes what somebody who knows the places would."""
    rows: dict[str, list[str]] = {}
    for photo in outcome.reconstruction.photos:
        rows.setdefault(place_of[photo.name], []).append(str(photo))
    clusters = {place: number for number, place in enumerate(sorted(rows))}
    photos = [photo for members in rows.values() for photo in members]
    numbers = [clusters[place] for place, members in rows.items() for _ in members]
    pairs = [pair for members in rows.values() for pair in permutations(members, 2)]
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"photo": photos, "cluster": numbers}), folder / PHOTOS)
    sides = {"query": [query for query, _ in pairs], "positive": [positive for _, positive in pairs]}
    pq.write_table(pa.table(sides), folder / TUPLES)


if __name__ == "__main__":
    main()
