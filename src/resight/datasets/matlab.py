"""MATLAB files as plain values."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from resight.datasets.plain_pickle import Plain, plain_values
from resight.errors import InvalidInput, MissingExtra
from resight.files.budget import MOST_BYTES, check_array, check_unpacked, require_file
from resight.files.foreign import reading

if TYPE_CHECKING:
    import h5py

__all__ = ["read_datasets", "read_matlab"]

_READER = Path(__file__).with_name("matlab_reader.py")
_SECONDS = 300
_PROCESS_BYTES = 2**30
"""Memory of the process that reads: what NumPy and SciPy take of addresses, and a few hundred MB."""

_FILES = 16
"""How many times a file's size its values may take in memory, copies for the way back among them."""

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
    # A process of its own: damaged files can crash SciPy's compiled reader.
    memory = min(MOST_BYTES, _PROCESS_BYTES + _FILES * Path(path).stat().st_size)
    command = [sys.executable, "-P", str(_READER), str(Path(path).absolute()), str(memory)]
    done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise InvalidInput(lines[-1] if lines and done.returncode > 0 else "SciPy's reader crashes on it")
    content = plain_values(done.stdout)
    return content if isinstance(content, dict) else {}


def _newer(path: str | Path) -> dict[str, Plain]:
    try:
        import h5py
    except ImportError:
        raise MissingExtra("formats", f"reading the MATLAB 7.3 file {path}") from None
    with h5py.File(path, "r") as file:
        variables = {
            name: file[name] for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)
        }
        datasets = {name: entry for name, entry in variables.items() if isinstance(entry, h5py.Dataset)}
        # MATLAB counts columns first.
        return {name: rows.T for name, rows in read_datasets(datasets, Path(path).stat().st_size).items()}


def read_datasets(entries: Mapping[str, h5py.Dataset], stored: int) -> dict[str, np.ndarray]:
    """Returns the numbers of HDF5 datasets by name.

    Args:
        entries: The datasets by name.
        stored: Bytes of their file.

    Raises:
        InvalidInput: They lie in another file, or are far more than the file has bytes for: HDF5 fills what
            was never written.
    """
    total = 0
    for entry in entries.values():
        if entry.external or entry.is_virtual:
            raise InvalidInput(f"{entry.name} lies in another file, which is not opened")
        total += check_array(entry.shape, entry.dtype.itemsize, stored=entry.id.get_storage_size())
    check_unpacked(total, stored)
    return {name: np.asarray(entry) for name, entry in entries.items()}
