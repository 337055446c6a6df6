"""The number arrays of HDF5 files, for the process that reads them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from resight.errors import InvalidInput
from resight.files.budget import check_array, check_unpacked

if TYPE_CHECKING:
    import h5py

__all__ = ["hdf5_arrays"]

_MOST_NAMES = 4096
_PART_BYTES = 2**24
_KINDS = "biuf"


def hdf5_arrays(path: Path, wanted: str = "") -> Iterator[bytes]:
    """Yields names as JSON, then their arrays of one shape and type, stacked, as ``.npy``; and so on.

    The names are a list and null, where `resight.files.apart.parquet` has places in the list. A large array
    comes in pieces under its name. Links are not followed: a soft one may lead to another file.

    Args:
        path: The file.
        wanted: Datasets of this name, at any depth, each under the name of its group; all number arrays at
            the top by default, each under its own.

    Raises:
        InvalidInput: Data lie in another file, or take far more than the file has bytes for: HDF5 fills what
            was never written.
        Exception: Whatever a damaged file lets h5py raise.
    """
    import h5py

    with h5py.File(path, "r") as file:
        entries = _groups(file, wanted) if wanted else _variables(file)
        _check(entries, path.stat().st_size)
        names: list[str] = []
        rows: list[np.ndarray] = []
        for name, row in ((name, piece) for name, entry in entries.items() for piece in _pieces(entry)):
            full = len(names) == _MOST_NAMES or len(names) * row.nbytes > _PART_BYTES
            if rows and (full or (rows[0].shape, rows[0].dtype) != (row.shape, row.dtype)):
                yield from _part(names, rows)
                names, rows = [], []
            names.append(name)
            rows.append(row)
        if rows:
            yield from _part(names, rows)


def _pieces(entry: h5py.Dataset) -> Iterator[np.ndarray]:
    if entry.ndim == 0 or entry.nbytes <= _PART_BYTES:
        yield np.asarray(entry[()])
        return
    step = max(1, _PART_BYTES * entry.shape[0] // entry.nbytes)
    for start in range(0, entry.shape[0], step):
        yield entry[start : start + step]


def _part(names: list[str], rows: list[np.ndarray]) -> Iterator[bytes]:
    stream = io.BytesIO()
    np.save(stream, np.stack(rows), allow_pickle=False)
    yield json.dumps([names, None]).encode()
    yield stream.getvalue()


def _groups(file: h5py.File, wanted: str) -> dict[str, h5py.Dataset]:
    import h5py

    entries: dict[str, h5py.Dataset] = {}

    def visit(name: str, entry: object) -> None:
        place = PurePosixPath(name)
        if isinstance(entry, h5py.Dataset) and place.name == wanted:
            if entry.dtype.kind not in _KINDS:
                raise InvalidInput(f"{name} holds {entry.dtype}, no numbers")
            entries[str(place.parent)] = entry

    file.visititems(visit)
    return entries


def _variables(file: h5py.File) -> dict[str, h5py.Dataset]:
    import h5py

    hard = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
    return {
        name: entry
        for name in hard
        if isinstance(entry := file[name], h5py.Dataset) and entry.dtype.kind in _KINDS
    }


def _check(entries: Mapping[str, h5py.Dataset], stored: int) -> None:
    total = 0
    for entry in entries.values():
        if entry.external or entry.is_virtual:
            raise InvalidInput(f"{entry.name} lies in another file, which is not opened")
        total += check_array(entry.shape, entry.dtype.itemsize, stored=entry.id.get_storage_size())
    check_unpacked(total, stored)
