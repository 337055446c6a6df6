"""Compares ways to bring a photo's local features into one descriptor, for the model ``sift``.

    python benchmarks/sift_aggregation.py --data DIR [--rendered DIR] [--json FILE]

Each way is judged before and after reduction to 512 dimensions with whitening of several powers, on photos
that belong to no benchmark: rendered places of other seeds than the fitted ones, the classes of grocery's
train split that were not fitted, and the scenes of ``sfm`` (by scene). Every photo is a query against the
others of its set. mAP here is the plain average precision over all the others; R@1 says how often the first
one is right.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import csv
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import build_sift
import cv2
import numpy as np
from build_sift import Described, described
from jaxtyping import Float32, Int64

from resight import scenes
from resight.models.sift.aggregation import Codebook, vlad

FITTED = range(2001, 2061)
HELD_OUT = (5001, 5002)
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
# One place in three sets of photos.
SAME_PLACE = {"entry-P10": "fountain-P11", "castle-P30": "fountain-P11"}


@dataclass(frozen=True, slots=True)
class Way:
    """A way of aggregation; ``sized`` weights keypoints by their size."""

    name: str
    neighbours: int = 1
    angular: float = 0.0
    sized: bool = False
    binarised: bool = False
    centres: int = build_sift.CENTRES


WAYS = (
    Way("VLAD, intra-normalised, signed root"),
    Way("VLAD, soft assignment to 2", neighbours=2),
    Way("VLAD, soft assignment to 5", neighbours=5),
    Way("binarised selective match", binarised=True),
    Way("orientation-covariant VLAD", angular=1.0),
    Way("orientation-covariant VLAD, soft assignment to 2", neighbours=2, angular=1.0),
    Way("the same, weighted by size (kept)", neighbours=2, angular=1.0, sized=True),
    Way("the same, binarised", neighbours=2, angular=1.0, sized=True, binarised=True),
    Way("the same with 32 centres", neighbours=2, angular=1.0, sized=True, centres=32),
)


@dataclass(frozen=True, slots=True)
class LabelledPhotos:
    """Keypoints and labels of a set; a negative label is never right."""

    name: str
    photos: Sequence[Described]
    labels: Int64[np.ndarray, " n"]


@dataclass(frozen=True, slots=True)
class Row:
    """A result: quality on one set; ``power`` is ``None`` before the reduction."""

    way: str
    set: str
    dim: int
    power: float | None
    mean_average_precision: float
    recall_at_1: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds grocery/ and sfm/")
    parser.add_argument("--rendered", type=Path, default=Path("build/rendered"))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/sift_aggregation.json"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    started = time.perf_counter()
    grocery = grocery_halves(arguments.data)
    fitted = [
        [described(path) for path in build_sift.rendered_photos(arguments.rendered, FITTED)],
        grocery[0].photos,
    ]
    judged = [held_out(arguments.rendered), grocery[1], scenes_of(arguments.data)]
    rows = [row for way in WAYS for row in judge(way, fitted, judged)]
    result = {
        "fitted": {"rendered": len(fitted[0]), "grocery": len(fitted[1])},
        "judged": {photos.name: len(photos.labels) for photos in judged},
        "seconds": round(time.perf_counter() - started),
        "rows": [asdict(row) for row in rows],
    }
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def judge(way: Way, fitted: Sequence[Sequence[Described]], judged: Sequence[LabelledPhotos]) -> list[Row]:
    """Returns the quality of one way on each set, before and after the reduction."""
    sample = [[photos[i] for i in range(0, len(photos), 4)] for photos in fitted]
    codebook = build_sift.fit_codebook(sample, np.random.default_rng(0), centres=way.centres)
    codebook = replace(codebook, neighbours=way.neighbours, angular=way.angular)
    training = np.concatenate([aggregate(photos, codebook, way) for photos in fitted])
    mean, axes, variances = build_sift.principal_axes(training, build_sift.DIM, np.random.default_rng(0))
    rows = []
    for photos in judged:
        vectors = aggregate(photos.photos, codebook, way)
        rows.append(measure(way, photos, vectors, None))
        projected = (vectors - mean.astype(np.float32)) @ axes.T.astype(np.float32)
        for power in POWERS:
            whitened = projected * (variances ** (-power / 2)).astype(np.float32)
            whitened /= np.linalg.norm(whitened, axis=1, keepdims=True)
            rows.append(measure(way, photos, whitened, power))
        print(
            way.name, photos.name, [(row.power, row.mean_average_precision) for row in rows[-6:]], flush=True
        )
    return rows


def aggregate(
    photos: Sequence[Described], codebook: Codebook, way: Way
) -> Float32[np.ndarray, "n aggregate"]:
    """Returns a unit vector a photo; a binarised one keeps the sums' signs (Tolias et al., ICCV 2013)."""
    rows = []
    for photo in photos:
        found = photo.keypoints
        weights = photo.weights if way.sized else np.ones_like(photo.weights)
        rows.append(vlad(found.descriptors, found.orientations, weights, codebook))
    vectors = np.stack(rows)
    if way.angular == 0:
        vectors = vectors.reshape(len(vectors), way.centres, 3, -1)[:, :, 0].reshape(len(vectors), -1)
    if way.binarised:
        vectors = np.sign(vectors)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1))
    return vectors


def measure(
    way: Way, photos: LabelledPhotos, vectors: Float32[np.ndarray, "n dim"], power: float | None
) -> Row:
    """Returns mean average precision and R@1 of every photo with a partner against all the others."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    right = (photos.labels[order] == photos.labels[:, None]) & (photos.labels >= 0)[:, None]
    right = right[right.any(axis=1)]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    average = (precision * right).sum(axis=1) / right.sum(axis=1)
    return Row(
        way.name,
        photos.name,
        vectors.shape[1],
        power,
        round(float(average.mean()), 4),
        round(float(right[:, 0].mean()), 4),
    )


def held_out(folder: Path) -> LabelledPhotos:
    """Returns rendered places of towns that were not fitted; distractors are nobody's partner."""
    photos, labels = [], []
    for seed in HELD_OUT:
        town = folder / f"{seed}_views"
        for photo in scenes.write_collection(town, places=20, views=6, distractors=30, seed=seed):
            photos.append(described(photo.path))
            labels.append(-1 if photo.place is None else seed * 1000 + photo.place)
    return LabelledPhotos("rendered", photos, np.array(labels))


def grocery_halves(data: Path) -> tuple[LabelledPhotos, LabelledPhotos]:
    """Returns grocery's train split in two halves of different classes."""
    with (data / "grocery" / "labels.csv").open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "train"]
    classes = sorted({int(row["label"]) for row in rows})
    halves = []
    for chosen in (classes[: len(classes) // 2], classes[len(classes) // 2 :]):
        own = [row for row in rows if int(row["label"]) in chosen]
        found = [described(data / "grocery" / row["path"]) for row in own]
        halves.append(LabelledPhotos("grocery", found, np.array([int(row["label"]) for row in own])))
    return halves[0], halves[1]


def scenes_of(data: Path) -> LabelledPhotos:
    """Returns the photos of ``sfm`` by scene."""
    folders = sorted(folder for folder in (data / "sfm").iterdir() if folder.is_dir())
    names = sorted({folder.name for folder in folders})
    paths, labels = [], []
    for folder in folders:
        own = sorted(folder.rglob("*.jpg"))
        paths += own
        labels += [names.index(SAME_PLACE.get(folder.name, folder.name))] * len(own)
    return LabelledPhotos("sfm", [described(path) for path in paths], np.array(labels))


if __name__ == "__main__":
    main()
