"""How should inliers and similarity order verified answers? Chosen on photos that are no benchmark.

    python benchmarks/verified_order.py --data FOLDER [--json FILE]

Sets: rendered places (70 of 5 views, 150 queries), the scenes of ``sfm`` (120 queries; the three that share
views count as one) and 700 photos of ``grocery``'s training classes (150 queries). Each query is searched
among the others by the descriptor of `sift`, the first 60 answers are verified, and mAP is measured for the
order by descriptor, by inliers, and by each combination tried.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import resight
from resight import images, scenes
from resight.search.geometry.reranking import EVIDENCE_WEIGHT, MARGIN, order_verified
from resight.search.geometry.verification import Verification, verify_answers

TOP, SEED = 60, 55
SHARED = {"entry-P10": "fountain-P11", "castle-P30": "fountain-P11"}
WEIGHTS, MARGINS = (0.5, 1.0, 2.0, 4.0), (1.0, 1.25, 1.5)


@dataclass(frozen=True, slots=True)
class Head:
    """The first answers of a query: which are right, what they have, and how many right ones there are."""

    right: np.ndarray
    similarities: np.ndarray
    matches: list[Verification]
    positives: int

    def average_precision(self, order: np.ndarray) -> float:
        """Returns the average precision of an order of the first answers; the others count as missed."""
        ranks = np.flatnonzero(self.right[order])
        return sum((place + 1) / (rank + 1) for place, rank in enumerate(ranks)) / self.positives


def photos_of(data: Path) -> Iterator[tuple[str, list[tuple[str, object]], int]]:
    """Yields name, photos with their labels, and number of queries of each set."""
    rendered = [(str(p), scenes.render_view(p, v, seed=SEED, side=640)) for p in range(70) for v in range(5)]
    yield "rendered places", rendered, 150
    folders = [folder for folder in sorted((data / "sfm").iterdir()) if folder.is_dir()]
    taken = [(f.name, path) for f in folders for path in sorted(f.glob("**/*.jpg"))]
    yield "sfm", [(SHARED.get(name, name), path) for name, path in taken], 120
    with (data / "grocery" / "labels.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    chosen = np.random.default_rng(0).permutation(len(rows))[:700]
    yield "grocery", [(rows[n]["label"], data / "grocery" / rows[n]["path"]) for n in chosen], 150


def heads(photos: Sequence[tuple[str, object]], queries: int) -> list[Head]:
    model = resight.load_model("sift")
    described = [model.extract([images.photo_of(photo, max_side=model.max_side)])[0] for _, photo in photos]
    descriptors = np.stack([features.descriptor for features in described])
    labels = np.array([label for label, _ in photos])
    rows = []
    for query in np.random.default_rng(0).permutation(len(photos))[:queries].tolist():
        similarities = descriptors @ descriptors[query]
        similarities[query] = -np.inf
        first = np.argsort(-similarities, kind="stable")[:TOP]
        positives = int((labels == labels[query]).sum()) - 1
        if positives:
            matches = verify_answers(described[query].local, [described[n].local for n in first])
            rows.append(Head(labels[first] == labels[query], similarities[first], matches, positives))
    return rows


def combined(head: Head, weight: float, margin: float) -> np.ndarray:
    beyond = np.array([max(0.0, match.inliers - margin * match.expected) for match in head.matches])
    return np.argsort(-(head.similarities + weight * np.log1p(beyond)), kind="stable")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result: dict[str, object] = {"chosen": {"weight": EVIDENCE_WEIGHT, "margin": MARGIN}}
    for name, photos, queries in photos_of(arguments.data):
        rows = heads(photos, queries)
        orders = {
            "descriptor": [np.arange(len(row.right)) for row in rows],
            "inliers": [order_verified(row.similarities, row.matches, order="inliers") for row in rows],
            "chosen": [order_verified(row.similarities, row.matches) for row in rows],
        }
        for weight, margin in itertools.product(WEIGHTS, MARGINS):
            orders[f"weight {weight}, margin {margin}"] = [combined(row, weight, margin) for row in rows]
        result[name] = {
            way: round(
                float(np.mean([row.average_precision(o) for row, o in zip(rows, each, strict=True)])), 4
            )
            for way, each in orders.items()
        } | {"queries": len(rows)}
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
