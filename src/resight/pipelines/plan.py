"""What photos cost to keep, describe and search: arithmetic on measured and assumed constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from resight.errors import InvalidInput

__all__ = ["CONSTANTS", "INDEXES", "Constant", "Figure", "IndexCosts", "Need", "Plan", "plan"]

Kind = Literal["exact", "ivf-rabitq", "ivf-sq8", "hnsw-sq8"]
Basis = Literal["measured", "assumed", "measured and assumed", "given"]

_DIM, _ROWS = 512, 200_000
"""Of the vectors that the constants were measured with."""
_SHORTLIST = 200
"""Rows that are scored again by their stored descriptors."""
_HOURS_A_MONTH = 730


@dataclass(frozen=True, slots=True)
class Constant:
    """A number that a plan is computed from.

    Attributes:
        name: What it counts.
        value: In ``unit``.
        unit: In words.
        basis: Whether this project measured it, or it is assumed.
        source: The file below ``benchmarks/results`` that holds it, or why it is assumed.
    """

    name: str
    value: float
    unit: str
    basis: Literal["measured", "assumed"]
    source: str


CONSTANTS: tuple[Constant, ...] = (
    Constant("describing", 0.093, "core seconds a photo", "measured", "indexing.json"),
    Constant("local features", 22_032, "bytes a photo", "measured", "local_sources.json"),
    Constant("exact scan", _ROWS, "rows it was measured with", "measured", "search_latency.json"),
    Constant("verification", 0.00369, "core seconds an answer", "measured", "verification_speed.json"),
    Constant("index", _ROWS, "rows it was measured with", "measured", "plan_constants.json"),
    Constant("growth", 1, "square root (ivf) or logarithm (hnsw) of the rows", "assumed", "lists and graphs"),
    Constant("values", 200, "bytes a photo", "assumed", "a path of 80 characters, sizes, checksums"),
    Constant("photo", 1_000_000, "bytes a photo", "assumed", "JPEG of 2 to 4 megapixels"),
    Constant("filled", 0.7, "of a machine's memory", "assumed", "the rest serves what runs beside the index"),
    Constant("busy", 0.5, "of the cores", "assumed", "so that queues stay short"),
    Constant("network", 1.25e9, "bytes a second and machine", "assumed", "10 Gbit/s"),
    Constant("core hour", 0.04, "USD", "assumed", "rented machines by the hour"),
    Constant("gigabyte month", 0.023, "USD", "assumed", "object storage"),
)
_VALUES: Mapping[str, float] = {constant.name: constant.value for constant in CONSTANTS}
_BASES: Mapping[str, Basis] = {constant.name: constant.basis for constant in CONSTANTS}


def _identity(rows: float) -> float:
    return rows


@dataclass(frozen=True, slots=True)
class IndexCosts:
    """What an index costs, measured at 200,000 vectors of 512 dimensions.

    Attributes:
        bytes_a_row: In memory, with ids, lists and graph.
        build_microseconds: A row's processor time, training included.
        microseconds: A query's processor time by recall@10, the best 200 scored again by float16 descriptors.
        grows: How both times grow with the rows; of an inverted file as the number of its lists does.
    """

    bytes_a_row: float
    build_microseconds: float
    microseconds: Mapping[float, float]
    grows: Callable[[float], float]

    def seconds(self, recall: float, rows: float) -> float | None:
        """Returns a query's processor time among so many rows; None if so high a recall was not measured."""
        reached = [measured for measured in self.microseconds if measured >= recall]
        return self.microseconds[min(reached)] * 1e-6 * self._grown(rows) if reached else None

    def build_seconds(self, rows: float) -> float:
        """Returns a row's processor time in building an index of so many rows."""
        return self.build_microseconds * 1e-6 * self._grown(rows)

    def _grown(self, rows: float) -> float:
        return self.grows(max(rows, 2.0)) / self.grows(_ROWS)


INDEXES: Mapping[Kind, IndexCosts] = {
    "exact": IndexCosts(2.0 * _DIM, 0.0, {1.0: 6_261.0}, _identity),
    "ivf-rabitq": IndexCosts(
        103.6, 86.6, {0.8: 207.0, 0.9: 241.8, 0.95: 317.4, 0.98: 443.8, 0.99: 669.6}, math.sqrt
    ),
    "ivf-sq8": IndexCosts(
        538.4, 78.4, {0.8: 337.1, 0.9: 523.7, 0.95: 905.5, 0.98: 1585.0, 0.99: 3035.7}, math.sqrt
    ),
    "hnsw-sq8": IndexCosts(
        784.2, 510.2, {0.8: 212.7, 0.9: 212.7, 0.95: 212.7, 0.98: 251.0, 0.99: 381.6}, math.log
    ),
}
"""``plan_constants.json`` and, of the exact scan, a query of a batch of 32 in ``search_latency.json``."""


_LEAST, _MOST = 1e-6, 1e15
"""Of every number: beyond these, products of them have no sense, or no float."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a plan is for.

    Attributes:
        photos: To keep and search.
        qps: Queries a second.
        recall: Share of the ten exact neighbours that a search finds, over 0; 1 is the exact scan.
        dim: Numbers of a descriptor.
        verify: Answers of each query that geometry looks at.
        days: In which all photos are described.
        cores: Of a machine.
        memory: Of a machine, in gigabytes (1e9 bytes).

    Raises:
        InvalidInput: A number out of its range.
    """

    photos: int
    qps: float = 10.0
    recall: float = 0.95
    dim: int = _DIM
    verify: int = 100
    days: float = 7.0
    cores: int = 16
    memory: float = 128.0

    def __post_init__(self) -> None:
        for name in ("photos", "qps", "dim", "days", "cores", "memory"):
            value = getattr(self, name)
            if not value > 0:
                raise InvalidInput(f"{name} is {value:g}; accepted are numbers above 0")
            if not _LEAST <= value <= _MOST:
                raise InvalidInput(f"{name} is {_short(value)}; accepted are {_LEAST:g} to {_MOST:g}")
        if not 0 < self.recall <= 1:
            raise InvalidInput(
                f"recall is {self.recall:g}; accepted are numbers over 0 and up to 1, such as 0.95"
            )
        if not 0 <= self.verify <= _MOST:
            what = _short(self.verify)
            raise InvalidInput(f"verify is {what}; accepted are 0 (no geometry) and more, up to {_MOST:g}")


def _short(value: float) -> str:
    """Returns a number of any size; a whole one may be too large for a float."""
    text = str(value)
    return f"{value:g}" if isinstance(value, float) or len(text) < 16 else f"{text[:10]}..."


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a plan.

    Attributes:
        part: Of the work: storage, describing, index, search or cost.
        name: What it counts.
        value: In ``unit``.
        unit: In words.
        rests_on: Names of the constants it is computed from.
    """

    part: str
    name: str
    value: float
    unit: str
    rests_on: tuple[str, ...]
    basis: Basis = field(init=False)

    def __post_init__(self) -> None:
        bases = {_BASES[name] for name in self.rests_on}
        basis: Basis = "given" if not bases else bases.pop() if len(bases) == 1 else "measured and assumed"
        object.__setattr__(self, "basis", basis)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a need comes to.

    Attributes:
        need: As it was given.
        index: Kind of index with the fewest machines, of those that reach the recall.
        shards: Parts of the index, each in the memory of a machine.
        replicas: Copies of each shard, for the queries a second.
        machines: For the index and geometry together.
        figures: Everything else, in the order of the work.
        constants: What the figures are computed from.
    """

    need: Need
    index: Kind
    shards: int
    replicas: int
    machines: int
    figures: tuple[Figure, ...]
    constants: tuple[Constant, ...] = CONSTANTS


@dataclass(frozen=True, slots=True)
class _Layout:
    """An index over machines."""

    kind: Kind
    size: float
    build_seconds: float
    shards: int
    replicas: int
    seconds: float

    @property
    def machines(self) -> int:
        return self.shards * self.replicas


def plan(need: Need) -> Plan:
    """Returns the arithmetic of a need: bytes, machines, times and costs."""
    layout = _smallest(need)
    geometry_seconds = need.qps * need.verify * _VALUES["verification"]
    geometry = math.ceil(geometry_seconds / (need.cores * _VALUES["busy"]))
    machines = layout.machines + geometry
    stored = _storage(need)
    figures = (
        *stored,
        *_describing(need),
        *_index(need, layout),
        *_search(need, layout, geometry),
        *_cost(need, machines, stored[-1].value),
    )
    return Plan(need, layout.kind, layout.shards, layout.replicas, machines, figures)


def _smallest(need: Need) -> _Layout:
    """Returns the layout of the fewest machines; of equals exact, then the least work a query."""
    layouts = [_layout(need, kind, costs) for kind, costs in INDEXES.items()]
    possible = [layout for layout in layouts if layout is not None]
    return min(possible, key=lambda layout: (layout.machines, layout.kind != "exact", layout.seconds))


def _layout(need: Need, kind: Kind, costs: IndexCosts) -> _Layout | None:
    """Returns an index over the shards its memory asks for; None where it does not reach the recall."""
    size = costs.bytes_a_row * need.dim / _DIM * need.photos
    shards = math.ceil(size / (need.memory * 1e9 * _VALUES["filled"]))
    seconds = costs.seconds(need.recall, need.photos / shards)
    if seconds is None:
        return None
    seconds *= need.dim / _DIM
    replicas = math.ceil(need.qps * seconds / (need.cores * _VALUES["busy"]))
    build = costs.build_seconds(need.photos / shards) * need.dim / _DIM
    return _Layout(kind, size, build, shards, replicas, seconds)


def _storage(need: Need) -> tuple[Figure, ...]:
    descriptors = 2.0 * need.dim * need.photos
    local = _VALUES["local features"] * need.photos if need.verify else 0.0
    values = _VALUES["values"] * need.photos
    return (
        Figure("storage", "descriptors", descriptors, "bytes", ()),
        Figure("storage", "local features", local, "bytes", ("local features",)),
        Figure("storage", "names and values", values, "bytes", ("values",)),
        Figure("storage", "collection", descriptors + local + values, "bytes", ("local features", "values")),
    )


def _describing(need: Need) -> tuple[Figure, ...]:
    hours = need.photos * _VALUES["describing"] / 3600
    machines = math.ceil(hours / (need.cores * need.days * 24))
    read = need.photos * _VALUES["photo"]
    return (
        Figure("describing", "work", hours, "core hours", ("describing",)),
        Figure("describing", "machines", machines, f"for {need.days:g} days", ("describing",)),
        Figure("describing", "photos read", read, "bytes", ("photo",)),
        Figure(
            "describing",
            "network",
            read / (need.days * 86400 * machines),
            "bytes a second and machine",
            ("photo",),
        ),
    )


def _index(need: Need, layout: _Layout) -> tuple[Figure, ...]:
    measured = "exact scan" if layout.kind == "exact" else "index"
    built = need.photos * layout.build_seconds / 3600
    loaded = 2.0 * need.dim * need.photos / layout.shards / _VALUES["network"]
    return (
        Figure("index", "memory", layout.size, "bytes, each replica", (measured,)),
        Figure(
            "index",
            "machines",
            layout.machines,
            "shards times replicas",
            (measured, "growth", "filled", "busy"),
        ),
        Figure("index", "rebuilding", built, "core hours", (measured, "growth")),
        Figure(
            "index",
            "rebuilding on its machines",
            built / (layout.shards * need.cores) + loaded / 3600,
            "hours",
            (measured, "growth", "network"),
        ),
    )


def _search(need: Need, layout: _Layout, geometry: int) -> tuple[Figure, ...]:
    measured = "exact scan" if layout.kind == "exact" else "index"
    read = need.qps * need.verify * _VALUES["local features"]
    rescored = need.qps * min(_SHORTLIST, need.photos) * 2.0 * need.dim if layout.kind != "exact" else 0.0
    return (
        Figure(
            "search",
            "time on each shard",
            1e3 * layout.seconds,
            "core milliseconds a query",
            (measured, "growth"),
        ),
        Figure("search", "descriptors scored again", rescored, "bytes a second", ()),
        Figure(
            "search",
            "geometry",
            need.verify * _VALUES["verification"],
            "core seconds a query",
            ("verification",),
        ),
        Figure("search", "machines for geometry", geometry, "machines", ("verification", "busy")),
        Figure("search", "local features read", read, "bytes a second", ("local features",)),
    )


def _cost(need: Need, machines: int, stored: float) -> tuple[Figure, ...]:
    hour, gigabyte = _VALUES["core hour"], _VALUES["gigabyte month"]
    described = need.photos * _VALUES["describing"] / 3600 * hour
    searched = machines * need.cores * hour * _HOURS_A_MONTH
    return (
        Figure("cost", "describing once", described, "USD", ("describing", "core hour")),
        Figure("cost", "machines", searched, "USD a month", ("index", "verification", "growth", "core hour")),
        Figure(
            "cost", "storage", stored / 1e9 * gigabyte, "USD a month", ("local features", "gigabyte month")
        ),
    )
