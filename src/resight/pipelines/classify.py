"""Which labelled thing of a collection a photo shows, or that it shows none of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from resight.collection.answer import Answer, Hit
from resight.collection.collection import LOCK_TIMEOUT, Collection
from resight.collection.place import writer_lock
from resight.collection.query import Query
from resight.collection.roots import Key
from resight.collection.scan import canonical
from resight.collection.schema import Value, metadata_names, read_cell
from resight.collection.store import Store
from resight.errors import CollectionDamaged, InvalidInput, UnreadableImage
from resight.files import Progress, silent
from resight.images import MAX_PIXELS, PhotoSource
from resight.images.content import content_of
from resight.pipelines.metadata import read_cells
from resight.search.recognition import Calibration, VotingRule, choose_threshold, neighbour_scores, recognise

__all__ = [
    "LABEL",
    "Classified",
    "Classifier",
    "Vote",
    "as_label",
    "calibrate_on_table",
    "classify_photos",
    "default_label",
    "default_rule",
    "stored_calibration",
]

LABEL = "label"
"""The default name of the metadata that holds labels."""


@dataclass(frozen=True, slots=True, eq=False)
class Vote:
    """A neighbour that voted.

    Attributes:
        hit: The photo of the collection.
        label: Its label.
        cosine: Inner product with the query.
        score: What it counts: ``min(inliers, most) / most + cosine``.
    """

    hit: Hit
    label: str
    cosine: float
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Classified:
    """What a photo shows.

    Attributes:
        photo: The file as the caller named it.
        label: What it shows; None: none of the labelled things.
        best: The likeliest label, above the threshold or not.
        confidence: Score of the likeliest label.
        votes: The neighbours that speak for the likeliest label, best first.
        others: Those that speak for other labels, best first.
        verified: Whether geometry had its say: not without local features, nor where the rule forgoes it.
        answer: The search that it rests on.
    """

    photo: str
    label: str | None
    best: str
    confidence: float
    votes: tuple[Vote, ...]
    others: tuple[Vote, ...]
    verified: bool
    answer: Answer


@final
class Classifier:
    """Recognises things by the labels of a collection's photos, by the rule of `resight.search.recognition`.

    Photos without a label do not vote. Nothing is trained: photos that are added or labelled count at once.

    Args:
        collection: Its photos' labels are in their metadata.
        label: Name of that metadata; by default that of the stored calibration, else ``label``.
        rule: How neighbours vote; by default that of the stored calibration, else the paper's.
        threshold: Labels of smaller scores are withheld; by default that of the stored calibration, where
            it is for this label and this rule. Without one every photo gets a label.

    Raises:
        InvalidInput: The photos have no such metadata, it is empty in all of them, or the threshold is no
            number.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        label: str | None = None,
        rule: VotingRule | None = None,
        threshold: float | None = None,
    ) -> None:
        if threshold is not None and not math.isfinite(threshold):
            raise InvalidInput(f"a threshold is a finite number, not {threshold}")
        stored = stored_calibration(collection)
        self.label = label or default_label(stored)
        self.rule = rule or default_rule(stored, self.label)
        fitting = stored if stored and (stored.label, stored.rule) == (self.label, self.rule) else None
        self.threshold = fitting.threshold if threshold is None and fitting else threshold
        self.labels = _labels(collection, self.label)
        """How many photos have each label."""
        self._collection = collection

    def classify(self, photo: PhotoSource, *, max_pixels: int = MAX_PIXELS) -> Classified:
        """Returns what a photo shows.

        Args:
            photo: In any form that a query takes.
            max_pixels: Most pixels of it that are decoded.

        Raises:
            InvalidInput: No photo of the collection has a label any more.
            UnreadableImage: It cannot be read.
            ModelError: The model cannot be loaded, or is another.
            CollectionError: The collection is gone or cannot be read.
        """
        answer = self._neighbours(photo, max_pixels)
        # Labels may have gone since they were counted.
        hits = [hit for hit in answer.hits if self.label in hit.metadata]
        if not hits:
            raise _unlabelled(self._collection, self.label)
        labels = [as_label(hit.metadata[self.label]) for hit in hits]
        cosines = [hit.similarity for hit in hits]
        scores = neighbour_scores(cosines, [hit.inliers for hit in hits], max_inliers=self.rule.max_inliers)
        best, *others = recognise(labels, scores, neighbours=self.rule.neighbours)

        def votes(positions: Sequence[int]) -> tuple[Vote, ...]:
            return tuple(
                Vote(hits[place], labels[place], cosines[place], float(scores[place]))
                for place in sorted(positions, key=lambda place: -scores[place])
            )

        is_known = self.threshold is None or best.score >= self.threshold
        return Classified(
            answer.queries[0].path,
            best.label if is_known else None,
            best.label,
            best.score,
            votes(best.members),
            votes([place for other in others for place in other.members]),
            any(hit.inliers is not None for hit in hits),
            answer,
        )

    def calibrate(
        self,
        photos: Mapping[str, str],
        *,
        progress: Progress = silent,
    ) -> Calibration:
        """Returns the threshold of the largest F1 on validation photos, and keeps it in the collection.

        Args:
            photos: Label of each photo by its path; the empty one, or one that no photo of the collection
                has, is an unknown thing. None of them may be in the collection: it would find itself.
            progress: Called with photos classified and photos in all.

        Raises:
            InvalidInput: A photo is in the collection, no unknown one is among them, or none is recognised.
            UnreadableImage: A photo cannot be read.
            CollectionLocked: Another process is writing.
            StorageFailed: The disk refuses it.
        """
        known = np.array([label in self.labels for label in photos.values()], dtype=np.bool_)
        if known.all() or not known.any():
            raise InvalidInput(
                f"a threshold needs photos of labelled and of unknown things, got {int(known.sum())} of the "
                f"first and {int((~known).sum())} of the second: an unknown one has an empty label, or one "
                f"that no photo of the collection has"
            )
        self._refuse_indexed(photos)
        classified = []
        for number, photo in enumerate(photos, 1):
            classified.append(self.classify(photo))
            progress(number, len(photos))
        calibration = choose_threshold(
            self.label,
            self.rule,
            np.array([one.confidence for one in classified], dtype=np.float64),
            np.array([one.best == label for one, label in zip(classified, photos.values(), strict=True)]),
            known,
        )
        with writer_lock(self._collection.path, timeout=LOCK_TIMEOUT) as lock:
            store = Store.open(self._collection.path, lock=lock)
            store.write_header(replace(store.header, recognition=calibration))
        self.threshold = calibration.threshold
        return calibration

    def label_of(self, cell: str) -> str:
        """Returns the label that a cell of a table means, written as those of the collection are.

        The column's type decides: where it holds numbers, "11" is its 11.0; where it holds text, it is not.
        """
        kind = Store.open(self._collection.path).schema.field(self.label).type
        try:
            return as_label(read_cell(cell, kind))
        except ValueError:
            return cell

    def _refuse_indexed(self, photos: Iterable[str]) -> None:
        """Raises an error if the collection holds one of the photos: that file, or its bytes anywhere."""
        store = Store.open(self._collection.path)
        rows, roots = store.table(["root", "path", "hash"]), store.roots
        hashes = set(rows["hash"].to_pylist())
        keys = zip(rows["root"].to_pylist(), rows["path"].to_pylist(), strict=True)
        paths = {roots.path_of(Key(root, path)) for root, path in keys}
        for photo in photos:
            held = canonical(photo) in paths
            # Reading it says what is wrong with it.
            with suppress(OSError):
                held = held or content_of(photo).hash in hashes
            if held:
                raise InvalidInput(
                    f"the photo {photo} is in the collection itself, where it finds itself: choose the "
                    f"threshold on photos that are not"
                )

    def _neighbours(self, photo: PhotoSource, max_pixels: int) -> Answer:
        """Returns the labelled neighbours, verified where the model has local features.

        Raises:
            CollectionDamaged: Those of a neighbour are damaged: its vote would count without geometry.
        """
        has_local = self._collection.model.facts.local is not None
        verify = self.rule.verify if has_local else 0
        answer = self._collection.answer(
            Query(
                photo,
                top=max(self.rule.neighbours, self.rule.verify),
                where=_labelled(self.label),
                verify=verify,
                max_pixels=max_pixels,
            )
        )
        if answer.damage:
            raise CollectionDamaged("; ".join(answer.damage))
        return answer


def classify_photos(
    classifier: Classifier, photos: Sequence[Path], *, progress: Progress = silent
) -> tuple[list[Classified], list[UnreadableImage]]:
    """Returns what some photos show, and the errors of those that cannot be read.

    Raises:
        InvalidInput: No photo of the collection has a label any more.
        ModelError: The model cannot be loaded, or is another.
        CollectionError: The collection is gone or cannot be read.
    """
    classified: list[Classified] = []
    unreadable: list[UnreadableImage] = []
    for number, photo in enumerate(photos, 1):
        try:
            classified.append(classifier.classify(photo))
        except UnreadableImage as error:
            unreadable.append(error)
        progress(number, len(photos))
    return classified, unreadable


def calibrate_on_table(
    classifier: Classifier, table: Path, *, progress: Progress = silent
) -> tuple[Calibration, list[str]]:
    """Returns the threshold chosen on the photos of a table, and labels of it that no photo has.

    Photos of these labels count as unknown.

    Args:
        classifier: Takes the threshold, too.
        table: A CSV file with the columns ``path`` and that of the labels.
        progress: Called with photos classified and photos in all.

    Raises:
        InvalidInput: The file is no such table, or `Classifier.calibrate` refuses its photos.
        UnreadableImage: A photo cannot be read.
        CollectionLocked: Another process is writing.
        StorageFailed: The disk refuses the threshold.
    """
    rows = read_cells(table)
    if not rows or any(classifier.label not in row for row in rows.values()):
        raise InvalidInput(
            f"{table} lists no photos with a column {classifier.label!r}: its first line is "
            f"path,{classifier.label}, and photos of unknown things have an empty cell"
        )
    labels = {path: classifier.label_of(row[classifier.label]) for path, row in rows.items()}
    strange = sorted({label for label in labels.values() if label} - set(classifier.labels))
    return classifier.calibrate(labels, progress=progress), strange


def stored_calibration(collection: Collection) -> Calibration | None:
    """Returns the calibration that was stored last in a collection, None without one."""
    return Store.open(collection.path).header.recognition


def default_label(calibration: Calibration | None) -> str:
    """Returns the metadata that holds labels by default: that of the calibration, else `LABEL`."""
    return calibration.label if calibration else LABEL


def default_rule(calibration: Calibration | None, label: str) -> VotingRule:
    """Returns how neighbours vote for a label by default: as in its calibration, else as in the paper."""
    return calibration.rule if calibration and calibration.label == label else VotingRule()


def _labels(collection: Collection, column: str) -> dict[str, int]:
    store = Store.open(collection.path)
    names = metadata_names(store.schema)
    if column not in names:
        held = f"the metadata of its photos is {', '.join(names)}" if names else "its photos have no metadata"
        raise InvalidInput(
            f"the photos of {collection.path} have no {column!r} to be recognised by ({held}): name another, "
            f"or give them one by `resight index PHOTOS --metadata TABLE.csv`, with the columns path,{column}"
        )
    counts: dict[str, int] = {}
    for value in store.table([column], where=f"{_labelled(column)} AND broken IS NULL")[column].to_pylist():
        label = as_label(value)
        counts[label] = counts.get(label, 0) + 1
    if not counts:
        raise _unlabelled(collection, column)
    return counts


def _labelled(column: str) -> str:
    """Returns the SQL condition on photos with a label; in backticks, as the name may be a word of SQL."""
    return f"CAST(`{column}` AS STRING) <> ''"


def _unlabelled(collection: Collection, column: str) -> InvalidInput:
    return InvalidInput(
        f"no photo of {collection.path} has a {column!r}: give photos one by "
        f"`resight index PHOTOS --metadata TABLE.csv`, with the columns path,{column}"
    )


def as_label(value: Value) -> str:
    """Returns a value of the metadata as a label; nothing and the empty text are no label and give ""."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
