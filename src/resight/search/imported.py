"""Rankings of another search, such as a vector database, read from JSON with what re-ranking them needs.

The file holds one object::

    {
      "queries": [
        {
          "id": "q1",
          "descriptor": [0.1, 0.9, 0.4],
          "ids": ["a", "b"],
          "scores": [0.91, 0.87],
          "descriptors": [[0.2, 0.8, 0.5], [0.9, 0.1, 0.4]]
        }
      ]
    }

- ``ids``: the answers, texts or whole numbers, best first, each once.
- ``scores``: larger is better, never increasing; may be left out. Distances are given with a minus sign.
- ``similarities``: in place of scores, inner products of unit-length descriptors, in any order: verify weighs
  them against inliers, as ``resight search`` does.
- ``descriptor`` and ``descriptors``: of the query and of each answer; brought to unit length here. In place
  of the second, the name of an ``.npy`` file whose row i belongs to the i-th of ``ids``.
- ``photo`` and ``photos``: files of the query and of each answer, in place of descriptors or beside them.
- ``id``: the query's name; its photo or its number where it is left out.

What many queries share stands once, beside ``queries``::

    "database": {"ids": ["a", "b"], "descriptors": "database.npy", "photos": ["a.jpg", "b.jpg"]}

Names of files are relative to the JSON file's folder. ``"box": [x0, y0, x1, y1]`` is the part of a query's
photo that was searched for, and ``"model"`` beside ``queries`` describes the photos by default. What
``resight search`` prints with ``--json`` or ``--json-lines`` is read, too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, cast, final

import numpy as np
from jaxtyping import Float32

from resight.errors import InvalidInput
from resight.features import Box
from resight.files import parse_json, reading
from resight.files.budget import MOST_JSON_BYTES, read_within, require_file
from resight.search.ranking import PADDING_ID, Ranking
from resight.search.searched import from_answers, from_lines

__all__ = ["ImportedQuery", "ImportedRankings", "read_rankings"]

_KEYS = {
    "the file": ("queries", "database", "model"),
    "the database": ("ids", "descriptors", "photos"),
    "a query": ("id", "descriptor", "photo", "ids", "scores", "similarities", "descriptors", "photos", "box"),
}


@dataclass(frozen=True, slots=True, eq=False)
class ImportedQuery:
    """A query of an imported ranking.

    Attributes:
        name: Its name in the file.
        descriptor: float32 ``(dim,)``, unit length; None where there is none.
        photo: Its file; None where there is none.
        box: The part of the photo that was searched for, in its pixels; None for all of it.
        similarities: With each answer, in the order of the ranking; None where there are none.
    """

    name: str
    descriptor: Float32[np.ndarray, " dim"] | None
    photo: Path | None
    box: Box | None = None
    similarities: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ImportedRankings:
    """Rankings of several queries, with the descriptors and photos of the answers.

    Attributes:
        queries: One a row of the ranking.
        ranking: Its ids are positions in ``answers``.
        answers: Ids of the answers in the file: texts or whole numbers.
        descriptors: float32 ``(dim,)`` of each answer, unit length; None where there is none.
        photos: The file of each answer; None where there is none.
        model: Name of the model of the search; None where it is not said.
    """

    queries: tuple[ImportedQuery, ...]
    ranking: Ranking
    answers: tuple[str | int, ...]
    descriptors: tuple[Float32[np.ndarray, " dim"] | None, ...]
    photos: tuple[Path | None, ...]
    model: str | None = None


def read_rankings(path: str | Path) -> ImportedRankings:
    """Returns the rankings of a JSON file in the form that this module describes.

    Raises:
        InvalidInput: The file or one that it names cannot be read or is cut off, something is missing,
            unknown or of another shape, a number is not finite, an id is repeated, or scores increase.
    """
    path = Path(path)
    reader, unreadable = _Reader(path), f"cannot read the rankings {path}"
    with reading(path, f"{path} is no JSON or is cut off", unreadable=unreadable):
        data = read_within(path, MOST_JSON_BYTES)
        content = from_answers(_parsed(data, reader.wrong), reader.wrong)
    with reading(path, f"the rankings {path} cannot be used"):
        return _rankings(reader, content)


def _rankings(reader: _Reader, content: object) -> ImportedRankings:
    file = reader.record(content, "the file")
    model = file.get("model")
    if model is not None and not isinstance(model, str):
        raise reader.wrong(f"'model' must be a name, not {model!r}")
    reader.database(file.get("database", {"ids": []}))
    listed = reader.items(file.get("queries"), "queries", "the file")
    if not listed:
        raise reader.wrong("it lists no queries")
    rankings = reader.rankings([reader.record(query, "a query") for query in listed])
    return replace(rankings, model=model)


def _parsed(data: bytes, wrong: Callable[[str], InvalidInput]) -> object:
    """Returns one JSON value, or rankings of the hits of several lines.

    Raises:
        ValueError: It is neither.
    """
    lines = data.splitlines()
    if len(lines) > 1 or b'"query_path"' in data:
        with suppress(json.JSONDecodeError, UnicodeDecodeError):
            return from_lines([parse_json(line) for line in lines], wrong)
    return parse_json(data)


@final
class _Reader:
    """Collects answers by id while the parts of a file are read; a refusal names the file and the part."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str | int, int] = {}
        self._descriptors: list[Float32[np.ndarray, " dim"] | None] = []
        self._photos: list[Path | None] = []
        self._dim: int | None = None

    def wrong(self, what: str) -> InvalidInput:
        """Returns the refusal of the file."""
        return InvalidInput(f"the rankings {self._path} cannot be used: {what}")

    def record(self, value: object, part: str) -> Mapping[str, object]:
        """Returns an object of the file whose keys are all known."""
        if not isinstance(value, dict):
            raise self.wrong(f"{part} must be an object {{...}}, not a {type(value).__name__}")
        unknown = [key for key in value if key not in _KEYS[part]]
        if unknown:
            raise self.wrong(f"{part} has no {unknown[0]!r}; it takes {', '.join(_KEYS[part])}")
        return cast(Mapping[str, object], value)

    def items(self, value: object, key: str, part: str, length: int | None = None) -> Sequence[object]:
        """Returns a list of the file, of the length that its ids have."""
        if not isinstance(value, list):
            kind = "nothing" if value is None else f"a {type(value).__name__}"
            raise self.wrong(f"{key!r} of {part} must be a list, got {kind}")
        if length is not None and len(value) != length:
            raise self.wrong(f"{key!r} of {part} has {len(value)} entries for {length} ids")
        return value

    def database(self, value: object) -> None:
        """Takes what all queries share."""
        self.answers(self.record(value, "the database"), "the database")

    def answers(self, entry: Mapping[str, object], part: str) -> list[int]:
        """Takes ids with their descriptors and photos, and returns their rows."""
        ids = self.items(entry.get("ids"), "ids", part)
        for one in ids:
            if isinstance(one, bool) or not isinstance(one, str | int):
                raise self.wrong(f"an id of {part} must be a text or a whole number, not {one!r}")
        names = cast(Sequence[str | int], ids)
        for name, count in Counter(names).items():
            if count > 1:
                raise self.wrong(f"{part} lists id {name!r} twice")
        descriptors = self.matrix(entry.get("descriptors"), names, part)
        photos: Sequence[object] = [None] * len(names)
        if entry.get("photos") is not None:
            photos = self.items(entry["photos"], "photos", part, len(names))
        return [
            self.answer(name, descriptor, self.file(photo, part), part)
            for name, descriptor, photo in zip(names, descriptors, photos, strict=True)
        ]

    def answer(
        self, name: str | int, descriptor: Float32[np.ndarray, " dim"] | None, photo: Path | None, part: str
    ) -> int:
        """Returns the row of an answer, after keeping what is new of it."""
        row = self._rows.setdefault(name, len(self._rows))
        if row == len(self._descriptors):
            self._descriptors.append(descriptor)
            self._photos.append(photo)
            return row
        known = self._descriptors[row]
        if known is not None and descriptor is not None and not np.array_equal(known, descriptor):
            raise self.wrong(f"{part} gives id {name!r} another descriptor than before")
        self._descriptors[row] = descriptor if known is None else known
        self._photos[row] = photo if self._photos[row] is None else self._photos[row]
        return row

    def matrix(
        self, value: object, names: Sequence[str | int], part: str
    ) -> Sequence[Float32[np.ndarray, " dim"] | None]:
        """Returns the descriptors of some ids, from the file or from the one it names."""
        if value is None:
            return [None] * len(names)
        if isinstance(value, str):
            rows: Sequence[object] = list(self.array(value))
            if len(rows) != len(names):
                raise self.wrong(f"{value} has {len(rows)} rows for {len(names)} ids of {part}")
        else:
            rows = self.items(value, "descriptors", part, len(names))
        return [
            None if row is None else self.descriptor(row, f"id {name!r} of {part}")
            for row, name in zip(rows, names, strict=True)
        ]

    def array(self, name: str) -> np.ndarray:
        """Returns the matrix of an .npy file."""
        path = self._path.parent / name
        unusable, unreadable = self.wrong(f"{path} is no .npy file"), self.wrong(f"{path} cannot be read")
        with reading(path, f"{unusable} of numbers, or is cut off", unreadable=str(unreadable)):
            require_file(path)
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
            raise self.wrong(f"{path} must hold one matrix of numbers, a descriptor a row")
        return array

    def descriptor(self, value: object, whose: str) -> Float32[np.ndarray, " dim"]:
        """Returns a descriptor at unit length."""
        try:
            row = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise self.wrong(f"the descriptor of {whose} must be a list of numbers") from None
        if row.ndim != 1 or len(row) == 0:
            raise self.wrong(f"the descriptor of {whose} must be a list of numbers, got shape {row.shape}")
        self._dim = self._dim or len(row)
        if len(row) != self._dim:
            raise self.wrong(f"the descriptor of {whose} has {len(row)} numbers, others have {self._dim}")
        length = np.linalg.norm(row)
        if not np.isfinite(length) or length == 0:
            raise self.wrong(f"the descriptor of {whose} holds NaN or infinity, or is all zero")
        return (row / length).astype(np.float32)

    def file(self, value: object, part: str) -> Path | None:
        """Returns the path of a photo."""
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            raise self.wrong(f"a photo of {part} must be the name of a file, not {value!r}")
        return self._path.parent / value

    def box(self, value: object, part: str) -> Box | None:
        """Returns the part of a photo."""
        if value is None:
            return None
        corners = self.items(value, "box", part)
        if len(corners) != 4 or not all(isinstance(corner, int | float) for corner in corners):
            raise self.wrong(f"'box' of {part} must be four numbers x0, y0, x1, y1")
        return Box(*cast(Sequence[float], corners))

    def rankings(self, queries: Sequence[Mapping[str, object]]) -> ImportedRankings:
        """Returns what the queries and the database together hold."""
        imported: list[ImportedQuery] = []
        rows: list[list[int]] = []
        scores: list[Sequence[float]] = []
        for number, query in enumerate(queries, 1):
            name = str(query.get("id", query.get("photo", number)))
            part = f"query {name!r}"
            value = query.get("descriptor")
            descriptor = None if value is None else self.descriptor(value, part)
            photo, box = self.file(query.get("photo"), part), self.box(query.get("box"), part)
            rows.append(self.answers(query, part))
            scores.append(self.scores(query.get("scores"), part, len(rows[-1])))
            listed = query.get("similarities")
            similarities = (
                None if listed is None else self.numbers(listed, "similarities", part, len(rows[-1]))
            )
            imported.append(ImportedQuery(name, descriptor, photo, box, similarities))
        k = max(1, *(len(row) for row in rows))
        ids = np.full((len(rows), k), PADDING_ID, dtype=np.int64)
        values = np.full((len(rows), k), -np.inf, dtype=np.float32)
        for number, (row, row_scores) in enumerate(zip(rows, scores, strict=True)):
            ids[number, : len(row)], values[number, : len(row)] = row, row_scores
        return ImportedRankings(
            tuple(imported),
            Ranking(ids, values),
            tuple(self._rows),
            tuple(self._descriptors),
            tuple(self._photos),
        )

    def scores(self, value: object, part: str, length: int) -> Sequence[float]:
        """Returns the scores of a query's answers; 0, -1, -2 and so on where none are given."""
        if value is None:
            return [float(-rank) for rank in range(length)]
        scores = self.numbers(value, "scores", part, length)
        for rank, (before, after) in enumerate(pairwise(scores), 2):
            if after > before:
                raise self.wrong(
                    f"scores of {part} increase at rank {rank} ({before:g}, then {after:g}): list the best "
                    "first, and give distances with a minus sign"
                )
        return scores

    def numbers(
        self, value: object, key: Literal["scores", "similarities"], part: str, length: int
    ) -> tuple[float, ...]:
        """Returns finite numbers, one an answer."""
        listed = self.items(value, key, part, length)
        what = {"scores": "score", "similarities": "similarity"}[key]
        for rank, number in enumerate(listed, 1):
            if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < 1e30:
                raise self.wrong(f"{what} {rank} of {part} must be a finite number, not {number!r}")
        return tuple(cast(Sequence[float], listed))
