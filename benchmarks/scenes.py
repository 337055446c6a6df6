"""How hard the rendered places are: pairs that plain RootSIFT can verify, and R@1 of plain RootSIFT-VLAD.

Run ``python benchmarks/scenes.py`` from a checkout; it writes ``benchmarks/results/scenes.json``. Wanted: 15
or more inliers in 50 to 90 % of the pairs of views of one place, fewer than 8 between places, R@1 between 0.6
and 0.95. Nothing of the package's own matching or models is used: the figures judge the photos alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from resight import scenes

WORDS = 64
KEYPOINTS = 1000
RATIO = 0.8
RESIDUAL = 5.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What is written: settings, quantities, counts and 95 % intervals (bootstrap over places)."""

    seed: int
    places: int
    views: int
    distractors: int
    side: int
    render_seconds: float
    same_place_pairs: int
    same_place_verified: float
    same_place_verified_interval: tuple[float, float]
    same_place_median_inliers: float
    other_place_pairs: int
    other_place_below_8: float
    other_place_most_inliers: int
    queries: int
    recall_at_1: float
    recall_at_1_interval: tuple[float, float]
    mean_average_precision: float


@dataclass(frozen=True, slots=True)
class Photo:
    """Keypoints of one photo: positions ``(n, 2)`` in pixels and RootSIFT descriptors ``(n, 128)``."""

    positions: np.ndarray
    descriptors: np.ndarray


def rootsift(path: Path) -> Photo:
    """Returns a photo's strongest SIFT keypoints with RootSIFT (Arandjelović and Zisserman 2012)."""
    detector = cv2.SIFT.create(nfeatures=KEYPOINTS)
    keypoints, raw = detector.detectAndCompute(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), None)
    if raw is None:
        return Photo(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
    positions = np.array([keypoint.pt for keypoint in keypoints], dtype=np.float32)
    return Photo(positions, np.sqrt(raw / np.maximum(raw.sum(1, keepdims=True), 1e-9)))


def inliers(one: Photo, other: Photo) -> int:
    """Returns the inliers of a robust affine fit to mutual nearest neighbours that pass the ratio test."""
    if min(len(one.positions), len(other.positions)) < 3:
        return 0
    likeness = one.descriptors @ other.descriptors.T
    nearest = likeness.argmax(1)
    mutual = likeness.argmax(0)[nearest] == np.arange(len(nearest))
    best_two = 2 - 2 * np.sort(np.partition(likeness, -2, axis=1)[:, -2:], axis=1)
    clear = best_two[:, 1] <= RATIO**2 * np.maximum(best_two[:, 0], 0)
    kept = np.flatnonzero(mutual & clear)
    if len(kept) < 4:
        return 0
    _, fitted = cv2.estimateAffine2D(
        one.positions[kept],
        other.positions[nearest[kept]],
        method=cv2.USAC_MAGSAC,
        ransacReprojThreshold=RESIDUAL,
        maxIters=2000,
        confidence=0.999,
    )
    return 0 if fitted is None else int(fitted.sum())


def vlad(photo: Photo, centres: np.ndarray) -> np.ndarray:
    """Returns VLAD with signed square root, unit length (Jégou et al. 2012, section 3)."""
    words = (photo.descriptors @ centres.T - 0.5 * (centres**2).sum(1)).argmax(1)
    residuals = np.zeros(centres.shape, np.float64)
    np.add.at(residuals, words, photo.descriptors - centres[words])
    powered = np.sign(residuals) * np.sqrt(np.abs(residuals))
    return (powered / max(np.linalg.norm(powered), 1e-12)).ravel()


def codebook(seed: int, side: int) -> np.ndarray:
    """Returns k-means centres of RootSIFT descriptors from places of another seed."""
    with tempfile.TemporaryDirectory() as folder:
        photos = scenes.write_collection(Path(folder), places=0, distractors=60, seed=seed, side=side)
        found = np.concatenate([rootsift(photo.path).descriptors for photo in photos])
    picked = found[np.random.default_rng(seed).permutation(len(found))[:30000]].astype(np.float32)
    cv2.setRNGSeed(seed)
    stop = (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, 25, 1e-4)
    return cv2.kmeans(picked, WORDS, None, stop, 1, cv2.KMEANS_PP_CENTERS)[2]


def interval(values: np.ndarray, groups: np.ndarray, seed: int) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of the mean, whole places drawn."""
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    sums = np.array([values[groups == name].sum() for name in names])
    counts = np.array([(groups == name).sum() for name in names])
    drawn = rng.integers(len(names), size=(2000, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def measure(*, seed: int, places: int, views: int, distractors: int, side: int, others: int) -> Figures:
    """Returns the figures of one rendered collection; ``others`` pairs of different places are tried."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        written = scenes.write_collection(
            Path(folder), places=places, views=views, distractors=distractors, seed=seed, side=side
        )
        seconds = time.perf_counter() - start
        with ThreadPoolExecutor(2) as pool:
            photos = list(pool.map(rootsift, [photo.path for photo in written]))
    label = np.array(
        [-1 - number if photo.place is None else photo.place for number, photo in enumerate(written)]
    )
    rng = np.random.default_rng(seed)
    same = [
        pair for pair in itertools.combinations(range(places * views), 2) if label[pair[0]] == label[pair[1]]
    ]
    drawn = rng.integers(len(photos), size=(4 * others, 2))
    other = [(int(a), int(b)) for a, b in drawn if label[a] != label[b]][:others]
    with ThreadPoolExecutor(2) as pool:
        close = np.array(list(pool.map(lambda pair: inliers(photos[pair[0]], photos[pair[1]]), same)))
        apart = np.array(list(pool.map(lambda pair: inliers(photos[pair[0]], photos[pair[1]]), other)))
    centres = codebook(seed + 1000, side)
    described = np.stack([vlad(photo, centres) for photo in photos])
    queries = np.flatnonzero(label >= 0)
    likeness = described[queries] @ described.T
    likeness[np.arange(len(queries)), queries] = -np.inf
    order = np.argsort(-likeness, axis=1, kind="stable")[:, :-1]
    right = label[order] == label[queries][:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    average = (precision * right).sum(1) / right.sum(1)
    verified, first = (close >= 15).astype(float), right[:, 0].astype(float)
    return Figures(
        seed=seed,
        places=places,
        views=views,
        distractors=distractors,
        side=side,
        render_seconds=round(seconds, 2),
        same_place_pairs=len(same),
        same_place_verified=round(float(verified.mean()), 4),
        same_place_verified_interval=interval(verified, label[[pair[0] for pair in same]], seed),
        same_place_median_inliers=float(np.median(close)),
        other_place_pairs=len(other),
        other_place_below_8=round(float((apart < 8).mean()), 4),
        other_place_most_inliers=int(apart.max()),
        queries=len(queries),
        recall_at_1=round(float(first.mean()), 4),
        recall_at_1_interval=interval(first, label[queries], seed),
        mean_average_precision=round(float(average.mean()), 4),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--places", type=int, default=40)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--distractors", type=int, default=40)
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--others", type=int, default=1500)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "scenes.json")
    options = parser.parse_args()
    found = [
        measure(
            seed=seed,
            places=options.places,
            views=options.views,
            distractors=options.distractors,
            side=options.side,
            others=options.others,
        )
        for seed in options.seeds
    ]
    text = json.dumps([asdict(figures) for figures in found], indent=2)
    options.output.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
