"""What each refinement by descriptors brings and costs, against the plain ranking.

    python benchmarks/refinement.py --descriptors DESCRIPTORS.npy --names NAMES.txt --ground-truth GND.pkl
        [--json benchmarks/results/refinement.json] [--threads 1]

DESCRIPTORS.npy holds one descriptor a row, NAMES.txt the name of each row's image, GND.pkl the ground truth
of a revisited benchmark; database and queries are taken from its names. Figures: mean average precision by
the three protocols with 95 % bootstrap intervals over the queries, the mean difference to the plain ranking
with its interval and p-value (random signs), CPU milliseconds a query (all queries at once, the best of two
runs; other work on the machine hardly enters), and CPU seconds and megabytes of what is built beforehand.
All settings are the defaults: those of the papers. A re-ranking's time is without the search before it. Junk
is not taken out before re-ranking: one list serves the three protocols.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from resight.datasets.revisited import DIFFICULTIES, GroundTruth, read_ground_truth
from resight.evaluation import evaluate_revisited
from resight.evaluation.statistics import bootstrap, paired
from resight.search import (
    Diffusion,
    ExactIndex,
    OfflineDiffusion,
    Ranking,
    augment_database,
    rerank_expanded,
    rerank_reciprocal,
    rerank_super_global,
    search_expanded,
)

RUNS = 2
NEIGHBOURS = 10
Made = TypeVar("Made")


@dataclass(frozen=True)
class Stage:
    """A refinement ready to be asked, and what it took to build."""

    name: str
    ask: Callable[[], Ranking]
    seconds: float = 0.0
    megabytes: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--descriptors", type=Path, required=True)
    parser.add_argument("--names", type=Path, required=True)
    parser.add_argument("--ground-truth", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    truth = read_ground_truth(arguments.ground_truth)
    database, queries = read(arguments.descriptors, arguments.names, truth)
    result: dict[str, object] = {
        "descriptors": arguments.descriptors.name,
        "ground_truth": arguments.ground_truth.name,
        "database": len(database),
        "queries": len(queries),
        "dim": database.shape[1],
        "threads": arguments.threads,
        "processor": platform.machine(),
        "numpy": np.__version__,
    }
    with threadpool_limits(limits=arguments.threads):
        result["stages"] = measure(database, queries, truth)
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


def read(descriptors: Path, names: Path, truth: GroundTruth) -> tuple[np.ndarray, np.ndarray]:
    """Returns the unit-length descriptors of the database and of the queries."""
    rows = np.load(descriptors, allow_pickle=False).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    place = {name: row for row, name in enumerate(names.read_text().split())}
    return tuple(rows[[place[name] for name in listed]] for listed in (truth.database, truth.queries))


def stages(database: np.ndarray, queries: np.ndarray) -> list[Stage]:
    """Returns the plain ranking and every refinement; each ranks the whole database."""
    n = len(database)
    index = ExactIndex(database.shape[1], fingerprint="")
    index.add(np.arange(n), database)
    plain = index.search(queries, n)

    def augmented() -> ExactIndex:
        made = ExactIndex(index.dim, fingerprint="")
        made.add(index.ids, augment_database(index, n=NEIGHBOURS))
        return made

    dba, dba_seconds = timed(augmented)
    online, online_seconds = timed(lambda: Diffusion.of_index(index))
    offline, offline_seconds = timed(lambda: OfflineDiffusion.build(database))
    halves = 2e-6 * database.size
    edges = (
        sum(part.nbytes for part in (online.graph.starts, online.graph.columns, online.graph.values)) / 1e6
    )
    solved = sum(part.nbytes for part in (offline.starts, offline.columns, offline.values)) / 1e6
    given = index.descriptors
    return [
        Stage("plain", lambda: index.search(queries, n)),
        Stage("average query expansion", lambda: search_expanded(index, queries, n, n=NEIGHBOURS, alpha=0)),
        Stage("alpha query expansion", lambda: search_expanded(index, queries, n, n=NEIGHBOURS)),
        Stage("alpha query expansion of a list of 1000", lambda: rerank_expanded(plain, queries, given)),
        Stage("database augmentation", lambda: dba.search(queries, n), dba_seconds, halves),
        Stage(
            "database augmentation, alpha query expansion",
            lambda: search_expanded(dba, queries, n, n=NEIGHBOURS),
            dba_seconds,
            halves,
        ),
        Stage("k-reciprocal, first 100", lambda: rerank_reciprocal(plain, queries, given)),
        Stage("k-reciprocal, first 1000", lambda: rerank_reciprocal(plain, queries, given, top=1000)),
        Stage("SuperGlobal, first 400", lambda: rerank_super_global(plain, queries, given)),
        Stage("diffusion", lambda: online.rank(queries, n), online_seconds, edges),
        Stage(
            "diffusion, offline, truncated to 1000",
            lambda: offline.rank(queries, n),
            offline_seconds,
            edges + solved,
        ),
    ]


def timed(build: Callable[[], Made]) -> tuple[Made, float]:
    start = time.process_time()
    made = build()
    return made, time.process_time() - start


def measure(database: np.ndarray, queries: np.ndarray, truth: GroundTruth) -> list[dict[str, object]]:
    """Returns the figures of every stage; the time of a re-ranking is without the search before it."""
    plain: dict[str, np.ndarray] = {}
    figures: list[dict[str, object]] = []
    for stage in stages(database, queries):
        runs = [timed(stage.ask) for _ in range(RUNS)]
        ranking = runs[0][0]
        ids = [ranking.row(query)[0] for query in range(len(ranking))]
        row: dict[str, object] = {
            "stage": stage.name,
            "cpu_milliseconds_a_query": round(1000 * min(seconds for _, seconds in runs) / len(queries), 2),
            "build_cpu_seconds": round(stage.seconds, 2),
            "build_megabytes": round(stage.megabytes, 1),
        }
        for difficulty in DIFFICULTIES:
            values = np.array(evaluate_revisited(ids, truth.truths, difficulty).average_precisions)
            plain.setdefault(difficulty, values)
            interval, test = bootstrap(values), paired(plain[difficulty], values)
            row[difficulty] = {
                "mAP": round(interval.mean, 4),
                "interval": [round(interval.low, 4), round(interval.high, 4)],
                "difference": round(test.difference.mean, 4),
                "difference_interval": [round(test.difference.low, 4), round(test.difference.high, 4)],
                "p": round(test.p_value, 4),
                "queries": interval.count,
            }
        figures.append(row)
    return figures


if __name__ == "__main__":
    main()
