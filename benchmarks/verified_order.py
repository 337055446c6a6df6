"""How should inliers and similarity order verified answers? Chosen on photos that are no benchmark.

    python benchmarks/verified_order.py --data FOLDER [--json FILE]

Sets to choose on: rendered places (70 of 5 views, 150 queries), the scenes of ``sfm`` (120 queries; those
that share views are one) and 700 photos of ``grocery``'s training classes (150 queries). Sets at the
edge of what geometry can match, to be hurt by none: places with every second view by night, ``homography``'s
sequences of extreme viewpoints among the scenes of ``sfm``, and labels of one layout, each photographed from
three sides. Each query is searched among the others by the descriptor of `sift`, the first 60 answers are
verified, and mAP is measured for the order by descriptor, by inliers, and by each combination tried.
``changed`` counts the queries whose average precision the chosen order raises and lowers against the
descriptor's, ``confirmed`` the right and wrong answers that are called so, of how many.
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
import overlays

import resight
from resight import images, scenes
from resight.search import verdict
from resight.search.geometry.reranking import EVIDENCE_WEIGHT, order_verified
from resight.search.geometry.verification import MARGIN, Verification, verify_answers

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
    yield "night", [(str(p), night(p, v) if v % 2 else day(p, v)) for p in range(60) for v in range(4)], 120
    sides = [
        (f.name, path) for f in sorted((data / "homography").iterdir()) for path in sorted(f.glob("*.jpg"))
    ]
    yield "homography", sides + [(SHARED.get(name, name), path) for name, path in taken], len(sides)
    rng = np.random.default_rng(5)
    yield (
        "labels",
        [(str(n), np.asarray(overlays.on_a_shelf(n, rng))) for n in range(40) for _ in range(3)],
        120,
    )


def day(place: int, view: int) -> np.ndarray:
    return scenes.render_view(place, view, seed=SEED + 1, side=640)


def night(place: int, view: int) -> np.ndarray:
    """A view darkened by gamma and colour, with lamps and the noise of a sensor."""
    rng, light = np.random.default_rng((place, view)), day(place, view).astype(np.float64) / 255
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]]
    light = light**1.6 * [0.27, 0.27, 0.36]
    for x, y, size, power in rng.uniform([0, 0, 20, 0.2], [640, 480, 80, 0.6], (5, 4)):
        lamp = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * size**2))
        light += power * lamp[..., None] * [1.0, 0.85, 0.5]
    return np.clip(255 * (light + rng.normal(0, 0.02, light.shape)), 0, 255).astype(np.uint8)


def heads(photos: Sequence[tuple[str, object]], queries: int) -> list[Head]:
    model = resight.load_model("sift")
    described = [model.extract([images.photo_of(photo, max_side=model.max_side)])[0] for _, photo in photos]
    descriptors = np.stack([features.descriptor for features in described])
    labels = np.array([label for label, _ in photos])
    rows = []
    # The first photos are the queries of a set with others; elsewhere any are.
    order = (
        np.arange(queries) if queries < 30 else np.random.default_rng(0).permutation(len(photos))[:queries]
    )
    for query in order.tolist():
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
        scores = {
            way: np.array([row.average_precision(order) for row, order in zip(rows, each, strict=True)])
            for way, each in orders.items()
        }
        gain = scores["chosen"] - scores["descriptor"]
        changed = {"raised": int((gain > 0).sum()), "lowered": int((gain < 0).sum())}
        called = np.array([verdict(match) == "confirmed" for row in rows for match in row.matches])
        right = np.concatenate([row.right for row in rows])
        confirmed = {
            name: f"{int(called[mask].sum())} of {int(mask.sum())}"
            for name, mask in (("right", right), ("wrong", ~right))
        }
        means = {way: round(float(values.mean()), 4) for way, values in scores.items()}
        result[name] = means | {"queries": len(rows), "changed": changed, "confirmed": confirmed}
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
