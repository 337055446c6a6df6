"""What every search index is, and what a collection keeps of the one its user has chosen.

The table of a collection is the source of truth, and an index is made from it: exact (a scan of all
descriptors), approximate (`resight.search.approximate`), or a server (``milvus+URI``). All of them are
searched through `SearchIndex`. What makes and updates one that lies beside the table, or on a server, is a
`KeptIndex` of `resight.collection.kept`.

A new kind of index takes three steps: its word in `SearchChoice.parse`, a class that is a `SearchIndex`, and
a `KeptIndex` in `resight.collection.kept.kept_index`. Ids are the table's row ids: whole numbers from 0,
stable through changes and compaction, never used twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, cast, get_args

import numpy as np
from jaxtyping import Float32, Int64

from resight.errors import InvalidInput
from resight.search.ranking import Ranking

__all__ = ["DEFAULT_RECALL", "IndexKind", "SearchChoice", "SearchFigures", "SearchIndex"]

IndexKind = Literal["exact", "auto", "milvus"]
"""``auto`` is approximate where that is quicker and reaches the recall, else exact."""

DEFAULT_RECALL = 0.98
"""Share of the true ten nearest photos that an approximate search shall find at least, by default."""

_KINDS = "a search index is exact, auto, or milvus+ and the address of a server"


class SearchIndex(Protocol):
    """Descriptors with ids, searched exactly or approximately.

    Scores are those of `ExactIndex`, in every kind: the inner product of the query with the descriptor that
    the collection stores (rounded to float16), computed in float64 and rounded, larger is better, ties to the
    smaller id. An approximate index may miss answers; those that it gives have their exact scores.
    """

    def __len__(self) -> int: ...

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        ...

    @property
    def ids(self) -> Int64[np.ndarray, " n"]:
        """Ids of all that can be searched, in any order."""
        ...

    def descriptors(self, ids: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m dim"]:
        """Returns stored descriptors in the order of some ids.

        Raises:
            InvalidInput: An id is not in the index.
        """
        ...

    def search(
        self,
        queries: Float32[np.ndarray, "q dim"],
        k: int,
        *,
        allowed: Int64[np.ndarray, " m"] | None = None,
    ) -> Ranking:
        """Returns k answers for each query, best first, padded as `Ranking` says.

        Args:
            queries: One descriptor a row, finite.
            k: Answers a query.
            allowed: Only these ids are searched: a filter comes before the search, so that a query has k
                answers wherever as many are allowed. Unknown ids are ignored.

        Raises:
            InvalidInput: ``k`` is not positive, or queries have another shape or are not finite.
        """
        ...


@dataclass(frozen=True, slots=True)
class SearchChoice:
    """How a collection shall be searched.

    Attributes:
        kind: Of the index.
        address: Of the server, where ``kind`` is ``milvus``: an address or the path of a file; else empty.
        memory: Most bytes that an approximate index may hold in memory; None for any.
        recall: Least share of the true ten nearest photos that an approximate search finds.
        label: Metadata column whose equal values are of one thing, to measure the loss in mean average
            precision by; empty for none.

    Raises:
        InvalidInput: A value is none of these.
    """

    kind: IndexKind = "exact"
    address: str = ""
    memory: int | None = None
    recall: float = DEFAULT_RECALL
    label: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(IndexKind) or (self.kind == "milvus") != bool(self.address):
            raise InvalidInput(f"{_KINDS}, not {self.kind!r}")
        if self.memory is not None and self.memory < 1:
            raise InvalidInput(f"the memory of a search index must be at least a byte, not {self.memory}")
        if not (math.isfinite(self.recall) and 0.0 < self.recall <= 1.0):
            raise InvalidInput(
                f"the recall of a search index lies above 0 and is at most 1, not {self.recall}"
            )

    @classmethod
    def parse(
        cls, text: str, *, memory: int | None = None, recall: float | None = None, label: str = ""
    ) -> SearchChoice:
        """Returns the choice of ``exact``, ``auto`` or ``milvus+URI``.

        Raises:
            InvalidInput: It is none of these, or has a budget that it cannot use.
        """
        if text != "auto" and not (memory is None and recall is None and not label):
            raise InvalidInput(f"memory, recall and label are chosen for the index auto, not for {text!r}")
        kind, _, address = text.partition("+")
        if (kind == "milvus") != bool(address) or text.endswith("+"):
            raise InvalidInput(f"{_KINDS}, not {text!r}")
        least = DEFAULT_RECALL if recall is None else recall
        return cls(cast(IndexKind, kind), address, memory, least, label)


@dataclass(frozen=True, slots=True)
class SearchFigures:
    """What an index takes and gives, as measured on the collection's own vectors.

    Attributes:
        kind: What searches: ``exact``, an approximate index by its name (``ivf-sq8``), or ``milvus``.
        recall: Share of the true ten nearest photos that were found, over queries that are photos of the
            collection and were held out; 1 for an exact search; None where it was not measured.
        milliseconds: Median time of one search for ten answers; None where it was not measured.
        bytes: What a search holds in memory; on a server, what the server says, or None.
        map_loss: Mean average precision of the exact search less that of this one, on labelled queries; None
            without labels.
    """

    kind: str
    recall: float | None = None
    milliseconds: float | None = None
    bytes: int | None = None
    map_loss: float | None = None

    def to_json(self) -> dict[str, object]:
        """Returns the fields by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SearchFigures:
        """Returns what ``to_json`` gave; anything else raises some error."""
        numbers = {name: values.get(name) for name in ("recall", "milliseconds", "map_loss")}
        held = values.get("bytes")
        return cls(
            str(values["kind"]),
            bytes=None if held is None else int(held),
            **{name: None if number is None else float(number) for name, number in numbers.items()},
        )
