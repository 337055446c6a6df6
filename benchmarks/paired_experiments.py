"""Trains configurations that are compared in pairs: one seed, the same batches, the same first trunk.

    python benchmarks/paired_experiments.py STUDY:EPOCHS:DATA ... [--start scratch] [--rate R]
        [--seeds 0 1 2] [--name NAME ...] [--out benchmarks/results/paired] [--packed build/paired]

The plan, in this order (PLACES of ``benchmarks/rendered_places.py``; 10 to 20 minutes of a free core)::

    baseline:3:GROCERY losses:3:GROCERY auxiliary:3:GROCERY delg:4:PLACES/test-201.csv pooling:3:GROCERY
    losses:2:CALTECH101 auxiliary:2:CALTECH101

With ``--start imagenet``, see `paired_starts`::

    rates:2:GROCERY losses:2:GROCERY orders:2:GROCERY auxiliary:2:GROCERY pooling:2:GROCERY pooling:0:GROCERY
    placerates:1:PLACES/test-201.csv delg:1:PLACES/test-201.csv dolg:1:PLACES/test-201.csv

STUDY is one of `paired_configurations.configurations`, DATA a folder or table as `resight.datasets.table`
reads it. The loop follows that of ``resight train`` and is made of its parts, without checkpoints. The last
weights are measured once, in the precision of the training, each test photo a query against all others; the
studies that choose something measure on classes held out of the training classes instead. OUT gets a line a
run in ``STUDY-SET.jsonl`` (``STUDY-imagenet-SET.jsonl``) and the MAP@R of each query in a ``.npz`` of that
name; runs that are there are skipped. ``watch`` of a line is, every third step: step, objective, mean
similarity of two photos of the batch, and the share of anchors whose farthest positive is not nearer than the
nearest negative by 0.1 or more.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from paired_configurations import CHOOSING, OF_PLACES, configurations, rate_of, recipe
from paired_starts import STARTS, FrozenMaps, Start, maps_of, take_maps
from torch import Tensor

from resight.datasets.dataset import LabelledImages, validation_split
from resight.datasets.registry import load
from resight.evaluation.measures.labels import LabelResult, evaluate_labels
from resight.images.augment import ResizeRandomCrop, Stretch
from resight.models.whitening_fit import fit_learned, fit_pca, matching_pairs
from resight.networks import GeMNet
from resight.networks.global_net import join_scales
from resight.training import Recipe
from resight.training.engine import set_training_mode
from resight.training.groups import build_optimiser, group_parameters
from resight.training.loading import PackedPhotos, Photos, TrainingBatches
from resight.training.network import Network, build_model, build_objective
from resight.training.packed import PackedImages, pack
from resight.training.schedule import factor

VALIDATION_SHARE = 0.3
SCALES = (2**-0.5, 1.0, 2**0.5)
MARGIN = 0.1
# Of the trunk's dimensions, kept by a whitening: 64 of 96.
WHITENED = 2 / 3
Describe = Callable[[Tensor], Tensor]
Way = tuple[np.ndarray, dict[str, float]]
"""The measure of each query, and means by their names."""


@dataclass(frozen=True)
class Set:
    """The photos that are trained on and those that are measured on, and what networks begin with."""

    name: str
    train: LabelledImages
    test: LabelledImages
    packed: PackedImages
    start: Start
    maps: tuple[np.ndarray, np.ndarray] | None
    blocks: int

    def of(self, images: LabelledImages) -> Photos:
        """Returns where the photos of a part come from: their pixels, or the maps of the frozen blocks."""
        if self.maps is None:
            return PackedPhotos(self.packed, images)
        return FrozenMaps(*self.maps, self.packed.rows(images))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", nargs="+", metavar="STUDY:EPOCHS:DATA")
    parser.add_argument("--start", choices=tuple(STARTS), default="scratch")
    parser.add_argument("--rate", type=float, help="instead of the chosen one; OUT's files are named by it")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--name", action="append", default=[], help="only these configurations")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/paired"))
    parser.add_argument("--packed", type=Path, default=Path("build/paired"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start = STARTS[arguments.start]
    prefix = "" if arguments.start == "scratch" else f"{arguments.start}-"
    prefix += "" if arguments.rate is None else f"{arguments.rate:.0e}-"
    for each in arguments.plan:
        study, epochs, data = each.split(":", 2)
        photos = opened(study, Path(data), start, arguments.packed)
        book = Book(arguments.out / f"{study}-{prefix}{photos.name}", photos.test.labels)
        rate = arguments.rate or rate_of(study, start, arguments.out)
        for seed in [0] if study in CHOOSING else arguments.seeds:
            for configuration in configurations(study, arguments.out, start):
                if arguments.name and configuration.name not in arguments.name:
                    continue
                name = configuration.name + ("" if int(epochs) else ", not trained")
                if not book.has(name, seed):
                    own = configuration.rate or rate
                    # A recipe has an epoch; without one its network is measured as it is.
                    values = recipe(study, configuration, start, rate=own, seed=seed, epochs=int(epochs) or 1)
                    settings = Recipe.from_values(values)
                    run(name, settings, photos, book, epochs=int(epochs), whitened=study == "pooling")


def opened(study: str, data: Path, start: Start, folder: Path) -> Set:
    """Returns the photos, packed, and what frozen blocks say of them."""
    name = data.name if data.is_dir() else f"{data.parent.name}-{data.stem}"
    benchmark = load("table", data)
    train, test = benchmark.train, replace(benchmark.test, queries=None, gallery=None)
    everything = replace(
        train,
        paths=train.paths + test.paths,
        labels=np.concatenate([train.labels, test.labels + train.classes]),
        label_names=train.label_names + test.label_names,
    )
    learned = len(train)
    if study in CHOOSING:
        train, test = validation_split(train, share=VALIDATION_SHARE, seed=0)
    file = folder / f"{name}-{start.packed}.pack"
    packed = PackedImages(file) if file.exists() else pack(everything, file, side=start.packed, workers=1)
    of_places = study in OF_PLACES
    blocks, maps = start.frozen[of_places], None
    if blocks:
        shown, crop = start.sides(of_places=of_places)
        transforms = Stretch(shown), ResizeRandomCrop(crop, start.packed)
        maps = maps_of(packed, blocks, *transforms, learned, folder / f"{name}-{start.packed}-{blocks}.npz")
    return Set(name, train, test, packed, start, maps, blocks)


class Book:
    """Where the runs of a study on a set are written down."""

    def __init__(self, path: Path, classes: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lines, self.values = path.with_suffix(".jsonl"), path.with_suffix(".npz")
        self.found: dict[str, np.ndarray] = {"classes": classes.astype(np.int16)}
        if self.values.exists():
            self.found = dict(np.load(self.values))

    def has(self, name: str, seed: int) -> bool:
        """Returns whether a run is written down."""
        return f"{name}|descriptor|{seed}" in self.found

    def add(self, name: str, seed: int, facts: dict[str, object], ways: dict[str, Way]) -> None:
        """Writes a run: the measure of each query in sixteen bits, and the means of each way."""
        for way, (values, _) in ways.items():
            self.found[f"{name}|{way}|{seed}"] = np.round(values * 65535).astype(np.uint16)
        means = {
            way: {key: round(value, 5) for key, value in shown.items()} for way, (_, shown) in ways.items()
        }
        np.savez_compressed(self.values, **self.found)  # type: ignore[arg-type]
        line = {"name": name, "seed": seed, **facts, "ways": means}
        with self.lines.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        print(json.dumps({key: value for key, value in line.items() if key != "watch"}), flush=True)


def run(name: str, settings: Recipe, photos: Set, book: Book, *, epochs: int, whitened: bool) -> None:
    started = time.process_time()
    network, watch = trained(settings, photos, epochs)
    facts: dict[str, object] = {
        "epochs": epochs,
        "steps": len(watch),
        "rate": settings.optimiser.learning_rate,
        "seconds": round(time.process_time() - started, 1),
    }
    model = network.model
    if isinstance(model, GeMNet) and isinstance(getattr(model.pooling, "p", None), Tensor):
        exponents = model.pooling.p.detach()
        facts["p"] = [
            round(float(value), 3) for value in (exponents.min(), exponents.mean(), exponents.max())
        ]
    ways = {
        way: (
            result.per_query.map_at_r,
            {"map_at_r": result.map_at_r, "recall_at_1": result.recall[0][1]},
        )
        for way, result in described(network, settings, photos, whitened=whitened)
    }
    book.add(name, settings.seed, facts | {"watch": watch[::3]}, ways)


def trained(settings: Recipe, photos: Set, epochs: int) -> tuple[Network, list[list[float]]]:
    """Returns the network after its last step, and what was seen at each step."""
    torch.manual_seed(settings.seed)
    train = photos.train
    batches = TrainingBatches(
        train,
        photos.of(train),
        settings.data.train_transform.make(),
        settings.sampler.make(photos=len(train), labels=train.labels, seed=settings.seed),
        seed=settings.seed,
        rank=0,
        world=1,
        device=torch.device("cpu"),
        workers=1,
    )
    model = build_model(settings, classes=train.classes)
    objective = build_objective(settings, model, classes=train.classes)
    network = Network(model, tuple({*objective.outputs, "descriptor"}))
    network.freeze_unreached(photos.start.side, photos.start.side)
    if photos.blocks:
        take_maps(network, photos.blocks)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups = group_parameters(model, objective, settings.optimiser, settings.groups)
    optimiser = build_optimiser(settings.optimiser, groups)
    rates = [group["lr"] for group in optimiser.param_groups]
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    limit = settings.training.clip or float("inf")
    watch: list[list[float]] = []
    torch.manual_seed(settings.seed + 1)
    set_training_mode(network, batch_norm=settings.training.batch_norm)
    for epoch in range(epochs):
        for batch in batches.epoch(epoch, start=0, stop=len(batches)):
            with arithmetic(settings):
                outputs = network(batch.groups, batch.order)
            value = objective(outputs, batch.labels)
            value.total.backward()
            scale = factor(settings.schedule, step=len(watch), steps_per_epoch=len(batches), epochs=epochs)
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * scale
            torch.nn.utils.clip_grad_norm_(learned, limit)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            watch.append(seen(len(watch) + 1, value.total, outputs["descriptor"][0], batch.labels))
    return network, watch


def arithmetic(settings: Recipe) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=settings.training.precision == "bf16")


def seen(step: int, total: Tensor, descriptors: Tensor, labels: Tensor) -> list[float]:
    """Returns step, objective, mean similarity of two photos, and the share of active anchors."""
    similar = (descriptors.detach().float() @ descriptors.detach().float().T).clamp(-1, 1)
    apart = (2 - 2 * similar).sqrt()
    same = labels[:, None] == labels[None, :]
    count = len(labels)
    mean = (similar.sum() - similar.diagonal().sum()) / (count * (count - 1))
    farthest = apart.masked_fill(~same, -1).amax(dim=1)
    nearest = apart.masked_fill(same, 3).amin(dim=1)
    active = (farthest + MARGIN > nearest).float().mean()
    return [step, round(float(total.detach()), 4), round(float(mean), 4), round(float(active), 3)]


def described(
    network: Network, settings: Recipe, photos: Set, *, whitened: bool
) -> Iterator[tuple[str, LabelResult]]:
    """Yields the measures of the test photos, for each way of describing them."""
    network.eval()
    model = network.model

    def at_scales(power: float) -> Describe:
        return lambda shown: join_scales(lambda x: model(x).descriptor, shown, SCALES, power=power)

    def single(shown: Tensor) -> Tensor:
        return cast(Tensor, model(shown).descriptor)

    def measured(descriptors: np.ndarray) -> LabelResult:
        return evaluate_labels(descriptors, photos.test.labels, ks=(1,))

    plain = all_of(photos.test, network, settings, photos, single)
    yield "descriptor", measured(plain)
    if not whitened:
        return
    if photos.maps is None:
        mean = all_of(photos.test, network, settings, photos, at_scales(1.0))
        yield "three scales, mean", measured(mean)
        power = cast(GeMNet, model).scale_power
        if power != 1.0:
            joined = all_of(photos.test, network, settings, photos, at_scales(power))
            yield "three scales, by p", measured(joined)
    train = all_of(photos.train, network, settings, photos, single)
    pairs = matching_pairs(photos.train.labels, np.random.default_rng(settings.seed))
    kept = int(WHITENED * train.shape[1])
    for shrinkage in (0.1, 0.5):
        name = f"shrinkage {shrinkage:g}"
        yield f"PCA whitening, {name}", measured(fit_pca(train, kept, shrinkage=shrinkage).apply(plain))
        learned = fit_learned(train, pairs, kept, shrinkage=shrinkage)
        yield f"learned whitening, {name}", measured(learned.apply(plain))


def all_of(
    images: LabelledImages, network: Network, settings: Recipe, photos: Set, describe: Describe
) -> np.ndarray:
    """Returns the descriptors of a set."""
    transform, source = settings.data.test_transform.make(), photos.of(images)
    rows = []
    with torch.inference_mode(), arithmetic(settings):
        for start in range(0, len(images), 128):
            indices = np.arange(start, min(start + 128, len(images)))
            (pixels,) = source.transformed(indices, transform, np.zeros((len(indices), transform.draws)))
            rows.append(torch.nn.functional.normalize(describe(network._normalised(pixels)).float(), dim=1))
    return torch.cat(rows).numpy()


if __name__ == "__main__":
    main()
