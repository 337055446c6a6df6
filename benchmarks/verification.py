"""How well geometric verification tells photos of one place from others, by matching rule and threshold.

    python benchmarks/verification.py --data FOLDER [--model sift] [--places 40] [--json FILE]

FOLDER holds ``sfm/SCENE/`` with overlapping photos in order of their names and ``homography/SEQUENCE/`` with
``img1.jpg`` to ``img6.jpg`` and ``H.json``. Positive pairs are neighbouring photos of a scene, negative ones
photos of different scenes (scenes that share views are left out). Agreement: share of inliers within 5 pixels
of the true homography.

Rendered places (``--places``, six views each, their own seed) share windows and doors as a real town's houses
do: their figures are written beside those of the photos. ``no_orientation``: the same features without their
orientations, as those of a network are. ``expected_of_a_negative`` is the mean number of inliers that chance
is said to reach (`Verification.expected`), ``negatives_beyond_it`` how many have more.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import tempfile
import time
from pathlib import Path

import numpy as np

import resight
from resight import images, scenes
from resight.features import LocalFeatures
from resight.models.model import Model
from resight.search import VerificationConfig, verification_config, verify

SHARED = {"fountain-P11", "entry-P10", "castle-P30"}
PHOTOS = 8
NEGATIVES = 300
SEED = 77
VIEWS = 6
TRIED = [
    VerificationConfig(),
    VerificationConfig(threshold=12.0),
    VerificationConfig(ratio=0.8),
    VerificationConfig(ratio=0.85, threshold=24.0),
    VerificationConfig(matching="mutual", threshold=6.0),
    VerificationConfig(matching="mutual", threshold=12.0),
    VerificationConfig(matching="mutual", threshold=20.0),
    VerificationConfig(model="homography"),
    VerificationConfig(model="similarity"),
    verification_config("delg"),
]
Pair = tuple[LocalFeatures, LocalFeatures]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="sift")
    parser.add_argument("--places", type=int, default=40)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    model = resight.load_model(arguments.model)
    photographed = {
        folder.name: [local(model, path) for path in sorted(folder.glob("**/*.jpg"))[:PHOTOS]]
        for folder in sorted((arguments.data / "sfm").iterdir())
        if folder.is_dir()
    }
    positives = [pair for photos in photographed.values() for pair in itertools.pairwise(photos)]
    negatives = draw_negatives(photographed)
    planar = read_planar(model, arguments.data / "homography")
    result = {
        "model": arguments.model,
        "positives": len(positives),
        "negatives": len(negatives),
        "settings": [judge(settings, positives, negatives, planar) for settings in TRIED],
    }
    if arguments.places:
        rendered = render(model, arguments.places)
        right = [pair for views in rendered.values() for pair in itertools.combinations(views, 2)][::2]
        wrong = draw_negatives(rendered)
        plain = [[(without_orientation(a), without_orientation(b)) for a, b in row] for row in (right, wrong)]
        result["rendered_places"] = {
            "places": arguments.places,
            "seed": SEED,
            "positives": len(right),
            "negatives": len(wrong),
            "settings": [judge(settings, right, wrong, []) for settings in TRIED],
            "no_orientation": [judge(settings, *plain, []) for settings in (TRIED[0], TRIED[-2])],
        }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


def local(model: Model, path: Path) -> LocalFeatures:
    """Returns the local features of a photo."""
    features = model.extract([images.read(path, max_side=model.max_side)])[0].local
    if features is None:
        raise SystemExit(f"{model.name} has no local features")
    return features


def render(model: Model, places: int) -> dict[str, list[LocalFeatures]]:
    """Returns the local features of views of rendered places."""
    with tempfile.TemporaryDirectory() as folder:
        written = scenes.write_collection(
            Path(folder), places=places, views=VIEWS, distractors=0, seed=SEED, side=640
        )
        described = [(str(photo.place), local(model, photo.path)) for photo in written]
    return {place: [views for name, views in described if name == place] for place, _ in described}


def without_orientation(features: LocalFeatures) -> LocalFeatures:
    return dataclasses.replace(features, orientations=np.zeros_like(features.orientations))


def draw_negatives(places: dict[str, list[LocalFeatures]]) -> list[Pair]:
    """Returns pairs of photos of different places."""
    rng = np.random.default_rng(0)
    pairs: list[Pair] = []
    while len(pairs) < NEGATIVES:
        first, second = rng.choice(sorted(places), 2, replace=False).tolist()
        if not {first, second} <= SHARED:
            left, right = places[first], places[second]
            pairs.append((left[rng.integers(len(left))], right[rng.integers(len(right))]))
    return pairs


def read_planar(model: Model, folder: Path) -> list[tuple[Pair, np.ndarray]]:
    """Returns pairs of photos with the true homography from the first to the second."""
    pairs = []
    for sequence in sorted(path for path in folder.iterdir() if path.is_dir()):
        truth = json.loads((sequence / "H.json").read_text())
        photos = [local(model, sequence / f"img{number}.jpg") for number in range(1, 7)]
        pairs += [((photos[0], photos[k - 1]), np.array(truth[f"1_{k}"])) for k in range(2, 7)]
    return pairs


def judge(
    settings: VerificationConfig,
    positives: list[Pair],
    negatives: list[Pair],
    planar: list[tuple[Pair, np.ndarray]],
) -> dict[str, object]:
    """Returns the figures of one rule."""
    started = time.perf_counter()
    right = np.array([verify(*pair, config=settings).inliers for pair in positives])
    found_wrong = [verify(*pair, config=settings) for pair in negatives]
    wrong = np.array([found.inliers for found in found_wrong])
    expected = np.array([found.expected for found in found_wrong])
    seconds = time.perf_counter() - started
    agreeing = found = 0
    for pair, truth in planar:
        verified = verify(*pair, config=settings)
        moved = np.c_[verified.query_points, np.ones(verified.inliers)] @ truth.T
        away = np.linalg.norm(moved[:, :2] / moved[:, 2:] - verified.answer_points, axis=1)
        agreeing, found = agreeing + int((away < 5).sum()), found + verified.inliers
    return {
        "model": settings.model,
        "matching": settings.rule_for(positives[0][0]),
        "ratio": settings.ratio,
        "threshold": settings.threshold,
        "sampling": settings.sampling,
        "positives_with_20": round(float((right >= 20).mean()), 3),
        "positives_with_15": round(float((right >= 15).mean()), 3),
        "positives_with_8": round(float((right >= 8).mean()), 3),
        "negatives_with_8": round(float((wrong >= 8).mean()), 4),
        "negatives_with_12": round(float((wrong >= 12).mean()), 4),
        "negatives_with_20": round(float((wrong >= 20).mean()), 4),
        "most_of_a_negative": int(wrong.max()),
        "expected_of_a_negative": round(float(expected.mean()), 1),
        "negatives_beyond_it": round(float((wrong > expected).mean()), 4),
        "positives_above_negatives": round(
            float(((right[:, None] > wrong).mean() + (right[:, None] >= wrong).mean()) / 2), 4
        ),
        "agreement_with_true_homography": round(agreeing / found, 3) if found else None,
        "ms_a_pair": round(seconds / (len(right) + len(wrong)) * 1e3, 1),
    }


if __name__ == "__main__":
    main()
