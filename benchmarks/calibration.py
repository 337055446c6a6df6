"""How likely is "likely"? Probabilities learned on one set of photos, tried on held-out pairs and on others.

    python benchmarks/calibration.py --data FOLDER --work FOLDER [--json FILE] [--queries 60] [--photos 700]

Sets: rendered places (60 of 5 views), the scenes of ``sfm`` (those that share views are one), ``grocery``'s
training classes, and the landmarks of ``oxford`` with its queries and boxes (easy and hard photos show the
landmark, junk ones are left out); of each set but the first, ``--photos`` photos at most. Each query is
searched, the first 100 answers are verified, and its first 20 are pairs. For each set: Brier score and
reliability of the held-out fifths of the queries; of the regressions of the other sets; and of what is
learned without labels, from edited views and geometry.
``base`` is the Brier score of the set's share of right pairs, said of every pair.

What has been described and searched is kept in the work folder, so that the benchmark goes on where it ended.
"""

from __future__ import annotations

import argparse
import csv
import json
import pickle
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from resight import Box, Collection, scenes
from resight.pipelines import calibrate
from resight.pipelines.calibrate import Pair, fit_pairs, held_out
from resight.search.probability import brier_score, reliability

SHARED = {"entry-P10": "fountain-P11", "castle-P30": "fountain-P11"}
PLACES, VIEWS, SEED = 60, 5, 91


def labels_of(name: str, data: Path, work: Path, most: int) -> dict[Path, str]:
    """The thing that each photo of a set shows; empty for ``oxford``, which has truth of another form."""
    if name == "places":
        folder = work / "places"
        folder.mkdir(exist_ok=True)
        photos = {
            folder / f"{place}_{view}.jpg": str(place) for place in range(PLACES) for view in range(VIEWS)
        }
        for path in photos:
            if not path.exists():
                place, view = map(int, path.stem.split("_"))
                pixels = scenes.render_view(place, view, seed=SEED, side=640)
                Image.fromarray(pixels).save(path, quality=90)
        return photos
    if name == "sfm":
        folders = [folder for folder in sorted((data / "sfm").iterdir()) if folder.is_dir()]
        each = max(2, most // len(folders))
        return {p: SHARED.get(f.name, f.name) for f in folders for p in sorted(f.glob("**/*.jpg"))[:each]}
    if name == "grocery":
        with (data / "grocery" / "labels.csv").open(encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
        chosen = np.random.default_rng(0).permutation(len(rows))[:most]
        return {data / "grocery" / rows[n]["path"]: rows[n]["label"] for n in chosen}
    # Landmarks first: their names are not those of the distractors.
    photos = sorted((data / "oxford" / "jpg").glob("*.jpg"), key=lambda p: (p.stem[:7] == "oxford_", p.stem))
    landmarks = [path for path in photos if path.stem[:7] != "oxford_"]
    spread = np.linspace(0, len(landmarks) - 1, min(most * 2 // 3, len(landmarks))).astype(int)
    chosen = [landmarks[place] for place in spread.tolist()]
    return dict.fromkeys([*chosen, *photos[len(landmarks) :]][:most], "")


def collection_of(name: str, photos: dict[Path, str], work: Path) -> Collection:
    place = work / f"{name}.resight"
    collection = Collection.open_or_create(place, model="sift")
    if len(collection) < len(photos) * 0.98:
        values = {str(path): {"label": label} for path, label in photos.items()}
        collection.add(list(photos), metadata=values, workers=1)
    return collection


def oxford_pairs(collection: Collection, data: Path, queries: int) -> Iterator[Pair]:
    truth = json.loads((data / "oxford" / "gnd_oxford995.json").read_text(encoding="utf-8"))
    names = truth["imlist"]
    places = np.linspace(0, len(truth["qimlist"]) - 1, min(queries, len(truth["qimlist"]))).astype(int)
    for number in places.tolist():
        gnd = truth["gnd"][number]
        right = {names[n] for n in [*gnd["easy"], *gnd["hard"]]}
        junk = {names[n] for n in gnd["junk"]}
        query = data / "oxford" / "queries" / f"{truth['qimlist'][number]}.jpg"
        for hit in collection.search(query, box=Box(*gnd["bbx"]), top=calibrate.TOP):
            if Path(hit.path).stem not in junk and Path(hit.path) != query:
                yield Pair(number, hit.similarity, hit.match, Path(hit.path).stem in right)


def pairs_of(name: str, kind: str, data: Path, work: Path, queries: int, most: int) -> list[Pair]:
    """Pairs of a set by truth or by geometry, searched once and kept."""
    kept = work / f"{name}-{kind}-{queries}.pickle"
    if kept.exists():
        return pickle.loads(kept.read_bytes())
    collection = collection_of(name, labels_of(name, data, work, most), work)

    def silent(done: int, total: int) -> None:
        if done % 20 == 0:
            print(name, kind, done, total, flush=True)

    if kind == "geometry":
        pairs = list(calibrate._from_geometry(collection, queries, silent))
    elif name == "oxford":
        pairs = list(oxford_pairs(collection, data, queries))
    else:
        pairs = list(calibrate._from_labels(collection, "label", queries, silent))
    kept.write_bytes(pickle.dumps(pairs))
    return pairs


def scored(probabilities: list[float], pairs: list[Pair]) -> dict[str, object]:
    same = [pair.same for pair in pairs]
    return {
        "brier": round(brier_score(probabilities, same), 4),
        "reliability": [
            [round(p, 3), round(share, 3), n] for p, share, n in reliability(probabilities, same)
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--photos", type=int, default=700)
    parser.add_argument("--sets", default="places,sfm,grocery,oxford")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    names = arguments.sets.split(",")
    options = arguments.data, arguments.work, arguments.queries, arguments.photos
    truth, own = {}, {}
    for name in names:
        truth[name] = pairs_of(name, "truth", *options)
        own[name] = pairs_of(name, "geometry", *options)
    fits = {name: fit_pairs(pairs, "truth") for name, pairs in truth.items()}
    result: dict[str, object] = {}
    for name, pairs in truth.items():
        share = float(np.mean([pair.same for pair in pairs]))
        geometry = fit_pairs(own[name], "geometry")
        everything = fit_pairs([pair for other in names if other != name for pair in truth[other]], "truth")
        plain = [Pair(pair.query, pair.similarity, None, pair.same) for pair in pairs]

        def of(fit: object, pairs: list[Pair] = pairs) -> list[float]:
            return [fit.of(pair.similarity, pair.match) for pair in pairs]

        result[name] = {
            "pairs": len(pairs),
            "right": round(share, 3),
            "base": round(share * (1 - share), 4),
            "fit": asdict(fits[name]),
            "held out": scored(held_out(pairs, "truth"), pairs),
            "held out, similarity alone": scored(held_out(plain, "truth"), plain),
            "learned from geometry": scored(of(geometry), pairs),
            "learned on all others": scored(of(everything), pairs),
            "learned on": {
                other: scored(of(fits[other]), pairs)["brier"] for other in names if other != name
            },
        }
        print(name, json.dumps(result[name]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
