"""Quality after verification against the bytes a photo takes, for every compact form of local features.

    python benchmarks/compact_features.py PLACES --train TRAINING [--model sift] [--model delg.safetensors]
        [--settings default] [--top 100] [--json FILE]

PLACES and TRAINING are folders of rendered places (``resight.scenes.render.write_collection``, or those of
``benchmarks/rendered_places.py``), files named ``place_003_view_2.jpg`` and ``distractor_011.jpg``; they must
be of different seeds: the codecs are fitted on TRAINING. Queries are the photos under ``queries/``, or the
first view of each place; everything else is the database. Without folders small ones are rendered.

For each model: mAP of the descriptor alone, and after re-ranking its first answers by geometry with the
features as they are and in every compact form (the descriptor stays the same); the bytes of a photo's local
features; and the paired difference to the features as they are, with the probability of one as large by
chance (random signs).
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import resight
from resight.evaluation import average_precision
from resight.evaluation.statistics import bootstrap, paired
from resight.features import ImageFeatures, LocalFeatures
from resight.models import BinaryCodec, Float16Codec, LocalCodec, Model, ProductCodec
from resight.models.codec import as_stored, unit_descriptors
from resight.models.extract import extract
from resight.scenes.render import write_collection
from resight.search.exact import ExactIndex
from resight.search.geometry.config import verification_config
from resight.search.geometry.reranking import VerifiedRanking, rerank
from resight.search.ranking import Ranking

FITTED_ON = 200_000
"""Local descriptors that codecs are fitted on at most."""

NAME = re.compile(r"(?:place_(\d+)_view_(\d+)|distractor_\d+)\.jpg")


@dataclass(frozen=True)
class Places:
    """Photos and the place in each, -1 for none; the first are the queries."""

    paths: list[Path]
    places: np.ndarray
    queries: int


@dataclass(frozen=True)
class Row:
    """A line of the table; bytes are what is stored for the local features of a photo, on average."""

    model: str
    form: str
    bytes_per_feature: int
    bytes_a_photo: float
    map: float
    low: float
    high: float
    difference: float
    p_value: float
    seconds_a_query: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("places", type=Path, nargs="?")
    parser.add_argument("--train", type=Path)
    parser.add_argument("--model", action="append")
    parser.add_argument("--settings", default="default")
    parser.add_argument("--top", type=int, default=100)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if (arguments.places is None) != (arguments.train is None):
        parser.error("give both folders or none")
    with tempfile.TemporaryDirectory() as made:
        folders = [arguments.places, arguments.train]
        if arguments.places is None:
            folders = [Path(made) / "test", Path(made) / "train"]
            for number, folder in enumerate(folders):
                write_collection(folder, places=12, views=4, distractors=12, side=320, seed=number + 1)
        test, train = (find(folder) for folder in folders)
        rows = []
        for name in arguments.model or ["sift"]:
            rows += compare(name, test, train, settings=arguments.settings, top=arguments.top)
    print_table(rows)
    if arguments.json:
        described = {
            "queries": test.queries,
            "database": len(test.paths) - test.queries,
            "settings": arguments.settings,
            "top": arguments.top,
            "rows": [asdict(row) for row in rows],
        }
        arguments.json.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def find(folder: Path) -> Places:
    """Returns the photos of a folder, queries first."""
    named = [(path, NAME.fullmatch(path.name)) for path in sorted(folder.rglob("*.jpg"))]
    known = [(path, match) for path, match in named if match is not None]
    if not known:
        raise SystemExit(f"there is no photo of a rendered place in {folder}")
    first: dict[str, Path] = {}
    for path, match in sorted(known, key=lambda one: int(one[1][2] or 0)):
        if match[1] is not None:
            first.setdefault(match[1], path)
    chosen = {path for path, _ in known if path.parent.name == "queries"} or set(first.values())
    ordered = sorted(known, key=lambda one: one[0] not in chosen)
    places = [-1 if match[1] is None else int(match[1]) for _, match in ordered]
    return Places([path for path, _ in ordered], np.array(places), len(chosen))


def describe(model: Model, paths: Sequence[Path]) -> list[ImageFeatures]:
    found = [one.features for one in extract(paths, model)]
    if None in found:
        raise SystemExit(f"{paths[found.index(None)]} could not be read")
    return found


def local_of(features: Sequence[ImageFeatures]) -> list[LocalFeatures]:
    found = [one.local for one in features]
    if None in found:
        raise SystemExit("the model has no local features")
    return found


def rank(features: Sequence[ImageFeatures], test: Places) -> Ranking:
    """Returns the whole database for each query by descriptors, stored as a collection stores them."""
    descriptors = np.stack([one.descriptor for one in features]).astype(np.float16).astype(np.float32)
    index = ExactIndex(descriptors.shape[1], fingerprint="of one model")
    ids = np.arange(test.queries, len(test.paths), dtype=np.int64)
    index.add(ids, descriptors[test.queries :])
    return index.search(descriptors[: test.queries], len(ids))


def codecs(train: np.ndarray) -> Iterator[tuple[str, LocalCodec]]:
    """Yields the compact forms, fitted on local descriptors of other places."""
    dim = train.shape[1]
    yield "float16", Float16Codec(dim)
    for parts in (32, 16, 8):
        if dim % parts == 0:
            yield f"product, {parts} bytes", ProductCodec.fit(train, parts)
    yield f"binary, {dim} bits, signs", BinaryCodec.fit(train, rotation="none")
    yield f"binary, {dim} bits, ITQ", BinaryCodec.fit(train)
    yield f"binary, {2 * dim} bits, random", BinaryCodec.fit(train, 2 * dim, rotation="random")


def compare(name: str, test: Places, train: Places, *, settings: str, top: int) -> Iterator[Row]:
    """Yields the lines of one model."""
    model = resight.load_model(name)
    features = describe(model, test.paths)
    local = local_of(features)
    ranking = rank(features, test)
    shown = Path(name).name
    alone = precisions(ranking, test)
    training = np.concatenate([unit_descriptors(one) for one in local_of(describe(model, train.paths))])
    if len(training) > FITTED_ON:
        training = training[np.random.default_rng(0).choice(len(training), FITTED_ON, replace=False)]

    def verified(
        queries: Sequence[LocalFeatures], stored: Sequence[LocalFeatures]
    ) -> tuple[np.ndarray, float]:
        started = time.perf_counter()
        better = rerank(
            ranking,
            queries,
            lambda found: [stored[one] for one in found.tolist()],
            top=top,
            config=verification_config(settings),
        )
        return precisions(better, test), (time.perf_counter() - started) / test.queries

    plain, seconds = verified(local[: test.queries], local)
    yield line(shown, "descriptor alone", 0, 0.0, alone, plain, 0.0)
    width = local[0].descriptors.itemsize * local[0].descriptors.shape[1]
    size = float(np.mean([len(one.to_bytes()) for one in local]))
    yield line(shown, f"as they are ({local[0].descriptors.dtype})", width, size, plain, plain, seconds)
    for form, codec in codecs(training):
        encoded = [codec.encode(one) for one in local]
        queries = [as_stored(codec, one) for one in local[: test.queries]]
        decoded = [codec.decode(one) for one in encoded]
        if form == "float16":
            # Where features are float16 already this is the line above; codes of SIFT become halves.
            queries = decoded[: test.queries]
        elif queries[0].metric == "cosine":
            # The query's own features are not quantised, but they are compared as halves.
            queries = [Float16Codec(training.shape[1]).encode(one) for one in queries]
        found, seconds = verified(queries, decoded)
        size = float(np.mean([len(one.to_bytes()) for one in encoded]))
        yield line(shown, form, codec.bytes_per_feature, size, found, plain, seconds)


def precisions(ranking: Ranking | VerifiedRanking, test: Places) -> np.ndarray:
    """Returns the average precision of each query."""
    found = []
    for row, place in enumerate(test.places[: test.queries]):
        relevant = test.places[ranking.row(row)[0]] == place
        found.append(average_precision(relevant, int((test.places[test.queries :] == place).sum())))
    return np.array(found)


def line(
    model: str, form: str, width: int, size: float, found: np.ndarray, plain: np.ndarray, seconds: float
) -> Row:
    interval = bootstrap(found)
    test = paired(plain, found)
    return Row(
        model,
        form,
        width,
        size,
        float(np.nanmean(found)),
        interval.low,
        interval.high,
        float(np.nanmean(found - plain)),
        test.p_value,
        seconds,
    )


def print_table(rows: Sequence[Row]) -> None:
    print(
        f"{'model':24} {'local features':26} {'B each':>6} {'kB/photo':>9} {'mAP':>6}  {'95 %':13} ", end=""
    )
    print(f"{'diff.':>7} {'p':>6} {'s/query':>8}")
    for row in rows:
        interval = f"{100 * row.low:5.2f}-{100 * row.high:5.2f}"
        print(
            f"{row.model[:24]:24} {row.form:26} {row.bytes_per_feature:6} {row.bytes_a_photo / 1000:9.1f} "
            f"{100 * row.map:6.2f}  {interval:13} {100 * row.difference:+7.2f} {row.p_value:6.3f} "
            f"{row.seconds_a_query:8.2f}"
        )


if __name__ == "__main__":
    main()
