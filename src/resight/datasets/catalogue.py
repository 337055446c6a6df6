"""The benchmarks by name, and what their authors published of their sizes."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from resight.datasets.cars196 import read_cars196
from resight.datasets.cub200 import read_cub200
from resight.datasets.dataset import Benchmark
from resight.datasets.folder import read_folder
from resight.datasets.in_shop import read_in_shop
from resight.datasets.online_products import read_online_products
from resight.datasets.table import read_table
from resight.errors import InvalidInput

__all__ = ["BENCHMARKS", "Counts", "Entry", "counts_of", "deviations", "entry_named", "load"]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many photos and classes a benchmark has."""

    train: int
    train_classes: int
    test: int
    test_classes: int
    queries: int
    gallery: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A benchmark that can be typed.

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


# CUB and Cars: the sizes every paper of the field states; SOP: Oh Song et al., CVPR 2016; In-shop: Liu et
# al., CVPR 2016.
BENCHMARKS = (
    Entry("folder", read_folder, None, None),
    Entry("table", read_table, lambda root: read_table(root, boxes=True), None),
    Entry(
        "cub200",
        read_cub200,
        lambda root: read_cub200(root, boxes=True),
        Counts(5864, 100, 5924, 100, 5924, 5924),
    ),
    Entry(
        "cars196",
        read_cars196,
        lambda root: read_cars196(root, boxes=True),
        Counts(8054, 98, 8131, 98, 8131, 8131),
    ),
    Entry("sop", read_online_products, None, Counts(59551, 11318, 60502, 11316, 60502, 60502)),
    Entry(
        "inshop",
        read_in_shop,
        lambda root: read_in_shop(root, boxes=True),
        Counts(25882, 3997, 26830, 3985, 14218, 12612),
    ),
)
"""All there are, in the order they are listed."""


def entry_named(name: str) -> Entry:
    """Returns the entry of a name.

    Raises:
        InvalidInput: There is none; the nearest is named.
    """
    for entry in BENCHMARKS:
        if entry.name == name:
            return entry
    names = [entry.name for entry in BENCHMARKS]
    near = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f", did you mean {near[0]}" if near else ""
    raise InvalidInput(f"there is no benchmark {name!r}{hint}; there are {', '.join(names)}")


def load(name: str, root: str | Path, *, boxes: bool = False, allow_deviating: bool = False) -> Benchmark:
    """Returns a benchmark from the user's copy of it.

    The lists are read and checked; that the photos themselves are there and whole is for
    ``doctor.examine`` to say.

    Args:
        name: ``folder``, ``table``, ``cub200``, ``cars196``, ``sop`` or ``inshop``.
        root: Where the copy is.
        boxes: Whether photos are cropped to their boxes; the sets record it.
        allow_deviating: Take a copy of an official set with other counts than the published ones.

    Raises:
        InvalidInput: No such benchmark or no such copy of it; boxes are asked for and it has none; or its
            counts are not the published ones and that is not allowed.
    """
    entry = entry_named(name)
    if boxes and entry.read_boxed is None:
        raise InvalidInput(f"{name} has no boxes: use it without them")
    benchmark = entry.read_boxed(Path(root)) if boxes and entry.read_boxed else entry.read(Path(root))
    wrong = deviations(benchmark, entry.counts)
    if wrong and not allow_deviating:
        raise InvalidInput(
            f"{root} is no complete copy of {name}: it has {'; '.join(wrong)}; "
            f"get it anew, or allow deviating counts and say so beside the results"
        )
    return benchmark


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
