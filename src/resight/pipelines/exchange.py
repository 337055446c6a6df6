"""Descriptors in files and databases of other tools."""

from __future__ import annotations

import csv
import io
import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np
from jaxtyping import Float, Float32

from resight.collection import Collection
from resight.datasets.matlab import read_arrays
from resight.errors import InvalidInput, MissingExtra
from resight.evaluation.descriptor_files import open_matrix, read_named
from resight.features import ImageFeatures, LocalFeatures
from resight.files import read_json, read_rows, reading, whole_file, whole_files, whole_folder, write_whole
from resight.files.budget import require_file
from resight.pipelines.databases import DATABASES, Database, Place, read_database, write_database

__all__ = ["LAYOUTS", "Exchanged", "Layout", "export_collection", "read_layout", "write_layout"]

Layout = Literal["hloc", "clip-retrieval", "oml", "faiss", "parquet"]
"""- ``hloc``: HDF5, a group a photo with ``global_descriptor``, and where there are local features with
  ``keypoints``, ``descriptors``, ``scores``, ``scales`` and ``oris``, as for its SIFT.
- ``clip-retrieval``: a folder with ``img_emb/img_emb_0.npy`` and ``metadata/metadata_0.parquet``.
- ``oml``: a CSV file with the columns of open-metric-learning, and ``embedding``, a list of numbers.
- ``faiss``: a flat index of inner products with ids, and the paths by id in a CSV file beside it.
- ``parquet``: a file with the columns ``path`` and ``descriptor``, and the metadata."""

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_LOCAL = ("keypoints", "descriptors", "scores", "scales", "oris")


@dataclass(frozen=True, slots=True, eq=False)
class Exchanged:
    """Photos by name with their descriptors.

    Attributes:
        names: Paths, or whatever the file calls them.
        descriptors: float32 ``(n, dim)``.
        local: Local features of each; None where there are none.
        metadata: Values of each photo, by name.
    """

    names: Sequence[str]
    descriptors: Float32[np.ndarray, "n dim"]
    local: Sequence[LocalFeatures | None]
    metadata: Sequence[Mapping[str, object]]

    def features(self) -> dict[str, ImageFeatures]:
        """Returns what is known of each photo by its name."""
        rows = zip(self.names, self.descriptors, self.local, strict=True)
        return {name: ImageFeatures(row, local) for name, row, local in rows}


def export_collection(collection: Collection, layout: Layout | Database, path: str | Path) -> int:
    """Returns how many photos were written: their absolute paths, descriptors and, for hloc, local features.

    Args:
        collection: Of which.
        layout: How.
        path: A file or folder; of a database the place as `Place.of` reads it.

    Raises:
        InvalidInput: The layout is not known, or a database has a collection of that name.
        MissingExtra: h5py or a client is needed and not installed.
        SearchUnreachable: A database does not answer.
        OSError: The file cannot be written.
    """
    held = collection.exported(with_local=layout == "hloc")
    if layout == "qdrant" or layout == "milvus":
        write_database(held.paths, held.descriptors, held.metadata, layout, Place.of(str(path)))
    else:
        write_layout(Exchanged(held.paths, held.descriptors, held.local, held.metadata), layout, Path(path))
    return len(held.paths)


def write_layout(exchanged: Exchanged, layout: Layout, path: Path) -> None:
    """Writes a file or a folder in the layout of another tool, whole or not at all.

    Raises:
        InvalidInput: The layout is not known.
        MissingExtra: h5py is needed and not installed.
        OSError: The file cannot be written.
    """
    writers: dict[Layout, Callable[[Exchanged, Path], None]] = {
        "hloc": _write_hloc,
        "clip-retrieval": _write_clip,
        "oml": _write_oml,
        "faiss": _write_faiss,
        "parquet": _write_parquet,
    }
    if layout not in writers:
        raise InvalidInput(f"the layout is one of {', '.join(LAYOUTS)}, not {layout!r}")
    writers[layout](exchanged, path)


def read_layout(path: str | Path) -> Exchanged:
    """Returns what a file or folder of one of the layouts holds; a ``.npy`` has its names beside it.

    ``qdrant+PLACE`` and ``milvus+PLACE`` are databases (`resight.pipelines.databases`).

    Raises:
        InvalidInput: It is none of them, or damaged.
        MissingExtra: h5py or a client is needed and not installed.
        SearchUnreachable: A database does not answer.
    """
    for database in DATABASES:
        if str(path).startswith(f"{database}+"):
            place = Place.of(str(path).removeprefix(f"{database}+"))
            return _plain(*read_database(database, place))
    path = Path(path)
    if path.is_dir():
        return _read_clip(path)
    if path.suffix == ".csv":
        return _read_oml(path)
    if path.suffix == ".json":
        return _read_predictions(path)
    if path.suffix in (".faiss", ".index"):
        return _read_faiss(path)
    if path.suffix in (".h5", ".hdf5"):
        return _read_hloc(path)
    names = path.with_suffix(".names.txt") if path.suffix == ".npy" else None
    rows, listed = read_named(path, names=names)
    return _plain(listed, rows)


def _plain(names: Sequence[str], rows: Float[np.ndarray, "n dim"]) -> Exchanged:
    if len(set(names)) < len(names):
        raise InvalidInput("a name stands twice in the file: each photo must have its own")
    return Exchanged(names, np.asarray(rows, np.float32), [None] * len(names), [{}] * len(names))


# hloc


def _write_hloc(exchanged: Exchanged, path: Path) -> None:
    try:
        import h5py
    except ImportError:
        raise MissingExtra("formats", "writing a file of hloc") from None

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        rows = zip(exchanged.names, exchanged.descriptors, exchanged.local, strict=True)
        for name, descriptor, local in rows:
            # A slash at the beginning is the file's root.
            group = file.create_group(name.lstrip("/"))
            group["global_descriptor"] = descriptor
            if local is not None:
                group["keypoints"], group["scores"] = local.positions, local.scores
                group["scales"], group["oris"] = local.scales, local.orientations
                group["descriptors"] = local.descriptors.T
    write_whole(path, stream.getvalue())


def _read_hloc(path: Path) -> Exchanged:
    rows, names = read_named(path)
    with reading(path, f"{path} is no HDF5 file of hloc, or a damaged one"):
        parts = {key: read_arrays(path, key) for key in _LOCAL}
    local = [_local({key: found.get(name) for key, found in parts.items()}) for name in names]
    plain = _plain(names, rows)
    return Exchanged(names, plain.descriptors, local, plain.metadata)


def _local(parts: Mapping[str, np.ndarray | None]) -> LocalFeatures | None:
    """Returns local features; None where a part is missing, such as the sizes of learned keypoints."""
    values = {key: part for key, part in parts.items() if part is not None}
    if len(values) < len(_LOCAL):
        return None
    kept = values["descriptors"].T
    numbers = {key: values[key].astype(np.float32) for key in _LOCAL if key != "descriptors"}
    return LocalFeatures(
        numbers["keypoints"],
        numbers["scales"],
        numbers["oris"],
        numbers["scores"],
        np.ascontiguousarray(kept if kept.dtype == np.uint8 else kept.astype(np.float16)),
    )


# clip-retrieval


_CLIP_FILES = re.compile(r"img_emb/img_emb_0\.npy|metadata/metadata_0\.parquet")


def _write_clip(exchanged: Exchanged, path: Path) -> None:
    with whole_folder(path, own=_CLIP_FILES) as folder:
        for name in ("img_emb", "metadata"):
            (folder / name).mkdir()
        np.save(folder / "img_emb" / "img_emb_0.npy", exchanged.descriptors, allow_pickle=False)
        with (folder / "metadata" / "metadata_0.parquet").open("wb") as stream:
            _parquet(exchanged, stream, "image_path", with_descriptors=False)


def _read_clip(path: Path) -> Exchanged:
    parts = sorted((path / "img_emb").glob("img_emb_*.npy"), key=lambda part: (len(part.name), part.name))
    if not parts:
        raise InvalidInput(f"{path} is no folder of clip-retrieval: it has no img_emb/img_emb_0.npy")
    rows, names = [], []
    for part in parts:
        table = path / "metadata" / f"metadata_{part.stem.removeprefix('img_emb_')}.parquet"
        listed = [row["image_path"] for row in read_rows(table, columns=["image_path"])]
        matrix = open_matrix(part)
        if len(listed) != len(matrix) or not all(listed):
            raise InvalidInput(
                f"{table} must have an image_path for each of the {len(matrix):,} rows of {part}"
            )
        rows.append(np.asarray(matrix, np.float32))
        names += listed
    return _plain(names, np.concatenate(rows))


# open-metric-learning


def _write_oml(exchanged: Exchanged, path: Path) -> None:
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(("label", "path", "split", "is_query", "is_gallery", "embedding"))
    for name, row, label in zip(exchanged.names, exchanged.descriptors, _labels(exchanged), strict=True):
        numbers = ", ".join(str(value) for value in row)
        table.writerow((label, name, "validation", True, True, f"[{numbers}]"))
    write_whole(path, stream.getvalue().encode("utf-8", "surrogateescape"))


def _labels(exchanged: Exchanged) -> list[int]:
    """Returns labels as numbers, as open-metric-learning takes no others; each photo without has its own."""
    said = [values.get("label") for values in exchanged.metadata]
    whole = [label for label in said if isinstance(label, int)]
    if len(whole) == len(said):
        return whole
    numbers: dict[tuple[object, ...], int] = {}
    return [
        numbers.setdefault(("", name) if label is None else (label,), len(numbers))
        for label, name in zip(said, exchanged.names, strict=True)
    ]


def _read_predictions(path: Path) -> Exchanged:
    """Returns what the prediction pipeline of open-metric-learning wrote: lists of numbers by path."""
    sentence = f"{path} must hold one object: a list of numbers, all of one length, by each photo's path"
    content = read_json(path, sentence)
    with reading(path, sentence):
        if not isinstance(content, dict) or not content:
            raise ValueError("it holds no object with photos")
        rows = np.array(list(content.values()), dtype=np.float32)
        if rows.ndim != 2:
            raise ValueError("it holds no lists of numbers")
    return _plain(list(content), rows)


def _read_oml(path: Path) -> Exchanged:
    names, rows = [], []
    for row in read_rows(path, ["path", "embedding"]):
        try:
            numbers = json.loads(row["embedding"])
            rows.append(np.array(numbers, dtype=np.float32))
            names.append(row["path"])
        except (KeyError, ValueError, TypeError):
            raise InvalidInput(
                f"{path} must have the columns path and embedding, of which each is a list of numbers"
            ) from None
    if not rows or len({len(row) for row in rows}) != 1:
        raise InvalidInput(f"{path} must hold embeddings, all of one length")
    return _plain(names, np.stack(rows))


# FAISS


def _write_faiss(exchanged: Exchanged, path: Path) -> None:
    import faiss

    index = faiss.IndexIDMap2(faiss.IndexFlatIP(exchanged.descriptors.shape[1]))
    index.add_with_ids(np.ascontiguousarray(exchanged.descriptors), np.arange(len(exchanged.names)))
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerows([("id", "path"), *enumerate(exchanged.names)])
    with whole_files([path, _names_of(path)]) as (file, names):
        file.write(faiss.serialize_index(index).tobytes())
        names.write(stream.getvalue().encode("utf-8", "surrogateescape"))


def _names_of(path: Path) -> Path:
    return path.with_suffix(".names.csv")


_NO_FAISS = "it is no flat index of FAISS with ids"


def _read_faiss(path: Path) -> Exchanged:
    """Reads a flat index, with ids or without, by hand: FAISS's own reader trusts what a file declares."""
    sentence = f"{path} is damaged, or no flat index of FAISS"
    with reading(path, sentence):
        require_file(path)
    with reading(path, sentence), path.open("rb") as stream:
        kind, count, dim = _header(stream)
        has_ids = kind in (b"IxMp", b"IxM2")
        if has_ids:
            kind, count, dim = _header(stream)
        if kind not in (b"IxFI", b"IxF2", b"IxFl"):
            raise ValueError(_NO_FAISS)
        rows = _vector(stream, np.dtype("<f4"), count * dim).reshape(count, dim)
        ids = _vector(stream, np.dtype("<i8"), count) if has_ids else np.arange(count)
    names = {row["id"]: row["path"] for row in read_rows(_names_of(path), ["id", "path"])}
    missing = [number for number in ids.tolist() if str(number) not in names]
    if missing:
        raise InvalidInput(f"{_names_of(path)} has no path of the id {missing[0]}")
    return _plain([names[str(number)] for number in ids.tolist()], rows)


def _header(stream: BinaryIO) -> tuple[bytes, int, int]:
    kind = stream.read(4)
    dim, count, _, _, _, metric = struct.unpack("<iqqqBi", stream.read(33))
    if metric > 1:
        stream.read(4)
    return kind, count, dim


def _vector(stream: BinaryIO, kind: np.dtype[np.generic], count: int) -> np.ndarray:
    (declared,) = struct.unpack("<Q", stream.read(8))
    data = stream.read(max(declared, 0) * kind.itemsize) if declared == count else b""
    if declared != count or len(data) != count * kind.itemsize:
        raise ValueError("it is cut off")
    return np.frombuffer(data, kind)


# Parquet


def _write_parquet(exchanged: Exchanged, path: Path) -> None:
    with whole_file(path) as stream:
        _parquet(exchanged, stream, "path", with_descriptors=True)


def _parquet(exchanged: Exchanged, stream: BinaryIO, name: str, *, with_descriptors: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    columns: dict[str, pa.Array] = {name: pa.array(list(exchanged.names), pa.string())}
    if with_descriptors:
        flat = pa.array(exchanged.descriptors.ravel(), pa.float32())
        columns["descriptor"] = pa.FixedSizeListArray.from_arrays(flat, exchanged.descriptors.shape[1])
    for key in sorted({key for values in exchanged.metadata for key in values} - columns.keys()):
        columns[key] = pa.array([values.get(key) for values in exchanged.metadata])
    parquet.write_table(pa.table(columns), stream, write_page_checksum=True)
