"""How much does a server cost, and what does it gain? Searches over HTTP beside bare calls of the library.

    python benchmarks/serve_load.py --work FOLDER [--photos 100000] [--seconds 5] [--json FILE]
    python benchmarks/serve_load.py --work FOLDER --only memory --photos 3000 --side 96 --json FILE

The collection holds 90 rendered photos of ``--side`` pixels, which are the queries, and random descriptors up
to ``--photos``. The server runs in a process of its own, as anybody's does. What has been measured is written
after each part, so that a run that is stopped leaves what it has.

``added``: one search after the other, a bare call and a request in turn, so that whatever else the machine
does hits both alike: milliseconds of the clock, and of the processors, which other work does not change.
``connections``: searches a second and percentiles of latency in milliseconds, from 1 to 64 connections,
without and with verification of 10 answers.
``batching``: searches a second at 32 connections, with one scan for all that wait and with a scan for each,
in turn: of photos that are described each time, and of photos that the server remembers.
``memory``: resident megabytes of the server while it answers ``--requests``, every fifth of them
verified, over eight connections.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from resight import Collection, Query
from resight.collection.roots import Key
from resight.collection.schema import Row, rows_table
from resight.collection.writing import writing
from resight.scenes import write_collection

PLACES, VIEWS, SIDE, BLOCK = 30, 3, 240, 4096
PARTS = ("added", "batching", "connections", "memory")
CONNECTIONS = (1, 2, 4, 8, 16, 32, 64)
VERIFIED = 10


def made(work: Path, photos: int, side: int = SIDE) -> tuple[Collection, list[bytes]]:
    """The collection, filled up with rows of random descriptors, and its queries."""
    folder, place = work / f"photos-{side}", work / f"{photos}-{side}.resight"
    if not folder.exists():
        write_collection(folder, places=PLACES, views=VIEWS, distractors=0, side=side)
    files = sorted(folder.glob("*.jpg"))
    collection = Collection.open_or_create(place, model="sift")
    if len(collection) < photos:
        collection.add(folder)
        rng, dim = np.random.default_rng(0), collection.model.dim
        with writing(place, collection.model, timeout=10) as store:
            for start in range(0, photos - len(files), BLOCK):
                count = min(BLOCK, photos - len(files) - start)
                rows = rng.normal(size=(count, dim))
                rows /= np.linalg.norm(rows, axis=1, keepdims=True)
                store.upsert(rows_table([synthetic(start + n, row) for n, row in enumerate(rows)], dim))
            store.compact()
    return collection, [path.read_bytes() for path in files]


def synthetic(number: int, descriptor: np.ndarray) -> Row:
    """A photo that is in no folder, with a descriptor that is like no other."""
    key = Key(0, f"synthetic/{number:07d}.jpg")
    return Row(key, number.to_bytes(16, "big"), 1, 1, 640, 480, descriptor.astype(np.float16), None, None)


@contextmanager
def serving(collection: Collection, work: Path, *options: str) -> Iterator[tuple[int, psutil.Process]]:
    line = [sys.executable, "-m", "resight", "serve", str(collection.path), "--port", "0", *options]
    process = subprocess.Popen(
        [*line, "--cache", str(work / "cache")], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    try:
        first = process.stdout.readline()
        yield int(first.rstrip().rstrip("/").rpartition(":")[2]), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def search(self, photo: bytes | int, verify: int) -> int:
        """The status of a search with a photo, or with the number of one of the collection."""
        if isinstance(photo, bytes):
            parts = [b'--b\r\nContent-Disposition: form-data; name="photo"; filename="q"\r\n\r\n', photo]
        else:
            parts = [b'--b\r\nContent-Disposition: form-data; name="id"\r\n\r\n%d' % photo]
        parts.append(b'\r\n--b\r\nContent-Disposition: form-data; name="verify"\r\n\r\n%d' % verify)
        body = b"".join([*parts, b"\r\n--b--\r\n"])
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        self.connection.request("POST", "/api/v1/search", body, headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


def added(
    collection: Collection, queries: list[bytes], port: int, process: psutil.Process, verify: int, rounds: int
) -> dict:
    """Milliseconds of bare calls and of requests, in turn; ``cpu``: of processor time, both processes."""
    client, own, bare, served = Client(port), psutil.Process(), [], []
    spent = {"bare": 0.0, "served": 0.0}
    for number in range(rounds + 5):
        photo = queries[number % len(queries)]
        started, work = time.perf_counter(), cpu(own, process)
        collection.answer(Query(photo, verify=verify))
        between, work_between = time.perf_counter(), cpu(own, process)
        assert client.search(photo, verify) == 200
        if number >= 5:
            bare.append(between - started)
            served.append(time.perf_counter() - between)
            spent["bare"] += work_between - work
            spent["served"] += cpu(own, process) - work_between
    return {
        "bare mean": round(1000 * statistics.mean(bare), 1),
        "served mean": round(1000 * statistics.mean(served), 1),
        "bare median": round(1000 * statistics.median(bare), 1),
        "served median": round(1000 * statistics.median(served), 1),
        "ratio of means": round(statistics.mean(served) / statistics.mean(bare), 3),
        "ratio of medians": round(statistics.median(served) / statistics.median(bare), 3),
        "bare cpu": round(1000 * spent["bare"] / rounds, 1),
        "served cpu": round(1000 * spent["served"] / rounds, 1),
        "ratio of cpu": round(spent["served"] / spent["bare"], 3),
    }


def cpu(*processes: psutil.Process) -> float:
    """Seconds of processor that some processes have taken."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def loaded(queries: Sequence[bytes | int], port: int, verify: int, connections: int, seconds: float) -> dict:
    """Searches a second and percentiles of some connections that each search all the time."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        client = Client(port)
        while time.perf_counter() < end:
            started = time.perf_counter()
            status = client.search(queries[number % len(queries)], verify)
            assert status == 200, status
            latencies.append(time.perf_counter() - started)
            number += 7

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - started
    percentiles = np.percentile(np.array(latencies) * 1000, [50, 90, 99])
    return {
        "a second": round(len(latencies) / spent, 1),
        "p50": round(float(percentiles[0])),
        "p90": round(float(percentiles[1])),
        "p99": round(float(percentiles[2])),
    }


def memory(
    queries: list[bytes], port: int, process: psutil.Process, requests: int
) -> Iterator[tuple[int, int]]:
    """Yields requests answered so far and megabytes of the server, twenty times."""
    share = max(8, requests // 20)
    for done in range(share, requests + 1, share):

        def work(number: int) -> None:
            client = Client(port)
            for each in range(share // 8):
                photo, verify = queries[(number + 7 * each) % len(queries)], VERIFIED * (each % 5 == 0)
                assert client.search(photo, verify) == 200

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(8)))
        yield done, round(process.memory_info().rss / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    collection, queries = made(arguments.work, arguments.photos, arguments.side)
    collection.warm()
    result: dict[str, object] = {"photos": arguments.photos, "load before": os.getloadavg()[0]}
    parts = arguments.only or PARTS

    def keep(name: str, value: object) -> None:
        result[name] = value
        print(name, json.dumps(value), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    with serving(collection, arguments.work) as (port, process):
        if "added" in parts:
            for verify in (0, VERIFIED):
                each = added(collection, queries, port, process, verify, arguments.rounds)
                keep(f"added, verify {verify}", each)
        if "batching" in parts:
            with serving(collection, arguments.work, "--max-batch", "1") as (single, _):
                for name, asked in (("photos", queries), ("numbers", range(len(queries)))):
                    pairs = []
                    for _ in range(3):
                        each = [loaded(asked, one, 0, 32, arguments.seconds) for one in (port, single)]
                        pairs.append([one["a second"] for one in each])
                    keep(f"batching of {name}, searches a second with and without", pairs)
                    keep(f"batching of {name} gains", round(statistics.median(a / b for a, b in pairs), 2))
        if "connections" in parts:
            for verify in (0, VERIFIED):
                for connections in CONNECTIONS:
                    each = loaded(queries, port, verify, connections, arguments.seconds)
                    keep(f"connections {connections}, verify {verify}", each)
        if "memory" in parts:
            seen: list[tuple[int, int]] = []
            for one in memory(queries, port, process, arguments.requests):
                seen.append(one)
                keep("memory", seen)
    keep("load after", os.getloadavg()[0])


if __name__ == "__main__":
    main()
