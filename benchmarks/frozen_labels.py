"""Frozen models on labelled sets: ``sift``, ``efficientnet-lite0``, and both joined, from one description.

    python benchmarks/frozen_labels.py ROOT... [--json FILE]

Each ROOT is a table of `resight.datasets` with a test split. The joint descriptor holds both others, so that
every photo is described once. R@1 and MAP@R with intervals that draw classes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch

import resight
from resight.datasets import load
from resight.evaluation.labelled import describe_set, measure_set

JOINT = "efficientnet-lite0+sift"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path, nargs="+")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/frozen_labels.json"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rows = json.loads(arguments.json.read_text()) if arguments.json.exists() else []
    models = [resight.load_model(name) for name in ("efficientnet-lite0", "sift", JOINT)]
    for root in arguments.root:
        benchmark = load("table", root)
        started = time.process_time()
        joint = describe_set(models[-1], benchmark.test)
        seconds = (time.process_time() - started) / len(joint)
        for model, part in zip(
            models, (joint[:, : models[0].dim], joint[:, models[0].dim :], joint), strict=True
        ):
            unit = part / np.linalg.norm(part, axis=1, keepdims=True)
            result = measure_set(model, benchmark, unit.astype(np.float32), clusters=False)
            figures = {
                one.name: [round(value, 4) for value in (one.value, one.low, one.high)]
                for one in result.measures
                if one.name in ("R@1", "MAP@R")
            }
            row = {"set": root.name, "photos": len(joint), "model": model.name, **figures}
            rows.append({**row, "milliseconds_a_photo_of_both": round(1000 * seconds, 1)})
            print(rows[-1], flush=True)
        arguments.json.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


if __name__ == "__main__":
    main()
