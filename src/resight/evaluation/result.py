"""A result as a value, and as a JSON file that can be compared and shown later."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from jaxtyping import Float64

from resight.errors import InvalidInput
from resight.evaluation.card import ProtocolCard
from resight.evaluation.measures.clustering import ClusterResult
from resight.evaluation.quantity import WHOLE, Kind, Quantity
from resight.evaluation.statistics import Interval
from resight.files import JSON, from_json, read_json, reading, to_json, write_whole

__all__ = [
    "FORMAT_VERSION",
    "Column",
    "Measure",
    "PictureRow",
    "Result",
    "ShownAnswer",
    "ShownPhoto",
    "fingerprint_of",
    "named",
    "read_result",
    "write_result",
]

FORMAT_VERSION = 4
"""Version of the JSON files that this code writes, and the newest it reads. Files have a fingerprint from
version 4. Versions 1 and 2 called a measure by its name alone; version 1 knew labelled sets only, and what it
lacks takes its default."""

_FORMAT = "resight result"
_MAP_AT_R = Quantity("MAP@R")


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of the result.

    Attributes:
        quantity: What is measured.
        value: A fraction; None where nothing could be measured.
        low: Lower end of the bootstrap interval; None where there is none.
        high: Upper end.
        count: Over how many queries (images for NMI and AMI).
    """

    quantity: Quantity
    value: float | None
    low: float | None
    high: float | None
    count: int

    @classmethod
    def of(cls, quantity: Quantity, interval: Interval) -> Measure:
        """Returns a mean with its interval; no value where no query counts."""
        if interval.count == 0:
            return cls(quantity, None, None, None, 0)
        return cls(quantity, interval.mean, interval.low, interval.high, interval.count)

    @property
    def name(self) -> str:
        """The quantity's, for people."""
        return self.quantity.name


@dataclass(frozen=True, slots=True)
class Column:
    """A measure's value for every query.

    Attributes:
        quantity: What is measured.
        values: One a query, in the order of ``Result.queries``; None where the query does not count.
    """

    quantity: Quantity
    values: tuple[float | None, ...]

    @classmethod
    def of(cls, quantity: Quantity, values: Float64[np.ndarray, " queries"]) -> Column:
        """Returns the column of an array in which NaN marks the queries that do not count."""
        return cls(quantity, tuple(None if math.isnan(value) else value for value in values.tolist()))

    @property
    def name(self) -> str:
        """The quantity's, for people."""
        return self.quantity.name

    @property
    def array(self) -> Float64[np.ndarray, " queries"]:
        """The values, NaN where the query does not count."""
        return np.array([math.nan if value is None else value for value in self.values], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class ShownPhoto:
    """A photo of the report.

    Attributes:
        path: Relative to the benchmark's root.
        label: The name of its label.
        box: The part that was described, x0, y0, x1, y1 in pixels; None for the whole.
    """

    path: str
    label: str
    box: tuple[float, float, float, float] | None


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer of the report, in its rank's place.

    Attributes:
        photo: The answer's.
        score: Inner product, larger is better; None where it is not known.
        right: Whether it has the query's label, or is a positive.
        rank: From 1, what is ignored not counted; None where its place is its rank, or it is ignored.
        ignored: Whether it counts neither way ("junk").
    """

    photo: ShownPhoto
    score: float | None
    right: bool
    rank: int | None = None
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class PictureRow:
    """A query of the report and its first answers.

    Attributes:
        kind: Why it is shown.
        query: Its photo.
        value: Its value of ``quantity``; None without positives.
        positives: How many right answers there are.
        answers: The first of all answers, best first.
        quantity: By which the queries are ordered.
        missed: Right answers that come late or not at all, the latest first.
    """

    kind: Literal["worst", "median"]
    query: ShownPhoto
    value: float | None
    positives: int
    answers: tuple[ShownAnswer, ...]
    quantity: Quantity = _MAP_AT_R
    missed: tuple[ShownAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What measuring a model on a benchmark gave.

    Attributes:
        card: How it came about.
        measures: The means, with intervals.
        clusters: How NMI and AMI came about; None where they were not measured.
        queries: The queries' paths, relative to the benchmark's root.
        columns: The values the means are made of.
        rows: The worst and the median queries by the main measure with their first answers.
        main: What the queries are ordered by.
        classes: The class or landmark of each query where intervals draw these, else empty.
    """

    card: ProtocolCard
    measures: tuple[Measure, ...]
    clusters: ClusterResult | None
    queries: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[PictureRow, ...]
    main: Quantity = _MAP_AT_R
    classes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for column in self.columns:
            if len(column.values) != len(self.queries):
                raise InvalidInput(
                    f"{column.name} has {len(column.values)} values for {len(self.queries)} queries"
                )
        if self.classes and len(self.classes) != len(self.queries):
            raise InvalidInput(f"there are {len(self.classes)} classes for {len(self.queries)} queries")

    def _repr_html_(self) -> str:
        """Returns what a notebook shows."""
        from resight._shown import notebook_html

        return notebook_html(self)


def write_result(result: Result, path: str | Path) -> None:
    """Writes a result as JSON, whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    text = json.dumps(_content(result), ensure_ascii=False, allow_nan=False, indent=1)
    write_whole(path, text + "\n")


def fingerprint_of(result: Result) -> str:
    """Returns what a file of the result says as its fingerprint: a page of it shows the same."""
    return str(_content(result)["fingerprint"])


def _content(result: Result) -> Entries:
    content: Entries = {
        "format": _FORMAT,
        "version": FORMAT_VERSION,
        **to_json(result),
        "measures": [named(measure) for measure in result.measures],
        "columns": [named(column) for column in result.columns],
    }
    if not result.classes:
        # Written only where there are any, so that older results keep their bytes.
        del content["classes"]
    content["fingerprint"] = _fingerprint(content)
    return content


def named(entry: Measure | Column) -> dict[str, JSON]:
    """Returns a measure or a column as JSON, its name for people before its quantity."""
    return {"name": entry.name, **to_json(entry)}


def read_result(path: str | Path) -> Result:
    """Returns the result in a file.

    Raises:
        InvalidInput: There is no file, or it is truncated, changed, something else, or of a newer version.
    """
    content = read_json(
        path,
        f"{path} is no result of resight evaluate, or a truncated one",
        unreadable=f"cannot read the result {path}",
    )
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise InvalidInput(f"{path} is no result of resight evaluate: write one with --out")
    if content.get("version") not in range(1, FORMAT_VERSION + 1):
        raise InvalidInput(
            f"{path} is a result of version {content.get('version')} and this Resight reads version "
            f"{FORMAT_VERSION}: upgrade Resight"
        )
    with reading(path, f"{path} is a damaged result of resight evaluate"):
        about = ("format", "version", "fingerprint")
        entries = {key: value for key, value in content.items() if key not in about}
        named_alone = content["version"] in (1, 2)
        result = from_json(Result, _upgraded(entries) if named_alone else _without_names(entries))
        if content["version"] >= 4 and content.get("fingerprint") != _fingerprint(content):
            raise InvalidInput("it was changed after it was written: evaluate again")
        return result


Entries = dict[str, JSON]


def _fingerprint(content: Entries) -> str:
    """Returns the SHA-256 of everything else in a file, 64 hexadecimal digits."""
    rest = {key: value for key, value in content.items() if key != "fingerprint"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_names(content: Entries) -> Entries:
    """Returns the content of a file of version 3 or 4 without what is there for people."""
    measures, columns = _objects(content, "measures"), _objects(content, "columns")
    for entry in (*measures, *columns):
        del entry["name"]
    return content | {"measures": measures, "columns": columns}


def _upgraded(content: Entries) -> Entries:
    """Returns the content of a file of version 1 or 2 as this version has it."""
    measures, columns = _objects(content, "measures"), _objects(content, "columns")
    for entry in (*measures, *columns):
        entry["quantity"] = to_json(_quantity_named(entry.pop("name")))
    rows = _objects(content, "rows")
    for row in rows:
        row["value"] = row.pop("map_at_r")
        row["quantity"] = to_json(_quantity_named(row.pop("measure", "MAP@R")))
    main = to_json(_quantity_named(content.get("main", "MAP@R")))
    return content | {"measures": measures, "columns": columns, "rows": rows, "main": main}


def _objects(content: Entries, key: str) -> list[Entries]:
    entries = content[key]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{key} is no list of objects")
    return [dict(entry) for entry in entries]


def _quantity_named(name: JSON) -> Quantity:
    """Returns what versions 1 and 2 called by a name: ``R@1``, ``MAP@R``, ``mP@5 hard``."""
    formula, _, task = str(name).partition(" ")
    kind, _, k = (formula, "", "") if formula in get_args(Kind) else formula.partition("@")
    if kind not in get_args(Kind):
        raise ValueError(f"there is no measure {name!r}")
    return Quantity(cast(Kind, kind), int(k) if k else None, task or WHOLE)
