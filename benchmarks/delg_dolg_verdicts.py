"""DELG's and DOLG's claims on held-out places: descriptors, re-ranking, one way of training against another.

    python benchmarks/delg_dolg_verdicts.py TOWN [TOWN ...] --group "with the stop" A.safetensors ...
        --group "without the stop" B.safetensors ... [--pca TRAIN] [--settings default] [--top 100]
        [--max-side 192] [--jobs 2] [--json FILE]

Towns and TRAIN are folders as ``benchmarks/rendered_places.py`` writes them; the queries of all towns count
alike, each against its own town's photos. A group is one way of training; its bundles are its seeds, and a
query's average precision is the mean over them before anything is compared: each group re-ranked with its
descriptors alone, and each group with each other one. ``--pca`` adds to the first group a second one, whose
autoencoders are replaced by the PCA of the same map at as many dimensions, fitted on photos of TRAIN.
``--settings`` names ways of re-ranking, which need local features: those of the project, those of the DELG
paper, and those of the project with another rule of matching. Intervals: 95 %, bootstrap over queries; p by
random signs over queries. Neither says anything of other seeds: the mean of each bundle stands beside them.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast, get_args

import numpy as np
import torch
from compact_features import describe, find, local_of, precisions, rank

import resight
from resight import images
from resight.evaluation.statistics import bootstrap, paired
from resight.models import DELGDescriber, Model, NetworkDescriber
from resight.models import bundle as bundles
from resight.models.preprocess import to_input
from resight.search.geometry.config import PROTOCOLS, VerificationConfig, verification_config
from resight.search.geometry.matching import MatchRule
from resight.search.geometry.reranking import rerank

ALONE = "descriptor alone"
PHOTOS_FOR_PCA = 600

Found = dict[str, np.ndarray]
"""Average precision of each query, for every way of ranking."""


@dataclass(frozen=True)
class Row:
    """A group measured in one way; ``seeds`` are the mAPs of its bundles."""

    group: str
    way: str
    map: float
    low: float
    high: float
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class Difference:
    """How much larger the mAP of one group in one way is than that of another."""

    group: str
    way: str
    than: str
    than_way: str
    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Job:
    """A bundle to be measured on a town."""

    bundle: Path
    town: Path
    settings: tuple[str, ...]
    top: int
    max_side: int | None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("towns", type=Path, nargs="+", metavar="TOWN")
    parser.add_argument("--group", action="append", nargs="+", required=True, metavar=("NAME", "BUNDLE"))
    parser.add_argument("--pca", type=Path, metavar="TRAIN")
    parser.add_argument("--settings", action="append", choices=(*PROTOCOLS, *get_args(MatchRule)), default=[])
    parser.add_argument("--top", type=int, default=100)
    parser.add_argument("--max-side", type=int, help="of photos, pixels; what each bundle says if not given")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    groups: dict[str, list[Path]] = {name: [Path(path) for path in paths] for name, *paths in arguments.group}
    with (
        tempfile.TemporaryDirectory() as made,
        ProcessPoolExecutor(
            arguments.jobs, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)
        ) as pool,
    ):
        if arguments.pca:
            first = next(iter(groups))
            outs = [Path(made) / f"{number}.safetensors" for number in range(len(groups[first]))]
            groups[f"{first}, PCA"] = list(
                pool.map(with_pca, groups[first], itertools.repeat(arguments.pca), outs)
            )
        jobs = [
            Job(bundle, town, tuple(arguments.settings), arguments.top, arguments.max_side)
            for paths in groups.values()
            for bundle in paths
            for town in arguments.towns
        ]
        results = dict(zip(jobs, pool.map(measured, jobs), strict=True))
    per_bundle: dict[str, list[Found]] = {
        name: [joined([found for job, found in results.items() if job.bundle == bundle]) for bundle in paths]
        for name, paths in groups.items()
    }
    rows, differences = list(summed_up(per_bundle)), list(compared(per_bundle))
    for row in rows:
        seeds = " ".join(f"{value:.3f}" for value in row.seeds)
        print(f"{row.group:28} {row.way:18} mAP {row.map:.4f} [{row.low:.4f}, {row.high:.4f}]  seeds {seeds}")
    for one in differences:
        print(
            f"{one.group}, {one.way} - {one.than}, {one.than_way}: "
            f"{one.difference:+.4f} [{one.low:+.4f}, {one.high:+.4f}], p {one.p_value:.4f}"
        )
    if arguments.json:
        towns = [find(town) for town in arguments.towns]
        described = {
            "towns": [town.name for town in arguments.towns],
            "queries": [town.queries for town in towns],
            "database": [len(town.paths) - town.queries for town in towns],
            "top": arguments.top,
            "max_side": arguments.max_side,
            "rows": [asdict(row) for row in rows],
            "differences": [asdict(one) for one in differences],
        }
        arguments.json.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def measured(job: Job) -> Found:
    """Returns the average precision of each query of a town with one bundle."""
    test = find(job.town)
    model = at_side(resight.load_model(job.bundle), job.max_side)
    features = describe(model, test.paths)
    ranking = rank(features, test)
    found = {ALONE: precisions(ranking, test)}
    local = local_of(features) if job.settings else []
    for name in job.settings:
        better = rerank(
            ranking,
            local[: test.queries],
            lambda ids: [local[one] for one in ids.tolist()],
            top=job.top,
            config=verification_config(name)
            if name in PROTOCOLS
            else VerificationConfig(matching=cast(MatchRule, name)),
        )
        found[name] = precisions(better, test)
    shown = "  ".join(f"{way} {np.nanmean(values):.4f}" for way, values in found.items())
    print(f"{job.bundle} on {job.town.name}: {shown}", flush=True)
    return found


def at_side(model: Model, side: int | None) -> Model:
    """Returns a trained model that takes photos of another long side."""
    if side is None or side == model.max_side:
        return model
    describer = model.describer
    if isinstance(describer, DELGDescriber):
        same = {"scales": model.facts.scales, "keypoints": describer.keypoints}
        return Model(DELGDescriber(describer.net, max_side=side, **same), name=model.name)
    if isinstance(describer, NetworkDescriber):
        resized = NetworkDescriber(describer.net, max_side=side, scales=model.facts.scales)
        return Model(resized, name=model.name)
    raise SystemExit(f"{model.name} is no trained network: give no --max-side")


def joined(towns: Sequence[Found]) -> Found:
    return {way: np.concatenate([found[way] for found in towns]) for way in towns[0]}


def mean_over(every: Sequence[Found], way: str) -> np.ndarray:
    """Returns the average precision of each query, the mean over a group's bundles."""
    return np.mean([found[way] for found in every], axis=0)


def summed_up(groups: dict[str, list[Found]]) -> list[Row]:
    rows = []
    for name, every in groups.items():
        for way in every[0]:
            interval = bootstrap(mean_over(every, way))
            seeds = tuple(round(float(np.nanmean(found[way])), 4) for found in every)
            rows.append(Row(name, way, interval.mean, interval.low, interval.high, seeds))
    return rows


def compared(groups: dict[str, list[Found]]) -> list[Difference]:
    """Returns each group's re-rankings less its descriptors alone, and each group less each earlier one."""
    pairs = [
        ((name, way), (name, ALONE)) for name, every in groups.items() for way in every[0] if way != ALONE
    ]
    pairs += [
        ((second, way), (first, way))
        for first, second in itertools.combinations(groups, 2)
        for way in groups[first][0]
    ]
    differences = []
    for (name, way), (than, than_way) in pairs:
        test = paired(mean_over(groups[than], than_way), mean_over(groups[name], way))
        found = test.difference
        differences.append(
            Difference(name, way, than, than_way, found.mean, found.low, found.high, test.p_value)
        )
    return differences


def with_pca(path: Path, train: Path, out: Path) -> Path:
    """Returns a bundle whose encoder and decoder are the principal directions of its shallow map."""
    model = resight.load_model(path)
    describer = model.describer
    if not isinstance(describer, DELGDescriber) or describer.net.autoencoder is None:
        raise SystemExit(f"{path} is no DELG bundle with an autoencoder")
    photos = find(train).paths
    net = copy.deepcopy(describer.net)
    seen = []
    with torch.inference_mode():
        for photo in photos[:: max(1, len(photos) // PHOTOS_FOR_PCA)]:
            pixels = images.read(photo, max_side=model.max_side).pixels
            shallow = net.trunk(to_input(torch.from_numpy(pixels.copy())[None], describer.preprocessing))[0][
                0
            ]
            seen.append(shallow.flatten(1).T.double().numpy())
    values = np.concatenate(seen)
    mean = values.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(values.T))
    directions = torch.from_numpy(vectors[:, ::-1][:, : net.local_dim].T.copy()).float()
    middle = torch.from_numpy(mean).float()
    with torch.no_grad():
        net.autoencoder.encoder.weight.copy_(directions[:, :, None, None])
        net.autoencoder.encoder.bias.copy_(-directions @ middle)
        net.autoencoder.decoder.weight.copy_(directions.T[:, :, None, None])
        net.autoencoder.decoder.bias.copy_(middle)
    scales, keypoints = model.facts.scales, describer.keypoints
    changed = DELGDescriber(net, max_side=model.max_side, scales=scales, keypoints=keypoints)
    model = Model(changed, name=str(out), provenance=f"{path}, PCA")
    bundles.write(model.to_bundle(), out)
    return out


if __name__ == "__main__":
    main()
