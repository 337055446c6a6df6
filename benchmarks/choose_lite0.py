"""Chooses how the model ``efficientnet-lite0`` describes: map, size, scales, exponent and whitening.

    python benchmarks/choose_lite0.py --data DIR [--made DIR] [--cache DIR] [--json FILE]

Judged on the photos of ``selection_photos.py`` alone: each is a query against the others of its kind, and
what counts is the mean over the kinds of the mean average precision. A whitening is fitted to the other three
kinds. Pooled maps are cached.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import selection_photos
import torch
from jaxtyping import Float32
from selection_photos import LabelledFiles

from resight import images
from resight.models.bundle import Preprocessing
from resight.models.preprocess import to_input
from resight.networks.trunks.backbone import Backbone

SIDE = 640
SCALES = (1.0, 0.75, 0.75 * 2**-0.5)
POWERS = (2.0, 3.0, 4.0)
MAPS = ("320", "1280")
BEST = 20
WHITENED_POWER = 3.0
Pooled = Mapping[tuple[str, float, float], Float32[np.ndarray, "n channels"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--made", type=Path, default=Path("build/selection"))
    parser.add_argument("--cache", type=Path, default=Path("build/lite0"))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/choose_lite0.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    judged = selection_photos.judged(arguments.data, arguments.made)
    rows = choose(judged, [pool(kind, arguments.cache / f"judged-{kind.name}.npz") for kind in judged])
    # The best, and all without whitening, a line each.
    kept = [row for place, row in enumerate(rows) if place < BEST or row["dim"] is None]
    arguments.json.write_text("[\n" + ",\n".join(map(json.dumps, kept)) + "\n]\n")


def pool(kind: LabelledFiles, cache: Path) -> Pooled:
    """Returns GeM-pooled unit vectors of all photos by map, exponent and scale."""
    if not cache.exists():
        trunk = Backbone("efficientnet-lite0", pretrained=True, out_indices=(-2, -1)).eval()
        trunk = trunk.to(memory_format=torch.channels_last)
        sizes = Preprocessing(SIDE, trunk.mean, trunk.std)
        found: dict[tuple[str, float, float], list[np.ndarray]] = {}
        for path in kind.paths:
            pixels = torch.from_numpy(images.read(path, max_side=SIDE).pixels)[None]
            image = to_input(pixels, sizes).to(memory_format=torch.channels_last)
            for scale in SCALES:
                with torch.inference_mode():
                    shown = image
                    if scale != 1:
                        shown = torch.nn.functional.interpolate(
                            image, scale_factor=scale, mode="bilinear", align_corners=False
                        )
                    maps = trunk(shown)
                for name, values in zip(MAPS, maps, strict=True):
                    positive = values[0].flatten(1).clamp(min=1e-6)
                    for power in POWERS:
                        vector = positive.pow(power).mean(dim=1).pow(1 / power)
                        found.setdefault((name, power, scale), []).append(
                            (vector / vector.norm()).numpy().astype(np.float32)
                        )
        np.savez(cache, **{"|".join(map(str, key)): np.stack(rows) for key, rows in found.items()})
    with np.load(cache) as file:
        keys = [(key, key.split("|")) for key in file.files]
        return {(name, float(power), float(scale)): file[key] for key, (name, power, scale) in keys}


def joined(pooled: Pooled, name: str, power: float, scales: Sequence[float]) -> Float32[np.ndarray, "n dim"]:
    """Returns unit vectors of several scales joined as `resight.networks.gem.GeMNet` joins them."""
    total = np.mean([pooled[name, power, scale] ** power for scale in scales], axis=0) ** (1 / power)
    vectors: Float32[np.ndarray, "n dim"] = total / np.linalg.norm(total, axis=1, keepdims=True)
    return vectors


def average_precision(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean average precision of every photo with a partner against all the others."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return of_scores(scores, labels)


def of_scores(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the same for scores whose diagonal is -inf."""
    return float(np.nanmean(of_queries(scores, labels)))


def of_queries(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the average precision of every photo as a query, NaN without a partner; diagonal -inf."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    right = (labels[order] == labels[:, None]) & (labels >= 0)[:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    found: np.ndarray = (precision * right).sum(axis=1) / np.where(
        right.any(axis=1), right.sum(axis=1), np.nan
    )
    return found


def principal(fitted: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns mean, variances and axes (columns), largest first, each kind of photos counting the same."""
    mean = np.mean([each.mean(axis=0, dtype=np.float64) for each in fitted], axis=0)
    spread = np.mean([np.cov((each - mean).T.astype(np.float64), bias=True) for each in fitted], axis=0)
    variances, axes = np.linalg.eigh(spread)
    return mean, np.maximum(variances[::-1], 1e-12), axes[:, ::-1]


def whitened(
    vectors: np.ndarray, basis: tuple[np.ndarray, np.ndarray, np.ndarray], dim: int, power: float
) -> np.ndarray:
    """Returns unit vectors of PCA whitening; power 1 is full."""
    mean, variances, axes = basis
    values = (vectors - mean) @ (axes[:, :dim] * variances[:dim] ** (-power / 2))
    unit: np.ndarray = values / np.linalg.norm(values, axis=1, keepdims=True)
    return unit


def choose(judged: Sequence[LabelledFiles], own: Sequence[Pooled]) -> list[dict]:
    """Returns the mAP of every way on every kind, best mean first."""
    rows = []
    ways = [(scale,) for scale in SCALES] + [SCALES[:2], SCALES[1:], SCALES]
    for name, power, scales in itertools.product(MAPS, POWERS, ways):
        vectors = [joined(each, name, power, scales) for each in own]
        forms: list[tuple[int | None, float]] = [(None, 0.0)]
        if power == WHITENED_POWER and len(scales) > 1:
            forms += [(dim, white) for dim in (256, 320) for white in (0.25, 0.5, 0.75)]
            bases = [principal([v for n, v in enumerate(vectors) if n != one]) for one in range(len(vectors))]
        for dim, white in forms:
            shown = vectors
            if dim is not None:
                shown = [
                    whitened(each, basis, dim, white) for each, basis in zip(vectors, bases, strict=True)
                ]
            found = {
                kind.name: round(average_precision(each, kind.labels), 4)
                for kind, each in zip(judged, shown, strict=True)
            }
            mean = round(float(np.mean(list(found.values()))), 4)
            scaled = [round(scale, 4) for scale in scales]
            rows.append(
                {"map": name, "p": power, "scales": scaled, "dim": dim, "power": white, **found, "mean": mean}
            )
    return sorted(rows, key=lambda row: -row["mean"])


if __name__ == "__main__":
    main()
