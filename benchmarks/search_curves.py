"""Recall against queries a second: the index of a collection beside others on its descriptors, in one run.

    python benchmarks/million_photos.py FOLDER --photos 100000 --only make build
    python benchmarks/search_curves.py FOLDER/photos.resight WORK [--rounds 3] [--json FILE] [--svg FILE]

The collection has an approximate index (`resight index ... --search-index auto`). Its descriptors are given
to hnswlib, usearch, FAISS alone (HNSW, and IVF with a byte a number) and Lance's own indexes (IVF_HNSW_SQ,
IVF_PQ). Queries are descriptors of the collection with noise, one at a time in one thread; recall is the
share of the true ten nearest that is found. Each index is built once, in a process of its own with one
thread, and kept in WORK; one that takes longer than `--build-seconds` is left out, and said to be. Then the
curves are measured in rounds, all indexes in turns, each in a fresh process; queries a second are the
median of the rounds. `--timed-only` measures those that are built; `curve_drawing.py` draws what is in
``results``. What is not part of Resight is brought by `pip install --constraint constraints.txt hnswlib
usearch`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from curve_drawing import drawn_result, table

K, QUERIES, BLOCK = 10, 200, 50_000
NOISE = 0.5
"""Length of the noise of a query; descriptors have length 1."""

ENOUGH = 0.999
"""Recall from which more effort, which is only slower, is not measured."""

WIDTHS, PROBES, FEWER_PROBES = (
    (10, 20, 40, 80, 160, 320, 640),
    (1, 2, 4, 8, 16, 32, 64, 128, 256),
    (1, 4, 16, 64, 256),
)
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LANCE_CPU_THREADS"), "1"
)

Ask = Callable[[np.ndarray], np.ndarray]
"""Takes queries, one a row, and returns ids of the ten nearest."""
Run = Callable[[int], Ask]
"""Takes a setting and returns what takes queries."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Descriptors as halves, mapped, and their ids, which rise."""

    halves: np.ndarray
    ids: np.ndarray

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields ids and descriptors as halves."""
        for start in range(0, len(self.ids), BLOCK):
            yield self.ids[start : start + BLOCK], self.halves[start : start + BLOCK]


@dataclass(frozen=True, slots=True)
class Peer:
    """An index: what writes it into a folder, what opens it, and the settings of its curve."""

    build: Callable[[Rows, Path], None]
    open: Callable[[Path, int], Run]
    settings: tuple[int, ...]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("collection", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", nargs="+", choices=["resight", *PEERS], help="indexes to measure")
    parser.add_argument("--rounds", type=int, default=3, help="0 to build alone")
    parser.add_argument("--timed-only", action="store_true", help="build nothing")
    parser.add_argument("--build-seconds", type=float, default=3600)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(one(arguments.step, arguments.collection, arguments.work)))
        return
    arguments.work.mkdir(parents=True, exist_ok=True)
    names = arguments.only or ["resight", *PEERS]
    step = partial(in_a_process, arguments.collection, arguments.work)
    for name in () if arguments.timed_only else ("rows", *names):
        place = arguments.work / f"{name}.json"
        if name != "resight" and not place.exists():
            place.write_text(json.dumps(step(f"build {name}", arguments.build_seconds)) + "\n")
            print(name, place.read_text(), flush=True)
    built = {
        name: json.loads(place.read_text())
        for name in names
        if (place := arguments.work / f"{name}.json").exists()
    }
    timed = [name for name in names if name == "resight" or "build_seconds" in built.get(name, ())]
    rounds: dict[str, list[dict[str, list[list[float]]]]] = {name: [] for name in timed}
    loads = []
    for _ in range(arguments.rounds):
        for name in timed:
            loads.append(os.getloadavg()[0])
            rounds[name].append(step(f"time {name}", None))
            print(name, json.dumps(rounds[name][-1]), flush=True)
    result = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "rows": len(np.load(arguments.work / "ids.npy", mmap_mode="r")),
        "rounds": arguments.rounds,
        "loads": [round(load, 1) for load in loads],
        "indexes": {name: {**built.get(name, {}), **middle(rounds.get(name, []))} for name in names},
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))
    if arguments.svg:
        arguments.svg.write_text(drawn_result(result), encoding="utf-8")


def in_a_process(collection: Path, work: Path, step: str, seconds: float | None) -> dict[str, object]:
    """Returns what a step prints, or that it took too long or failed."""
    line = [sys.executable, __file__, str(collection), str(work), "--step", step]
    environment = {**os.environ, **ONE_THREAD}
    try:
        done = subprocess.run(
            line, env=environment, stdout=subprocess.PIPE, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return {"stopped_after_seconds": seconds}
    if done.returncode:
        return {"failed": done.returncode}
    return json.loads(done.stdout.strip().splitlines()[-1])


def middle(rounds: list[dict[str, list[list[float]]]]) -> dict[str, object]:
    """Returns the curve of some rounds: setting, recall, and the median of the queries a second."""
    if not rounds:
        return {}
    points = zip(*(one["curve"] for one in rounds), strict=True)
    curve = [[*same[0][:2], round(statistics.median(point[2] for point in same), 1)] for same in points]
    return {**rounds[0], "curve": curve}


def one(step: str, collection: Path, work: Path) -> dict[str, object]:
    """Returns what a step gives: the time and memory of building, or a curve."""
    what, name = step.split()
    started = time.perf_counter()
    if what == "time":
        return timed(name, collection, work)
    if name == "rows":
        write_rows(collection, work)
    else:
        shutil.rmtree(work / name, ignore_errors=True)
        (work / name).mkdir()
        PEERS[name].build(
            Rows(np.load(work / "rows.npy", mmap_mode="r"), np.load(work / "ids.npy")), work / name
        )
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "build_seconds": round(time.perf_counter() - started, 1),
        "build_processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_megabytes": round(used.ru_maxrss / 1024),
        "megabytes": round(
            sum(file.stat().st_size for file in (work / name).rglob("*") if file.is_file()) / 1e6
        ),
        "load": round(os.getloadavg()[0], 1),
    }


def write_rows(collection: Path, work: Path) -> None:
    """Writes the descriptors of a collection, queries with noise, and the ids of their true neighbours."""
    from resight import Collection

    exact = Collection.open(collection)._resident.current()
    ids = np.sort(exact.ids)
    halves = np.lib.format.open_memmap(work / "rows.npy", "w+", np.float16, (len(ids), exact.dim))
    for start in range(0, len(ids), BLOCK):
        halves[start : start + BLOCK] = exact.descriptors(ids[start : start + BLOCK])
    rng = np.random.default_rng(1)
    queries = halves[np.sort(rng.choice(len(ids), QUERIES, replace=False))].astype(np.float32)
    queries += rng.standard_normal(queries.shape, dtype=np.float32) * np.float32(NOISE / np.sqrt(exact.dim))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    np.save(work / "ids.npy", ids)
    np.save(work / "queries.npy", queries)
    np.save(work / "truth.npy", exact.search(queries, K).ids)


def timed(name: str, collection: Path, work: Path) -> dict[str, object]:
    """Returns the curve of an index: setting, recall, queries a second."""
    import faiss

    faiss.omp_set_num_threads(1)
    queries, true = np.load(work / "queries.npy"), np.load(work / "truth.npy")
    found: dict[str, object] = {}
    if name == "resight":
        run, settings, found = ours(collection)
    else:
        run, settings = PEERS[name].open(work / name, queries.shape[1]), PEERS[name].settings
    points = []
    for setting in settings:
        ask = run(setting)
        ask(queries[:1])
        started = time.perf_counter()
        rows = [ask(query[None]) for query in queries]
        seconds = time.perf_counter() - started
        hits = [len(np.intersect1d(row.ravel(), own)) for row, own in zip(rows, true, strict=True)]
        points.append([setting, round(sum(hits) / true.size, 4), round(len(queries) / seconds, 1)])
        if points[-1][1] >= ENOUGH:
            break
    return {**found, "curve": points}


def ours(collection: Path) -> tuple[Run, tuple[int, ...], dict[str, object]]:
    """Returns the index of the collection, and which of its settings it has chosen for itself."""
    from resight import Collection
    from resight.search.approximate.index import ApproximateIndex

    index = Collection.open(collection)._resident.searched()
    if not isinstance(index, ApproximateIndex):
        raise SystemExit(
            f"{collection} has no approximate index: resight index {collection} --search-index auto"
        )
    for part in index.parts:
        part.check(np.arange(index.codes.lists))
    chosen = index.efforts[0]

    def run(setting: int) -> Ask:
        index.efforts[0] = replace(chosen, probes=setting)
        return lambda queries: index.search(queries, K).ids

    # What `million_photos.py` has told of building it.
    told = collection.with_name("build.json")
    built = json.loads(told.read_text()) if told.exists() else {}
    names = {"processor_seconds": "build_processor_seconds", "index_megabytes": "megabytes"}
    made = {ours: built[theirs] for theirs, ours in names.items() if theirs in built}
    return run, PROBES, {"kind": index.codes.kind, "chosen": chosen.probes, **made}


def build_faiss(words: str, rows: Rows, folder: Path) -> None:
    import faiss

    words = words.replace("LISTS", str(2 ** round(np.log2(4 * np.sqrt(len(rows.ids))))))
    index = faiss.index_factory(rows.halves.shape[1], words, faiss.METRIC_INNER_PRODUCT)
    index.train(rows.halves[:: max(1, len(rows.ids) // 131_072)].astype(np.float32))
    for ids, halves in rows.blocks():
        index.add_with_ids(halves.astype(np.float32), ids)
    faiss.write_index(index, str(folder / "index.faiss"))


def open_faiss(setting_name: str, folder: Path, _: int) -> Run:
    import faiss

    index = faiss.read_index(str(folder / "index.faiss"))

    def run(setting: int) -> Ask:
        faiss.ParameterSpace().set_index_parameter(index, setting_name, setting)
        return lambda queries: index.search(queries, K)[1]

    return run


def build_hnswlib(rows: Rows, folder: Path) -> None:
    import hnswlib

    index = hnswlib.Index("ip", rows.halves.shape[1])
    index.init_index(len(rows.ids), M=16, ef_construction=100)
    for ids, halves in rows.blocks():
        index.add_items(halves.astype(np.float32), ids, num_threads=1)
    index.save_index(str(folder / "index.hnsw"))


def open_hnswlib(folder: Path, dim: int) -> Run:
    import hnswlib

    index = hnswlib.Index("ip", dim)
    index.load_index(str(folder / "index.hnsw"))

    def run(setting: int) -> Ask:
        index.set_ef(setting)
        return lambda queries: index.knn_query(queries, K, num_threads=1)[0]

    return run


def build_usearch(rows: Rows, folder: Path) -> None:
    from usearch.index import Index

    index = Index(ndim=rows.halves.shape[1], metric="ip", dtype="f16", connectivity=16, expansion_add=100)
    for ids, halves in rows.blocks():
        index.add(ids, np.ascontiguousarray(halves), threads=1)
    index.save(str(folder / "index.usearch"))


def open_usearch(folder: Path, _: int) -> Run:
    from usearch.index import Index

    index = Index.restore(str(folder / "index.usearch"))

    def run(setting: int) -> Ask:
        index.expansion_search = setting
        return lambda queries: index.search(queries[0].astype(np.float16), K, threads=1).keys

    return run


def build_lance(kind: str, rows: Rows, folder: Path) -> None:
    import lance

    dim = rows.halves.shape[1]
    schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float16(), dim))])

    def batches() -> Iterator[pa.RecordBatch]:
        for ids, halves in rows.blocks():
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(halves.ravel()), dim)
            yield pa.RecordBatch.from_arrays([pa.array(ids), vectors], schema=schema)

    dataset = lance.write_dataset(batches(), folder / "rows.lance", schema=schema)
    more = {"num_sub_vectors": dim // 8} if kind == "IVF_PQ" else {}
    dataset.create_index(
        "vector", kind, metric="dot", num_partitions=max(1, round(np.sqrt(len(rows.ids)))), **more
    )


def open_lance(folder: Path, _: int) -> Run:
    import lance

    dataset = lance.dataset(folder / "rows.lance")

    def run(setting: int) -> Ask:
        def ask(queries: np.ndarray) -> np.ndarray:
            nearest = {"column": "vector", "q": queries[0], "k": K, "nprobes": setting, "refine_factor": 4}
            return dataset.to_table(columns=["id"], nearest=nearest)["id"].to_numpy()

        return ask

    return run


PEERS = {
    "faiss-ivf-sq8": Peer(partial(build_faiss, "IVFLISTS,SQ8"), partial(open_faiss, "nprobe"), PROBES),
    "hnswlib": Peer(build_hnswlib, open_hnswlib, WIDTHS),
    "usearch": Peer(build_usearch, open_usearch, WIDTHS),
    "lance-ivf-pq": Peer(partial(build_lance, "IVF_PQ"), open_lance, FEWER_PROBES),
    "faiss-hnsw": Peer(partial(build_faiss, "IDMap2,HNSW16,SQfp16"), partial(open_faiss, "efSearch"), WIDTHS),
    "lance-ivf-hnsw-sq": Peer(partial(build_lance, "IVF_HNSW_SQ"), open_lance, FEWER_PROBES),
}

if __name__ == "__main__":
    main()
