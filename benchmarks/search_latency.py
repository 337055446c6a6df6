"""Latency of exact searches beside a bare FAISS flat index on the same vectors, in one run.

    python benchmarks/search_latency.py [--rows 1000 200000] [--dim 512] [--json FILE]

Descriptors are random unit vectors rounded to float16, as an index stores them. Both are asked for the 100
best of the same queries in turns, one by one and in batches of 2 to 32. FAISS orders by float32 sums, so two
rows whose true scores are closer than its rounding may swap; such swaps are counted, and every other
difference is a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import faiss
import numpy as np

from resight.search import ExactIndex

K = 100
BATCHES, ROUNDS = (2, 4, 8, 16, 32), 9
ROUNDING = 3e-6
"""A float32 sum of products of unit vectors errs by less."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 200_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "load": os.getloadavg()[0],
        "faiss": faiss.__version__,
        "runs": [measure(rows, arguments.dim, arguments.queries) for rows in arguments.rows],
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


def measure(rows: int, dim: int, count: int) -> dict[str, float]:
    """Returns milliseconds and agreement for one size of index."""
    rng = np.random.default_rng(0)
    halves = unit(rng, rows, dim).astype(np.float16)
    queries = unit(rng, count, dim)
    index, flat = ExactIndex(dim, fingerprint="benchmark"), faiss.IndexFlatIP(dim)
    started = time.perf_counter()
    index.add(np.arange(rows), halves)
    added = time.perf_counter() - started
    flat.add(halves.astype(np.float32))
    times: dict[str, list[float]] = {"ours": [], "flat": []}
    same_set = same_order = faults = 0
    for row in range(-3, count):  # three rounds to warm up
        query = queries[max(row, 0)][None]
        started = time.perf_counter()
        scores, ids = flat.search(query, K)
        middle = time.perf_counter()
        ranking = index.search(query, K)
        ended = time.perf_counter()
        if row < 0:
            continue
        times["flat"].append((middle - started) * 1e3)
        times["ours"].append((ended - middle) * 1e3)
        same_set += set(ids[0].tolist()) == set(ranking.ids[0].tolist())
        same_order += bool((ids == ranking.ids).all())
        faults += int((np.abs(scores - ranking.scores) > ROUNDING).sum())
    ours, theirs = statistics.median(times["ours"]), statistics.median(times["flat"])
    return {
        "rows": rows,
        "dim": dim,
        "queries": count,
        "ours_ms": round(ours, 3),
        "faiss_flat_ms": round(theirs, 3),
        "times_faster": round(theirs / ours, 2),
        "least_ours_ms": round(min(times["ours"]), 3),
        "least_faiss_flat_ms": round(min(times["flat"]), 3),
        "same_top_100": same_set,
        "same_order": same_order,
        "differences_beyond_float32_rounding": faults,
        "add_s": round(added, 3),
        "batches": [batch(index, flat, queries[:size]) for size in BATCHES if size <= count],
    }


def batch(index: ExactIndex, flat: faiss.IndexFlatIP, queries: np.ndarray) -> dict[str, float]:
    """Returns least and median milliseconds of a batch, in turns, and how many have the same top 100."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        _, ids = flat.search(queries, K)
        middle = time.perf_counter()
        ranking = index.search(queries, K)
        theirs.append((middle - started) * 1e3)
        ours.append((time.perf_counter() - middle) * 1e3)
    same = sum(set(row.tolist()) == set(own.tolist()) for row, own in zip(ids, ranking.ids, strict=True))
    return {
        "queries": len(queries),
        "ours_ms": round(statistics.median(ours), 3),
        "faiss_flat_ms": round(statistics.median(theirs), 3),
        "times_faster": round(statistics.median(theirs) / statistics.median(ours), 2),
        "least_ours_ms": round(min(ours), 3),
        "least_faiss_flat_ms": round(min(theirs), 3),
        "same_top_100": same,
    }


def unit(rng: np.random.Generator, count: int, dim: int) -> np.ndarray:
    vectors = rng.standard_normal((count, dim), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
