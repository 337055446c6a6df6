"""What several photos of the thing, and photos it must not be, do to a query: rules side by side.

    python benchmarks/query_combination.py [--data FOLDER] [--model sift] [--json FILE]

Rendered places (40 in 8 views, 40 distractors), and with ``--data`` the test classes of ``grocery/``. Each
query draws 1 to 4 photos of one place or class; the rest is searched, the query's photos leave the ranking.
Unwanted photos are the two best wrong answers of the single photo, what a person would point at; they
leave the ranking too, in every rule, so that none gains by merely hiding them.
Figures: mean average precision.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

import resight
from resight.models.extract import extract
from resight.scenes.render import write_collection
from resight.search import combine

UNWANTED = 2
QUERIES = 200
Rule = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", default="sift")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    model = resight.load_model(arguments.model)
    result: dict[str, object] = {"model": arguments.model, "queries": QUERIES}
    with tempfile.TemporaryDirectory() as folder:
        rendered = write_collection(Path(folder))
        labels = np.array([-1 if photo.place is None else photo.place for photo in rendered])
        vectors = describe([photo.path for photo in rendered], model)
    result["rendered"] = compare(vectors, labels)
    if arguments.data:
        with (arguments.data / "grocery" / "labels.csv").open() as stream:
            rows = [row for row in csv.DictReader(stream) if row["split"] == "test"]
        vectors = describe([arguments.data / "grocery" / row["path"] for row in rows], model)
        result["grocery"] = compare(vectors, np.array([int(row["label"]) for row in rows]))
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


def describe(paths: list[Path], model: resight.models.Model) -> np.ndarray:
    """Returns one descriptor a photo, rounded as an index stores them."""
    rows = [row.features.descriptor for row in extract(paths, model) if row.features is not None]
    if len(rows) != len(paths):
        raise SystemExit("a photo could not be read")
    return np.stack(rows).astype(np.float16).astype(np.float32)


def rules() -> Mapping[str, Rule]:
    """Returns scores of the database for wanted and unwanted photos, by the name of the rule."""

    def rocchio(weight: float) -> Rule:
        return lambda database, wanted, unwanted: database @ combine(wanted, unwanted, weight=weight)

    def largest(database: np.ndarray, wanted: np.ndarray, _: np.ndarray) -> np.ndarray:
        return (database @ wanted.T).max(axis=1)

    def margin(database: np.ndarray, wanted: np.ndarray, unwanted: np.ndarray) -> np.ndarray:
        scores = database @ combine(wanted, unwanted[:0])
        return scores - 0.5 * (database @ unwanted.T).max(axis=1) if len(unwanted) else scores

    def projected(database: np.ndarray, wanted: np.ndarray, unwanted: np.ndarray) -> np.ndarray:
        mean = combine(wanted, unwanted[:0])
        if len(unwanted):
            axes = np.linalg.svd(unwanted, full_matrices=False)[2]
            mean = mean - axes.T @ (axes @ mean)
        return database @ mean

    named = {f"mean - {weight} unwanted": rocchio(weight) for weight in (0.1, 0.25, 0.5, 0.75)}
    return {
        "mean": rocchio(0.0),
        "largest score": largest,
        **named,
        "mean - half the largest": margin,
        "out of unwanted": projected,
    }


def compare(vectors: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    """Returns mean average precision by rule, number of wanted photos, without and with unwanted ones."""
    rng = np.random.default_rng(0)
    values, counts = np.unique(labels[labels >= 0], return_counts=True)
    drawn = [
        rng.choice(np.flatnonzero(labels == label), 4, replace=False)
        for label in rng.choice(values[counts >= 6], QUERIES)
    ]
    result: dict[str, object] = {}
    for name, rule in rules().items():
        figures: dict[str, float] = {}
        for with_unwanted in (False, True):
            for wanted in (1, 2, 3, 4):
                precision = [
                    one_query(vectors, labels, photos, wanted, UNWANTED * with_unwanted, rule)
                    for photos in drawn
                ]
                key = f"{wanted} wanted" + (f", {UNWANTED} unwanted" if with_unwanted else "")
                figures[key] = round(float(np.mean(precision)), 4)
        result[name] = figures
    return result


def one_query(
    vectors: np.ndarray, labels: np.ndarray, photos: np.ndarray, wanted: int, unwanted: int, rule: Rule
) -> float:
    """Returns the average precision of one query; the same photos leave the ranking whatever the rule."""
    label = labels[photos[0]]
    single = np.where(labels == label, -np.inf, vectors @ vectors[photos[0]])
    look_alikes = np.argsort(-single, kind="stable")[:UNWANTED]
    scores = rule(vectors, vectors[photos[:wanted]], vectors[look_alikes[:unwanted]])
    kept = np.setdiff1d(np.arange(len(vectors)), np.concatenate([photos, look_alikes]))
    relevant = (labels[kept] == label)[np.argsort(-scores[kept], kind="stable")]
    ranks = np.flatnonzero(relevant) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


if __name__ == "__main__":
    main()
