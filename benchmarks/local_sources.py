"""Sources of local features as verifiers of the same pairs of photos: what they confirm, and what they cost.

    python benchmarks/local_sources.py --data DIR [--model sift] [--model sift+xfeat] [--json FILE]

Right pairs are neighbouring photos of a scene of ``sfm``, wrong ones photos of different scenes (those that
share views are left out). For each model: the mean number of inliers, how many pairs reach more than chance,
how many are confirmed, among right and among wrong pairs; milliseconds of processor time to describe a photo
and to judge a pair, and bytes of a photo's local features as stored.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from selection_photos import SAME_PLACE

import resight
from resight import images
from resight.features import LocalFeatures
from resight.models.codec import as_stored
from resight.search import verify
from resight.search.geometry.verdict import verdict

PHOTOS = 4
NEGATIVES = 250


@dataclass(frozen=True, slots=True)
class Row:
    """What a model's local features say of right and of wrong pairs."""

    model: str
    features_a_photo: float
    bytes_a_photo: int
    right_pairs: int
    right_inliers: float
    right_beyond_chance: float
    right_confirmed: float
    wrong_pairs: int
    wrong_inliers: float
    wrong_confirmed: int
    milliseconds_a_photo: float
    milliseconds_a_pair: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", action="append")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/local_sources.json"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    folders = sorted(folder for folder in (arguments.data / "sfm").iterdir() if folder.is_dir())
    scenes = {folder.name: sorted(folder.rglob("*.jpg"))[:PHOTOS] for folder in folders}
    right = [pair for paths in scenes.values() for pair in itertools.pairwise(paths)]
    wrong = [
        (one, other)
        for (name, first), (other_name, second) in itertools.combinations(scenes.items(), 2)
        if SAME_PLACE.get(name, name) != SAME_PLACE.get(other_name, other_name)
        for one, other in ((first[0], second[1]), (first[-1], second[0]))
    ]
    chosen = np.random.default_rng(0).permutation(len(wrong))[:NEGATIVES]
    rows = {row["model"]: row for row in _kept(arguments.json)}
    for name in arguments.model or ["sift", "sift+xfeat"]:
        row = judge(
            name, [path for paths in scenes.values() for path in paths], right, [wrong[i] for i in chosen]
        )
        rows[name] = asdict(row)
        print(row, flush=True)
        arguments.json.write_text(json.dumps(list(rows.values()), indent=1) + "\n")


def judge(
    name: str, paths: list[Path], right: list[tuple[Path, Path]], wrong: list[tuple[Path, Path]]
) -> Row:
    """Returns the row of a model."""
    model = resight.load_model(name)
    source = getattr(model.describer, "local", model)
    photos = {path: images.read(path, max_side=source.max_side) for path in paths}
    source.extract([photos[paths[0]]])
    started = time.process_time()
    local: dict[Path, LocalFeatures] = {}
    for path, photo in photos.items():
        (features,) = source.extract([photo])
        if features.local is None:
            raise SystemExit(f"{name} has no local features")
        local[path] = features.local
    described = time.process_time() - started
    stored = {path: model.codec.encode(features) for path, features in local.items()}
    size = np.mean([len(features.to_bytes()) for features in stored.values()])
    queries = {path: as_stored(model.codec, features) for path, features in local.items()}
    answers = {
        path: model.codec.decode(LocalFeatures.from_bytes(features.to_bytes()))
        for path, features in stored.items()
    }
    started = time.process_time()
    good, bad = ([verify(queries[one], answers[other]) for one, other in pairs] for pairs in (right, wrong))
    judged = time.process_time() - started
    return Row(
        name,
        round(float(np.mean([len(features) for features in local.values()])), 1),
        round(float(size)),
        len(good),
        round(float(np.mean([match.inliers for match in good])), 1),
        round(float(np.mean([match.inliers > match.expected for match in good])), 3),
        round(float(np.mean([verdict(match) == "confirmed" for match in good])), 3),
        len(bad),
        round(float(np.mean([match.inliers for match in bad])), 1),
        sum(verdict(match) == "confirmed" for match in bad),
        round(1000 * described / len(paths), 1),
        round(1000 * judged / (len(right) + len(wrong)), 2),
    )


def _kept(file: Path) -> list[dict]:
    return json.loads(file.read_text()) if file.exists() else []


if __name__ == "__main__":
    main()
