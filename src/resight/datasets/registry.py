"""The benchmarks by name, how each is read, and what their authors published of their sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from resight.datasets.cars196 import read_cars196
from resight.datasets.cub200 import read_cub200
from resight.datasets.dataset import Benchmark
from resight.datasets.folder import read_folder
from resight.datasets.in_shop import read_in_shop
from resight.datasets.landmark_folder import (
    LandmarkFolder,
    Recognition,
    read_holidays_folder,
    read_original,
    read_recognition,
    read_retrieval,
    read_revisited,
)
from resight.datasets.online_products import read_online_products
from resight.datasets.table import read_table
from resight.datasets.tuples import read_tuple_benchmark
from resight.errors import InvalidInput
from resight.files import did_you_mean

__all__ = [
    "BENCHMARKS",
    "Counts",
    "Entry",
    "LabelledEntry",
    "LandmarkEntry",
    "RecognitionEntry",
    "counts_of",
    "deviations",
    "entry_named",
    "load",
    "open_landmarks",
]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many photos and classes a labelled benchmark has."""

    train: int
    train_classes: int
    test: int
    test_classes: int
    queries: int
    gallery: int


@dataclass(frozen=True, slots=True)
class LabelledEntry:
    """A labelled benchmark.

    Attributes:
        name: What is typed.
        read: Takes the root and returns the benchmark, photos whole.
        read_boxed: The same with photos cropped to their boxes; None if it has no boxes.
        counts: As published; None where every user's set is another.
    """

    name: str
    read: Callable[[Path], Benchmark]
    read_boxed: Callable[[Path], Benchmark] | None
    counts: Counts | None


@dataclass(frozen=True, slots=True)
class LandmarkEntry:
    """A landmark benchmark.

    Attributes:
        name: What is typed.
        read: Takes the root.
        sizes: Database images and queries as published; None where every user's set is another.
    """

    name: str
    read: Callable[[Path], LandmarkFolder]
    sizes: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class RecognitionEntry:
    """A benchmark of recognition.

    Attributes:
        name: What is typed.
        read: Takes the root.
    """

    name: str
    read: Callable[[Path], Recognition]


Entry: TypeAlias = LabelledEntry | LandmarkEntry | RecognitionEntry
"""A benchmark that can be typed."""

BENCHMARKS: tuple[Entry, ...] = (
    LabelledEntry("folder", read_folder, None, None),
    LabelledEntry("table", read_table, partial(read_table, boxes=True), None),
    LabelledEntry("tuples", read_tuple_benchmark, None, None),
    # The sizes that every paper of the field states.
    LabelledEntry(
        "cub200", read_cub200, partial(read_cub200, boxes=True), Counts(5864, 100, 5924, 100, 5924, 5924)
    ),
    LabelledEntry(
        "cars196", read_cars196, partial(read_cars196, boxes=True), Counts(8054, 98, 8131, 98, 8131, 8131)
    ),
    # Oh Song et al., CVPR 2016.
    LabelledEntry("sop", read_online_products, None, Counts(59551, 11318, 60502, 11316, 60502, 60502)),
    # Liu et al., CVPR 2016.
    LabelledEntry(
        "inshop",
        read_in_shop,
        partial(read_in_shop, boxes=True),
        Counts(25882, 3997, 26830, 3985, 14218, 12612),
    ),
    # Radenovic et al., CVPR 2018.
    LandmarkEntry("roxford5k", partial(read_revisited, name="roxford5k"), (4993, 70)),
    LandmarkEntry("rparis6k", partial(read_revisited, name="rparis6k"), (6322, 70)),
    # Philbin et al., CVPR 2007 and 2008; 20 corrupted photos of Paris are left out.
    LandmarkEntry("oxford5k", partial(read_original, name="oxford5k"), (5063, 55)),
    LandmarkEntry("paris6k", partial(read_original, name="paris6k"), (6392, 55)),
    # Jégou et al., ECCV 2008.
    LandmarkEntry("holidays", read_holidays_folder, (1491, 500)),
    # Weyand et al., CVPR 2020: 379 public and 750 private queries.
    LandmarkEntry("gldv2", read_retrieval, (761_757, 1129)),
    LandmarkEntry("revisited", read_revisited, None),
    RecognitionEntry("gldv2-recognition", read_recognition),
)
"""All there are, in the order they are listed."""


def entry_named(name: str) -> Entry:
    """Returns the entry of a name.

    Raises:
        InvalidInput: There is none; the nearest is named.
    """
    names = [entry.name for entry in BENCHMARKS]
    if name not in names:
        raise InvalidInput(
            f"there is no benchmark {name!r}{did_you_mean(name, names)}; there are {', '.join(names)}"
        )
    return BENCHMARKS[names.index(name)]


def load(name: str, root: str | Path, *, boxes: bool = False, allow_deviating: bool = False) -> Benchmark:
    """Returns a benchmark from the user's copy of it.

    The lists are read and checked; that the photos themselves are there and whole is for
    ``doctor.examine`` to say.

    Args:
        name: ``folder``, ``table``, ``tuples``, ``cub200``, ``cars196``, ``sop`` or ``inshop``.
        root: Where the copy is.
        boxes: Whether photos are cropped to their boxes; the sets record it.
        allow_deviating: Take a copy of an official set with other counts than the published ones.

    Raises:
        InvalidInput: There is no such labelled benchmark or no such copy of it; it has no boxes to crop to;
            or its counts are not the published ones and that is not allowed.
    """
    entry = entry_named(name)
    if not isinstance(entry, LabelledEntry):
        raise InvalidInput(f"{name} has no labels to train on or to cluster by: open it with open_landmarks")
    if boxes and entry.read_boxed is None:
        raise InvalidInput(f"{name} has no boxes: use it without them")
    benchmark = entry.read_boxed(Path(root)) if boxes and entry.read_boxed else entry.read(Path(root))
    wrong = deviations(benchmark, entry.counts)
    if wrong and not allow_deviating:
        raise InvalidInput(
            f"{root} is no complete copy of {name}: it has {'; '.join(wrong)}; "
            "get it anew, or allow deviating counts (data.allow_deviating=true in a recipe) and say so "
            "beside the results"
        )
    return benchmark


def open_landmarks(name: str, root: str | Path) -> LandmarkFolder:
    """Returns a landmark benchmark from the user's copy of it; the photos are not opened.

    Args:
        name: ``roxford5k``, ``rparis6k``, ``oxford5k``, ``paris6k``, ``holidays``, ``gldv2``, or
            ``revisited``: any folder with one ``gnd_*.pkl``, ``.mat`` or ``.json``.
        root: The folder, laid out as the readers in `resight.datasets.landmark_folder` say.

    Raises:
        InvalidInput: There is no such landmark benchmark or no such copy of it, or its counts are not as
            published.
        MissingExtra: The ground truth is a MATLAB file and SciPy is not installed.
    """
    entry = entry_named(name)
    if not isinstance(entry, LandmarkEntry):
        raise InvalidInput(f"{name} is no landmark benchmark with a ranking to measure")
    root = Path(root)
    if not root.is_dir():
        raise InvalidInput(f"there is no folder {root}")
    folder = entry.read(root)
    images, queries = len(folder.database), len(folder.queries)
    if entry.sizes is not None and (images, queries) != entry.sizes:
        raise InvalidInput(
            f"{root} is no complete copy of {name}: it has {images:,} images and {queries:,} queries, not "
            f"{entry.sizes[0]:,} and {entry.sizes[1]:,}; measure a part of it as revisited"
        )
    return folder


def counts_of(benchmark: Benchmark) -> Counts:
    """Returns the counts of a benchmark as it is."""
    train, test = benchmark.train, benchmark.test
    roles = (
        len(test) if flags is None else int(np.count_nonzero(flags)) for flags in (test.queries, test.gallery)
    )
    return Counts(len(train), train.classes, len(test), test.classes, *roles)


def deviations(benchmark: Benchmark, counts: Counts | None) -> list[str]:
    """Returns what is not as published, in words; nothing where nothing is published."""
    if counts is None:
        return []
    held = counts_of(benchmark)
    return [
        f"{getattr(held, field.name):,} {_WORDS[field.name]} instead of {getattr(counts, field.name):,}"
        for field in fields(counts)
        if getattr(held, field.name) != getattr(counts, field.name)
    ]


_WORDS = {
    "train": "training photos",
    "train_classes": "training classes",
    "test": "test photos",
    "test_classes": "test classes",
    "queries": "queries",
    "gallery": "gallery photos",
}
