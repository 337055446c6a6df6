"""Makes the tuples that ``tuple_experiments.py`` trains on, of photos whose places it hides, and judges them.

    python benchmarks/tuple_sets.py PLACES SCENES OUT [--groups 20 30] [--json FILE] [--sheet FILE]

PLACES is a folder that ``rendered_places.py`` wrote, of which training photos are taken; SCENES holds a
folder a scene with its photos in ``images``. Under names that say nothing, the photos of all scenes go into
one folder, and those of each group of places into one, and each folder through the pipeline of ``resight
tuples``. The places of each group follow those of the one before. A killed run goes on, and its FILE holds
the groups that are done; their seconds stay those of the run that did them. OUT gets a folder a way of
choosing positives, all of the same 3D models:

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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import accumulate, pairwise, permutations
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
from resight.sfm import (
    PositiveConfig,
    Reconstruction,
    ReconstructionConfig,
    covisibility,
    select_positives,
    write_tables,
)

REAL = TuplesSettings(reconstruction=ReconstructionConfig(max_side=640, features=1500, neighbours=12))
RENDERED = TuplesSettings(reconstruction=ReconstructionConfig(max_side=480, features=1024, neighbours=10))
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
    parser.add_argument("--groups", type=int, nargs="+", default=[20, 30], help="rendered places of each")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    out: Path = arguments.out
    place_of: dict[str, str] = {}
    outcomes = []
    parts: dict[str, dict[str, object]] = (
        json.loads(arguments.json.read_text())["parts"] if arguments.json and arguments.json.exists() else {}
    )
    for name, photos in groups(arguments.places, arguments.scenes, arguments.groups):
        hidden = hide(photos, out / "photos" / name)
        place_of |= hidden
        started = time.process_time()
        settings = REAL if name == "scenes" else RENDERED
        outcome = make_tuples([out / "photos" / name], out / "made" / name, settings, stage=lines)
        outcomes.append(outcome)
        seconds = {"processor_seconds": round(time.process_time() - started, 1)}
        parts[name] = (
            asdict(judged(outcome, hidden))
            | seconds
            | {key: value for key, value in parts.get(name, {}).items() if key.endswith("seconds")}
        )
        print(name, json.dumps(parts[name]), flush=True)
        write({"parts": parts}, arguments.json)
    write_labels(outcomes, place_of, out / "labels")
    write({"parts": parts, "sets": sets(outcomes, out)}, arguments.json)
    if arguments.sheet is not None:
        shown = outcomes[0]
        everything = (shown.reconstruction, shown.pairs, shown.chosen, shown.seconds)
        write_reconstruction(ShownTuples("all scenes", *everything), arguments.sheet)


def write(result: Mapping[str, object], path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def groups(
    places: Path, scenes: Path, counts: Sequence[int]
) -> Iterator[tuple[str, dict[Path, tuple[str, str]]]]:
    """Yields the photos that go into one folder: of each a key for its new name, and its place."""
    yield (
        "scenes",
        {
            photo: (str(photo.relative_to(scenes)), ONE_PLACE.get(scene.name, scene.name))
            for scene in scenes.iterdir()
            if scene.is_dir()
            for photo in (scene / "images").iterdir()
        },
    )
    number_of = {photo: int(photo.name.split("_")[1]) for photo in (places / "train").iterdir()}
    for group, (start, end) in enumerate(pairwise(accumulate(counts, initial=0))):
        chosen = {photo: number for photo, number in number_of.items() if start <= number < end}
        yield f"places-{group}", {photo: (photo.name, f"rendered {n}") for photo, n in chosen.items()}


def hide(photos: Mapping[Path, tuple[str, str]], folder: Path) -> dict[str, str]:
    """Returns the place of each photo by its new name; the photos are then in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    place_of = {}
    for photo, (key, place) in photos.items():
        name = hashlib.sha256(key.encode()).hexdigest()[:12] + photo.suffix
        if not (folder / name).exists():
            shutil.copy(photo, folder / name)
        place_of[name] = place
    return place_of


def together(outcomes: Sequence[TuplesOutcome]) -> Reconstruction:
    """Returns the photos and models of all folders as one."""
    photos: list[Path] = []
    clusters = []
    for outcome in outcomes:
        made = outcome.reconstruction
        clusters += [replace(cluster, photos=cluster.photos + len(photos)) for cluster in made.clusters]
        photos += made.photos
    return Reconstruction(tuple(photos), tuple(clusters))


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


def sets(outcomes: Sequence[TuplesOutcome], out: Path) -> dict[str, int]:
    """Returns the number of tuples of each way; the tables of each are then in a folder of their own."""
    made, described = together(outcomes), {}
    for outcome in outcomes:
        names, descriptors = Collection.open(outcome.folder / "photos.resight").descriptors()
        described |= dict(zip(names, descriptors, strict=True))
    pairs = covisibility(made)
    contents = [hashlib.sha256(photo.read_bytes()).digest() for photo in made.photos]
    copies = np.unique(contents, return_inverse=True)[1].reshape(-1)
    counts = {}
    for way, config in WAYS.items():
        chosen = select_positives(
            pairs,
            made,
            config,
            copies=copies,
            descriptors=np.stack([described[str(photo)] for photo in made.photos]),
        )
        (out / way).mkdir(exist_ok=True)
        write_tables(out / way, made, pairs, chosen, asdict(config))
        counts[way] = len(chosen)
    return counts


def write_labels(outcomes: Sequence[TuplesOutcome], place_of: Mapping[str, str], folder: Path) -> None:
    """Writes what somebody who knows the places would."""
    rows: dict[str, list[str]] = {}
    for photo in together(outcomes).photos:
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
