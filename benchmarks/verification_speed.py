"""How long geometric verification takes, and what it is worth, beside the straightforward way of DELG's code.

    python benchmarks/verification_speed.py FOLDER [--model sift] [--cache DIR] [--official 4] [--json FILE]

FOLDER is a set in the revisited format: ``gnd_*.json`` or ``gnd_*.pkl``, ``jpg/``, ``queries/``. Three ways
verify in one run: the default settings, the ``delg`` protocol, and the official way, written here anew: a k-d
tree on each answer's descriptors, nearest neighbours within 1.0, and ``skimage.measure.ransac`` of an affine
transform with 1000 trials, photo by photo.

Time: queries and 100 answers each that all have as many local features as the model stores at most; one query
is timed the official way. mAP: each protocol's junk removed, the first 100 re-ranked; the official way takes
minutes a query, so it is judged on ``--official`` queries, the others on these and on all. DIR keeps what the
model said of the photos.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from skimage.measure import ransac
from skimage.transform import AffineTransform

import resight
from resight import images
from resight.datasets.revisited import GroundTruth, QueryTruth, read_ground_truth
from resight.evaluation import evaluate_revisited
from resight.features import ImageFeatures, LocalFeatures
from resight.models.model import Model
from resight.search import ExactIndex, Ranking, VerificationConfig, verification_config, without
from resight.search.geometry.verification import verify_answers

TOP = 100
DIFFICULTIES = ("medium", "hard")
Verify = Callable[[LocalFeatures, Sequence[LocalFeatures]], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="sift")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--official", type=int, default=4, help="queries judged the official way")
    parser.add_argument("--timed", type=int, default=5, help="queries timed")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    truth = read_ground_truth(
        next(options.folder.glob("gnd_*.json"), None) or next(options.folder.glob("gnd_*.pkl"))
    )
    model = resight.load_model(options.model)
    database, queries = read_features(model, options.folder, truth, options.cache)
    ranking = search(database, queries)
    ways: dict[str, Verify] = {
        "default": lambda query, answers: ours(query, answers, VerificationConfig()),
        "delg": lambda query, answers: ours(query, answers, verification_config("delg")),
        "official": official,
    }
    result = {
        "set": options.folder.name,
        "model": model.name,
        "processors": os.cpu_count(),
        "answers_a_query": TOP,
        "speed": speed(ways, database, options.timed),
        "mAP": worth(ways, ranking, truth, queries, database, options.official),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


def ours(query: LocalFeatures, answers: Sequence[LocalFeatures], settings: VerificationConfig) -> np.ndarray:
    """Returns the inliers of each answer with the package's verification."""
    return np.array([match.inliers for match in verify_answers(query, answers, config=settings)])


def official(query: LocalFeatures, answers: Sequence[LocalFeatures]) -> np.ndarray:
    """Returns the inliers of each answer the official way."""
    left = unit(query)
    inliers = np.zeros(len(answers), dtype=np.int64)
    for number, answer in enumerate(answers):
        if len(answer) == 0:
            continue
        _, nearest = cKDTree(unit(answer)).query(left, distance_upper_bound=1.0, workers=-1)
        matched = np.flatnonzero(nearest < len(answer))
        if len(matched) <= 3:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _, agree = ransac(
                (answer.positions[nearest[matched]], query.positions[matched]),
                AffineTransform,
                min_samples=3,
                residual_threshold=20.0,
                max_trials=1000,
                rng=0,
            )
        inliers[number] = 0 if agree is None else np.count_nonzero(agree)
    return inliers


def unit(features: LocalFeatures) -> np.ndarray:
    """Returns the descriptors as float32 at unit length."""
    values = features.descriptors.astype(np.float32)
    if features.metric == "hamming":
        values = np.unpackbits(features.descriptors, axis=1).astype(np.float32) * 2 - 1
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)


def speed(ways: dict[str, Verify], database: Sequence[ImageFeatures], timed: int) -> dict[str, object]:
    """Returns seconds a query, where query and answers have as many features as any photo has."""
    local = [row.local for row in database]
    most = max(map(len, local))
    full = [number for number, features in enumerate(local) if len(features) == most]
    vectors = np.stack([database[number].descriptor for number in full])
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    inliers: dict[str, np.ndarray] = {}
    for row in range(min(timed, len(full))):
        nearest = np.argsort(-(vectors @ vectors[row]), kind="stable")[1 : TOP + 1]
        answers = [local[full[number]] for number in nearest]
        for name, way in ways.items():
            if name == "official" and row > 0:
                continue
            started = time.perf_counter()
            found = way(local[full[row]], answers)
            seconds[name].append(time.perf_counter() - started)
            inliers.setdefault(name, found)
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    return {
        "features_a_photo": most,
        "seconds_a_query": {name: round(value, 3) for name, value in median.items()},
        "times_faster_than_official": {
            name: round(median["official"] / value, 1) for name, value in median.items()
        },
        "inliers_delg_minus_official": {
            "mean": round(float((inliers["delg"] - inliers["official"]).mean()), 2),
            "correlation": round(float(np.corrcoef(inliers["delg"], inliers["official"])[0, 1]), 3),
        },
    }


def worth(
    ways: dict[str, Verify],
    ranking: Ranking,
    truth: GroundTruth,
    queries: Sequence[ImageFeatures],
    database: Sequence[ImageFeatures],
    judged: int,
) -> dict[str, object]:
    """Returns mAP on some queries for every way, spread over the set, and on all but for the official way."""
    left = {
        difficulty: without(ranking, [one.ignored(difficulty) for one in truth.truths])
        for difficulty in DIFFICULTIES
    }
    counted = [number for number, one in enumerate(truth.truths) if one.hard and one.easy]
    some = [counted[place] for place in np.linspace(0, len(counted) - 1, judged).round().astype(int)]
    every = list(range(len(queries)))
    result: dict[str, object] = {}
    for title, chosen, names in (
        (f"{judged} queries", some, list(ways)),
        (f"all {len(every)} queries", every, [name for name in ways if name != "official"]),
    ):
        if not chosen:
            continue
        truths = [truth.truths[number] for number in chosen]
        rows = {number: {kind: left[kind].row(number) for kind in DIFFICULTIES} for number in chosen}
        figures = {"global": score([{k: ids for k, (ids, _) in rows[n].items()} for n in chosen], truths)}
        for name in names:
            reranked = [
                reorder(ways[name], queries[number].local, rows[number], database) for number in chosen
            ]
            figures[name] = score(reranked, truths)
        result[title] = figures
    return result


def reorder(
    way: Verify,
    query: LocalFeatures,
    rows: dict[str, tuple[np.ndarray, np.ndarray]],
    database: Sequence[ImageFeatures],
) -> dict[str, np.ndarray]:
    """Returns the re-ranked ids of each difficulty; what the first 100 of two share is verified once."""
    images_seen = np.unique(np.concatenate([ids[:TOP] for ids, _ in rows.values()]))
    inliers = way(query, [database[image].local for image in images_seen])
    reranked = {}
    for difficulty, (ids, scores) in rows.items():
        head = ids[:TOP]
        order = np.lexsort((-scores[:TOP], -inliers[np.searchsorted(images_seen, head)]))
        reranked[difficulty] = np.concatenate([head[order], ids[TOP:]])
    return reranked


def score(rows: Sequence[dict[str, np.ndarray]], truths: Sequence[QueryTruth]) -> dict[str, float]:
    """Returns mAP of each difficulty."""
    return {
        difficulty: round(
            evaluate_revisited([row[difficulty] for row in rows], truths, difficulty).mean_average_precision,
            4,
        )
        for difficulty in DIFFICULTIES
    }


def search(database: Sequence[ImageFeatures], queries: Sequence[ImageFeatures]) -> Ranking:
    vectors = np.stack([row.descriptor for row in database])
    index = ExactIndex(vectors.shape[1], fingerprint="benchmark")
    index.add(np.arange(len(vectors)), vectors)
    return index.search(np.stack([row.descriptor for row in queries]), len(vectors))


def read_features(
    model: Model, folder: Path, truth: GroundTruth, cache: Path | None
) -> tuple[list[ImageFeatures], list[ImageFeatures]]:
    """Returns what the model says of database and queries; from the cache what it holds."""

    def database() -> list[ImageFeatures]:
        return [
            model.extract([images.read(folder / "jpg" / f"{name}.jpg", max_side=model.max_side)])[0]
            for name in truth.database
        ]

    def queries() -> list[ImageFeatures]:
        found = []
        for name, one in zip(truth.queries, truth.truths, strict=True):
            path = folder / "queries" / f"{name}.jpg"
            path = path if path.exists() else folder / "jpg" / f"{name}.jpg"
            found += model.extract([images.read(path, max_side=model.max_side, box=one.box)])
        return found

    return cached(cache, "database.npz", database), cached(cache, "queries.npz", queries)


def cached(
    folder: Path | None, name: str, describe: Callable[[], list[ImageFeatures]]
) -> list[ImageFeatures]:
    path = folder / name if folder else None
    if path and path.exists():
        with np.load(path) as stored:
            bounds, data, vectors = stored["offsets"], stored["local"], stored["descriptors"]
        return [
            ImageFeatures(vector, LocalFeatures.from_bytes(data[start:stop].tobytes()))
            for vector, (start, stop) in zip(vectors, itertools.pairwise(bounds), strict=True)
        ]
    rows = describe()
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        files = [row.local.to_bytes() for row in rows]
        np.savez(
            path,
            descriptors=np.stack([row.descriptor for row in rows]),
            offsets=np.cumsum([0, *map(len, files)]),
            local=np.frombuffer(b"".join(files), dtype=np.uint8),
        )
    return rows


if __name__ == "__main__":
    main()
