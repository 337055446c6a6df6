"""The report page of a result: its numbers with intervals, its protocol card, and queries one can look at."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from resight.evaluation.card import ProtocolCard
from resight.evaluation.quantity import Quantity
from resight.evaluation.result import (
    Measure,
    PictureRow,
    Result,
    ShownAnswer,
    ShownPhoto,
    fingerprint_of,
)
from resight.features import Box
from resight.files import write_whole
from resight.reports.embedded import EmbeddedPhoto, embed
from resight.reports.page import render

__all__ = ["card_lines", "protocol_of", "render_report", "write_report"]

_QUERY_SIDE, _ANSWER_SIDE = 320, 200


@dataclass(frozen=True, slots=True)
class _Query:
    """A query photo; ``box`` is drawn into the whole photo, None: the photo is what was searched with."""

    label: str
    path: str
    photo: EmbeddedPhoto
    box: Box | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer, or a right one that was missed; ``rank`` and the rest as in `ShownAnswer`."""

    label: str
    path: str
    photo: EmbeddedPhoto
    score: str
    right: bool
    rank: int | None
    ignored: bool


@dataclass(frozen=True, slots=True)
class _Row:
    """A query with its first answers."""

    query: _Query
    measure: str
    value: float | None
    positives: int
    answers: tuple[_Answer, ...]
    missed: tuple[_Answer, ...]

    @property
    def right(self) -> int:
        """How many of the answers are right."""
        return sum(answer.right for answer in self.answers)


@dataclass(frozen=True, slots=True)
class _Section:
    """The rows of one kind: ``worst`` or ``median``."""

    kind: str
    rows: tuple[_Row, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """What ``evaluation.html`` shows."""

    title: str
    headline: tuple[Measure, ...]
    measures: tuple[Measure, ...]
    main: str
    card: ProtocolCard
    protocol: dict[str, str]
    sections: tuple[_Section, ...]


def write_report(result: Result, path: str | Path, *, root: str | Path) -> None:
    """Writes the report: one HTML file that needs nothing else, whole or not at all.

    Args:
        result: What was measured.
        path: The file to write; one that is there is replaced.
        root: The benchmark's folder, for the photos; one that is gone is shown as an empty frame.

    Raises:
        OSError: The file cannot be written.
    """
    write_whole(path, render_report(result, root=root))


def render_report(result: Result, *, root: str | Path) -> str:
    """Returns the report as HTML."""
    card = result.card
    boxed = not card.is_labelled
    sections = (
        _Section(kind, tuple(_row(row, Path(root), boxed=boxed) for row in result.rows if row.kind == kind))
        for kind in ("worst", "median")
    )
    page = _Page(
        f"{PurePosixPath(card.model).name} on {card.benchmark}, {card.folder}",
        _headline(result),
        result.measures,
        result.main.name,
        card,
        # Killed between both, `--out` and `--html` leave files of two runs: this tells them apart.
        protocol_of(result) | {"result’s fingerprint": fingerprint_of(result)[:16]},
        tuple(section for section in sections if section.rows),
    )
    return render("evaluation.html", page)


def _headline(result: Result) -> tuple[Measure, ...]:
    """Returns recall at 1 and the main measure of every task; all measures where there is neither."""
    chosen = (
        measure
        for measure in result.measures
        if measure.quantity == Quantity("R", 1) or measure.quantity.kind == result.main.kind
    )
    return tuple(chosen) or result.measures


def protocol_of(result: Result) -> dict[str, str]:
    """Returns the lines of a result's protocol card."""
    lines = card_lines(result.card)
    return lines | ({"clusters": _clusters(result)} if result.card.is_labelled else {})


def card_lines(card: ProtocolCard) -> dict[str, str]:
    """Returns a protocol card as lines, their names first."""
    classes = f", {card.classes:,} classes" if card.classes else ""
    boxes = "photos are cropped to them" if card.boxes else "not used, photos are whole"
    return {
        "set": f"{card.benchmark} in {card.folder}, {card.split}: {card.images:,} images{classes}",
        "queries": f"{card.queries:,} against {card.gallery:,} images",
        **({"boxes": boxes} if card.is_labelled else {}),
        "model": card.model,
        "dimension": f"{card.dim:,}",
        "size": f"long side at most {card.max_side:,} px, never enlarged" if card.max_side else "not stated",
        "scales": ", ".join(f"{scale:.3g}" for scale in card.scales) or "not stated",
        **{fact.name: fact.text for fact in card.facts},
        "selection": card.selection,
        "seed": str(card.seed),
        "versions": ", ".join(f"{part.name} {part.version}" for part in card.versions),
        "model’s fingerprint": card.model_fingerprint[:16],
        "data’s fingerprint": card.data_fingerprint[:16],
    }


def _clusters(result: Result) -> str:
    clusters = result.clusters
    if clusters is None:
        return "not asked for"
    starts = "1 start" if clusters.restarts == 1 else f"the best of {clusters.restarts} starts"
    return f"k-means, {clusters.clusters:,} clusters, {starts}"


def _row(row: PictureRow, root: Path, *, boxed: bool) -> _Row:
    return _Row(
        _query(row.query, root, boxed=boxed),
        row.quantity.name,
        row.value,
        row.positives,
        tuple(_answer(answer, root) for answer in row.answers),
        tuple(_answer(answer, root) for answer in row.missed),
    )


def _query(query: ShownPhoto, root: Path, *, boxed: bool) -> _Query:
    """Returns the query as it was described or, ``boxed``, whole with its box where the photo is there."""
    box = None if query.box is None else Box(*query.box)
    if boxed and box is not None:
        whole = _embedded(query, root, _QUERY_SIDE, box=None)
        if whole.uri is not None:
            return _Query(query.label, query.path, whole, box)
    return _Query(query.label, query.path, _embedded(query, root, _QUERY_SIDE, box=box), None)


def _embedded(photo: ShownPhoto, root: Path, side: int, *, box: Box | None) -> EmbeddedPhoto:
    """Returns a photo for the page; what a benchmark's list names elsewhere is the reader's own."""
    folder = os.path.abspath(root)  # noqa: PTH100 (links in the folder are its owner's)
    path = os.path.normpath(os.path.join(folder, photo.path))  # noqa: PTH118
    if not PurePath(path).is_relative_to(folder):
        return EmbeddedPhoto(1, 1, None, "it lies outside of the benchmark's folder")
    return embed(path, side, box=box)


def _answer(answer: ShownAnswer, root: Path) -> _Answer:
    photo = answer.photo
    box = None if photo.box is None else Box(*photo.box)
    return _Answer(
        photo.label,
        photo.path,
        _embedded(photo, root, _ANSWER_SIDE, box=box),
        "" if answer.score is None else f"{answer.score:.3f}",
        answer.right,
        answer.rank,
        answer.ignored,
    )
