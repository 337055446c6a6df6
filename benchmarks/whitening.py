"""Learned whitening against PCA whitening, fitted on one set of photos and measured on another.

    python benchmarks/whitening.py SCENES LANDMARKS [--model sift] [--cache build/whitening] [--json FILE]

SCENES holds a folder of overlapping photos a scene (``SCENE/**/*.jpg``); two photos of a scene match if
geometric verification of their SIFT features finds 15 inliers. LANDMARKS is a folder in the form of the
revisited benchmarks. Dimensions are not reduced. Shrinkage and power of each kind are those of the largest
mean average precision over held-out scenes (five folds; same scene but not verified is ignored); the
whitening is then fitted on all scenes. LANDMARKS only measures: intervals are 95 %, bootstrap over queries.
Every setting's value on LANDMARKS is reported too, so that one sees what the choice did.

Descriptors are kept in ``--cache`` as .npy, by the model's fingerprint and the photos' names.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import resight
from resight.datasets import LandmarkFolder, open_landmarks
from resight.evaluation import average_precision, bootstrap, paired
from resight.evaluation.landmark_description import describe_landmarks
from resight.evaluation.landmarks import marked_images, task_columns
from resight.models import Model, Whitening
from resight.models.extract import extract
from resight.models.whitening_fit import fit_learned, fit_pca, non_matching_pairs
from resight.search import verify
from resight.search.exact import rank_marked

SHARED = {"fountain-P11", "entry-P10", "castle-P30"}
"""Scenes of one place, where such are among the folders."""
INLIERS, FOLDS, SEED = 15, 5, 0
SHRINKAGES = (0.03, 0.1, 0.3, 0.6, 0.9)


@dataclass(frozen=True)
class Training:
    """Photos of scenes: descriptors, matching pairs, and the place of each."""

    descriptors: np.ndarray
    pairs: np.ndarray
    places: np.ndarray

    def subset(self, rows: np.ndarray) -> Training:
        """Returns those photos alone, given ascending, and the pairs among them."""
        inside = np.isin(self.pairs, rows).all(axis=1)
        return Training(self.descriptors[rows], np.searchsorted(rows, self.pairs[inside]), self.places[rows])


@dataclass(frozen=True)
class Setting:
    """A kind of whitening and its numbers."""

    kind: str
    shrinkage: float
    power: float | None = None

    @property
    def words(self) -> str:
        """For the report."""
        power = "" if self.power is None else f", power {self.power}"
        return f"{self.kind}, shrinkage {self.shrinkage}{power}"

    def fit(self, training: Training) -> Whitening:
        """Returns the whitening computed from photos of scenes."""
        rows, pairs, shrinkage = training.descriptors, training.pairs, self.shrinkage
        if self.power is not None:
            return fit_pca(rows, shrinkage=shrinkage, power=self.power)
        if self.kind.endswith("all"):
            return fit_learned(rows, pairs, shrinkage=shrinkage)
        apart = non_matching_pairs(training.places, 10 * len(rows), np.random.default_rng(SEED))
        return fit_learned(rows, pairs, rotation="non_matching", non_matching=apart, shrinkage=shrinkage)


SETTINGS = [
    *(Setting("PCA", shrinkage, power) for power in (0.5, 0.25) for shrinkage in SHRINKAGES),
    *(
        Setting(f"learned, rotation {kind}", shrinkage)
        for kind in ("all", "non-matching")
        for shrinkage in SHRINKAGES
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenes", type=Path)
    parser.add_argument("landmarks", type=Path)
    parser.add_argument("--model", default="sift")
    parser.add_argument("--cache", type=Path, default=Path("build/whitening"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    model = resight.load_model(arguments.model)
    training = read_scenes(arguments.scenes, model, arguments.cache)
    folder = open_landmarks("revisited", arguments.landmarks)
    database, queries = described_landmarks(folder, model, arguments.cache)

    started = time.perf_counter()
    held_out = {setting: mean_precision_held_out(setting, training) for setting in SETTINGS}
    measured = {setting: measure(folder, database, queries, setting.fit(training)) for setting in SETTINGS}
    kinds = dict.fromkeys(setting.kind for setting in SETTINGS)
    chosen = {kind: max((s for s in SETTINGS if s.kind == kind), key=lambda s: held_out[s]) for kind in kinds}
    values = {"not whitened": measure(folder, database, queries, None)}
    values |= {setting.words: measured[setting] for setting in chosen.values()}
    result = {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "dim": model.dim,
        "fitted_on": {
            "set": arguments.scenes.name,
            "photos": len(training.descriptors),
            "matching_pairs": len(training.pairs),
            "places": len(np.unique(training.places)),
        },
        "measured_on": {"set": arguments.landmarks.name, "database": len(database), "queries": len(queries)},
        "interval": "95 %, bootstrap over queries, 1000 draws, seed 0",
        "mAP": {name: reported(tasks) for name, tasks in values.items()},
        "differences": differences(values),
        "settings": [
            {
                "setting": setting.words,
                "mAP_held_out_scenes": round(held_out[setting], 4),
                **{f"mAP_{task}": round(float(np.nanmean(v)), 4) for task, v in measured[setting].items()},
            }
            for setting in SETTINGS
        ],
        "mAP_held_out_scenes_not_whitened": round(mean_precision_held_out(None, training), 4),
        "seconds_of_fits_and_measures": round(time.perf_counter() - started, 1),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


def kept(path: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Returns the array in a file, computed and written first where it is missing."""
    if not path.exists():
        draft = path.with_name(f"draft-{path.name}")
        np.save(draft, compute())
        draft.replace(path)
    return np.load(path)


def key(model: Model, paths: Sequence[object]) -> str:
    return hashlib.sha256("\n".join([model.fingerprint, *map(str, paths)]).encode()).hexdigest()[:16]


def read_scenes(root: Path, model: Model, cache: Path) -> Training:
    """Returns the photos of the scenes below a folder, described, and which match."""
    scenes = {
        folder.name: sorted(folder.glob("**/*.jpg")) for folder in sorted(root.iterdir()) if folder.is_dir()
    }
    paths = [path for photos in scenes.values() for path in photos]
    places = [
        "+".join(sorted(SHARED)) if name in SHARED else name
        for name, photos in scenes.items()
        for _ in photos
    ]
    described = kept(
        cache / f"scenes-{key(model, [path.relative_to(root) for path in paths])}.npy",
        lambda: np.stack([row.features.descriptor for row in extract(paths, model)]),
    )
    sift = resight.load_model("sift")
    name = key(sift, [INLIERS, *(path.relative_to(root) for path in paths)])
    pairs = kept(cache / f"pairs-{name}.npy", lambda: verified_pairs(list(scenes.values()), sift))
    return Training(described, pairs, np.unique(places, return_inverse=True)[1].astype(np.int64))


def verified_pairs(scenes: Sequence[Sequence[Path]], sift: Model) -> np.ndarray:
    """Returns the pairs of photos within a scene that share so many points, numbered through all scenes."""
    pairs, start = [], 0
    for photos in scenes:
        local = [row.features.local for row in extract(photos, sift)]
        for first, second in itertools.combinations(range(len(photos)), 2):
            if verify(local[first], local[second]).inliers >= INLIERS:
                pairs.append([start + first, start + second])
        start += len(photos)
    # Either photo of a pair is a query as often as the other.
    return np.random.default_rng(SEED).permuted(np.array(pairs, dtype=np.int64).reshape(-1, 2), axis=1)


def described_landmarks(folder: LandmarkFolder, model: Model, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns the descriptors of database and queries, these cropped to their boxes."""
    name = key(model, [*folder.database, *folder.queries, *folder.truth.boxes])

    def describe() -> np.ndarray:
        found = describe_landmarks(model, folder)
        return np.concatenate([found.database, found.queries])

    rows = kept(cache / f"landmarks-{name}.npy", describe)
    return rows[: len(folder.database)], rows[len(folder.database) :]


def mean_precision_held_out(setting: Setting | None, training: Training) -> float:
    """Returns the mean average precision over scenes that the whitening has not seen."""
    matching = np.zeros((len(training.places),) * 2, dtype=bool)
    matching[tuple(training.pairs.T)] = matching[tuple(training.pairs[:, ::-1].T)] = True
    ignored = (training.places[:, None] == training.places) & ~matching
    order = np.random.default_rng(SEED).permutation(np.unique(training.places))
    values = []
    for fold in range(FOLDS):
        held = np.isin(training.places, order[fold::FOLDS])
        rows = training.descriptors[held]
        if setting is not None:
            rows = setting.fit(training.subset(np.flatnonzero(~held))).apply(rows)
        positives, outside = matching[np.ix_(held, held)], ignored[np.ix_(held, held)]
        ranking = np.argsort(-(rows @ rows.T), axis=1, kind="stable")
        for query, ids in enumerate(ranking):
            ids = ids[~outside[query, ids]]
            if positives[query].any():
                values.append(average_precision(positives[query, ids], int(positives[query].sum())))
    return float(np.mean(values))


def measure(
    folder: LandmarkFolder, database: np.ndarray, queries: np.ndarray, whitening: Whitening | None
) -> dict[str, np.ndarray]:
    """Returns the average precision of every query by task."""
    if whitening is not None:
        database, queries = whitening.apply(database), whitening.apply(queries)
    ranks = rank_marked(queries, [database], marked_images(folder.truth), first=1)
    columns = task_columns(folder.truth, ranks)
    return {column.task: column.values for column in columns if column.measure == "mAP"}


def reported(tasks: dict[str, np.ndarray]) -> dict[str, object]:
    entry: dict[str, object] = {}
    for task, values in tasks.items():
        interval = bootstrap(values, seed=SEED)
        ends = [round(interval.low, 4), round(interval.high, 4)]
        entry[task] = {"mAP": round(interval.mean, 4), "interval": ends, "queries": interval.count}
    return entry


def differences(values: dict[str, dict[str, np.ndarray]]) -> list[dict[str, object]]:
    """Returns every later entry against every earlier one, query by query."""
    rows = []
    for first, second in itertools.combinations(values, 2):
        for task in values[first]:
            test = paired(values[first][task], values[second][task], seed=SEED)
            difference = test.difference
            rows.append(
                {
                    "from": first,
                    "to": second,
                    "task": task,
                    "difference": round(difference.mean, 4),
                    "interval": [round(difference.low, 4), round(difference.high, 4)],
                    "p": round(test.p_value, 4),
                }
            )
    return rows


if __name__ == "__main__":
    main()
