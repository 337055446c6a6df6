"""What is missing, broken or duplicated in a user's copy of a benchmark."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from resight.datasets.dataset import Benchmark, LabelledImages
from resight.datasets.findings import Finding, note, problem, some
from resight.datasets.landmark_folder import LandmarkFolder
from resight.datasets.photo_checks import labelled_photo_findings, landmark_photo_findings
from resight.datasets.registry import (
    LabelledEntry,
    LandmarkEntry,
    RecognitionEntry,
    counts_of,
    deviations,
    entry_named,
)
from resight.datasets.table import RepeatedPhotos
from resight.errors import InvalidInput, MissingExtra
from resight.files import Progress

__all__ = ["examine"]

_NUMBERED = re.compile(r"(\d+)(?:\.|$)")


def examine(
    name: str,
    root: str | Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Returns what there is to know about a copy of a benchmark, problems first.

    Every listed photo is read and decoded once.

    * Kinds of problems: ``lists`` (the set's own files cannot be understood; nothing more is looked at then),
      ``counts`` (not as published), ``missing`` and ``unreadable`` photos, ``repeated`` (a path is listed
      twice; of a table, nothing more is looked at then), ``contradiction`` (the same bytes with different
      labels in one split), ``leak`` (the same bytes in training and test, or in a query and a database that
      is not to have it), ``box`` (a box that leaves its photo).
    * Kinds of notes: ``counts`` (as they are), ``boxes`` (there are none), ``duplicate`` (the same bytes with
      the same label, or in the database), ``gap`` (numbers that no label has), ``shared`` (classes in both
      splits), ``alone`` (queries that no right answer can be given to).

    Args:
        name: That of any entry of `resight.datasets.BENCHMARKS`.
        root: Where the copy is.
        workers: Threads that read; by default the processors available.
        progress: Called with how many photos are done and how many there are.

    Raises:
        InvalidInput: There is no such benchmark, or ``workers`` is not positive.
        MissingExtra: Its ground truth is a MATLAB file and SciPy is not installed.
    """
    entry = entry_named(name)
    if isinstance(entry, LabelledEntry):
        findings = _labelled(entry, Path(root), workers, progress)
    else:
        findings = _landmarks(entry, Path(root), workers, progress)
    return sorted(findings, key=lambda finding: not finding.problem)


def _labelled(
    entry: LabelledEntry, root: Path, workers: int | None, progress: Progress | None
) -> list[Finding]:
    benchmark, findings = _read(entry, root)
    if benchmark is None:
        return findings
    return [
        *findings,
        *_counts(benchmark, entry),
        *_gaps(benchmark),
        *_shared(benchmark),
        *(finding for part in benchmark.parts[1:] for finding in _alone(part)),
        *labelled_photo_findings(benchmark, workers=workers, progress=progress),
    ]


def _landmarks(
    entry: LandmarkEntry | RecognitionEntry, root: Path, workers: int | None, progress: Progress | None
) -> list[Finding]:
    try:
        benchmark = entry.read(root)
    except InvalidInput as error:
        return [problem("lists", str(error))]
    folder = benchmark if isinstance(benchmark, LandmarkFolder) else benchmark.folder
    sizes = entry.sizes if isinstance(entry, LandmarkEntry) else None
    return [
        *_sizes(folder, sizes),
        *_without_positive(folder),
        *landmark_photo_findings(folder, workers=workers, progress=progress),
    ]


def _sizes(folder: LandmarkFolder, published: tuple[int, int] | None) -> list[Finding]:
    images, queries = len(folder.database), len(folder.queries)
    findings = [note("counts", f"database: {images:,} images; {queries:,} queries")]
    if published is not None and (images, queries) != published:
        sentence = (
            f"not the published counts: {images:,} images instead of {published[0]:,}; "
            f"{queries:,} queries instead of {published[1]:,}"
        )
        findings.insert(0, problem("counts", sentence))
    return findings


def _without_positive(folder: LandmarkFolder) -> list[Finding]:
    """Returns a note about queries that no task has a positive for; recognition has no tasks."""
    truth = folder.truth
    alone = [
        path
        for query, path in enumerate(folder.queries)
        if truth.tasks and not any(task.positives[query] for task in truth.tasks)
    ]
    if not alone:
        return []
    return [note("alone", f"{len(alone):,} queries have no positive in the database: {some(alone)}", alone)]


def _read(entry: LabelledEntry, root: Path) -> tuple[Benchmark | None, list[Finding]]:
    """Returns the benchmark, with boxes where there are any, and what of it cannot be had."""
    findings = []
    if entry.read_boxed is not None:
        try:
            return entry.read_boxed(root), []
        except (InvalidInput, MissingExtra) as error:
            findings.append(note("boxes", f"boxes cannot be used: {error}"))
    try:
        return entry.read(root), findings
    except RepeatedPhotos as error:
        return None, [problem("repeated", str(error), error.paths)]
    except InvalidInput as error:
        return None, [problem("lists", str(error))]


def _counts(benchmark: Benchmark, entry: LabelledEntry) -> list[Finding]:
    held = counts_of(benchmark)
    sentence = (
        f"training: {held.train:,} photos of {held.train_classes:,} classes; "
        f"test: {held.test:,} photos of {held.test_classes:,} classes"
    )
    if benchmark.validation is not None:
        own = benchmark.validation
        sentence += f"; validation: {len(own):,} photos of {own.classes:,} classes"
    if benchmark.test.queries is not None or benchmark.test.gallery is not None:
        sentence += f", {held.queries:,} queries and {held.gallery:,} in the gallery"
    wrong = deviations(benchmark, entry.counts)
    problems = [problem("counts", f"not the published counts: {'; '.join(wrong)}")] if wrong else []
    return [*problems, note("counts", sentence)]


def _gaps(benchmark: Benchmark) -> list[Finding]:
    """Returns a note where labels that are numbers, or folders that begin with one, leave some out."""
    names = {name for part in benchmark.parts for name in part.label_names}
    matches = [_NUMBERED.match(name) for name in names]
    numbers = {int(match[1]) for match in matches if match is not None}
    if len(numbers) != len(names):
        return []
    gaps = [str(number) for number in range(min(numbers), max(numbers)) if number not in numbers]
    if not gaps:
        return []
    sentence = f"no label is numbered {some(gaps)}, though {min(numbers)} to {max(numbers)} are in use"
    return [note("gap", sentence)]


def _shared(benchmark: Benchmark) -> list[Finding]:
    findings = []
    for number, one in enumerate(benchmark.parts):
        for other in benchmark.parts[number + 1 :]:
            shared = sorted(set(one.label_names) & set(other.label_names))
            if shared:
                names = " and ".join(_split_of(benchmark, part) for part in (one, other))
                findings.append(note("shared", f"{names} share labels ({len(shared):,}): {some(shared)}"))
    return findings


def _split_of(benchmark: Benchmark, part: LabelledImages) -> str:
    return {id(benchmark.train): "training", id(benchmark.test): "test"}.get(id(part), "validation")


def _alone(test: LabelledImages) -> list[Finding]:
    """Returns a note about queries to which no other photo is a right answer."""
    everyone = np.ones(len(test), dtype=np.bool_)
    queries = everyone if test.queries is None else test.queries
    gallery = everyone if test.gallery is None else test.gallery
    answers = np.bincount(test.labels[gallery], minlength=test.classes)
    # A query is no answer to itself.
    alone = np.flatnonzero(queries & (answers[test.labels] - gallery <= 0))
    if not len(alone):
        return []
    paths = [test.paths[index] for index in alone]
    sentence = f"{len(paths):,} queries have no other photo of their class among the answers: {some(paths)}"
    return [note("alone", sentence, paths)]
