"""What is missing, broken or duplicated in a user's copy of a benchmark."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from resight.datasets.catalogue import Entry, counts_of, deviations, entry_named
from resight.datasets.dataset import Benchmark, LabelledImages
from resight.datasets.findings import Finding, note, problem, some
from resight.datasets.photo_checks import photo_findings
from resight.errors import InvalidInput

__all__ = ["examine"]

_NUMBERED = re.compile(r"(\d+)(?:\.|$)")


def examine(
    name: str,
    root: str | Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """Returns what there is to know about a copy of a benchmark, problems first.

    Every listed photo is read and decoded once. Kinds of problems: ``lists`` (the set's own files cannot be
    understood; nothing more is looked at then), ``counts`` (not as published), ``missing`` and
    ``unreadable`` photos, ``repeated`` (a path is listed twice), ``contradiction`` (the same bytes with
    different labels in one split), ``leak`` (the same bytes in training and test), ``box`` (a box that
    leaves its photo). Kinds of notes: ``counts`` (as they are), ``boxes`` (there are none),
    ``duplicate`` (the same bytes with the same label), ``gap`` (numbers that no label has), ``shared``
    (classes in both splits), ``alone`` (test photos that no right answer can be given to).

    Args:
        name: As for ``catalogue.load``.
        root: Where the copy is.
        workers: Threads that read; by default the processors available.
        progress: Called with how many photos are done and how many there are.

    Raises:
        InvalidInput: There is no such benchmark, or ``workers`` is not positive.
    """
    entry = entry_named(name)
    benchmark, findings = _read(entry, Path(root))
    if benchmark is not None:
        findings += _counts(benchmark, entry)
        findings += _gaps(benchmark)
        findings += _shared(benchmark)
        findings += _alone(benchmark.test)
        findings += photo_findings(benchmark, workers=workers, progress=progress)
    return sorted(findings, key=lambda finding: not finding.problem)


def _read(entry: Entry, root: Path) -> tuple[Benchmark | None, list[Finding]]:
    """Returns the benchmark, with boxes where there are any, and what of it cannot be had."""
    findings = []
    if entry.read_boxed is not None:
        try:
            return entry.read_boxed(root), []
        except InvalidInput as error:
            findings.append(note("boxes", f"boxes cannot be used: {error}"))
    try:
        return entry.read(root), findings
    except InvalidInput as error:
        return None, [problem("lists", str(error))]


def _counts(benchmark: Benchmark, entry: Entry) -> list[Finding]:
    held = counts_of(benchmark)
    sentence = (
        f"training: {held.train:,} photos of {held.train_classes:,} classes; "
        f"test: {held.test:,} photos of {held.test_classes:,} classes"
    )
    if benchmark.test.queries is not None or benchmark.test.gallery is not None:
        sentence += f", {held.queries:,} queries and {held.gallery:,} in the gallery"
    wrong = deviations(benchmark, entry.counts)
    found = [problem("counts", f"not the published counts: {'; '.join(wrong)}")] if wrong else []
    return [*found, note("counts", sentence)]


def _gaps(benchmark: Benchmark) -> list[Finding]:
    """Returns a note where labels that are numbers, or folders that begin with one, leave some out."""
    names = {*benchmark.train.label_names, *benchmark.test.label_names}
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
    shared = sorted(set(benchmark.train.label_names) & set(benchmark.test.label_names))
    if not shared:
        return []
    return [note("shared", f"training and test share labels ({len(shared):,}): {some(shared)}")]


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
