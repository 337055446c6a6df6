"""A collection of a million photos: made, indexed, searched, changed, checked.

    python benchmarks/million_photos.py FOLDER [--photos 1000000] [--like PHOTOS] [--json FILE]

The photos are descriptors of rendered views by the model ``sift`` (512 numbers), each repeated with noise as
places, and each place as 20 photos with less noise, so that the nearest photos of a photo are those of its
place. With ``--like`` they are the descriptors of a folder's photos, each repeated with noise. They are
written into a collection in FOLDER as indexing writes them, without local features and files.
Each step has a process of its own, whose time and highest memory are told, and is passed over
where FOLDER has its result already: a run that was ended goes on. `search_curves.py` compares the search of
such a collection with others.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from resight import Collection
    from resight.collection.store import Store

DIM, PLACE, VIEWS, QUERIES, K = 512, 20, 300, 200, 10
BLOCK = 50_000
LIKE = "like.npy"
FAR, NEAR = 0.9, 0.5
"""Lengths of the noise of a place and of a photo of it; descriptors have length 1."""

STEPS = ("make", "build", "search", "cold", "update", "remove", "check")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("--like", type=Path, help="a folder of real photos to repeat with noise")
    parser.add_argument("--only", nargs="+", choices=STEPS, help="steps to run")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.step:
        print(json.dumps(one(arguments.step, arguments.folder, arguments.photos)))
        return
    if arguments.like and not (arguments.folder / LIKE).exists():
        describe(arguments.like, arguments.folder / LIKE)
    for step in STEPS:
        if arguments.only and step not in arguments.only:
            continue
        place = arguments.folder / f"{step}.json"
        if not place.exists():
            line = [sys.executable, __file__, str(arguments.folder), "--step", step]
            line += ["--photos", str(arguments.photos)]
            done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                print(step, "failed", done.returncode, flush=True)
                continue
            place.write_text(done.stdout.strip().splitlines()[-1] + "\n")
        print(step, place.read_text().strip(), flush=True)
    found = {
        step: json.loads((arguments.folder / f"{step}.json").read_text())
        for step in STEPS
        if (arguments.folder / f"{step}.json").exists()
    }
    result = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "photos": arguments.photos,
        **found,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def one(step: str, folder: Path, photos: int) -> dict[str, object]:
    """Returns what a step gives, with its seconds, memory, and the load of the machine."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    found = globals()[step](folder, photos)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        **found,
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, 1),
        "peak_megabytes": round(after.ru_maxrss / 1024),
        "load": round(os.getloadavg()[0], 1),
    }


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def noise(rng: np.random.Generator, rows: np.ndarray, length: float) -> np.ndarray:
    made = rng.standard_normal(rows.shape, dtype=np.float32)
    return unit(rows + made * np.float32(length / np.sqrt(rows.shape[1])))


def views(folder: Path) -> np.ndarray:
    """Returns descriptors of rendered views, made once."""
    from resight import load_model
    from resight.scenes.render import render_view

    place = folder / "views.npy"
    if not place.exists():
        model = load_model("sift")
        rows = [model.describe(render_view(number, 0, seed=11, side=320)) for number in range(VIEWS)]
        np.save(place, np.concatenate(rows))
    return np.load(place)


def describe(photos: Path, place: Path) -> None:
    """Writes descriptors of at most 1000 photos of a folder."""
    from resight import load_model

    paths = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    np.save(place, load_model("sift").describe(paths[:: -(-len(paths) // 1000)]))


def descriptors(folder: Path, photos: int, *, first: int = 0) -> Iterator[np.ndarray]:
    """Yields blocks of halves; the same ones each time."""
    real = (folder / LIKE).exists()
    centres = np.load(folder / LIKE) if real else views(folder)
    for start in range(first, first + photos, BLOCK):
        rng = np.random.default_rng(start)
        count = min(BLOCK, first + photos - start)
        if real:
            yield noise(rng, centres[rng.integers(0, len(centres), count)], NEAR).astype(np.float16)
            continue
        places = noise(rng, centres[rng.integers(0, len(centres), -(-count // PLACE))], FAR)
        yield noise(rng, np.repeat(places, PLACE, axis=0)[:count], NEAR).astype(np.float16)


def collection_path(folder: Path) -> Path:
    return folder / "photos.resight"


def opened(folder: Path) -> Collection:
    from resight import Collection

    return Collection.open(collection_path(folder))


def table(store: Store, numbers: range, halves: np.ndarray) -> pa.Table:
    """Returns rows as indexing writes them, with their checksums."""
    from resight.collection.checksum import CHECKSUM, row_checksums
    from resight.collection.schema import photo_schema

    count = len(numbers)
    hashes = [hashlib.blake2b(str(number).encode(), digest_size=32).digest() for number in numbers]
    columns = {
        "root": pa.array(np.zeros(count, np.int32)),
        "path": pa.array([f"{number // 1000:04d}/{number:08d}.jpg" for number in numbers]),
        "hash": pa.array(hashes, pa.binary()),
        "file_size": pa.array(np.full(count, 100_000), pa.int64()),
        "modified_ns": pa.array(np.arange(count), pa.int64()),
        "width": pa.array(np.full(count, 640, np.int32)),
        "height": pa.array(np.full(count, 480, np.int32)),
        "descriptor": pa.FixedSizeListArray.from_arrays(pa.array(halves.ravel()), DIM),
        "local": pa.nulls(count, pa.large_binary()),
        "broken": pa.nulls(count, pa.string()),
    }
    own = [field for field in photo_schema(store.header.dim) if field.name != CHECKSUM]
    made = pa.Table.from_arrays([columns[field.name] for field in own], schema=pa.schema(own))
    return made.append_column(CHECKSUM, row_checksums(made))


def on_disk(path: Path) -> int:
    files = [file for file in path.rglob("*") if file.is_file()]
    return round(sum(file.stat().st_size for file in files) / 1e6)


def written(folder: Path, blocks: Callable[[Store], None]) -> None:
    """Calls a writer of rows with the store, as indexing does."""
    from resight.collection.writing import writing

    with writing(collection_path(folder), None, timeout=60) as store:
        blocks(store)


def make(folder: Path, photos: int) -> dict[str, object]:
    from dataclasses import replace

    from resight import Collection
    from resight.collection.roots import Root

    shutil.rmtree(collection_path(folder), ignore_errors=True)
    (folder / "files").mkdir(exist_ok=True)
    Collection.create(collection_path(folder), model="sift")

    def rows(store: Store) -> None:
        store.write_header(replace(store.header, roots=(Root(0, str(folder.absolute() / "files"), ""),)))
        start = 0
        for halves in descriptors(folder, photos):
            store.upsert(table(store, range(start, start + len(halves)), halves))
            start += len(halves)

    written(folder, rows)
    return {"disk_megabytes": on_disk(collection_path(folder))}


def build(folder: Path, photos: int) -> dict[str, object]:
    figures = opened(folder).choose_search(
        "auto", progress=lambda done, total: print(done, total, file=sys.stderr)
    )
    index = collection_path(folder) / "search-index"
    head = (index / "head.json").read_text().splitlines()[-1] if index.exists() else "{}"
    return {
        "photos": photos,
        "figures": figures.to_json(),
        "efforts": json.loads(head).get("efforts"),
        "index_megabytes": on_disk(index),
    }


def some_queries(folder: Path, photos: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns descriptors of photos evenly spread, and their numbers."""
    numbers = np.linspace(0, min(photos, BLOCK) - 1, QUERIES).astype(np.int64)
    return next(descriptors(folder, photos))[numbers].astype(np.float32), numbers


def search(folder: Path, photos: int) -> dict[str, object]:
    """One query at a time, by the kept index and exactly, the same answers counted."""
    collection = opened(folder)
    resident = collection._resident
    kept, queries = resident.searched(), some_queries(folder, photos)[0]
    exact = resident.current()
    found, taken = {}, {}
    for name, index in (("kept", kept), ("exact", exact)):
        asked = queries if name == "kept" else queries[:50]
        index.search(asked[:1], K)
        times, rows = [], []
        for query in asked:
            started = time.perf_counter()
            rows.append(index.search(query[None], K).ids[0])
            times.append((time.perf_counter() - started) * 1e3)
        found[name], taken[name] = rows, round(float(np.median(times)), 2)
    same = [
        len(np.intersect1d(one, other)) / K for one, other in zip(found["kept"], found["exact"], strict=False)
    ]
    return {"milliseconds": taken, "recall": round(float(np.mean(same)), 4)}


def cold(folder: Path, photos: int) -> dict[str, object]:
    """`resight search` in processes of their own, from the command to the answers."""
    from PIL import Image

    from resight.scenes.render import render_view

    query = folder / "query.png"
    Image.fromarray(render_view(7, 0, seed=11, side=320)).save(query)
    line = [sys.executable, "-m", "resight", "search", str(collection_path(folder)), str(query), "--json"]
    times = []
    for _ in range(5):
        started = time.perf_counter()
        answer = subprocess.run(line, check=True, capture_output=True, text=True).stdout
        times.append(round(time.perf_counter() - started, 2))
    return {"first": times[0], "times": times, "inside": json.loads(answer)["seconds"], "photos": photos}


def update(folder: Path, photos: int) -> dict[str, object]:
    """One photo in a hundred is described anew, and as many are new."""
    share = photos // 100
    fresh = np.concatenate(list(descriptors(folder, 2 * share, first=10 * photos)))

    def rows(store: Store) -> None:
        store.upsert(table(store, range(share), fresh[:share]))
        store.upsert(table(store, range(photos, photos + share), fresh[share:]))

    written(folder, rows)
    return {"changed": share, "added": share, **found_again(folder, fresh[:50].astype(np.float32))}


def remove(folder: Path, photos: int) -> dict[str, object]:
    """One photo in a hundred, spread over all, is removed."""
    collection = opened(folder)
    before = len(collection)
    gone = range(500, photos, 100)
    paths = [folder.absolute() / "files" / f"{number // 1000:04d}/{number:08d}.jpg" for number in gone]
    collection.remove(paths)
    return {
        "removed": before - len(collection),
        "photos": len(collection),
        "index_megabytes": on_disk(collection_path(folder) / "search-index"),
    }


def check(folder: Path, photos: int) -> dict[str, object]:
    report = opened(folder).check(sample=0)
    return {"rows": report.rows, "problems": report.problems[:5], "notes": len(report.notes), "of": photos}


def found_again(folder: Path, queries: np.ndarray) -> dict[str, object]:
    """Returns the share of descriptors that find themselves first."""
    index = opened(folder)._resident.searched()
    ranking = index.search(queries, 1)
    return {"find_themselves": round(float((ranking.scores[:, 0] > 0.999).mean()), 4)}


if __name__ == "__main__":
    main()
