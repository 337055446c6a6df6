"""MATLAB files as plain values."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from resight.datasets.plain_pickle import Plain, plain_values
from resight.errors import MissingExtra
from resight.files.apart import apart, named_arrays
from resight.files.budget import require_file
from resight.files.foreign import reading

__all__ = ["read_arrays", "read_matlab"]

_HDF5 = b"\x89HDF"
_HDF5_OFFSET = 512
"""Where MATLAB 7.3 puts the HDF5 file behind its own header."""


def read_matlab(path: str | Path) -> dict[str, Plain]:
    """Returns the variables of a MATLAB file: structures as dicts, cells as lists, single values bare.

    Of MATLAB 7.3 files, which are HDF5, number arrays alone are read.

    Raises:
        InvalidInput: The file cannot be read or is none of MATLAB's, or declares more than it holds.
        MissingExtra: SciPy (7.3: h5py) is not installed.
    """
    with reading(path, f"{path} is no MATLAB file, or a damaged one"):
        require_file(path)
        with Path(path).open("rb") as stream:
            head = stream.read(_HDF5_OFFSET + len(_HDF5))
        return _newer(path) if head[_HDF5_OFFSET:] == _HDF5 else _older(path)


def _older(path: str | Path) -> dict[str, Plain]:
    if importlib.util.find_spec("scipy") is None:
        raise MissingExtra("formats", f"reading the MATLAB file {path}")
    content = plain_values(b"".join(apart("matlab", path)))
    return content if isinstance(content, dict) else {}


def _newer(path: str | Path) -> dict[str, Plain]:
    # MATLAB counts columns first.
    return {name: rows.T for name, rows in read_arrays(path).items()}


def read_arrays(path: str | Path, wanted: str = "") -> dict[str, np.ndarray]:
    """Returns the number arrays of an HDF5 file by name.

    Args:
        path: The file.
        wanted: Those of this name, at any depth, by the name of their group; the file's own by default.

    Raises:
        InvalidInput: It is damaged, its data lie in another file, or it declares more than it holds.
        MissingExtra: h5py is not installed.
        OSError: It cannot be read.
    """
    if importlib.util.find_spec("h5py") is None:
        raise MissingExtra("formats", f"reading the HDF5 file {path}")
    pieces: dict[str, list[np.ndarray]] = {}
    for names, rows in named_arrays("hdf5", path, wanted):
        for name, row in zip(names, rows, strict=True):
            pieces.setdefault(name, []).append(row)
    return {name: some[0] if len(some) == 1 else np.concatenate(some) for name, some in pieces.items()}
