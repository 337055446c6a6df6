"""A collection of a million photos: made, indexed, searched, changed, checked; its search beside others.

    python benchmarks/million_photos.py FOLDER [--photos 1000000] [--peers 1000000] [--json FILE]

The photos are descriptors of rendered views by the model ``sift`` (512 numbers), each repeated with noise as
places, and each place as 20 photos with less noise, so that the nearest photos of a photo are those of its
place. They are written into a collection in FOLDER as indexing writes them, without local features and files.
Each step has a process of its own, whose time and highest memory are told, and is passed over
where FOLDER has its result already: a run that was ended goes on.

The peers are given the same descriptors and queries: hnswlib, usearch, FAISS alone (HNSW and IVF) and Lance's
own index (IVF_HNSW_SQ, IVF_PQ); for each, its time to build and a curve of recall of the ten nearest against
queries a second, one query at a time in one thread. What is not part of Resight is brought by
`pip install --constraint constraints.txt hnswlib usearch`.
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
FAR, NEAR = 0.9, 0.5
"""Lengths of the noise of a place and of a photo of it; descriptors have length 1."""

Run = Callable[[int], Callable[[np.ndarray], np.ndarray]]
"""Takes a setting and returns what takes a query and returns ids."""

STEPS = ("make", "build", "search", "cold", "update", "remove", "check")
PEERS = ("resight", "faiss-ivf-sq8", "lance-ivf-pq", "lance-ivf-hnsw-sq", "hnswlib", "usearch", "faiss-hnsw")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("--peers", type=int, default=1_000_000, help="rows of the comparison; 0 for none")
    parser.add_argument("--only", nargs="+", help="steps and peers to run")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.step:
        print(json.dumps(one(arguments.step, arguments.folder, arguments.photos, arguments.peers)))
        return
    wanted = (*STEPS, *(PEERS if arguments.peers else ()))
    for step in wanted:
        if arguments.only and step not in arguments.only:
            continue
        place = arguments.folder / f"{step}.json"
        if not place.exists():
            line = [sys.executable, __file__, str(arguments.folder), "--step", step]
            line += ["--photos", str(arguments.photos), "--peers", str(arguments.peers)]
            done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                print(step, "failed", done.returncode, flush=True)
                continue
            place.write_text(done.stdout.strip().splitlines()[-1] + "\n")
        print(step, place.read_text().strip(), flush=True)
    found = {
        step: json.loads((arguments.folder / f"{step}.json").read_text())
        for step in wanted
        if (arguments.folder / f"{step}.json").exists()
    }
    result = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "photos": arguments.photos,
        "peers": arguments.peers,
        **found,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def one(step: str, folder: Path, photos: int, peers: int) -> dict[str, object]:
    """Returns what a step or a peer gives, with its seconds, memory, and the load of the machine."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    found = globals()[step](folder, photos) if step in STEPS else peer(step, folder, peers)
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


def descriptors(folder: Path, photos: int, *, first: int = 0) -> Iterator[np.ndarray]:
    """Yields blocks of halves; the same ones each time."""
    centres = views(folder)
    for start in range(first, first + photos, BLOCK):
        rng = np.random.default_rng(start)
        count = min(BLOCK, first + photos - start)
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


def say(done: int, total: int) -> None:
    print(done, "of", total, file=sys.stderr, flush=True)


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


def truth(folder: Path, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns all rows as halves, queries with noise, and their true neighbours by the exact scan."""
    from resight.search import ExactIndex

    whole = np.concatenate(list(descriptors(folder, rows)))
    rng = np.random.default_rng(1)
    queries = noise(rng, whole[rng.choice(rows, QUERIES, replace=False)].astype(np.float32), NEAR)
    place = folder / f"truth-{rows}.npy"
    if not place.exists():
        exact = ExactIndex(DIM, fingerprint="benchmark")
        exact.add(np.arange(rows), whole)
        np.save(place, exact.search(queries, K).ids)
    return whole, queries, np.load(place)


def curve(
    settings: list[int],
    run: Callable[[int], Callable[[np.ndarray], np.ndarray]],
    queries: np.ndarray,
    true: np.ndarray,
) -> list[list[float]]:
    """Returns setting, recall of the ten nearest, and queries a second, one at a time."""
    points = []
    for setting in settings:
        ask = run(setting)
        ask(queries[:1])
        started = time.perf_counter()
        rows = [ask(query[None]) for query in queries]
        seconds = time.perf_counter() - started
        hits = [len(np.intersect1d(row.ravel(), own)) for row, own in zip(rows, true, strict=True)]
        points.append([setting, round(sum(hits) / true.size, 4), round(len(queries) / seconds, 1)])
    return points


def peer(name: str, folder: Path, rows: int) -> dict[str, object]:
    import faiss

    faiss.omp_set_num_threads(1)
    whole, queries, true = truth(folder, rows)
    started = time.perf_counter()
    run, settings = PEER[name](folder, whole)
    built = round(time.perf_counter() - started, 1)
    return {"rows": rows, "build_seconds": built, "curve": curve(settings, run, queries, true)}


def _faiss(whole: np.ndarray, words: str, name: str, settings: list[int]) -> tuple[Run, list[int]]:
    import faiss

    index = faiss.index_factory(DIM, words, faiss.METRIC_INNER_PRODUCT)
    index.train(whole[:: max(1, len(whole) // 131_072)].astype(np.float32))
    for start in range(0, len(whole), BLOCK):
        index.add(whole[start : start + BLOCK].astype(np.float32))

    def run(setting: int) -> Callable[[np.ndarray], np.ndarray]:
        faiss.ParameterSpace().set_index_parameter(index, name, setting)
        return lambda query: index.search(query, K)[1]

    return run, settings


def _hnswlib(_: Path, whole: np.ndarray) -> tuple[Run, list[int]]:
    import hnswlib

    index = hnswlib.Index("ip", DIM)
    index.init_index(len(whole), M=16, ef_construction=100)
    for start in range(0, len(whole), BLOCK):
        index.add_items(whole[start : start + BLOCK].astype(np.float32), num_threads=1)

    def run(setting: int) -> Callable[[np.ndarray], np.ndarray]:
        index.set_ef(setting)
        return lambda query: index.knn_query(query, K, num_threads=1)[0]

    return run, [10, 20, 40, 80, 160, 320, 640]


def _usearch(_: Path, whole: np.ndarray) -> tuple[Run, list[int]]:
    from usearch.index import Index

    index = Index(ndim=DIM, metric="ip", dtype="f16", connectivity=16, expansion_add=100)
    for start in range(0, len(whole), BLOCK):
        rows = whole[start : start + BLOCK]
        index.add(np.arange(start, start + len(rows)), rows, threads=1)

    def run(setting: int) -> Callable[[np.ndarray], np.ndarray]:
        index.expansion_search = setting
        return lambda query: index.search(query[0].astype(np.float16), K, threads=1).keys

    return run, [10, 20, 40, 80, 160, 320, 640]


def _lance(folder: Path, whole: np.ndarray, kind: str) -> tuple[Run, list[int]]:
    import lance

    place = folder / f"peer-{kind}.lance"
    shutil.rmtree(place, ignore_errors=True)
    schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float16(), DIM))])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(whole), 8192):
            rows = whole[start : start + 8192]
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), DIM)
            yield pa.RecordBatch.from_arrays(
                [pa.array(np.arange(start, start + len(rows))), vectors], schema=schema
            )

    dataset = lance.write_dataset(batches(), place, schema=schema)
    partitions = max(1, round(np.sqrt(len(whole))))
    more = {"num_sub_vectors": DIM // 8} if kind == "IVF_PQ" else {}
    dataset.create_index("vector", kind, metric="dot", num_partitions=partitions, **more)
    dataset = lance.dataset(place)

    def run(setting: int) -> Callable[[np.ndarray], np.ndarray]:
        def ask(query: np.ndarray) -> np.ndarray:
            nearest = {"column": "vector", "q": query[0], "k": K, "nprobes": setting, "refine_factor": 4}
            return dataset.to_table(columns=["id"], nearest=nearest)["id"].to_numpy()

        return ask

    return run, [1, 4, 16, 64, 256]


def _resight(folder: Path, whole: np.ndarray) -> tuple[Run, list[int]]:
    from resight.search.approximate.building import build as built
    from resight.search.approximate.index import ApproximateIndex, Effort
    from resight.search.approximate.part import Part
    from resight.search.index import SearchChoice

    place = folder / "peer-resight"
    place.mkdir(exist_ok=True)

    def rows() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(whole), 8192):
            yield np.arange(start, min(start + 8192, len(whole))), whole[start : start + 8192]

    choice = SearchChoice("auto")
    made = built(place / "00000000", rows, len(whole), DIM, choice, fingerprint="peer", progress=say)
    print(made.figures, made.efforts, file=sys.stderr)
    part = Part.open(place / "00000000", made.codes, len(whole))
    part.check(np.arange(made.codes.lists))
    index = ApproximateIndex(made.codes, [part], [], fingerprint="peer")

    def run(setting: int) -> Callable[[np.ndarray], np.ndarray]:
        index.efforts = [Effort(K, setting, made.efforts[0].shortlist)]
        return lambda query: index.search(query, K).ids

    return run, [1, 2, 4, 8, 16, 32, 64, 128, 256]


WIDTHS, PROBES = [10, 20, 40, 80, 160, 320, 640], [1, 2, 4, 8, 16, 32, 64, 128, 256]


def _ivf(_: Path, whole: np.ndarray) -> tuple[Run, list[int]]:
    lists = 2 ** round(np.log2(4 * np.sqrt(len(whole))))
    return _faiss(whole, f"IVF{lists},SQ8", "nprobe", PROBES)


PEER = {
    "faiss-ivf-sq8": _ivf,
    "faiss-hnsw": lambda _, whole: _faiss(whole, "HNSW16,SQfp16", "efSearch", WIDTHS),
    "hnswlib": _hnswlib,
    "usearch": _usearch,
    "lance-ivf-pq": lambda folder, whole: _lance(folder, whole, "IVF_PQ"),
    "lance-ivf-hnsw-sq": lambda folder, whole: _lance(folder, whole, "IVF_HNSW_SQ"),
    "resight": _resight,
}

if __name__ == "__main__":
    main()
