"""Seventy queries against a million distractors, in bounded memory, beside a plain product with a full sort.

    python benchmarks/million.py [--rows 1000000] [--plain 200000] [--json FILE]

A database of 6,322 made descriptors of 2048 dimensions in float32 and a file of ``rows`` made distractors in
float16 (4.1 GB for a million; in a temporary folder) are measured by the revisited protocols, as ``resight
evaluate --distractors`` does it. ``plain`` decodes as many rows as it is told to float32, multiplies, and
sorts everything; ours is run on the same rows too, and both must give the same mean average precision. Each
run has a process of its own; memory is the highest resident set of it, before and after. Descriptors are made
so that values of mAP mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from memory import resident_bytes

from resight.datasets.landmark_truth import LandmarkTruth
from resight.datasets.revisited import GroundTruth, QueryTruth
from resight.evaluation import LandmarkDescriptors, average_precision, measure_descriptors
from resight.evaluation.card import Source
from resight.features import Box

DIM, QUERIES, DATABASE, POSITIVES, JUNK = 2048, 70, 6322, 60, 20
BLOCK = 8192


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--plain", type=int, default=200_000, help="rows that fit as float32, with their copy"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="where the file is made (default: the system's)")
    parser.add_argument("--side", choices=("ours", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        run = ours if arguments.side == "ours" else plain
        print(json.dumps(run(arguments.file, arguments.rows)))
        return
    fitting = min(arguments.plain, arguments.rows)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        whole, part = Path(folder, "whole.npy"), Path(folder, "part.npy")
        started = time.perf_counter()
        write(whole, arguments.rows)
        write(part, fitting)
        print(f"made in {time.perf_counter() - started:.0f} s", flush=True)
        result = {
            "dim": DIM,
            "queries": QUERIES,
            "processors": os.cpu_count(),
            "load_before": [round(value, 2) for value in os.getloadavg()],
            "ours": side("ours", whole, arguments.rows),
            "ours, as many as plain": side("ours", part, fitting),
            "plain": side("plain", part, fitting),
        }
    same = np.allclose(result["ours, as many as plain"]["mAP"], result["plain"]["mAP"], atol=1e-4)
    result["same mAP to 1e-4"] = bool(same)
    print(json.dumps(result, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if not same:
        sys.exit("both sides differ")


def side(name: str, file: Path, rows: int) -> dict[str, object]:
    """Returns what one run in a process of its own says."""
    line = [sys.executable, __file__, "--side", name, "--file", str(file), "--rows", str(rows)]
    found = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    print(name, found, flush=True)
    return found


def write(path: Path, rows: int) -> None:
    """Writes distractors: bytes drawn at random, as 256 values of a float16; block by block."""
    generator = np.random.default_rng(7)
    values = (np.arange(256) / 127.5 - 1).astype(np.float16)
    file = np.lib.format.open_memmap(path, "w+", np.float16, (rows, DIM))
    for start in range(0, rows, BLOCK):
        count = min(BLOCK, rows - start)
        file[start : start + count] = values[generator.integers(0, 256, (count, DIM), dtype=np.uint8)]
    file.flush()


def made() -> tuple[LandmarkTruth, LandmarkDescriptors]:
    """Returns queries whose positives lie at all distances, down to those of distractors."""
    generator = np.random.default_rng(1)
    queries = generator.normal(size=(QUERIES, DIM)).astype(np.float32)
    database = generator.normal(size=(DATABASE, DIM)).astype(np.float32)
    truths = []
    for query in queries:
        rows = generator.choice(DATABASE, POSITIVES + JUNK, replace=False).tolist()
        for place, row in enumerate(rows):
            database[row] += query * (place % POSITIVES) / (4 * POSITIVES)
        easy, hard, junk = rows[: POSITIVES // 2], rows[POSITIVES // 2 : POSITIVES], rows[POSITIVES:]
        truths.append(QueryTruth(Box(0, 0, 1, 1), frozenset(easy), frozenset(hard), frozenset(junk)))
    names = tuple(f"image{number}" for number in range(DATABASE))
    asked = tuple(f"query{number}" for number in range(QUERIES))
    truth = GroundTruth(names, asked, tuple(truths)).as_landmarks("made")
    return truth, LandmarkDescriptors(database, queries, (), (), ())


def ours(file: Path, rows: int) -> dict[str, object]:
    truth, described = made()
    source = Source("made", "0" * 64, DIM, 0, (), "made", "none", "made")
    before = resident_bytes("VmHWM") / 1024**2
    started = time.perf_counter()
    result = measure_descriptors(truth, described, source, distractors=file)
    seconds = time.perf_counter() - started
    means = [measure.value for measure in result.measures if measure.name.startswith("mAP")]
    return account(rows, seconds, before, means)


def plain(file: Path, rows: int) -> dict[str, object]:
    truth, described = made()
    before = resident_bytes("VmHWM") / 1024**2
    started = time.perf_counter()
    whole = np.concatenate([described.database, np.load(file, mmap_mode="r").astype(np.float32)])
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    queries = described.queries / np.linalg.norm(described.queries, axis=1, keepdims=True)
    ranks = np.argsort(-(queries @ whole.T), axis=1, kind="stable")
    means = []
    for task in truth.tasks:
        values = []
        for order, positives, ignored in zip(ranks, task.positives, task.ignored, strict=True):
            kept = order[~np.isin(order, list(ignored))]
            values.append(average_precision(np.isin(kept, list(positives)), len(positives)))
        means.append(float(np.mean(values)))
    return account(rows, time.perf_counter() - started, before, means)


def account(rows: int, seconds: float, before: float, means: list[float]) -> dict[str, object]:
    return {
        "descriptors": DATABASE + rows,
        "seconds": round(seconds, 1),
        "peak_megabytes": round(resident_bytes("VmHWM") / 1024**2),
        "megabytes_before": round(before),
        "mAP": means,
    }


if __name__ == "__main__":
    main()
