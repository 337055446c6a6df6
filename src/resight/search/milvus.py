"""Descriptors on a Milvus server, a cluster, or in a file (Milvus Lite): the same calls for all three.

Milvus proposes rows; their scores are computed here, from the descriptors of the collection. So what a server
answers can lack a row, and never shows one that is gone or was changed.

Rows are read and searched at the consistency level *Strong*: an answer knows every change that was
acknowledged before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from jaxtyping import Float32, Int64

from resight.errors import InvalidInput
from resight.search.exact import ExactIndex
from resight.search.milvus_calls import CALL_SECONDS, PATIENCE, MilvusCalls
from resight.search.ranking import Ranking

if TYPE_CHECKING:
    from pymilvus import MilvusClient

__all__ = ["MilvusIndex", "MilvusTable", "Rows"]


ROW, CHECKSUM, DESCRIPTOR = "_row", "_checksum", "_descriptor"
"""Fields of a row; names of a collection's own values begin with a letter."""

_SPAN = 2048
"""Ids that one reading call looks at."""
_BATCH_BYTES = 4_000_000
"""Of one writing call; a server takes up to 64 MB."""
_MOST_ANSWERS = 16_384
"""Milvus gives no more of one search."""
_MOST_NAMED = 8192
"""Ids that a filter names one by one."""
_GRAPH = {"M": 32, "efConstruction": 200}
"""Links of a row, and the beam that they are chosen with."""
_BEAM = 4
"""Width of a search's beam, for each answer wanted."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows as a server keeps them.

    Attributes:
        ids: int64 ``(n,)``.
        checksums: int64 ``(n,)``.
        descriptors: float32 ``(n, dim)``.
    """

    ids: Int64[np.ndarray, " n"]
    checksums: Int64[np.ndarray, " n"]
    descriptors: Float32[np.ndarray, "n dim"]


@final
class MilvusTable:
    """One collection of Milvus.

    Args:
        address: ``http://host:port``, or the path of a file that ends in ``.db``.
        name: Of the collection there.
        dim: Length of a descriptor.
        patience: Seconds in which the server may come back.

    Raises:
        InvalidInput: The address is neither.
        MissingExtra: pymilvus, or for a file milvus-lite, is not installed.
    """

    def __init__(self, address: str, name: str, dim: int, *, patience: float = PATIENCE) -> None:
        self._name, self._dim = name, dim
        self._call = MilvusCalls(address, patience)

    def make(self) -> bool:
        """Returns whether the collection was there; makes it where it was not, and loads it to be searched.

        A damaged one in a file is made anew.

        Raises:
            SearchUnreachable: No server answers.
        """
        return self._call(self._make)

    def upsert(self, rows: Rows, values: Sequence[Mapping[str, object]]) -> None:
        """Writes rows, in place of those of the same ids, with values to filter by.

        Raises:
            SearchUnreachable: No server answers; some of the rows may have been written.
        """
        size = max(1, _BATCH_BYTES // (4 * self._dim + 500))
        for start in range(0, len(rows.ids), size):
            part = slice(start, start + size)
            data: list[dict[str, object]] = [
                {**more, ROW: row, CHECKSUM: checksum, DESCRIPTOR: descriptor}
                for row, checksum, descriptor, more in zip(
                    rows.ids[part].tolist(),
                    rows.checksums[part].tolist(),
                    rows.descriptors[part],
                    values[part],
                    strict=True,
                )
            ]
            self._upsert(data)

    def delete(self, ids: Int64[np.ndarray, " n"]) -> None:
        """Removes rows; ids that are not there are left out.

        Raises:
            SearchUnreachable: No server answers.
        """
        for start in range(0, len(ids), _MOST_NAMED):
            self._delete(ids[start : start + _MOST_NAMED].tolist())

    def count(self) -> int:
        """Returns the number of rows, doubled ones counted twice.

        Raises:
            SearchUnreachable: No server answers.
        """
        found = self._query("", ["count(*)"])
        return int(found[0]["count(*)"])

    def rows(self, stop: int, *, descriptors: bool) -> Iterator[Rows]:
        """Yields all rows; those with ids from ``stop`` on as the last ones.

        Args:
            stop: One more than the largest id that is expected.
            descriptors: Read these, too; else they have no columns.

        Raises:
            SearchUnreachable: No server answers.
        """
        fields = [ROW, CHECKSUM, *([DESCRIPTOR] if descriptors else [])]
        for start in range(0, stop, _SPAN):
            yield self._rows(f"{ROW} >= {start} and {ROW} < {min(start + _SPAN, stop)}", fields)
        beyond = stop
        while len((rows := self._rows(f"{ROW} >= {beyond}", fields, limit=_MOST_ANSWERS)).ids):
            yield rows
            beyond = int(rows.ids.max()) + 1

    def search(
        self, queries: Float32[np.ndarray, "q dim"], k: int, among: Int64[np.ndarray, " m"] | None = None
    ) -> list[Int64[np.ndarray, " n"]]:
        """Returns the ids that the server finds nearest to each query, at most ``k`` each.

        Raises:
            SearchUnreachable: No server answers.
        """
        only = "" if among is None else f"{ROW} in {among.tolist()}"
        # A graph needs a wider beam than the answers wanted of it.
        settings = {"params": {"ef": min(max(_BEAM * k, 128), 2 * _MOST_ANSWERS)}}
        found = self._call(
            lambda client: client.search(
                self._name,
                data=list(queries),
                anns_field=DESCRIPTOR,
                limit=k,
                filter=only,
                output_fields=[ROW],
                search_params=settings,
                timeout=CALL_SECONDS,
                consistency_level="Strong",
            )
        )
        return [np.array([hit[ROW] for hit in hits], np.int64) for hits in found]

    def drop(self) -> None:
        """Removes the collection, if it is there.

        Raises:
            SearchUnreachable: No server answers.
        """
        self._call(lambda client: client.drop_collection(self._name, timeout=CALL_SECONDS))

    def _make(self, client: MilvusClient) -> bool:
        from pymilvus import MilvusException

        if client.has_collection(self._name, timeout=CALL_SECONDS):
            try:
                client.load_collection(self._name, timeout=CALL_SECONDS)
            except MilvusException:
                if not self._call.is_file:
                    raise
                # What a full disk has cut off stays so.
                client.drop_collection(self._name, timeout=CALL_SECONDS)
            else:
                return True
        self._create(client)
        client.load_collection(self._name, timeout=CALL_SECONDS)
        return False

    def _create(self, client: MilvusClient) -> None:
        from pymilvus import DataType

        schema = client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field(ROW, DataType.INT64, is_primary=True)
        schema.add_field(CHECKSUM, DataType.INT64)
        schema.add_field(DESCRIPTOR, DataType.FLOAT_VECTOR, dim=self._dim)
        # A graph whose beam each search widens to what it asks for; a file has AUTOINDEX alone.
        kind, graph = ("AUTOINDEX", {}) if self._call.is_file else ("HNSW", _GRAPH)
        index = client.prepare_index_params()
        index.add_index(DESCRIPTOR, index_type=kind, metric_type="IP", params=graph)
        client.create_collection(
            self._name,
            schema=schema,
            index_params=index,
            consistency_level="Strong",
            timeout=CALL_SECONDS,
        )

    def _upsert(self, data: list[dict[str, object]]) -> None:
        self._call(lambda client: client.upsert(self._name, data, timeout=CALL_SECONDS))

    def _delete(self, ids: list[int]) -> None:
        self._call(lambda client: client.delete(self._name, ids=ids, timeout=CALL_SECONDS))

    def _rows(self, where: str, fields: list[str], limit: int | None = None) -> Rows:
        found = sorted(self._query(where, fields, limit), key=lambda row: int(row[ROW]))
        vectors = [row[DESCRIPTOR] for row in found] if DESCRIPTOR in fields else []
        width = self._dim if DESCRIPTOR in fields else 0
        return Rows(
            np.array([row[ROW] for row in found], np.int64),
            np.array([row[CHECKSUM] for row in found], np.int64),
            np.array(vectors, np.float32).reshape(len(found), width),
        )

    def _query(self, where: str, fields: list[str], limit: int | None = None) -> list[dict[str, Any]]:
        more = {} if limit is None else {"limit": limit}
        return self._call(
            lambda client: list(
                client.query(
                    self._name,
                    filter=where,
                    output_fields=fields,
                    timeout=CALL_SECONDS,
                    consistency_level="Strong",
                    **more,
                )
            )
        )


@final
class MilvusIndex:
    """The descriptors of a collection, proposed by Milvus and scored by the collection's own.

    Args:
        table: On the server, at the same version as the collection.
        ids: Of all rows that can be searched.
        read: Returns the stored descriptors of ids, in their order.
        exact: Returns the exact index of the same version, for what Milvus does not answer.
        fingerprint: Of the model.
    """

    def __init__(
        self,
        table: MilvusTable,
        ids: Int64[np.ndarray, " n"],
        read: Callable[[Int64[np.ndarray, " m"]], Float32[np.ndarray, "m dim"]],
        exact: Callable[[], ExactIndex],
        *,
        dim: int,
        fingerprint: str,
    ) -> None:
        self._table, self._ids, self._read, self._exact = table, np.sort(ids), read, exact
        self._dim, self._fingerprint = dim, fingerprint

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return self._dim

    @property
    def ids(self) -> Int64[np.ndarray, " n"]:
        """Ids of all that can be searched."""
        return self._ids

    def descriptors(self, ids: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m dim"]:
        """Returns stored descriptors in the order of some ids.

        Raises:
            InvalidInput: An id is not in the index.
        """
        unknown = np.setdiff1d(ids, self._ids)
        if len(unknown):
            raise InvalidInput(f"there is no row {unknown[0]} in the index")
        return self._read(ids)

    def search(
        self,
        queries: Float32[np.ndarray, "q dim"],
        k: int,
        *,
        allowed: Int64[np.ndarray, " m"] | None = None,
    ) -> Ranking:
        """Returns k answers for each query, best first; see `resight.search.index.SearchIndex`.

        Milvus proposes twice as many and some. Answered exactly are more answers than it gives, and queries
        of which it finds fewer than there are.

        Raises:
            InvalidInput: ``k`` is not positive, or queries have another shape or are not finite.
            SearchUnreachable: No server answers.
        """
        searched = self._ids if allowed is None else np.intersect1d(allowed, self._ids)
        depth, named = 2 * k + 32, None
        if allowed is not None and len(searched) <= _MOST_NAMED:
            named = searched
        elif allowed is not None:
            # The server searches all, of which a share is allowed.
            depth = int(1.5 * depth * len(self._ids) / len(searched))
        if len(searched) <= depth or queries.ndim != 2 or not np.isfinite(queries).all():
            return self._scored(queries, k, searched)
        if depth > _MOST_ANSWERS:
            return self._exact().search(queries, k, allowed=allowed)
        lengths = np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12)
        proposed = [
            np.intersect1d(ids, searched)
            for ids in self._table.search((queries / lengths).astype(np.float32), depth, named)
        ]
        if min(map(len, proposed), default=k) < k:
            return self._exact().search(queries, k, allowed=allowed)
        return self._scored(queries, k, np.unique(np.concatenate([self._ids[:0], *proposed])))

    def _scored(self, queries: Float32[np.ndarray, "q dim"], k: int, ids: Int64[np.ndarray, " m"]) -> Ranking:
        """Returns the exact ranking of some rows."""
        few = ExactIndex(self._dim, fingerprint=self._fingerprint)
        few.add(ids, self._read(ids))
        return few.search(queries, k)
