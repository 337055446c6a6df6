"""How true 3D models of photos without labels are: cameras, clusters, and how the time grows.

    python benchmarks/reconstruction.py SCENES [--only cameras|clusters] [--json FILE] [--sheet FILE]
        [--work DIR]

SCENES holds a folder a scene with its photos in ``images`` and, for some, true cameras in ``cameras.json``.
Each of those is reconstructed, and by pycolmap called plainly (its defaults, every pair), and both are laid
onto the truth by the best similarity: a model has a scale, axes and an origin of its own. Then the photos of
all scenes go into one folder under names that say nothing, and the clusters are compared with the scenes.
``--sheet`` writes the page of that.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pycolmap

from resight.pipelines.tuples import TuplesOutcome, make_tuples
from resight.reports.reconstruction import ShownTuples, write_reconstruction
from resight.sfm import Cluster, Reconstruction, read_reconstruction, reconstruct

ONE_PLACE = {"entry-P10": "castle-P30", "fountain-P11": "castle-P30"}
"""Scenes of the same place as another."""
GROWTH = (60, 120)


@dataclass(frozen=True)
class Cameras:
    """Errors of a scene's cameras after alignment: centres as a share of their extent, and degrees."""

    scene: str
    by: str
    photos: int
    reconstructed: int
    centre_median: float
    centre_most: float
    rotation_median: float
    rotation_most: float


@dataclass(frozen=True)
class Clusters:
    """The photos of all scenes in one folder.

    Attributes:
        photos: How many.
        places: True ones.
        reconstructed: Photos in a model.
        models: 3D models.
        split: Places whose photos lie in several models.
        merged: Models that show photos of several places.
        lost: Places without a model.
        tuples: Pairs of a query and a positive.
        wrong_tuples: Of two places.
        seconds: Of all steps.
        growth: Photos, seconds and processor seconds of folders from the smallest on.
    """

    photos: int
    places: int
    reconstructed: int
    models: int
    split: list[str]
    merged: list[list[str]]
    lost: list[str]
    tuples: int
    wrong_tuples: int
    seconds: float
    growth: list[tuple[int, float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--only", choices=("cameras", "clusters"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    pycolmap.logging.minloglevel = 3
    work = arguments.work or Path(tempfile.mkdtemp())
    content: dict[str, object] = {}
    if arguments.json is not None and arguments.json.exists():
        content = json.loads(arguments.json.read_text(encoding="utf-8"))
    if arguments.only != "clusters":
        content["cameras"] = [asdict(errors) for errors in all_cameras(arguments.scenes, work)]
    if arguments.only != "cameras":
        clusters, outcome = all_together(arguments.scenes, work)
        print(clusters)
        content["clusters"] = asdict(clusters)
        if arguments.sheet is not None:
            parts = (outcome.reconstruction, outcome.pairs, outcome.chosen, outcome.seconds)
            write_reconstruction(ShownTuples("one folder", *parts), arguments.sheet)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def all_cameras(scenes: Path, work: Path) -> Iterator[Cameras]:
    for scene in sorted(scenes.iterdir()):
        if (scene / "cameras.json").is_file():
            for errors in (
                ours(scene, work / f"{scene.name}-ours"),
                plain(scene, work / f"{scene.name}-plain"),
            ):
                print(errors, flush=True)
                yield errors


def photos_of(scene: Path) -> list[Path]:
    return sorted((scene / "images").iterdir())


def ours(scene: Path, work: Path) -> Cameras:
    return compared(scene, "resight", reconstruct(photos_of(scene), work))


def plain(scene: Path, work: Path) -> Cameras:
    """Returns the errors of pycolmap as its own examples call it."""
    work.mkdir(parents=True)
    pycolmap.extract_features(work / "database.db", scene / "images")
    pycolmap.match_exhaustive(work / "database.db")
    pycolmap.incremental_mapping(work / "database.db", scene / "images", work)
    return compared(scene, "pycolmap", read_reconstruction(work, photos_of(scene)))


def compared(scene: Path, by: str, made: Reconstruction) -> Cameras:
    truth = json.loads((scene / "cameras.json").read_text(encoding="utf-8"))["cameras"]
    cluster = made.clusters[0]
    known = [truth[made.photos[row].name] for row in cluster.photos]
    centres = np.array([each["C"] for each in known], dtype=np.float64).reshape(-1, 3)
    turn, aligned = laid_on(cluster, centres)
    extent = np.linalg.norm(centres - centres.mean(axis=0), axis=1).max()
    off = np.linalg.norm(aligned - centres, axis=1) / extent
    angles = [
        np.degrees(np.arccos(np.clip((np.trace(rotation @ turn.T @ np.array(each["R"]).T) - 1) / 2, -1, 1)))
        for rotation, each in zip(cluster.rotations, known, strict=True)
    ]
    return Cameras(
        scene.name,
        by,
        len(made.photos),
        len(cluster),
        float(np.median(off)),
        float(off.max()),
        float(np.median(angles)),
        float(max(angles)),
    )


def laid_on(cluster: Cluster, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rotation of the best similarity (Umeyama 1991) and the centres it moves onto the truth."""
    mean, true_mean = cluster.centres.mean(axis=0), centres.mean(axis=0)
    own, true = cluster.centres - mean, centres - true_mean
    u, values, v = np.linalg.svd(true.T @ own)
    signs = np.array([1, 1, np.sign(np.linalg.det(u @ v))])
    turn = u * signs @ v
    scale = (values * signs).sum() / (own**2).sum()
    return turn, scale * own @ turn.T + true_mean


def all_together(scenes: Path, work: Path) -> tuple[Clusters, TuplesOutcome]:
    folder, place_of = work / "photos", {}
    folder.mkdir(parents=True)
    for scene in sorted(scenes.iterdir()):
        for photo in photos_of(scene) if scene.is_dir() else []:
            name = hashlib.sha256(str(photo.relative_to(scenes)).encode()).hexdigest()[:12] + photo.suffix
            shutil.copy(photo, folder / name)
            place_of[name] = ONE_PLACE.get(scene.name, scene.name)
    growth = []
    for count in (*GROWTH, len(place_of)):
        started = time.process_time()
        outcome = make_tuples(sorted(folder.iterdir())[:count], work / f"out{count}")
        seconds = (round(outcome.seconds, 1), round(time.process_time() - started, 1))
        growth.append((count, *seconds))
        print(
            judged(outcome, {name: place_of[name] for name in sorted(place_of)[:count]}, growth), flush=True
        )
    return judged(outcome, place_of, growth), outcome


def judged(
    outcome: TuplesOutcome, place_of: Mapping[str, str], growth: Sequence[tuple[int, float, float]] = ()
) -> Clusters:
    """Returns how the 3D models compare with the true places, which are known by the photos' names."""
    made = outcome.reconstruction
    shown = [Counter(place_of[made.photos[row].name] for row in cluster.photos) for cluster in made.clusters]
    places = set(place_of.values())
    models_of = Counter(place for counts in shown for place in counts)
    sides = (outcome.pairs.query[outcome.chosen], outcome.pairs.other[outcome.chosen])
    query, positive = ([place_of[made.photos[row].name] for row in side] for side in sides)
    return Clusters(
        photos=len(made.photos),
        places=len(places),
        reconstructed=sum(map(len, made.clusters)),
        models=len(made.clusters),
        split=sorted(place for place, models in models_of.items() if models > 1),
        merged=[sorted(counts) for counts in shown if len(counts) > 1],
        lost=sorted(places - set(models_of)),
        tuples=len(outcome.chosen),
        wrong_tuples=sum(a != b for a, b in zip(query, positive, strict=True)),
        seconds=round(outcome.seconds, 1),
        growth=list(growth),
    )


if __name__ == "__main__":
    main()
