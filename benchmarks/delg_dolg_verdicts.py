"""DELG's claims on held-out places: global against re-ranked, and one way of training against another.

    python benchmarks/delg_verdicts.py PLACES --group "with the stop" A.safetensors B.safetensors ...
        --group "without the stop" D.safetensors ... [--pca TRAIN] [--top 100] [--json FILE]

PLACES and TRAIN are folders as ``benchmarks/rendered_places.py`` writes them. A group is one way of training;
its bundles are its seeds, and a query's average precision is the mean over them before anything is compared.
``--pca`` adds to the first group a second one, whose autoencoders are replaced by the PCA of the same map at
as many dimensions, fitted on the photos of TRAIN. Re-ranking uses the project's settings, and those of the
DELG paper. Intervals: 95 %, bootstrap over queries; p by random signs over queries.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from compact_features import Places, describe, find, precisions

import resight
from resight import images
from resight.evaluation.statistics import bootstrap, paired
from resight.models import bundle as bundles
from resight.models.delg_describer import LocalDescriber
from resight.models.preprocess import to_input
from resight.search import verification
from resight.search.exact import ExactIndex
from resight.search.verification_settings import settings_named

WAYS = ("descriptor alone", "default", "delg")
PHOTOS_FOR_PCA = 600


@dataclass(frozen=True)
class Row:
    """A group measured in one way, and its difference to what it is compared with."""

    group: str
    way: str
    bundles: int
    map: float
    low: float
    high: float
    compared_with: str
    difference: float
    p_value: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("places", type=Path)
    parser.add_argument("--group", action="append", nargs="+", required=True, metavar=("NAME", "BUNDLE"))
    parser.add_argument("--pca", type=Path, metavar="TRAIN")
    parser.add_argument("--settings", action="append", choices=WAYS[1:], help="ways of re-ranking; default")
    parser.add_argument("--top", type=int, default=100)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    test = find(arguments.places)
    groups: dict[str, list[Path]] = {name: [Path(path) for path in paths] for name, *paths in arguments.group}
    with tempfile.TemporaryDirectory() as made:
        if arguments.pca:
            first = next(iter(groups))
            train = find(arguments.pca).paths
            train = train[:: max(1, len(train) // PHOTOS_FOR_PCA)]
            groups[f"{first}, PCA"] = [
                with_pca(path, train, Path(made) / f"{number}.safetensors")
                for number, path in enumerate(groups[first])
            ]
        found = {
            name: {
                way: np.mean(each, axis=0)
                for way, each in measured(
                    paths, test, arguments.top, arguments.settings or ["default"]
                ).items()
            }
            for name, paths in groups.items()
        }
    rows = list(compared(found, {name: len(paths) for name, paths in groups.items()}))
    for row in rows:
        print(
            f"{row.group:28} {row.way:18} mAP {row.map:.4f} [{row.low:.4f}, {row.high:.4f}]  "
            f"{row.difference:+.4f} to {row.compared_with}, p {row.p_value:.4f}",
            flush=True,
        )
    if arguments.json:
        described = {
            "queries": test.queries,
            "database": len(test.paths) - test.queries,
            "top": arguments.top,
            "rows": [asdict(row) for row in rows],
        }
        arguments.json.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def measured(paths: list[Path], test: Places, top: int, settings: list[str]) -> dict[str, list[np.ndarray]]:
    """Returns the average precision of each query, one array a bundle, for every way of ranking."""
    every: dict[str, list[np.ndarray]] = {way: [] for way in (WAYS[0], *settings)}
    for path in paths:
        model = resight.load_model(path)
        features = describe(model, test.paths)
        local = [one.local for one in features]
        descriptors = np.stack([one.descriptor for one in features])
        index = ExactIndex(model.dim, fingerprint=model.fingerprint)
        ids = np.arange(test.queries, len(test.paths), dtype=np.int64)
        index.add(ids, descriptors[test.queries :])
        ranking = index.search(descriptors[: test.queries], len(ids))
        every[WAYS[0]].append(precisions(ranking, test))
        for name in settings:
            better, _ = verification.rerank(
                ranking,
                local[: test.queries],
                lambda ids, local=local: [local[one] for one in ids.tolist()],
                top=top,
                settings=settings_named(name),
            )
            every[name].append(precisions(better, test))
        shown = "  ".join(f"{way} {np.nanmean(values[-1]):.4f}" for way, values in every.items())
        print(f"{path}: {shown}", flush=True)
    return every


def compared(found: dict[str, dict[str, np.ndarray]], bundles_of: dict[str, int]) -> list[Row]:
    """Returns each group re-ranked beside its descriptor alone, and each group beside the first one."""
    first = next(iter(found))
    rows = []
    for name, ways in found.items():
        for way, values in ways.items():
            other, base = (first, found[first][way]) if name != first else (WAYS[0], ways[WAYS[0]])
            interval, test = bootstrap(values), paired(base, values)
            rows.append(
                Row(
                    name,
                    way,
                    bundles_of[name],
                    interval.mean,
                    interval.low,
                    interval.high,
                    other,
                    test.difference.mean,
                    test.p_value,
                )
            )
    return rows


def with_pca(path: Path, photos: list[Path], out: Path) -> Path:
    """Returns a bundle whose encoder and decoder are the principal directions of its shallow map."""
    model = resight.load_model(path)
    if not isinstance(model, LocalDescriber) or model.net.autoencoder is None:
        raise SystemExit(f"{path} is no DELG bundle with an autoencoder")
    net = copy.deepcopy(model.net)
    seen = []
    with torch.inference_mode():
        for photo in photos:
            pixels = images.read(photo, max_side=model.max_side).pixels
            shallow = net.trunk(to_input(torch.from_numpy(pixels.copy())[None], model.preprocessing))[0][0]
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
    changed = LocalDescriber(
        net, name=str(out), max_side=model.max_side, settings=model.settings, provenance=f"{path}, PCA"
    )
    bundles.write(changed.to_bundle(), out)
    return out


if __name__ == "__main__":
    main()
