"""How an approximate index stores a descriptor in few bytes, and scans lists of them, by FAISS.

Rows are divided among lists by their nearest centroid, and a search looks at the lists whose centroids are
nearest to the query (J. Sivic, A. Zisserman, Video Google, ICCV 2003). Within a list, rows are compared by
codes: bytes a number (``ivf-sq8``), product codes (``ivf-pq``: H. Jégou, M. Douze, C. Schmid, Product
quantization for nearest neighbor search, PAMI 2011), or a bit a number (``ivf-rabitq``: J. Gao, C. Long,
RaBitQ, SIGMOD 2024).

What was trained are plain arrays, checked here: FAISS's own reader of files is never used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

import faiss
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from resight.errors import InvalidInput

__all__ = ["CODE_KINDS", "CodeKind", "Codes", "code_size", "train_centroids", "train_codes"]

CodeKind = Literal["ivf-sq8", "ivf-pq", "ivf-rabitq"]
CODE_KINDS: tuple[CodeKind, ...] = get_args(CodeKind)

_ROUNDS = 8
"""Of k-means."""

_LEARNED = 32_768
"""Rows of the sample that product codes learn from: of each of their 256 centroids, 128."""

_NUMBERS_A_BYTE = 4
"""Of a descriptor that one byte of a product code stands for."""


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """A trained division of rows into lists, and a trained code.

    Attributes:
        kind: Of the code.
        centroids: Of the lists.
        trained: What the code has learned; empty for ``ivf-rabitq``.

    Raises:
        InvalidInput: Arrays do not fit, or hold numbers that are not finite.
    """

    kind: CodeKind
    centroids: Float32[np.ndarray, "lists dim"]
    trained: Float32[np.ndarray, " numbers"]

    def __post_init__(self) -> None:
        if self.kind not in CODE_KINDS or self.centroids.ndim != 2 or not self.centroids.size:
            raise InvalidInput("an approximate index needs centroids and a kind of code")
        if self.trained.shape != (_trained_numbers(self.kind, self.dim),):
            raise InvalidInput(f"a code {self.kind} of {self.dim} numbers has learned something else")
        if not (np.isfinite(self.centroids).all() and np.isfinite(self.trained).all()):
            raise InvalidInput("centroids and codes must be finite")

    @property
    def dim(self) -> int:
        """Length of a descriptor."""
        return int(self.centroids.shape[1])

    @property
    def lists(self) -> int:
        """Number of lists."""
        return len(self.centroids)

    @property
    def size(self) -> int:
        """Bytes of a code."""
        return code_size(self.kind, self.dim)

    def scanner(self) -> faiss.IndexIVF:
        """Returns FAISS's index with these codes and no rows."""
        index = _empty(self.kind, self.centroids)
        learned = _learned(index)
        if learned is not None:
            faiss.copy_array_to_vector(self.trained, learned)
        index.is_trained = True
        return index

    def assign(self, rows: Float32[np.ndarray, "n dim"]) -> Int64[np.ndarray, " n"]:
        """Returns the list of each row: that of the centroid with the largest inner product."""
        return cast(np.ndarray, (rows @ self.centroids.T).argmax(axis=1)).astype(np.int64)

    def encode(
        self, rows: Float32[np.ndarray, "n dim"], lists: Int64[np.ndarray, " n"]
    ) -> UInt8[np.ndarray, "n size"]:
        """Returns the codes of rows in their lists."""
        codes = np.empty((len(rows), self.size), dtype=np.uint8)
        rows, lists = np.ascontiguousarray(rows, np.float32), np.ascontiguousarray(lists, np.int64)
        pointers = faiss.swig_ptr(rows), faiss.swig_ptr(lists), faiss.swig_ptr(codes)
        self.scanner().encode_vectors(len(rows), *pointers)
        return codes


def code_size(kind: CodeKind, dim: int) -> int:
    """Returns the bytes of a code."""
    sizes = {"ivf-sq8": dim, "ivf-pq": _sub_codes(dim), "ivf-rabitq": (dim + 7) // 8 + 8}
    return sizes[kind]


def train_centroids(
    rows: Float32[np.ndarray, "n dim"], lists: int, *, seed: int
) -> Float32[np.ndarray, "lists dim"]:
    """Returns the centroids of lists, of unit length, by k-means on a sample of unit-length rows."""
    clustering = faiss.Clustering(rows.shape[1], lists)
    clustering.niter, clustering.seed, clustering.spherical = _ROUNDS, seed, True
    clustering.min_points_per_centroid = 1
    clustering.train(np.ascontiguousarray(rows), faiss.IndexFlatIP(rows.shape[1]))
    return faiss.vector_to_array(clustering.centroids).reshape(lists, -1).astype(np.float32)


def train_codes(
    kind: CodeKind, centroids: Float32[np.ndarray, "lists dim"], rows: Float32[np.ndarray, "n dim"]
) -> Codes:
    """Returns codes trained on a sample of rows."""
    index = _empty(kind, centroids)
    rows = np.ascontiguousarray(rows)
    if isinstance(index, faiss.IndexIVFScalarQuantizer):
        index.sq.train(rows)
    elif isinstance(index, faiss.IndexIVFPQ):
        index.pq.cp.min_points_per_centroid, index.pq.cp.niter = 1, _ROUNDS
        index.pq.train(np.ascontiguousarray(rows[:: max(1, len(rows) // _LEARNED)]))
    learned = _learned(index)
    trained = np.empty(0) if learned is None else faiss.vector_to_array(learned)
    return Codes(kind, centroids, trained.astype(np.float32))


def _learned(index: faiss.IndexIVF) -> faiss.Float32Vector | None:
    """Returns the numbers that a code has learned; None where it learns none."""
    if isinstance(index, faiss.IndexIVFScalarQuantizer):
        return index.sq.trained
    return index.pq.centroids if isinstance(index, faiss.IndexIVFPQ) else None


def _empty(kind: CodeKind, centroids: Float32[np.ndarray, "lists dim"]) -> faiss.IndexIVF:
    lists, dim = centroids.shape
    quantizer = faiss.IndexFlatIP(dim)
    quantizer.add(np.ascontiguousarray(centroids))
    shape, metric = (quantizer, dim, lists), faiss.METRIC_INNER_PRODUCT
    index: faiss.IndexIVF
    if kind == "ivf-sq8":
        index = faiss.IndexIVFScalarQuantizer(*shape, faiss.ScalarQuantizer.QT_8bit, metric)
        index.by_residual = False
    elif kind == "ivf-pq":
        index = faiss.IndexIVFPQ(*shape, _sub_codes(dim), 8, metric)
        index.by_residual = False
    else:
        index = faiss.IndexIVFRaBitQ(*shape, metric)
        index.is_trained = True
    # FAISS keeps a pointer: the quantizer lives as long as the index.
    index.referenced_objects = [quantizer]  # type: ignore[union-attr]
    return index


def _sub_codes(dim: int) -> int:
    """Returns how many bytes a product code has: each for as many numbers."""
    most = max(1, dim // _NUMBERS_A_BYTE)
    return next(count for count in range(most, 0, -1) if dim % count == 0)


def _trained_numbers(kind: CodeKind, dim: int) -> int:
    return {"ivf-sq8": 2 * dim, "ivf-pq": 256 * dim, "ivf-rabitq": 0}[kind]
