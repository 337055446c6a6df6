"""MATLAB files as plain values."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from resight.datasets.plain_pickle import Plain
from resight.errors import InvalidInput, MissingExtra

__all__ = ["read_matlab"]

_HDF5 = b"\x89HDF"
_HDF5_OFFSET = 512
"""Where MATLAB 7.3 puts the HDF5 file behind its own header."""


def read_matlab(path: str | Path) -> dict[str, Plain]:
    """Returns the variables of a MATLAB file: structures as dicts, cells as lists, single values bare.

    Of MATLAB 7.3 files, which are HDF5, number arrays alone are read.

    Raises:
        InvalidInput: The file cannot be read or is none of MATLAB's.
        MissingExtra: SciPy (7.3: h5py) is not installed.
    """
    try:
        with Path(path).open("rb") as stream:
            head = stream.read(_HDF5_OFFSET + len(_HDF5))
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror or error}") from None
    return _newer(path) if head[_HDF5_OFFSET:] == _HDF5 else _older(path)


def _older(path: str | Path) -> dict[str, Plain]:
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise MissingExtra("formats", f"reading the MATLAB file {path}") from None
    try:
        content = loadmat(str(path), simplify_cells=True)
    # What SciPy raises on files that are cut off, none of MATLAB's, or hold something else.
    except (
        LookupError,
        MatReadError,
        NotImplementedError,
        OSError,
        TypeError,
        ValueError,
        zlib.error,
    ) as error:
        raise InvalidInput(f"{path} is no MATLAB file, or a damaged one: {error}") from None
    return {name: _plain(value) for name, value in content.items() if not name.startswith("__")}


def _newer(path: str | Path) -> dict[str, Plain]:
    try:
        import h5py
    except ImportError:
        raise MissingExtra("formats", f"reading the MATLAB 7.3 file {path}") from None
    try:
        with h5py.File(path, "r") as file:
            # MATLAB counts columns first.
            return {name: np.asarray(file[name]).T for name in file if isinstance(file[name], h5py.Dataset)}
    except OSError as error:
        raise InvalidInput(f"{path} is no MATLAB file, or a damaged one: {error}") from None


def _plain(value: object) -> Plain:
    if isinstance(value, np.ndarray) and value.dtype.kind in "OUS":
        return [_plain(entry) for entry in value.tolist()]
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    raise InvalidInput(f"it has a {type(value).__name__}, which no ground truth holds")
