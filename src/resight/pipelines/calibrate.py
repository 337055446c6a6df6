"""How likely an answer shows the same thing: learned from labels, from pairs, or from geometry itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageEnhance

from resight import images
from resight.collection import Collection, Hit, Query
from resight.collection.collection import LOCK_TIMEOUT
from resight.collection.place import writer_lock
from resight.collection.roots import Key
from resight.collection.store import SEARCHABLE, Store
from resight.errors import InvalidInput, UnreadableImage
from resight.files import Progress, name_key, on_disk, read_rows, silent
from resight.images import PhotoSource
from resight.pipelines.classify import as_label
from resight.search.geometry.verification import Verification
from resight.search.probability import (
    PairProbability,
    brier_score,
    fit_probability,
    measures,
    reliability,
)

__all__ = ["QUERIES", "TOP", "Calibrated", "Pair", "calibrate", "fit_pairs", "held_out"]

QUERIES, TOP = 200, 20
"""Queries that are tried, and how many answers of each are looked at."""

_FOLDS = 5
_SEED = 0
_LEAST_SIDE = 32


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A query and one of its answers.

    Attributes:
        query: Number of the query.
        similarity: Inner product of the descriptors.
        match: What geometry says; None where it has not checked the pair.
        same: Whether both show the same thing.
    """

    query: int
    similarity: float
    match: Verification | None
    same: bool


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What was learned.

    Attributes:
        probability: The regression, as the collection keeps it.
        queries: Queries that were tried.
        reliability: Mean probability, share of the same thing and number of the held-out pairs, by bins.
    """

    probability: PairProbability
    queries: int
    reliability: list[tuple[float, float, int]]


def calibrate(
    collection: Collection,
    *,
    label: str | None = None,
    pairs: Path | None = None,
    queries: int = QUERIES,
    progress: Progress = silent,
) -> Calibrated:
    """Returns what was learned from a collection's own photos, and keeps it in the collection.

    From labels: photos of one label show the same thing, and each photo tried as a query is left out of its
    answers. From a table of pairs: what it says. From neither: edited views of photos are the queries; the
    photo itself and what geometry confirms show the same thing, what it calls unlikely does not. The last
    learns to agree with geometry, and not more.

    Args:
        collection: Its photos must be there.
        label: Metadata whose values name things.
        pairs: CSV file with the columns ``query``, ``answer`` (a photo of the collection), ``same`` (1 or 0).
        queries: How many photos are tried, evenly spread.
        progress: Called with queries tried and queries in all.

    Raises:
        InvalidInput: There are too few photos, labels or pairs to learn from, or both are given.
        UnreadableImage: A photo of the table cannot be read.
        CollectionLocked: Another process is writing.
        StorageFailed: The disk refuses it.
    """
    if label is not None and pairs is not None:
        raise InvalidInput("labels and a table of pairs both say what shows the same thing: name one of them")
    if pairs is not None:
        found, source = list(_from_table(collection, pairs, progress)), "pairs"
    elif label is not None:
        found, source = list(_from_labels(collection, label, queries, progress)), f"label {label}"
    else:
        found, source = list(_from_geometry(collection, queries, progress)), "geometry"
    if not found:
        raise InvalidInput(f"no pair of photos of {collection.path} could be learned from")
    probabilities = held_out(found, source)
    probability = replace(
        fit_pairs(found, source), brier=brier_score(probabilities, [pair.same for pair in found])
    )
    with writer_lock(collection.path, timeout=LOCK_TIMEOUT) as lock:
        store = Store.open(collection.path, lock=lock)
        store.write_header(replace(store.header, probability=probability))
    return Calibrated(
        probability,
        len({pair.query for pair in found}),
        reliability(probabilities, [pair.same for pair in found]),
    )


def fit_pairs(pairs: Sequence[Pair], source: str) -> PairProbability:
    """Returns the regression of some pairs.

    Raises:
        InvalidInput: All of them are of one kind.
    """
    same = np.array([pair.same for pair in pairs], dtype=np.bool_)
    plain = fit_probability(np.stack([measures(pair.similarity, None) for pair in pairs]), same)
    checked = [pair for pair in pairs if pair.match is not None]
    verified = None
    if checked:
        rows = np.stack([measures(pair.similarity, pair.match) for pair in checked])
        verified = fit_probability(rows, np.array([pair.same for pair in checked], dtype=np.bool_))
    return PairProbability(plain, verified, source, len(pairs), int(same.sum()), 0.0)


def held_out(pairs: Sequence[Pair], source: str) -> list[float]:
    """Returns the probability of each pair by a regression that has not seen its query; five are fitted.

    Raises:
        InvalidInput: A fifth of the queries has all pairs of one kind.
    """
    fold = np.array([pair.query % _FOLDS for pair in pairs])
    probabilities = np.zeros(len(pairs))
    for number in np.unique(fold):
        fitted = fit_pairs([pair for pair, one in zip(pairs, fold, strict=True) if one != number], source)
        for place in np.flatnonzero(fold == number).tolist():
            probabilities[place] = fitted.of(pairs[place].similarity, pairs[place].match)
    return [float(each) for each in probabilities]


def _from_labels(collection: Collection, label: str, queries: int, progress: Progress) -> Iterator[Pair]:
    """Yields the answers of labelled photos as pairs.

    Raises:
        InvalidInput: The photos have no such metadata.
    """
    store = Store.open(collection.path)
    if label not in store.schema.names:
        raise InvalidInput(
            f"the photos of {collection.path} have no {label!r}: name other metadata, or give them some by "
            f"`resight index PHOTOS --metadata TABLE.csv`, with the columns path,{label}"
        )
    roots, rows = store.roots, store.table(["root", "path", label], where=SEARCHABLE).to_pylist()
    labels = {roots.path_of(Key(row["root"], row["path"])): as_label(row[label]) for row in rows}
    named = {path: name for path, name in labels.items() if name}

    def pairs_of(number: int, hits: Sequence[Hit], own: str) -> Iterator[Pair]:
        for hit in hits:
            if hit.path != own and hit.path in named:
                yield Pair(number, hit.similarity, hit.match, named[hit.path] == named[own])

    yield from _searched(collection, _spread(sorted(named), queries), lambda path: path, pairs_of, progress)


def _from_geometry(collection: Collection, queries: int, progress: Progress) -> Iterator[Pair]:
    """Yields the answers of edited views of photos as pairs, where geometry is sure of them.

    Raises:
        InvalidInput: The model has no local features.
    """
    if collection.model.facts.local is None:
        raise InvalidInput(
            f"the model {collection.model.name!r} has no local features to tell photos of the same thing by: "
            "name metadata that does (--label), or a table of pairs (--pairs)"
        )
    rng = np.random.default_rng(_SEED)

    def view(path: str) -> PhotoSource:
        return edited(images.read(path, max_side=1024).pixels, rng)

    def pairs_of(number: int, hits: Sequence[Hit], own: str) -> Iterator[Pair]:
        for hit in hits:
            if hit.path == own or hit.verdict == "confirmed":
                yield Pair(number, hit.similarity, hit.match, same=True)
            elif hit.verdict == "unlikely":
                yield Pair(number, hit.similarity, hit.match, same=False)

    yield from _searched(collection, _spread(sorted(collection), queries), view, pairs_of, progress)


def _searched(
    collection: Collection,
    paths: Sequence[str],
    source: Callable[[str], PhotoSource],
    pairs_of: Callable[[int, Sequence[Hit], str], Iterator[Pair]],
    progress: Progress,
) -> Iterator[Pair]:
    """Yields the pairs of the searches for some photos; those that cannot be read are left out."""
    for number, path in enumerate(paths):
        try:
            hits = collection.search(source(path), top=TOP + 1)
        except (UnreadableImage, InvalidInput):
            continue
        yield from pairs_of(number, hits, path)
        progress(number + 1, len(paths))


def _from_table(collection: Collection, table: Path, progress: Progress) -> Iterator[Pair]:
    """Yields the pairs of a table.

    Raises:
        InvalidInput: It is no such table, or names an answer that the collection does not have.
        UnreadableImage: A query cannot be read.
    """
    store = Store.open(collection.path)
    columns = store.table(["root", "path"], where=SEARCHABLE)
    held = dict(zip(map(name_key, collection), columns["_rowid"].to_pylist(), strict=True))
    asked: dict[str, dict[int, bool]] = {}
    folder = table.absolute().parent
    for row in read_rows(table, ["query", "answer", "same"]):
        query, answer = (str(on_disk(folder / row.cells[name])) for name in ("query", "answer"))
        if row.cells["same"] not in ("0", "1"):
            raise InvalidInput(f"line {row.line} of {table}: same is 1 or 0, not {row.cells['same'][:40]!r}")
        if name_key(answer) not in held:
            raise InvalidInput(f"line {row.line} of {table}: {answer} is not in {collection.path}")
        asked.setdefault(query, {})[held[name_key(answer)]] = row.cells["same"] == "1"
    for number, (query, answers) in enumerate(asked.items()):
        yield from _compared(collection, number, query, answers)
        progress(number + 1, len(asked))


def _compared(collection: Collection, number: int, query: str, answers: Mapping[int, bool]) -> Iterator[Pair]:
    count = len(answers)
    verify = count if collection.model.facts.local is not None else 0
    searcher = collection.searcher
    described = searcher.describe(Query(query, top=count, verify=verify))
    ranked = searcher.rank_these(described, np.array(sorted(answers), dtype=np.int64))
    for hit in searcher.answer(ranked):
        yield Pair(number, hit.similarity, hit.match, answers[hit.id or 0])


def edited(
    pixels: UInt8[np.ndarray, "rows columns 3"], rng: np.random.Generator
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns a photo as somebody else might have taken it: a part of it, seen from aside, in other light."""
    photo = Image.fromarray(pixels)
    width, height = photo.size
    share = rng.uniform(0.5, 1.0)
    side_x, side_y = max(share * width, _LEAST_SIDE), max(share * height, _LEAST_SIDE)
    x, y = rng.uniform(0, max(width - side_x, 0)), rng.uniform(0, max(height - side_y, 0))
    corners = np.array([[x, y], [x, y + side_y], [x + side_x, y + side_y], [x + side_x, y]])
    corners += rng.uniform(-0.08, 0.08, (4, 2)) * [side_x, side_y]
    size = tuple(max(_LEAST_SIDE, round(rng.uniform(0.5, 1.0) * side)) for side in (side_x, side_y))
    seen = photo.transform(
        (size[0], size[1]), Image.Transform.QUAD, corners.ravel().tolist(), Image.Resampling.BICUBIC
    )
    seen = ImageEnhance.Brightness(seen).enhance(rng.uniform(0.7, 1.3))
    return np.asarray(ImageEnhance.Contrast(seen).enhance(rng.uniform(0.8, 1.2)))


def _spread(paths: Sequence[str], number: int) -> list[str]:
    """Returns at most so many of the paths, evenly spread over all of them."""
    places = np.linspace(0, len(paths) - 1, min(number, len(paths))).astype(np.int64)
    return [paths[place] for place in places.tolist()]
