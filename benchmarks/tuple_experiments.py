"""Trains GeM on tuples of structure from motion, and on what its paper compares them with.

    python benchmarks/tuple_experiments.py SETS PLACES OXFORD [--seeds 0 1 2] [--name NAME ...]
        [--study scratch] [--out benchmarks/results/paired] [--work build/tuples]

SETS is what ``tuple_sets.py`` wrote. Every run is ``resight train`` with the recipe below; its last weights
are measured once, on the test towns of PLACES (``rendered_places.py``), one query a place, and on OXFORD, a
folder of the revisited layout, which is reported alone. Nothing is chosen on either. ``--study imagenet``
starts from the ImageNet weights of ``efficientnet-lite0``. OUT gets a line a run in ``tuples-STUDY.jsonl``
and the average precision of each place in ``tuples-STUDY.npz``; runs that are there are skipped.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from experiment_runs import Values
from paired_experiments import Book, Describe, Way
from torch import Tensor

import resight
from resight.datasets import open_landmarks
from resight.datasets.dataset import LabelledImages
from resight.datasets.landmark_folder import LandmarkFolder
from resight.datasets.tuples import read_tuple_benchmark
from resight.evaluation.landmarks import marked_images, task_columns
from resight.models import bundle as bundles
from resight.models.whitening import Whitening
from resight.models.whitening_fit import fit_learned, fit_pca
from resight.networks import GeMNet
from resight.networks.global_net import join_scales
from resight.search.exact import rank_marked
from resight.training import Recipe, train
from resight.training.loading import PackedPhotos
from resight.training.network import Network, build_model
from resight.training.packed import PackedImages, pack

SCALES = (1.0, 2**-0.5, 0.5)
MOST_PAIRS = 20000
# That of the recipe small-gem-sfm, of both whitenings.
SHRINKAGE = 0.1
BASE = "tuples"
MAIN = ("untrained", BASE, "labels")


@dataclass(frozen=True)
class Study:
    """What the runs of a table share; weights of ImageNet keep their normalisation, as in the paper."""

    trunk: Values
    side: int
    epochs: int
    rate: float
    queries: int
    dims: tuple[int, ...]
    batch_norm: str = "train"


STUDIES = {
    "scratch": Study(
        {"name": "test_resnet", "pretrained": False, "output_stride": 16}, 64, 6, 1e-3, 200, (16, 32, 64, 96)
    ),
    "imagenet": Study({"name": "efficientnet-lite0"}, 96, 2, 1e-5, 100, (16, 64, 320), "frozen"),
}


@dataclass(frozen=True)
class Run:
    """One way of training: a set of tuples, and what differs from the recipe that all share."""

    name: str
    tuples: str = "random"
    model: Values = field(default_factory=dict)
    changes: Values = field(default_factory=dict)
    start: bool = False


def runs(study: Study) -> list[Run]:
    """Returns the runs; those that start from the run ``tuples`` come after it."""
    whitened: Values = {"dim": study.dims[-1]}
    # The authors' advice: behind a whitening layer distances are larger, and so is the margin.
    wide: Values = {"objective": [objective(1.2)]}
    return [
        # First, because it packs the photos.
        Run(BASE),
        Run("untrained"),
        Run("labels", tuples="labels"),
        Run("most points", tuples="most_points"),
        Run("nearest", tuples="nearest"),
        Run("any of the model", tuples="any"),
        Run("easy negatives", changes={"sampler": sampler(study) | {"random_negatives": True}}),
        Run("MAC", model={"pooling": {"kind": "mac"}}),
        Run("SPoC", model={"pooling": {"kind": "spoc"}}),
        Run("p = 3", model={"pooling": {"kind": "gem", "learnable": False}}),
        Run("p per channel", model={"pooling": {"kind": "gem", "per_channel": True}}),
        Run("longer", start=True),
        Run("whitening layer", model=whitened, changes=wide, start=True),
    ]


def training(study: Study) -> Values:
    return {
        "epochs": study.epochs,
        "clip": 50.0,
        "precision": "fp32",
        "workers": 1,
        "batch_norm": study.batch_norm,
    }


def objective(margin: float) -> Values:
    return {"name": "ranking", "loss": {"kind": "tuple_contrastive", "margin": margin}}


def sampler(study: Study) -> Values:
    return {"kind": "tuples", "tuples": 10, "negatives": 3, "queries": study.queries, "pool": 1000}


def recipe(study: Study, run: Run, *, sets: Path, work: Path, seed: int, start: Path | None) -> Values:
    pack_file = work / f"{'labels' if run.tuples == 'labels' else 'models'}-{study.side}.pack"
    model = {"kind": "gem", "trunk": study.trunk, "pooling": {"kind": "gem"}} | run.model
    if start is not None:
        model |= {"start": str(start)}
    packed = study.side * 9 // 8
    return {
        "name": "tuples",
        "seed": seed,
        "data": {
            "benchmark": "tuples",
            "root": str(sets / run.tuples),
            "packed": {"file": str(pack_file), "side": packed},
            "train_transform": {"kind": "resize_random_crop", "size": study.side, "resize": packed},
            "test_transform": {"kind": "stretch", "size": study.side},
        },
        "sampler": sampler(study),
        "model": model,
        "objective": [objective(0.85)],
        "optimiser": {"kind": "adamw", "learning_rate": study.rate, "weight_decay": 1e-2},
        "schedule": {"kind": "cosine", "warm_up": 1},
        "training": training(study),
        "selection": {"on": "last"},
        "log": {"tensorboard": False, "checkpoint_epochs": 0},
    } | run.changes


@dataclass(frozen=True)
class Town:
    """A landmark benchmark whose photos are packed: database first, then queries."""

    folder: LandmarkFolder
    images: LabelledImages
    packed: PackedImages


def town_of(root: Path, work: Path, side: int) -> Town:
    folder = open_landmarks("revisited", root)
    paths = (*folder.database, *folder.queries)
    boxes = (*[None] * len(folder.database), *folder.truth.boxes)
    images = LabelledImages(
        root.name, folder.root, paths, np.zeros(len(paths), np.int64), ("photo",), boxes=boxes
    )
    file = work / f"{root.name}-{side}.pack"
    return Town(folder, images, PackedImages(file) if file.exists() else pack(images, file, side=side))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path)
    parser.add_argument("places", type=Path)
    parser.add_argument("oxford", type=Path)
    parser.add_argument("--study", choices=tuple(STUDIES), default="scratch")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--name", action="append", default=[], help="only these runs")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/paired"))
    parser.add_argument("--work", type=Path, default=Path("build/tuples"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    study, side = STUDIES[arguments.study], STUDIES[arguments.study].side * 9 // 8
    towns = [town_of(root, arguments.work, side) for root in sorted(arguments.places.glob("test-*/"))]
    oxford = town_of(arguments.oxford, arguments.work, side)
    places = sum(len(town.folder.queries) for town in towns)
    book = Book(arguments.out / f"tuples-{arguments.study}", np.arange(places))
    for seed in arguments.seeds:
        for run in runs(study):
            if book.has(run.name, seed) or run.name not in (arguments.name or [run.name]):
                continue
            started = time.process_time()
            folder = arguments.work / f"{arguments.study}-{run.name.replace(' ', '-')}-{seed}"
            before = arguments.work / f"{arguments.study}-{BASE}-{seed}" / "whitened.safetensors"
            values = recipe(
                study,
                run,
                sets=arguments.sets,
                work=arguments.work,
                seed=seed,
                start=before if run.start else None,
            )
            settings = Recipe.from_values(values)
            facts, network = trained(settings, run, folder)
            facts |= {"seconds": round(time.process_time() - started, 1)}
            measured = Measured(network, settings, study, towns, oxford)
            measured.write_whitened(folder)
            book.add(run.name, seed, facts, dict(measured.ways(every=run.name == BASE)))


def trained(settings: Recipe, run: Run, folder: Path) -> tuple[dict[str, object], Network]:
    """Returns what is noted of a run, and its network."""
    if run.name == "untrained":
        torch.manual_seed(settings.seed)
        model = build_model(settings, classes=2)
        return {"epochs": 0}, Network(model, ("descriptor",)).eval()
    shutil.rmtree(folder, ignore_errors=True)
    result = train(settings, folder)
    net = cast(GeMNet, resight.load_model(result.bundle).describer.net)
    facts: dict[str, object] = {
        "epochs": settings.training.epochs,
        "images_per_second": round(result.images_per_second, 1),
    }
    exponents = getattr(net.pooling, "p", None)
    if isinstance(exponents, Tensor):
        values = exponents.detach()
        facts["p"] = [round(float(value), 3) for value in (values.min(), values.mean(), values.max())]
    return facts, Network(net, ("descriptor",)).eval()


class Measured:
    """A network and what it is measured on."""

    def __init__(
        self, network: Network, settings: Recipe, study: Study, towns: list[Town], oxford: Town
    ) -> None:
        self.network, self.settings, self.study = network, settings, study
        self.towns, self.oxford = towns, oxford
        benchmark = read_tuple_benchmark(Path(settings.data.root))
        packed = PackedImages(cast(str, settings.data.packed and settings.data.packed.file))
        pairs = cast(np.ndarray, benchmark.pairs)
        pairs = pairs[np.random.default_rng(settings.seed).permutation(len(pairs))[:MOST_PAIRS]]
        rows, places = np.unique(pairs, return_inverse=True)
        self.pairs = places.reshape(pairs.shape)
        self.train = self._described(benchmark.train, packed, self._single, rows)

    def write_whitened(self, folder: Path) -> None:
        """Writes the network with its learned whitening, for the runs that start from it."""
        if (folder / "model.safetensors").exists():
            model = resight.load_model(folder / "model.safetensors")
            whitened = model.whitened(fit_learned(self.train, self.pairs, shrinkage=SHRINKAGE), name="tuples")
            bundles.write(whitened.to_bundle(), folder / "whitened.safetensors")

    def ways(self, *, every: bool) -> Iterator[tuple[str, Way]]:
        """Yields the average precision of each place, and the means, for each way of describing."""
        alone = self._shown(self._single)
        learned, pca = (
            fit_learned(self.train, self.pairs, shrinkage=SHRINKAGE),
            fit_pca(self.train, shrinkage=SHRINKAGE),
        )
        yield "descriptor", self._measured(alone)
        yield "learned whitening", self._measured(alone, learned)
        if not every:
            return
        yield "PCA whitening", self._measured(alone, pca)
        for dim in self.study.dims[:-1]:
            yield f"learned whitening, {dim}", self._measured(alone, learned.reduced(dim))
            yield f"PCA whitening, {dim}", self._measured(alone, pca.reduced(dim))
        power = cast(GeMNet, self.network.model).scale_power
        for name, exponent in (("mean", 1.0), ("by p", power)):
            joined = self._shown(self._at_scales(exponent))
            yield f"three scales, {name}", self._measured(joined)
            yield f"three scales, {name}, learned whitening", self._measured(joined, learned)

    def _single(self, shown: Tensor) -> Tensor:
        return cast(Tensor, self.network.model(shown).descriptor)

    def _at_scales(self, power: float) -> Describe:
        return lambda shown: join_scales(self._single, shown, SCALES, power=power)

    def _shown(self, describe: Describe) -> Mapping[str, np.ndarray]:
        return {
            town.images.name: self._described(town.images, town.packed, describe)
            for town in (*self.towns, self.oxford)
        }

    def _described(
        self, images: LabelledImages, packed: PackedImages, describe: Describe, rows: np.ndarray | None = None
    ) -> np.ndarray:
        transform, source = self.settings.data.test_transform.make(), PackedPhotos(packed, images)
        chosen = np.arange(len(images)) if rows is None else rows
        found = []
        with torch.inference_mode():
            for start in range(0, len(chosen), 128):
                batch = chosen[start : start + 128]
                (pixels,) = source.transformed(batch, transform, np.zeros((len(batch), transform.draws)))
                shown = describe(self.network._normalised(pixels)).float()
                found.append(torch.nn.functional.normalize(shown, dim=1))
        return torch.cat(found).numpy()

    def _measured(self, descriptors: Mapping[str, np.ndarray], whitening: Whitening | None = None) -> Way:
        of = {
            name: rows if whitening is None else whitening.apply(rows) for name, rows in descriptors.items()
        }
        places = np.concatenate([precisions(town, of[town.images.name])["easy"] for town in self.towns])
        means = {"map": float(places.mean())}
        for task, values in precisions(self.oxford, of[self.oxford.images.name]).items():
            means[f"oxford {task}"] = float(np.nanmean(values))
        return places, means


def precisions(town: Town, descriptors: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the average precision of each query by task."""
    truth, count = town.folder.truth, len(town.folder.database)
    ranks = rank_marked(descriptors[count:], [descriptors[:count]], marked_images(truth), first=1)
    return {
        column.quantity.task: column.values
        for column in task_columns(truth, ranks)
        if column.quantity.kind == "mAP"
    }


if __name__ == "__main__":
    main()
