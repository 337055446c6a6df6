"""What `resight plan` computes with: cost and recall of FAISS indexes on clustered vectors, one thread.

Recall@10 is the share of the ten exact neighbours among the ten best of the shortlist after its re-scoring by
float16 descriptors. Each point is the least effort that reaches it.

    python benchmarks/plan_constants.py [--rows 200000]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np

DIM, QUERIES, TOP, SHORTLIST = 512, 200, 10, 200
RECALLS = (0.8, 0.9, 0.95, 0.98, 0.99)
EFFORTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "plan_constants.json"
    )
    arguments = parser.parse_args()
    faiss.omp_set_num_threads(1)
    stored, queries = clustered(arguments.rows)
    exact, exact_us = timed(lambda: neighbours(stored, queries))
    result = {
        "machine": f"{platform.machine()}, one thread",
        "load": os.getloadavg()[0],
        "faiss": faiss.__version__,
        "rows": arguments.rows,
        "dim": DIM,
        "exact_batch_microseconds": exact_us,
        "indexes": {},
    }
    for name, make in kinds(arguments.rows).items():
        result["indexes"][name] = measured(make(), name, stored, queries, exact)
        arguments.output.write_text(json.dumps(result, indent=1) + "\n")
        print(name, json.dumps(result["indexes"][name]), flush=True)


def clustered(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns unit vectors and queries of the same kind, of 32 degrees of freedom and noise; float16 values.

    A mixture over rows / 20 centres whose groups overlap: harder for an index than separate clusters.
    """
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((rows // 20, 32), dtype=np.float32)
    spread = generator.standard_normal((32, DIM), dtype=np.float32)
    of = generator.integers(len(centres), size=rows + QUERIES)
    hidden = centres[of] + 0.6 * generator.standard_normal((rows + QUERIES, 32), dtype=np.float32)
    every = hidden @ spread + generator.standard_normal((rows + QUERIES, DIM), dtype=np.float32)
    every /= np.linalg.norm(every, axis=1, keepdims=True)
    every = every.astype(np.float16).astype(np.float32)
    return every[:rows], every[rows:]


def neighbours(stored: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Returns the numbers of the ten nearest rows of each query."""
    return np.argsort(-(queries @ stored.T), axis=1, kind="stable")[:, :TOP]


def timed(call: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """Returns a call's value and its processor time in microseconds a query."""
    start = time.process_time()
    value = call()
    return value, (time.process_time() - start) / QUERIES * 1e6


def kinds(rows: int) -> dict[str, Callable[[], faiss.Index]]:
    """Returns how each index is made: four lists a square root of the rows."""
    lists = 4 * round(rows**0.5)
    inner = faiss.METRIC_INNER_PRODUCT
    return {
        "ivf-rabitq": lambda: faiss.index_factory(DIM, f"RR,IVF{lists},RaBitQ", inner),
        "ivf-sq8": lambda: faiss.index_factory(DIM, f"IVF{lists},SQ8", inner),
        "hnsw-sq8": lambda: faiss.index_factory(DIM, "HNSW32_SQ8", inner),
    }


def measured(
    index: faiss.Index, name: str, stored: np.ndarray, queries: np.ndarray, exact: np.ndarray
) -> dict[str, object]:
    """Returns bytes a row, time of building, and the least effort for each recall."""
    start = time.process_time()
    index.train(stored[:: max(1, len(stored) // 100_000)])
    index.add(stored)
    built = (time.process_time() - start) / len(stored) * 1e6
    points: dict[str, object] = {}
    for effort in EFFORTS:
        if name.startswith("ivf"):
            faiss.extract_index_ivf(index).nprobe = effort
        else:
            index.hnsw.efSearch = max(effort, TOP)
        shortlist, microseconds = timed(lambda: index.search(queries, SHORTLIST)[1])
        recall = recall_of(shortlist, stored, queries, exact)
        for wanted in RECALLS:
            if recall >= wanted and str(wanted) not in points:
                points[str(wanted)] = {
                    "effort": effort,
                    "recall": round(recall, 4),
                    "microseconds": round(microseconds, 1),
                }
        if recall >= RECALLS[-1]:
            break
    return {
        "bytes_a_row": round(len(faiss.serialize_index(index)) / len(stored), 1),
        "build_microseconds_a_row": round(built, 1),
        "recalls": points,
    }


def recall_of(shortlist: np.ndarray, stored: np.ndarray, queries: np.ndarray, exact: np.ndarray) -> float:
    """Returns recall@10 after re-scoring the shortlist."""
    found = 0
    for ids, query, truth in zip(shortlist, queries, exact, strict=True):
        ids = ids[ids >= 0]
        best = ids[np.argsort(-(stored[ids] @ query), kind="stable")[:TOP]]
        found += len(np.intersect1d(best, truth))
    return found / exact.size


if __name__ == "__main__":
    main()
