"""Makes the bundle of the model ``sift``: codebook and projection from rendered places and a shop's products.

Nothing else is looked at: rendered places (`resight.scenes.render`, 640 pixels) and the train split of the
Grocery Store dataset (Klasson et al., WACV 2019; MIT licence), of which only sums over photos go into the
bundle.

    python benchmarks/build_sift.py --data DIR [--rendered DIR] [--out FILE]

takes about twenty minutes on one core; rendered photos are kept in ``--rendered`` and reused. Everything is
seeded: on one machine with one version of NumPy and OpenCV the same bundle comes out, with the same
fingerprint; other versions or processors round differently, which moves single values by one step of the
projection's 8-bit scale.
"""

from __future__ import annotations

import os

# One thread: sums in a fixed order, and no threads that wait for each other on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64

from resight import images, scenes
from resight.models import bundle
from resight.models.sift import rootsift
from resight.models.sift.aggregation import Codebook, size_weights, vlad
from resight.models.sift.sift import ARCHITECTURE

MAX_SIDE = 640
KEYPOINTS, STORED_KEYPOINTS, CONTRAST_THRESHOLD = 2000, 1000, 0.04
# Compared with others in benchmarks/sift_aggregation.py.
FULL_SIZE, REDUCED, CENTRES, NEIGHBOURS, SOFTNESS, ANGULAR = 1 / 80, 64, 64, 2, 20.0, 1.0
DIM, WHITENING_POWER = 512, 0.5
# Many towns and every place once: what varies between places matters, not one place again.
TOWNS, PLACES = range(2001, 2101), 24
LOCAL_SAMPLE, LOCAL_PHOTOS = 150_000, 600
# Windows that stand for query boxes: (of a rendered photo, of a grocery photo), and fewest keypoints in one.
WINDOWS, FEWEST = (2, 1), 30

PROVENANCE = (
    "Codebook and projection computed by benchmarks/build_sift.py from {rendered} photos of rendered places "
    "(resight.scenes.render, our own) and the {grocery} photos of the train split of the Grocery Store "
    "dataset (Marcus Klasson, Cheng Zhang, Hedvig Kjellström: A Hierarchical Grocery Store Image Dataset "
    "with Visual and Semantic Labels, WACV 2019; https://github.com/marcusklasson/GroceryStoreDataset; "
    "MIT licence, Copyright (c) 2019 Marcus Klasson). No photo and no part of one is in this file."
)


@dataclass(frozen=True, slots=True)
class Described:
    """Keypoints of a photo and what each counts."""

    keypoints: rootsift.Keypoints
    weights: Float32[np.ndarray, " n"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds grocery/labels.csv")
    parser.add_argument("--rendered", type=Path, default=Path("build/rendered"), help="keeps rendered photos")
    parser.add_argument("--out", type=Path, default=Path("src/resight/models/weights/sift.safetensors"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    rendered = rendered_photos(arguments.rendered, TOWNS)
    grocery = grocery_photos(arguments.data)
    codebook = fit_codebook([sampled(photos, rng) for photos in (rendered, grocery)], rng)
    training = np.concatenate(
        [
            aggregated(map(described, photos), codebook, windows=windows, rng=rng)
            for photos, windows in zip((rendered, grocery), WINDOWS, strict=True)
        ]
    )
    print(f"aggregated {len(training)} photos and windows of photos", flush=True)
    mean, axes, variances = principal_axes(training, DIM, rng)
    projection = axes * variances[:, None] ** (-WHITENING_POWER / 2)
    provenance = PROVENANCE.format(rendered=len(rendered), grocery=len(grocery))
    made = as_bundle(codebook, mean, projection, provenance)
    bundle.write(made, arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB, fingerprint {made.fingerprint}")


def rendered_photos(folder: Path, seeds: Iterable[int]) -> list[Path]:
    """Returns files of places that are seen once, written first where missing; every seed is another town."""
    photos: list[Path] = []
    for seed in seeds:
        town = folder / str(seed)
        if not (town / "done").exists():
            scenes.write_collection(town, places=0, distractors=PLACES, seed=seed, side=MAX_SIDE)
            (town / "done").touch()
            print(f"rendered {town}", flush=True)
        photos += sorted(town.glob("*.jpg"))
    return photos


def grocery_photos(data: Path) -> list[Path]:
    """Returns the files of grocery's train split."""
    with (data / "grocery" / "labels.csv").open(newline="") as table:
        return [data / "grocery" / row["path"] for row in csv.DictReader(table) if row["split"] == "train"]


def described(path: Path) -> Described:
    """Returns the keypoints of a file as the model sees them."""
    photo = images.read(path, max_side=MAX_SIDE)
    found = rootsift.keypoints(photo.pixels, count=KEYPOINTS, contrast_threshold=CONTRAST_THRESHOLD)
    return Described(found, size_weights(found.scales, max(photo.pixels.shape[:2]), FULL_SIZE))


def aggregated(
    photos: Iterable[Described], codebook: Codebook, *, windows: int, rng: np.random.Generator
) -> Float32[np.ndarray, "n aggregate"]:
    """Returns the aggregate of each photo and of so many random windows of it."""
    rows = []
    for photo in photos:
        found = photo.keypoints
        everything = np.ones(len(found), dtype=np.bool_)
        for inside in [everything, *(window(found.positions, rng) for _ in range(windows))]:
            if inside is everything or inside.sum() >= FEWEST:
                rows.append(
                    vlad(
                        found.descriptors[inside],
                        found.orientations[inside],
                        photo.weights[inside],
                        codebook,
                    )
                )
    return np.stack(rows)


def window(positions: Float32[np.ndarray, "n 2"], rng: np.random.Generator) -> Bool[np.ndarray, " n"]:
    """Returns which keypoints lie in a random window of their extent."""
    share, place = rng.uniform(0.35, 0.8, 2), rng.random(2)
    if not len(positions):
        return np.zeros(0, dtype=np.bool_)
    low = positions.min(axis=0)
    extent = positions.max(axis=0) - low
    corner = low + extent * (1 - share) * place
    return ((positions >= corner) & (positions <= corner + extent * share)).all(axis=1)


def sampled(photos: Sequence[Path], rng: np.random.Generator) -> list[Described]:
    """Returns the keypoints of some of the photos."""
    chosen = rng.choice(len(photos), min(LOCAL_PHOTOS, len(photos)), replace=False)
    return [described(photos[index]) for index in sorted(chosen)]


def fit_codebook(
    sources: Sequence[Sequence[Described]], rng: np.random.Generator, *, centres: int = CENTRES
) -> Codebook:
    """Returns principal axes and centres of local descriptors, as many descriptors from each source."""
    samples = []
    for photos in sources:
        local = np.concatenate([photo.keypoints.descriptors for photo in photos])
        size = min(LOCAL_SAMPLE // len(sources), len(local))
        samples.append(local[np.sort(rng.choice(len(local), size, replace=False))])
    local = np.concatenate(samples)
    mean = local.mean(axis=0, dtype=np.float64)
    centred = local - mean
    _, axes = np.linalg.eigh(centred.T @ centred)
    basis = axes[:, ::-1][:, :REDUCED]
    means = k_means((centred @ basis).astype(np.float32), centres, rng)
    return Codebook(mean.astype(np.float32), basis.astype(np.float32), means, NEIGHBOURS, SOFTNESS, ANGULAR)


def k_means(
    points: Float32[np.ndarray, "n reduced"], count: int, rng: np.random.Generator, *, rounds: int = 40
) -> Float32[np.ndarray, "count reduced"]:
    """Returns the centres of Lloyd's algorithm from random points; one left alone moves to a random point."""
    centres = points[rng.choice(len(points), count, replace=False)]
    for _ in range(rounds):
        nearest = (np.einsum("kd,kd->k", centres, centres) - 2 * points @ centres.T).argmin(axis=1)
        members = np.bincount(nearest, minlength=count)
        order = np.argsort(nearest, kind="stable")
        starts = np.r_[0, np.cumsum(members)[:-1]]
        for centre in range(count):
            own = points[order[starts[centre] : starts[centre] + members[centre]]]
            centres[centre] = own.mean(axis=0) if len(own) else points[rng.integers(len(points))]
    return centres


def principal_axes(
    aggregates: Float32[np.ndarray, "n aggregate"], dim: int, rng: np.random.Generator
) -> tuple[
    Float64[np.ndarray, " aggregate"], Float64[np.ndarray, "dim aggregate"], Float64[np.ndarray, " dim"]
]:
    """Returns the mean, the principal axes (rows of unit norm) and the variances along them, largest first.

    Found by a randomised range finder with three power iterations (Halko, Martinsson and Tropp, SIAM Review
    2011, algorithms 4.4 and 5.1): the full covariance has 12,288 rows. The small problem is solved in
    float64.
    """
    mean = aggregates.mean(axis=0, dtype=np.float64)
    centred = aggregates - mean.astype(np.float32)
    start = rng.standard_normal((aggregates.shape[1], dim + 64), dtype=np.float32)
    span, _ = np.linalg.qr(centred @ start)
    for _ in range(3):
        span, _ = np.linalg.qr(centred @ (centred.T @ span))
    small = (span.T @ centred).astype(np.float64)
    variances, vectors = np.linalg.eigh(small @ small.T / len(centred))
    variances, vectors = variances[::-1][:dim], vectors[:, ::-1][:, :dim]
    if not variances[-1] > 1e-9 * variances[0]:
        raise SystemExit(f"{len(aggregates)} photos do not span {dim} dimensions: render more towns")
    axes = vectors.T @ small
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    # An eigenvector is one up to its sign, which libraries choose differently.
    axes *= np.sign(axes[np.arange(dim), np.abs(axes).argmax(axis=1)])[:, None]
    return mean, axes, variances


def as_bundle(
    codebook: Codebook,
    mean: Float64[np.ndarray, " aggregate"],
    projection: Float64[np.ndarray, "dim aggregate"],
    provenance: str,
) -> bundle.Bundle:
    """Returns the model's bundle; the projection in 8 bits, which changes a score by less than 0.001."""
    # Descriptors are normalised: only the proportions of the rows matter.
    projection = projection / np.abs(projection).max()
    step = np.abs(projection).max(axis=1) / 127
    return bundle.Bundle(
        architecture=ARCHITECTURE,
        settings={
            "keypoints": KEYPOINTS,
            "stored_keypoints": STORED_KEYPOINTS,
            "contrast_threshold": CONTRAST_THRESHOLD,
            "full_size": FULL_SIZE,
            "neighbours": codebook.neighbours,
            "softness": codebook.softness,
            "angular": codebook.angular,
        },
        preprocessing=bundle.Preprocessing(max_side=MAX_SIDE),
        licence="Apache-2.0",
        provenance=provenance,
        tensors={
            "local_mean": codebook.mean,
            "local_basis": codebook.basis,
            "centres": codebook.centres,
            "mean": mean.astype(np.float32),
            "projection": np.rint(projection / step[:, None]).astype(np.int8),
            "projection_step": step.astype(np.float32),
        },
    )


if __name__ == "__main__":
    main()
