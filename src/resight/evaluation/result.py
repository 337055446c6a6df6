"""A result as a value, and as a JSON file that can be compared and shown later."""

from __future__ import annotations

import json
import math
import types
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from jaxtyping import Float64

from resight.errors import InvalidInput
from resight.evaluation.card import ProtocolCard
from resight.evaluation.measures.clustering import ClusterResult
from resight.files import write_whole

__all__ = [
    "FORMAT_VERSION",
    "Column",
    "Measure",
    "PictureRow",
    "Result",
    "ShownAnswer",
    "ShownPhoto",
    "read_result",
    "write_result",
]

FORMAT_VERSION = 2
"""Version of the JSON files that this code writes, and the newest it reads. Version 1 knew labelled sets
only; what it lacks takes its default."""

_FORMAT = "resight result"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of the result.

    Attributes:
        name: ``R@1``, ``MAP@R``, ``NMI`` and so on.
        value: A fraction; None where nothing could be measured.
        low: Lower end of the bootstrap interval; None where there is none.
        high: Upper end.
        count: Over how many queries (images for NMI and AMI).
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Column:
    """A measure's value for every query.

    Attributes:
        name: That of the measure.
        values: One a query, in the order of ``Result.queries``; None where the query does not count.
    """

    name: str
    values: tuple[float | None, ...]

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
        photo: What was found.
        score: Inner product, larger is better; None where it is not known.
        right: Whether it has the query's label, or must be found.
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
        query: The photo asked with.
        map_at_r: Its value of ``measure``; None without positives.
        positives: How many right answers there are.
        answers: The first of all answers, best first.
        measure: By which the queries are ordered.
        missed: Right answers that come late or not at all, the latest first.
    """

    kind: Literal["worst", "median"]
    query: ShownPhoto
    map_at_r: float | None
    positives: int
    answers: tuple[ShownAnswer, ...]
    measure: str = "MAP@R"
    missed: tuple[ShownAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What measuring a model on a benchmark gave.

    Attributes:
        card: How it came about.
        measures: The means, with intervals.
        clusters: How NMI and AMI were found; None where they were not asked for.
        queries: The queries' paths, relative to the benchmark's root.
        columns: The values the means are made of.
        rows: The worst and the median queries by the main measure with their first answers.
        main: Name of the column that queries are ordered by.
    """

    card: ProtocolCard
    measures: tuple[Measure, ...]
    clusters: ClusterResult | None
    queries: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[PictureRow, ...]
    main: str = "MAP@R"

    def __post_init__(self) -> None:
        for column in self.columns:
            if len(column.values) != len(self.queries):
                raise InvalidInput(
                    f"{column.name} has {len(column.values)} values for {len(self.queries)} queries"
                )


def write_result(result: Result, path: str | Path) -> None:
    """Writes a result as JSON, whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    content = {"format": _FORMAT, "version": FORMAT_VERSION, **asdict(result)}
    write_whole(path, json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n")


def read_result(path: str | Path) -> Result:
    """Returns the result in a file.

    Raises:
        InvalidInput: There is no file, or it is truncated, something else, or of a newer version.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"cannot read the result {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise InvalidInput(f"{path} is no result of resight evaluate, or a truncated one: {error}") from None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise InvalidInput(f"{path} is no result of resight evaluate: write one with --out")
    if content.get("version") not in range(1, FORMAT_VERSION + 1):
        raise InvalidInput(
            f"{path} is a result of version {content.get('version')} and this Resight reads version "
            f"{FORMAT_VERSION}: upgrade Resight"
        )
    try:
        return _dataclass(Result, {key: content[key] for key in content if key not in ("format", "version")})
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is a damaged result of resight evaluate: {error}") from None


Value = TypeVar("Value")


def _dataclass(kind: type[Value], content: object) -> Value:
    """Returns the dataclass of a JSON object, every field checked against its declared type."""
    declared = fields(kind)  # type: ignore[arg-type]  # called with dataclasses alone
    needed = {field.name for field in declared if field.default is MISSING}
    names = [field.name for field in declared]
    if not isinstance(content, dict) or not needed <= content.keys() <= set(names):
        raise ValueError(f"a {kind.__name__} needs exactly {', '.join(names)}")
    hints = get_type_hints(kind)
    return kind(
        **{
            name: _value(hints[name], content[name], f"{kind.__name__}.{name}")
            for name in names
            if name in content
        }
    )


def _value(kind: object, content: object, where: str) -> object:
    """Returns a JSON value as its declared type: dataclass, tuple, union with None, literal or plain."""
    if get_origin(kind) is types.UnionType:
        some = next(part for part in get_args(kind) if part is not types.NoneType)
        return None if content is None else _value(some, content, where)
    if get_origin(kind) is tuple and isinstance(content, list):
        parts = get_args(kind)
        if parts[-1] is not Ellipsis and len(parts) != len(content):
            raise ValueError(f"{where} needs {len(parts)} values, not {len(content)}")
        return tuple(_value(parts[0], entry, where) for entry in content)
    if get_origin(kind) is Literal and content in get_args(kind):
        return content
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass(kind, content)
    if kind is float and isinstance(content, int | float) and not isinstance(content, bool):
        return float(content)
    if isinstance(kind, type) and type(content) is kind:
        return content
    raise ValueError(f"{where} cannot be {str(content)[:40]!r}")
