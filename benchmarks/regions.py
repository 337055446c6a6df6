"""How much parts of photos gain, by the size of the thing in the photo, and what they cost.

    python benchmarks/regions.py --data FOLDER --work DIR [--things 12] [--json FILE]

Things are products of ``grocery`` and rendered places, pasted into photos of ``sfm`` at 1, 2, 5, 10 and 25 %
of the area, each in a photo of its own. A product is asked by the picture that was pasted, at its own size, a
place by another view. ``first`` is the share whose photo comes first by descriptor alone, ``ten`` that among
the first ten, ``confirmed`` that confirmed by geometry among the first ten found so; ``seconds`` are of
describing the parts of a photo and of a search.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from resight import scenes
from resight.collection import Collection, Query
from resight.collection.regions import GRIDS

SHARES = (0.01, 0.02, 0.05, 0.1, 0.25)
SEED = 21


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--things", type=int, default=12)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    asked = made(arguments.data, arguments.work / "photos", arguments.things)
    collection = Collection.open_or_create(arguments.work / "made.resight", model="sift")
    collection.add(arguments.work / "photos")
    results: dict[str, object] = {"photos": len(collection), "grids": {}}
    for count in (0, *GRIDS):
        started = time.perf_counter()
        collection.add(arguments.work / "photos", regions=2 * collection.model.dim * count)
        seconds = (time.perf_counter() - started) / len(collection)
        found = measured(collection, asked)
        results["grids"][count] = {
            "bytes a photo": 2 * collection.model.dim * count,
            "seconds a photo": round(seconds, 4),
            **found,
        }
        print(count, json.dumps(results["grids"][count]), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))


def made(data: Path, folder: Path, things: int) -> list[tuple[str, str, np.ndarray]]:
    """Returns kind and size, the photo that shows it, and the query of each thing; writes the photos."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    rooms = sorted((data / "sfm").glob("*/**/*.jpg"))
    rooms = [rooms[place] for place in rng.permutation(len(rooms))[: 2 * things * len(SHARES)].tolist()]
    products = sorted((data / "grocery").glob("**/*.jpg"))
    products = [products[place] for place in rng.permutation(len(products))[: things * len(SHARES)].tolist()]
    asked = []
    for number, path in enumerate(rooms):
        share, place = SHARES[number % len(SHARES)], number // 2
        if number % 2:
            kind, thing = "place", Image.fromarray(scenes.render_view(place, 0, seed=SEED, side=480))
            query = scenes.render_view(place, 1, seed=SEED, side=480)
        else:
            kind, thing = "product", Image.open(products[place % len(products)]).convert("RGB")
            query = np.asarray(thing)
        room = Image.open(path).convert("RGB")
        factor = (share * room.width * room.height / (thing.width * thing.height)) ** 0.5
        small = thing.resize((max(int(thing.width * factor), 8), max(int(thing.height * factor), 8)))
        corner = [
            int(rng.integers(0, max(whole - part, 1)))
            for whole, part in zip(room.size, small.size, strict=True)
        ]
        room.paste(small, (corner[0], corner[1]))
        name = f"{number:04d}.jpg"
        if not (folder / name).exists():
            room.save(folder / name, quality=90)
        asked.append((f"{kind} at {share:.0%}", name, query))
    return asked


def measured(collection: Collection, asked: list[tuple[str, str, np.ndarray]]) -> dict[str, object]:
    """Returns the shares of things found, by kind and size, and the seconds of a search."""
    ranks: dict[str, list[int]] = defaultdict(list)
    confirmed: dict[str, int] = defaultdict(int)
    seconds = 0.0
    for kind, name, query in asked:
        answer = collection.answer(Query(query, top=10, verify=0))
        seconds += answer.seconds.search
        names = [Path(hit.path).name for hit in answer.hits]
        ranks[kind].append(names.index(name) if name in names else 99)
        hits = collection.search(query, top=10, verify=10)
        confirmed[kind] += any(Path(hit.path).name == name and hit.verdict == "confirmed" for hit in hits)
    kinds = sorted(ranks, key=lambda kind: (kind.split()[0], float(kind.split()[-1][:-1])))
    return {
        "seconds a search": round(seconds / len(asked), 5),
        "first": {kind: round(float(np.mean(np.array(ranks[kind]) == 0)), 3) for kind in kinds},
        "ten": {kind: round(float(np.mean(np.array(ranks[kind]) < 10)), 3) for kind in kinds},
        "confirmed": {kind: round(confirmed[kind] / len(ranks[kind]), 3) for kind in kinds},
    }


if __name__ == "__main__":
    main()
