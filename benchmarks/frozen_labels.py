"""Frozen models on labelled sets: ``sift``, ``efficientnet-lite0`` with and without whitening, both joined.

    python benchmarks/frozen_labels.py ROOT... [--rendered DIR] [--json FILE]

Each ROOT is a table of `resight.datasets` with a test split, whose photos are described once by each model;
``--rendered`` makes one of places of other towns than any setting was chosen or fitted on.
R@1 and MAP@R with intervals that draw classes; milliseconds of processor time a photo.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import cv2
import numpy as np
import selection_photos
import torch

import resight
from resight.datasets import Benchmark, load
from resight.evaluation.labelled import describe_set, measure_set
from resight.models import Model
from resight.models.packaged import load_lite0, made_to_join

HELD_OUT_TOWNS = (9001, 9002)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path, nargs="*")
    parser.add_argument("--rendered", type=Path)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/frozen_labels.json"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rows = json.loads(arguments.json.read_text()) if arguments.json.exists() else []
    sift, plain = resight.load_model("sift"), load_lite0()
    whitening = made_to_join(plain).whitenings[-1]
    roots = arguments.root if arguments.rendered is None else [*arguments.root, rendered(arguments.rendered)]
    for root in roots:
        benchmark = load("table", root)
        (details, seconds), (seen, more) = (described(model, benchmark) for model in (sift, plain))
        white = whitening.apply(seen)
        joint = np.concatenate([white, details], axis=1) * 0.5**0.5
        for name, vectors, spent in (
            ("sift", details, seconds),
            ("efficientnet-lite0", seen, more),
            ("efficientnet-lite0, whitened", white, more),
            ("efficientnet-lite0+sift", joint, seconds + more),
        ):
            result = measure_set(sift, benchmark, vectors.astype(np.float32), clusters=False)
            figures = {
                one.name: [round(value, 4) for value in (one.value, one.low, one.high)]
                for one in result.measures
                if one.name in ("R@1", "MAP@R")
            }
            row = {"set": root.name, "photos": len(joint), "model": name, **figures}
            rows.append({**row, "milliseconds_a_photo": round(1000 * spent, 1)})
            print(rows[-1], flush=True)
        arguments.json.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


def rendered(root: Path) -> Path:
    """Returns a folder with places of held-out towns, four views each, and their table."""
    root.mkdir(parents=True, exist_ok=True)
    kind = selection_photos.places(root, HELD_OUT_TOWNS)
    with (root / "labels.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["path", "label", "split"])
        for path, label in zip(kind.paths, kind.labels.tolist(), strict=True):
            writer.writerow([path.relative_to(root), label, "train" if label < 0 else "test"])
    return root


def described(model: Model, benchmark: Benchmark) -> tuple[np.ndarray, float]:
    """Returns the descriptors of the test photos, and the seconds of processor time a photo."""
    started = time.process_time()
    vectors = describe_set(model, benchmark.test)
    return vectors, (time.process_time() - started) / len(vectors)


if __name__ == "__main__":
    main()
