"""Recall at 1, MAP@R, R-precision, and k-means with NMI and AMI, beside pytorch-metric-learning's calculator.

    python benchmarks/label_evaluation.py [--descriptors 60000] [--clusters] [--json FILE]

The descriptors are made: about as many a class as in the test set of Stanford Online Products (5.35), 512
dimensions. Each side runs in a process of its own, one after the other, on the same descriptors; memory is
the highest resident set as a thread sees it every 2 ms, less that before the call, when descriptors and
imports are there. ``product`` is the bare product of all descriptors with all, block by block, in float32;
ours computes half of it, because it is symmetric. Needs torch, pytorch-metric-learning, faiss and psutil.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

DIM, PER_CLASS, BLOCK = 512, 5.35, 2048
SIDES = ("product", "ours", "theirs")
CLUSTER_SIDES = ("ours-clusters", "theirs-clusters")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--descriptors", type=int, default=60_000)
    parser.add_argument("--clusters", action="store_true", help="k-means, NMI and AMI too (minutes)")
    parser.add_argument("--repeat", type=int, default=1, help="the fastest of so many runs counts")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=(*SIDES, *CLUSTER_SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(run_side(arguments.side, arguments.folder)))
        return
    load = os.getloadavg()
    sides = SIDES + (CLUSTER_SIDES if arguments.clusters else ())
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), arguments.descriptors)
        found = {side: fastest(side, Path(folder), arguments.repeat) for side in sides}
        judged = judge(Path(folder))
    result = {
        "descriptors": arguments.descriptors,
        "dim": DIM,
        "processors": os.cpu_count(),
        "load_before": [round(value, 2) for value in load],
        **found,
        **ratios(found),
        **judged,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


def make(folder: Path, count: int) -> None:
    """Writes descriptors and labels that all sides read."""
    generator = np.random.default_rng(0)
    classes = int(count / PER_CLASS)
    labels = np.concatenate([np.arange(classes), generator.integers(0, classes, count - classes)])
    generator.shuffle(labels)
    centres = generator.standard_normal((classes, DIM), dtype=np.float32)
    rows = centres[labels] + 2.2 * generator.standard_normal((count, DIM), dtype=np.float32)
    np.save(folder / "descriptors.npy", rows / np.linalg.norm(rows, axis=1, keepdims=True))
    np.save(folder / "labels.npy", labels)


def fastest(side: str, folder: Path, repeat: int) -> dict[str, float]:
    """Returns what a side measured, each time in a process of its own."""
    line = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
    runs = [
        json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True).stdout)
        for _ in range(repeat)
    ]
    return min(runs, key=lambda run: run["seconds"])


def run_side(side: str, folder: Path) -> dict[str, float]:
    """Returns seconds, the highest memory beyond the descriptors, and the values of one side."""
    descriptors, labels = np.load(folder / "descriptors.npy"), np.load(folder / "labels.npy")
    call = CALLS[side](descriptors, labels)
    with Memory() as memory:
        started = time.perf_counter()
        values, per_query = call()
        seconds = time.perf_counter() - started
    if per_query is not None:
        np.save(folder / f"{side}.npy", per_query)
    return {"seconds": round(seconds, 2), "megabytes": round(memory.peak / 1e6), **values}


class Memory:
    """The highest resident set inside the block, beyond that at its start, bytes."""

    def __enter__(self) -> Memory:
        import psutil

        self._process, self._over = psutil.Process(), threading.Event()
        self._start = self._highest = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.002):
            self._highest = max(self._highest, self._process.memory_info().rss)

    @property
    def peak(self) -> int:
        """Bytes."""
        return self._highest - self._start


Call = Callable[[], tuple[dict[str, float], np.ndarray | None]]


def product(descriptors: np.ndarray, labels: np.ndarray) -> Call:
    del labels

    def call() -> tuple[dict[str, float], np.ndarray | None]:
        for start in range(0, len(descriptors), BLOCK):
            for other in range(0, len(descriptors), BLOCK):
                descriptors[start : start + BLOCK] @ descriptors[other : other + BLOCK].T
        return {}, None

    return call


def ours(descriptors: np.ndarray, labels: np.ndarray) -> Call:
    from resight.evaluation import evaluate_labels

    def call() -> tuple[dict[str, float], np.ndarray | None]:
        found = evaluate_labels(descriptors, labels, ks=(1, 10, 100, 1000))
        counted = found.per_query.positives > 0
        values = {
            # pytorch-metric-learning leaves out queries without a positive.
            "precision_at_1": float(found.per_query.recall[counted, 0].mean()),
            "mean_average_precision_at_r": found.map_at_r,
            "r_precision": found.r_precision,
        }
        return values, found.per_query.map_at_r

    return call


def theirs(descriptors: np.ndarray, labels: np.ndarray) -> Call:
    include = ("precision_at_1", "mean_average_precision_at_r", "r_precision")
    return calculator(descriptors, labels, include, k="max_bin_count")


def their_clusters(descriptors: np.ndarray, labels: np.ndarray) -> Call:
    return calculator(descriptors, labels, ("NMI", "AMI"), k=None)


def calculator(
    descriptors: np.ndarray, labels: np.ndarray, include: tuple[str, ...], *, k: str | None
) -> Call:
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import FaissKNN

    neighbours, search = [], FaissKNN()

    def remember(*inputs: object) -> object:
        distances, indices = search(*inputs)
        neighbours.append(indices)
        return distances, indices

    measure = AccuracyCalculator(include=include, k=k, device=torch.device("cpu"), knn_func=remember)

    def call() -> tuple[dict[str, float], np.ndarray | None]:
        values = measure.get_accuracy(descriptors, labels)
        return values, neighbours[0].numpy() if neighbours else None

    return call


def our_clusters(descriptors: np.ndarray, labels: np.ndarray) -> Call:
    from resight.evaluation import cluster

    def call() -> tuple[dict[str, float], np.ndarray | None]:
        found = cluster(descriptors, labels, restarts=1)
        return {"NMI": found.nmi, "AMI": found.ami, "iterations": found.iterations}, None

    return call


CALLS = {
    "product": product,
    "ours": ours,
    "theirs": theirs,
    "ours-clusters": our_clusters,
    "theirs-clusters": their_clusters,
}


def judge(folder: Path) -> dict[str, int]:
    """Returns on how many queries both sides differ, and on how many of them each has the exact MAP@R.

    Exact is what sorting all inner products in float64 gives.
    """
    descriptors, labels = np.load(folder / "descriptors.npy"), np.load(folder / "labels.npy")
    own, neighbours = np.load(folder / "ours.npy"), np.load(folder / "theirs.npy")
    right = labels[neighbours] == labels[:, None]
    counts = np.bincount(labels)[labels] - 1
    other = np.array([map_at_r(row, count) for row, count in zip(right, counts, strict=True)])
    differing = np.flatnonzero(np.abs(own - other) > 1e-12)
    exact = []
    for query in differing:
        scores = descriptors.astype(np.float64) @ descriptors[query].astype(np.float64)
        order = np.argsort(-scores, kind="stable")
        exact.append(map_at_r(labels[order[order != query]] == labels[query], counts[query]))
    return {
        "differing_queries": len(differing),
        "of_them_exact_ours": int((np.abs(own[differing] - exact) < 1e-12).sum()),
        "of_them_exact_theirs": int((np.abs(other[differing] - exact) < 1e-12).sum()),
    }


def map_at_r(right: np.ndarray, count: int) -> float:
    first = right[:count]
    return float((np.cumsum(first) / np.arange(1, count + 1) * first).sum() / count) if count else np.nan


def ratios(found: dict[str, dict[str, float]]) -> dict[str, float]:
    """Returns how much faster ours is, and how far the values are apart."""
    own, other = found["ours"], found["theirs"]
    names = ("precision_at_1", "mean_average_precision_at_r", "r_precision")
    answer = {
        "times_faster": round(other["seconds"] / own["seconds"], 2),
        "times_the_product": round(own["seconds"] / found["product"]["seconds"], 2),
        "largest_difference": max(abs(own[name] - other[name]) for name in names),
    }
    if "ours-clusters" in found:
        seconds = [found[side]["seconds"] for side in ("theirs-clusters", "ours-clusters")]
        answer["times_faster_clusters"] = round(seconds[0] / seconds[1], 2)
    return answer


if __name__ == "__main__":
    main()
