"""Builds an approximate index in bounded memory, and chooses its codes by measuring.

Centroids are learned from a sample; rows are streamed three times: for the sample, to be assigned to lists,
and to be written. Each kind of code that fits the memory is tried on queries that are held out: photos that
are not in the sample, each without itself among its answers. One half of them chooses, the other half is told
of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Float32, Int64

from resight.errors import InvalidInput
from resight.files import Progress
from resight.search.approximate.codes import (
    CODE_KINDS,
    CodeKind,
    Codes,
    code_size,
    train_centroids,
    train_codes,
)
from resight.search.approximate.index import LARGEST_SHARE, ApproximateIndex, Effort
from resight.search.approximate.measuring import (
    DEPTHS,
    MEASURED_K,
    choose_effort,
    measured_recall,
    median_milliseconds,
    true_neighbours,
)
from resight.search.approximate.part import Block, Part, write_codes, write_rows
from resight.search.exact.index import ExactIndex
from resight.search.index import SearchChoice, SearchFigures

__all__ = ["Built", "Rows", "build", "held_bytes"]

Rows = Callable[[], Iterator[tuple[Int64[np.ndarray, " n"], Float16[np.ndarray, "n dim"]]]]
"""Streams ids and descriptors, in the same order each time."""

QUERIES = 200
"""Held out: one half chooses, the other half is told of."""

_SAMPLED = 32
"""Rows of the sample a list."""

_LISTS = 4.0
"""Lists for the root of the number of rows."""

_TIMED_ROWS = 50_000
"""Rows of an exact search that is timed; all rows take as many times longer as they are more."""

_WORTH = 0.5
"""Of the time of an exact search, from which below an approximate one is worth what it misses."""


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """What was built.

    Attributes:
        codes: Of the parts; None where the exact search is the better one.
        efforts: Of searches.
        figures: What was measured.
    """

    codes: Codes | None
    efforts: list[Effort]
    figures: SearchFigures


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    codes: Codes
    efforts: list[Effort]
    figures: SearchFigures
    best: float


def held_bytes(codes: Codes, rows: int) -> int:
    """Returns what a search holds in memory: centroids, codes and places, and ids."""
    return rows * (codes.size + 16) + codes.centroids.nbytes + codes.trained.nbytes


def build(
    place: Path,
    rows: Rows,
    count: int,
    dim: int,
    choice: SearchChoice,
    *,
    fingerprint: str,
    progress: Progress,
) -> Built:
    """Writes the files of a part of all rows, and returns what was chosen and measured.

    Args:
        place: Of the part, without a suffix.
        rows: All rows.
        count: How many they are.
        dim: Length of a descriptor.
        choice: Memory and recall.
        fingerprint: Of the model that made the descriptors.
        progress: Called with steps done and steps in all.

    Raises:
        InvalidInput: Nothing that fits the memory reaches the recall.
        OSError: The disk refuses it.
    """
    lists = 2 ** round(math.log2(max(1.0, _LISTS * math.sqrt(count))))
    kinds = [kind for kind in CODE_KINDS if _fits(kind, dim, lists, count, choice.memory)]
    exact_fits = choice.memory is None or count * (2 * dim + 8) <= choice.memory
    if not kinds and not exact_fits:
        least = min(count * (code_size(kind, dim) + 16) + 4 * lists * dim for kind in CODE_KINDS)
        raise InvalidInput(
            f"{count:,} photos cannot be searched within {choice.memory or 0:,} bytes of memory; "
            f"the smallest index takes {least:,}"
        )
    steps = 4 + 2 * len(kinds)
    sample, held = _sampled(rows, count, lists)
    progress(1, steps)
    centroids = train_centroids(sample, lists, seed=0)
    progress(2, steps)
    division = Codes("ivf-rabitq", centroids, np.empty(0, np.float32))
    assigned = np.concatenate([division.assign(halves.astype(np.float32)) for _, halves in rows()])
    counts = np.bincount(assigned, minlength=lists).astype(np.int64)
    progress(3, steps)
    write_rows(place, division, counts, _blocks(rows, assigned))
    progress(4, steps)
    trials = []
    true: list[Int64[np.ndarray, " k"]] = []
    for number, kind in enumerate(kinds):
        codes = train_codes(kind, centroids, sample)
        write_codes(place, codes, counts)
        progress(5 + 2 * number, steps)
        part = Part.open(place, codes, count)
        exact = ExactIndex.over(np.array(part.ids), part.halves, fingerprint=fingerprint)
        queries = exact.descriptors(held)
        true = true or true_neighbours(exact, queries, held, max(DEPTHS))
        index = ApproximateIndex(codes, [part], [], fingerprint=fingerprint)
        trials.append(_tried(index, queries, held, true, choice))
        place.with_suffix(".codes").replace(place.with_suffix(f".{kind}"))
        progress(6 + 2 * number, steps)
    return _chosen(place, trials, _exact(rows, count, dim, fingerprint), choice, exact_fits=exact_fits)


def _fits(kind: CodeKind, dim: int, lists: int, count: int, memory: int | None) -> bool:
    needed = count * (code_size(kind, dim) + 16) + 4 * dim * (lists + 256)
    return memory is None or needed <= memory


def _tried(
    index: ApproximateIndex,
    queries: Float32[np.ndarray, "q dim"],
    own: Int64[np.ndarray, " q"],
    true: list[Int64[np.ndarray, " k"]],
    choice: SearchChoice,
) -> _Trial:
    """Returns the efforts of a kind of code, chosen by the first half of the queries, told by the second."""
    half = len(own) // 2
    most = max(1, int(LARGEST_SHARE * index.codes.lists))
    efforts: list[Effort] = []
    best = 0.0
    for depth in DEPTHS:
        asked = half if depth <= 100 else min(half, 20)
        effort, reached = choose_effort(
            index, queries[:asked], own[:asked], true[:asked], k=depth, least=choice.recall, most=most
        )
        best = reached if depth == MEASURED_K else best
        if effort is None:
            break
        efforts.append(effort)
    codes, size = index.codes, held_bytes(index.codes, len(index))
    if not efforts:
        return _Trial(codes, [], SearchFigures(codes.kind, best, None, size), best)
    told = measured_recall(index, efforts, queries[half:], own[half:], true[half:])
    index.efforts = efforts
    milliseconds = median_milliseconds(index, queries[half:])
    return _Trial(codes, efforts, SearchFigures(codes.kind, told, milliseconds, size), best)


def _chosen(
    place: Path, trials: list[_Trial], exact: SearchFigures, choice: SearchChoice, *, exact_fits: bool
) -> Built:
    """Returns the quickest kind, or exact search; files of the others are removed."""
    able = [trial for trial in trials if trial.efforts]
    quickest = min(able, key=lambda trial: trial.figures.milliseconds or math.inf, default=None)
    if not able and not exact_fits:
        best = max(trial.best for trial in trials)
        raise InvalidInput(
            f"no index within {choice.memory or 0:,} bytes finds {choice.recall} of the nearest photos, "
            f"the best one {best:.3f}: give it more memory or ask for a smaller recall"
        )
    worth = math.inf if not exact_fits else _WORTH * (exact.milliseconds or math.inf)
    if quickest is None or (quickest.figures.milliseconds or 0.0) > worth:
        return Built(None, [], exact)
    place.with_suffix(f".{quickest.codes.kind}").replace(place.with_suffix(".codes"))
    return Built(quickest.codes, quickest.efforts, quickest.figures)


def _exact(rows: Rows, count: int, dim: int, fingerprint: str) -> SearchFigures:
    """Returns what an exact search takes, from one of some of the rows."""
    index = ExactIndex(dim, fingerprint=fingerprint)
    for ids, halves in rows():
        index.add(ids, halves)
        if len(index) >= _TIMED_ROWS:
            break
    queries = index.descriptors(index.ids[:: max(1, len(index) // 20)])
    milliseconds = median_milliseconds(index, queries) * count / len(index)
    return SearchFigures("exact", 1.0, milliseconds, count * (2 * dim + 8))


def _sampled(
    rows: Rows, count: int, lists: int
) -> tuple[Float32[np.ndarray, "n dim"], Int64[np.ndarray, " q"]]:
    """Returns descriptors to learn from, and the ids of queries that are none of them."""
    rng = np.random.default_rng(0)
    wanted = min(count, _SAMPLED * lists + QUERIES)
    drawn = rng.choice(count, wanted, replace=False)
    held = np.sort(drawn[: min(QUERIES, max(2, wanted // 4))])
    learned = np.sort(drawn[len(held) :])
    sample: list[np.ndarray] = []
    ids: list[np.ndarray] = []
    start = 0
    for block_ids, halves in rows():
        stop = start + len(block_ids)
        for chosen, taken in ((learned, sample), (held, ids)):
            own = chosen[(chosen >= start) & (chosen < stop)] - start
            taken.append(halves[own].astype(np.float32) if taken is sample else block_ids[own])
        start = stop
    # Shuffled, as one half of the queries chooses and the other is told of.
    return np.concatenate(sample), rng.permutation(np.concatenate(ids))


def _blocks(rows: Rows, assigned: Int64[np.ndarray, " n"]) -> Iterator[Block]:
    start = 0
    for ids, halves in rows():
        yield Block(ids, assigned[start : start + len(ids)], halves)
        start += len(ids)
