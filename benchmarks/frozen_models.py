"""Frozen models on a set in the revisited format: alone, joined, verified by either kind of keypoints.

    python benchmarks/frozen_models.py FOLDER [--delg FILE] [--cache DIR] [--photos N] [--json FILE]

The rows with ``:local``, ``xfeat`` and DELG verify one ranking. FOLDER holds ``gnd_*.json``, ``jpg/`` and
``queries/``. Every photo is described once by ``efficientnet-lite0``, ``sift``, ``xfeat`` and a DELG; the
descriptions are kept in ``--cache``, and a run that was stopped, or that has used its ``--seconds`` of
processor time, goes on where it ended. ``--photos`` leaves all photos but the queries', their positives and
junk, and others up to that number, out of the gallery.
"""

from __future__ import annotations

import argparse
import json
import pickle
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from resight import images
from resight.datasets import open_landmarks
from resight.datasets.landmark_truth import LandmarkTruth
from resight.evaluation import Refinement, measure_descriptors
from resight.evaluation.card import source_of
from resight.evaluation.landmark_description import LandmarkDescriptors
from resight.evaluation.landmarks import query_view
from resight.features import Box, ImageFeatures
from resight.models import load_model
from resight.models.engines import with_engine
from resight.models.packaged import load_lite0, made_to_join

VERIFIED = 100
PLAIN, SIFT, XFEAT, DELG = range(4)


@dataclass(frozen=True, slots=True)
class Way:
    """A model by its name, and with which of the kept descriptions it is made.

    Of two descriptors each has half of the score, as `GLOBAL+sift` joins them.
    """

    name: str
    descriptors: Sequence[int]
    local: int | None = None
    whitened: bool = False


WAYS = (
    Way("sift", [SIFT]),
    Way("efficientnet-lite0", [PLAIN]),
    Way("efficientnet-lite0, whitened", [PLAIN], whitened=True),
    Way("efficientnet-lite0+sift", [PLAIN, SIFT], whitened=True),
    Way("sift", [SIFT], SIFT),
    Way("efficientnet-lite0+sift:local", [PLAIN], SIFT),
    Way("efficientnet-lite0+xfeat", [PLAIN], XFEAT),
    Way("efficientnet-lite0+a small DELG", [PLAIN], DELG),
    Way("efficientnet-lite0+sift", [PLAIN, SIFT], SIFT, whitened=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--delg", type=Path, help="a bundle; no row without it")
    parser.add_argument("--cache", type=Path, default=Path("build/frozen"))
    parser.add_argument("--photos", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/frozen_models.json"))
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    truth = json.loads(next(arguments.folder.glob("gnd_*.json")).read_text())
    gallery = chosen(truth, arguments.photos)
    pairs = zip(truth["qimlist"], truth["gnd"], strict=True)
    jobs = [(arguments.folder / "queries" / f"{name}.jpg", Box(*row["bbx"])) for name, row in pairs]
    jobs += [(arguments.folder / "jpg" / f"{truth['imlist'][number]}.jpg", None) for number in gallery]
    if describe(jobs, arguments.cache, arguments.seconds, arguments.delg):
        rows = list(measure(restricted(arguments.folder, truth, gallery), jobs, arguments.cache))
        result = {"queries": len(truth["gnd"]), "gallery": len(gallery), "verified": VERIFIED, "rows": rows}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def chosen(truth: dict, photos: int) -> list[int]:
    """Returns the numbers of the gallery's photos, those that a query knows first."""
    known = {number for row in truth["gnd"] for each in ("easy", "hard", "junk") for number in row[each]}
    # Of the others every seventh first: neighbours in the list show one landmark.
    order = sorted(range(len(truth["imlist"])), key=lambda number: (number not in known, number % 7, number))
    return order[:photos]


def describe(jobs: Sequence[tuple[Path, Box | None]], cache: Path, seconds: float, delg: Path | None) -> bool:
    """Returns whether all photos are described by all models."""
    models = [load_lite0(), load_model("sift"), load_model("sift+xfeat").describer.local]
    models += [] if delg is None else [with_engine(load_model(delg), "auto")]
    started = time.process_time()
    for path, box in jobs:
        file = kept(path, cache)
        found = pickle.loads(file.read_bytes()) if file.exists() else []
        if len(found) >= len(models):
            continue
        photo = images.read(path, max_side=640, box=box)
        found += [model.extract([photo.shown_at(model.max_side)])[0] for model in models[len(found) :]]
        file.write_bytes(pickle.dumps(found))
        if time.process_time() - started > seconds:
            return False
    return True


def kept(path: Path, cache: Path) -> Path:
    return cache / f"{path.parent.name}-{path.stem}.pkl"


def restricted(folder: Path, truth: dict, gallery: Sequence[int]) -> LandmarkTruth:
    """Returns the truth with these photos alone in the gallery."""
    place = {number: at for at, number in enumerate(gallery)}
    rows = [
        {"bbx": row["bbx"]}
        | {
            each: [place[number] for number in row[each] if number in place]
            for each in ("easy", "hard", "junk")
        }
        for row in truth["gnd"]
    ]
    names = [truth["imlist"][number] for number in gallery]
    with tempfile.TemporaryDirectory() as made:
        for part in ("jpg", "queries"):
            Path(made, part).symlink_to(folder / part)
        text = json.dumps({"imlist": names, "qimlist": truth["qimlist"], "gnd": rows})
        Path(made, "gnd_part.json").write_text(text)
        return replace(open_landmarks("revisited", Path(made)).truth, files=())


def measure(
    truth: LandmarkTruth, jobs: Sequence[tuple[Path, Box | None]], cache: Path
) -> Iterator[dict[str, object]]:
    """Yields the mean average precisions of each way."""
    found: list[list[ImageFeatures]] = [pickle.loads(kept(path, cache).read_bytes()) for path, _ in jobs]
    count = len(truth.queries)
    whitening = made_to_join(load_lite0()).whitenings[-1]
    for way in WAYS:
        if way.local is not None and way.local >= len(found[0]):
            continue
        parts = [np.stack([each[n].descriptor for each in found]) for n in way.descriptors]
        if way.whitened:
            parts[0] = whitening.apply(parts[0])
        rows = len(parts) ** -0.5 * np.concatenate(parts, axis=1)
        local = () if way.local is None else tuple(each[way.local].local for each in found)
        described = LandmarkDescriptors(
            rows[count:].astype(np.float16).astype(np.float32), rows[:count], local[count:], local[:count], ()
        )
        refinement = Refinement() if way.local is None else Refinement(verify=VERIFIED)
        source = source_of(load_model("sift"), view=query_view(truth, crop=True), root="part")
        started = time.process_time()
        result = measure_descriptors(truth, described, source, refinement=refinement)
        seconds = (time.process_time() - started) / count
        means = {
            one.name.removeprefix("mAP "): [round(value, 4) for value in (one.value, one.low, one.high)]
            for one in result.measures
            if one.name.startswith("mAP")
        }
        row = {
            "model": way.name,
            "verified": way.local is not None,
            "mAP": means,
            "seconds_a_query": round(seconds, 3),
            "bytes_of_a_descriptor": 2 * rows.shape[1],
        }
        print(row, flush=True)
        yield row


if __name__ == "__main__":
    main()
