"""A part of an approximate index on disk: some rows, ordered by list, with their codes; mapped, not read.

Two files without a header, whose sizes follow from the numbers of rows, lists and dimensions:

- ``.rows``: the descriptors as halves, the ids (int64), the rows of each list (int64), and the CRC-32 of each
  list's descriptors (uint32).
- ``.codes``: of each list its codes, then its rows' places in the part (int64), as FAISS maps them; then the
  CRC-32 of each list (uint32).

A list is compared with its checksums when it is first looked at, so that opening a part reads little of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import final

import faiss
import numpy as np
from jaxtyping import Bool, Float16, Float32, Int64, UInt32

from resight.errors import CollectionDamaged
from resight.search.approximate.codes import Codes

__all__ = ["Block", "Part", "write_codes", "write_rows"]

_BLOCK = 8192
"""Rows read or written at once: 16 MB of float32 at 512 dimensions."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some rows on their way into a part.

    Attributes:
        ids: Unique.
        lists: List of each.
        halves: Their descriptors.
    """

    ids: Int64[np.ndarray, " n"]
    lists: Int64[np.ndarray, " n"]
    halves: Float16[np.ndarray, "n dim"]


@final
@dataclass(slots=True, eq=False)
class Part:
    """A part, mapped.

    Attributes:
        ids: In the order of the rows.
        ends: Of the lists: list ``l`` has the rows from ``ends[l]`` to ``ends[l + 1]``.
        halves: Descriptors, by list.
    """

    path: Path
    codes: Codes
    ids: Int64[np.ndarray, " n"]
    ends: Int64[np.ndarray, " ends"]
    halves: Float16[np.ndarray, "n dim"]
    row_sums: UInt32[np.ndarray, " lists"]
    scanner: faiss.IndexIVF
    code_lists: np.ndarray
    code_sums: UInt32[np.ndarray, " lists"]
    keep: object
    checked: Bool[np.ndarray, " lists"] = field(init=False)

    def __post_init__(self) -> None:
        self.checked = np.zeros(self.codes.lists, dtype=bool)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def open(cls, path: Path, codes: Codes, rows: int) -> Part:
        """Returns the part of ``path`` with the suffixes ``.rows`` and ``.codes``.

        Raises:
            CollectionDamaged: A file is missing, or is not of that many rows.
        """
        lists, dim = codes.lists, codes.dim
        sizes = [2 * dim * rows, 8 * rows, 8 * lists, 4 * lists]
        starts = np.cumsum([0, *sizes])
        row_bytes = _mapped(path.with_suffix(".rows"), int(starts[-1]))
        pieces = [row_bytes[a:b] for a, b in pairwise(starts)]
        halves = pieces[0].view("<f2").reshape(rows, dim)
        ids, counts, sums = pieces[1].view("<i8"), pieces[2].view("<i8"), pieces[3].view("<u4")
        if (counts < 0).any() or (counts > rows).any() or int(counts.sum()) != rows:
            raise CollectionDamaged(f"{path}: the rows of its lists are not those of the file")
        length = rows * (codes.size + 8)
        code_bytes = _mapped(path.with_suffix(".codes"), length + 4 * lists)
        ends = np.concatenate([[0], np.cumsum(counts)])
        scanner, held = _scanner(codes, path.with_suffix(".codes"), counts, length)
        code_sums = code_bytes[length:].view("<u4")
        return cls(path, codes, ids, ends, halves, sums, scanner, code_bytes[:length], code_sums, held)

    def checksum(self) -> int:
        """Returns the CRC-32 of all that is no list: ids, the rows of lists, and the lists' checksums."""
        checksum = zlib.crc32(np.ascontiguousarray(self.ids).data)
        for array in (np.diff(self.ends), self.row_sums, self.code_sums):
            checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
        return checksum

    def check(self, lists: Int64[np.ndarray, " some"]) -> None:
        """Compares lists with their checksums, where that has not been done.

        Raises:
            CollectionDamaged: One is damaged.
        """
        new = lists[~self.checked[lists]]
        for number in np.unique(new).tolist() if len(new) else ():
            first, last = int(self.ends[number]), int(self.ends[number + 1])
            width = self.codes.size + 8
            listed = self.code_lists[first * width : last * width]
            places = listed[(last - first) * self.codes.size :].view("<i8")
            if (
                zlib.crc32(self.halves[first:last].data) != self.row_sums[number]
                or zlib.crc32(listed.data) != self.code_sums[number]
                or not np.array_equal(places, np.arange(first, last))
            ):
                raise CollectionDamaged(f"{self.path}: the list {number} of the search index is damaged")
            self.checked[number] = True

    def blocks(self, kept: Bool[np.ndarray, " n"]) -> Iterator[Block]:
        """Yields the rows that are kept."""
        self.check(np.arange(self.codes.lists))
        lists = np.repeat(np.arange(self.codes.lists), np.diff(self.ends))
        for start in range(0, len(self), _BLOCK):
            rows = start + np.flatnonzero(kept[start : start + _BLOCK])
            if len(rows):
                yield Block(np.array(self.ids[rows]), lists[rows], np.array(self.halves[rows]))

    def search(
        self,
        queries: Float32[np.ndarray, "q dim"],
        probed: Int64[np.ndarray, "q probes"],
        nearness: Float32[np.ndarray, "q probes"],
        count: int,
        selector: faiss.IDSelector | None,
    ) -> Int64[np.ndarray, "q count"]:
        """Returns the rows of the best codes in some lists of each query; -1 pads.

        Args:
            queries: One a row.
            probed: Lists that are looked at.
            nearness: Inner products of the queries with their centroids.
            count: Rows a query.
            selector: Takes rows; all of them by default.

        Raises:
            CollectionDamaged: A list is damaged.
        """
        self.check(probed.ravel())
        scores = np.empty((len(queries), count), dtype=np.float32)
        rows = np.empty((len(queries), count), dtype=np.int64)
        # FAISS's Python layer replaces the constructor; its type hints tell of the generated one.
        settings = faiss.SearchParametersIVF(nprobe=probed.shape[1], sel=selector)  # type: ignore[call-arg]
        if self.codes.kind == "ivf-rabitq":
            settings = faiss.IVFRaBitQSearchParameters(nprobe=probed.shape[1], sel=selector, qb=8)  # type: ignore[call-arg]
        pointers = [faiss.swig_ptr(array) for array in (probed, nearness, scores, rows)]
        search = self.scanner.search_preassigned_c  # type: ignore[attr-defined]
        search(len(queries), faiss.swig_ptr(queries), count, *pointers, False, settings)  # noqa: FBT003 (SWIG's)
        return rows


def write_rows(
    path: Path, codes: Codes, counts: Int64[np.ndarray, " lists"], blocks: Iterable[Block]
) -> None:
    """Writes ``.rows`` of blocks, whose lists have as many rows as ``counts`` says.

    Raises:
        OSError: The disk refuses it.
    """
    rows, dim, lists = int(counts.sum()), codes.dim, codes.lists
    place = path.with_suffix(".rows")
    free = np.concatenate([[0], np.cumsum(counts)])[:-1].astype(np.int64)
    ids = np.empty(rows, dtype="<i8")
    with place.open("wb") as stream:
        stream.truncate(2 * dim * rows + 8 * rows + 12 * lists)
    if rows:
        halves = np.memmap(place, "<f2", "r+", shape=(rows, dim))
        for block in blocks:
            order = np.argsort(block.lists, kind="stable")
            sorted_lists = block.lists[order]
            first = np.searchsorted(sorted_lists, sorted_lists)
            places = free[sorted_lists] + np.arange(len(order)) - first
            halves[places], ids[places] = block.halves[order], block.ids[order]
            free += np.bincount(block.lists, minlength=lists)
        ends = np.concatenate([[0], np.cumsum(counts)])
        sums = [zlib.crc32(halves[a:b].data) for a, b in pairwise(ends)]
        halves.flush()
        del halves
    else:
        sums = [0] * lists
    with place.open("r+b") as stream:
        stream.seek(2 * dim * rows)
        stream.write(ids.tobytes() + counts.astype("<i8").tobytes() + np.array(sums, "<u4").tobytes())


def write_codes(path: Path, codes: Codes, counts: Int64[np.ndarray, " lists"]) -> None:
    """Writes ``.codes`` of the rows in ``.rows``.

    Raises:
        OSError: The disk refuses it.
    """
    rows, dim = int(counts.sum()), codes.dim
    halves = np.memmap(path.with_suffix(".rows"), "<f2", "r", shape=(rows, dim)) if rows else None
    ends, sums = np.concatenate([[0], np.cumsum(counts)]), []
    with path.with_suffix(".codes").open("wb") as stream:
        for first, last in _runs(ends):
            lists = np.repeat(np.arange(first, last), counts[first:last])
            a, b = int(ends[first]), int(ends[last])
            encoded = np.empty((0, codes.size), np.uint8)
            if halves is not None and b > a:
                encoded = codes.encode(halves[a:b].astype(np.float32), lists)
            for number in range(first, last):
                own = encoded[ends[number] - a : ends[number + 1] - a]
                data = own.tobytes() + np.arange(ends[number], ends[number + 1], dtype="<i8").tobytes()
                sums.append(zlib.crc32(data))
                stream.write(data)
        stream.write(np.array(sums, "<u4").tobytes())


def _runs(ends: Int64[np.ndarray, " ends"]) -> Iterator[tuple[int, int]]:
    """Yields ranges of whole lists of about a block of rows."""
    first = 0
    while first < len(ends) - 1:
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + _BLOCK, side="right")) - 1)
        yield first, min(last, len(ends) - 1)
        first = min(last, len(ends) - 1)


def _mapped(path: Path, size: int) -> np.ndarray:
    """Returns the bytes of a file of a known size.

    Raises:
        CollectionDamaged: It has another, or cannot be read.
    """
    try:
        found = path.stat().st_size
        if found == size:
            # A plain array over the map: parts of it are taken more quickly.
            return np.asarray(np.memmap(path, np.uint8, "r")) if size else np.empty(0, np.uint8)
    except OSError as error:
        raise CollectionDamaged(f"{path} cannot be read: {error.strerror}") from None
    raise CollectionDamaged(f"{path} has {found:,} bytes, not {size:,}")


def _scanner(
    codes: Codes, path: Path, counts: Int64[np.ndarray, " lists"], length: int
) -> tuple[faiss.IndexIVF, object]:
    """Returns FAISS's index over a mapped file of lists, and what must live as long."""
    index = codes.scanner()
    if not length:
        return index, None
    lists = faiss.OnDiskInvertedLists()
    lists.nlist, lists.code_size, lists.filename = codes.lists, codes.size, str(path)
    lists.lists.resize(codes.lists)  # type: ignore[attr-defined]
    sizes = np.ascontiguousarray(counts, dtype=np.uint64)
    lists.set_all_lists_sizes(faiss.swig_ptr(sizes))
    lists.totsize, lists.read_only = length, True
    lists.do_mmap()
    index.replace_invlists(lists, False)  # noqa: FBT003 (SWIG's)
    index.ntotal = int(counts.sum())
    return index, lists
