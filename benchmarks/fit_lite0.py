"""Fits the whitening of ``efficientnet-lite0`` in ``efficientnet-lite0+sift``, and chooses its shrinkage.

    python benchmarks/fit_lite0.py --data DIR [--made DIR] [--cache DIR] [--json FILE] [--out FILE]

Fitted to matching pairs of the photos that `selection_photos.fitted` makes, as many of each kind; judged on
those of `selection_photos.judged`, among which rendered places and scenes are of kinds that the fit does not
see. What counts is the mean over the kinds of the mean average precision of the network alone and, for equal
weights, joined to ``sift``. Rows without a kind of fitted photos say what the whitening owes to it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import selection_photos
import torch
from choose_lite0 import of_scores
from safetensors.numpy import save_file
from selection_photos import LabelledFiles

from resight.models.extract import describe_photos
from resight.models.model import Model
from resight.models.packaged import load_lite0
from resight.models.whitening import Whitening
from resight.models.whitening_fit import fit_learned, matching_pairs
from resight.models.zoo import load_model

SHRINKAGES = (0.03, 0.1, 0.3)
DIMS = (128, 320)
PAIRS, SEED = 300, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--made", type=Path, default=Path("build/selection"))
    parser.add_argument("--cache", type=Path, default=Path("build/fit_lite0"))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/fit_lite0.json"))
    parser.add_argument("--out", type=Path, default=Path("src/resight/models/weights/lite0.safetensors"))
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    plain, sift = load_lite0(), load_model("sift")
    fitted = selection_photos.fitted(arguments.data, arguments.made)
    judged = selection_photos.judged(arguments.data, arguments.made)
    seen = {kind.name: described(plain, kind, arguments.cache) for kind in [*fitted, *judged]}
    details = {kind.name: described(sift, kind, arguments.cache) for kind in judged}
    rows = [{"fitted": [], **measured(judged, seen, details)}]
    best: tuple[float, Whitening] | None = None
    kinds = [fitted, *([kind for kind in fitted if kind is not left] for left in fitted)]
    for some in kinds:
        for dim in DIMS:
            for shrinkage in SHRINKAGES:
                whitening = fit(some, seen, dim, shrinkage)
                white = {kind.name: whitening.apply(seen[kind.name]) for kind in judged}
                figures = measured(judged, white, details)
                names = [kind.name for kind in some]
                rows.append({"fitted": names, "dim": dim, "shrinkage": shrinkage, **figures})
                print(rows[-1], flush=True)
                score = figures["alone"]["mean"] + figures["joint"]["mean"]
                if some is fitted and (best is None or score > best[0]):
                    best = score, whitening
    arguments.json.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    if best is not None:
        write(best[1], arguments.out)


def described(model: Model, kind: LabelledFiles, cache: Path) -> np.ndarray:
    """Returns the descriptors of a kind of photos, kept in a file."""
    file = cache / f"{model.name}-{kind.name}.npy"
    if not file.exists():
        np.save(file, np.stack([each.descriptor for each in describe_photos(kind.paths, model, workers=1)]))
    vectors: np.ndarray = np.load(file)
    return vectors


def fit(kinds: Sequence[LabelledFiles], seen: dict[str, np.ndarray], dim: int, shrinkage: float) -> Whitening:
    """Returns the whitening learned from as many pairs of each kind."""
    generator = np.random.default_rng(SEED)
    pairs, start = [], 0
    for kind in kinds:
        own = matching_pairs(kind.labels, generator)
        pairs.append(start + generator.choice(own, PAIRS, replace=False))
        start += len(kind.paths)
    return fit_learned(
        np.concatenate([seen[kind.name] for kind in kinds]),
        np.concatenate(pairs),
        dim,
        shrinkage=shrinkage,
        provenance="made prints and pictures under perspective, and half of the training classes of grocery",
    )


def measured(
    judged: Sequence[LabelledFiles], seen: dict[str, np.ndarray], details: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Returns the mAP of the network's descriptors alone, and of both scores added."""
    found: dict[str, dict[str, float]] = {"alone": {}, "joint": {}}
    for kind in judged:
        scores = [vectors @ vectors.T for vectors in (seen[kind.name], details[kind.name])]
        for way, each in (("alone", scores[0]), ("joint", scores[0] + scores[1])):
            np.fill_diagonal(each, -np.inf)
            found[way][kind.name] = round(of_scores(each, kind.labels), 4)
    for figures in found.values():
        figures["mean"] = round(float(np.mean(list(figures.values()))), 4)
    return found


def write(whitening: Whitening, path: Path) -> None:
    tensors = {"mean": whitening.mean.astype(np.float32), "matrix": whitening.matrix.astype(np.float32)}
    metadata = {"pairs": str(whitening.pairs_or_images), "provenance": whitening.provenance}
    save_file(tensors, path, metadata=metadata)


if __name__ == "__main__":
    main()
