"""Chooses the weight of a global score beside that of ``sift`` in ``GLOBAL+sift``.

    python benchmarks/joint_weights.py MODEL --data DIR [--made DIR] [--cache DIR] [--json FILE]

Judged on the photos of ``selection_photos.py`` alone, each a query against the others of its kind: mean
average precision of each descriptor alone and of both joined at every weight. The chosen weight has the
highest mean over the kinds among those that are on no kind worse than the better of both by more than 0.01;
where no weight is so good everywhere, the highest mean of all. Of the weight that the zoo takes, the
differences from the better of both have intervals that draw things.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import selection_photos
from choose_lite0 import of_queries, of_scores
from selection_photos import LabelledFiles

import resight
from resight.evaluation.statistics import paired
from resight.models.extract import extract
from resight.models.packaged import made_to_join

WEIGHTS = np.linspace(0, 1, 21)
LOSS = 0.01
KEPT = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--made", type=Path, default=Path("build/selection"))
    parser.add_argument("--cache", type=Path, default=Path("build/joint"))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/joint_weights.json"))
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    kinds = selection_photos.judged(arguments.data, arguments.made)
    found: dict[str, list[float]] = {}
    differences: dict[str, list[float]] = {}
    for kind in kinds:
        scores = []
        for name in (arguments.model, "sift"):
            vectors = descriptors(name, kind, arguments.cache)
            scores.append(vectors @ vectors.T)
            np.fill_diagonal(scores[-1], -np.inf)
        found[kind.name] = [
            round(of_scores(weigh(scores[0], scores[1], weight), kind.labels), 4) for weight in WEIGHTS
        ]
        values = [of_queries(weigh(scores[0], scores[1], weight), kind.labels) for weight in (0, 1, KEPT)]
        better = max(values[:2], key=lambda each: float(np.nanmean(each)))
        difference = paired(better, values[2], classes=kind.labels).difference
        differences[kind.name] = [
            round(each, 4) for each in (difference.mean, difference.low, difference.high)
        ]
        print(kind.name, dict(zip(WEIGHTS.round(2).tolist(), found[kind.name], strict=True)), flush=True)
    table = np.array(list(found.values()))
    better = np.maximum(table[:, 0], table[:, -1])
    losses = (better[:, None] - table).max(axis=0)
    allowed = losses <= LOSS if (losses <= LOSS).any() else losses <= np.inf
    means = np.where(allowed, table.mean(axis=0).round(4), -1)
    # Of equal means the one that loses less.
    chosen = int(np.lexsort((losses, -means))[0])
    result = {
        "model": arguments.model,
        "weights": WEIGHTS.round(2).tolist(),
        "mean_average_precision": found,
        "mean": table.mean(axis=0).round(4).tolist(),
        "largest_loss": losses.round(4).tolist(),
        "chosen": round(float(WEIGHTS[chosen]), 2),
        "kept": KEPT,
        "kept_less_better_of_both": differences,
    }
    print(result["chosen"], result["mean"][chosen], "loses at most", result["largest_loss"][chosen])
    every = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    arguments.json.write_text(json.dumps({**every, arguments.model: result}, indent=1) + "\n")


def weigh(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Returns the joint scores; their diagonal stays -inf."""
    joint: np.ndarray = np.where(np.isinf(first), first, weight * np.nan_to_num(first, neginf=0.0))
    return joint + (1 - weight) * np.nan_to_num(second, neginf=0.0)


def descriptors(name: str, kind: LabelledFiles, cache: Path) -> np.ndarray:
    """Returns the descriptors of a kind of photos by a model as it is joined, kept in a file."""
    file = cache / f"{name.replace('/', '_')}-{kind.name}.npy"
    if not file.exists():
        model = made_to_join(resight.load_model(name))
        rows = [
            np.zeros(model.dim, np.float32) if one.features is None else one.features.descriptor
            for one in extract(kind.paths, model, workers=1)
        ]
        np.save(file, np.stack(rows))
    vectors: np.ndarray = np.load(file)
    return vectors


if __name__ == "__main__":
    main()
