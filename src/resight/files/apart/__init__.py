"""Compiled readers of files from elsewhere, each file in a process of its own.

Damaged Parquet, HDF5 and MATLAB files crash the libraries that read them, within seconds of trying. In a
process of its own a crash is a sentence, and memory and time have limits.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from resight.errors import InvalidInput
from resight.files.budget import require_file

if TYPE_CHECKING:
    import numpy as np

__all__ = ["apart", "named_arrays", "parquet_rows"]

Kind = Literal["hdf5", "matlab", "parquet rows", "parquet vectors"]
"""A reader of `resight.files.apart.__main__`."""

_PROGRAM = Path(__file__).with_name("__main__.py")
_SECONDS = 300
_BYTES_A_SECOND = 2**23
_MEMORY = 3 * 2**29
"""What the libraries take of addresses, and some hundred MB."""

_LONG = 64
_FILES = 48
"""How many times a file's size may be taken: unpacked sixteen times, copies for the way back among them."""


def apart(kind: Kind, path: str | Path, *words: str) -> Iterator[bytes]:
    """Yields what a reader yields of a file.

    Args:
        kind: The reader.
        path: The file.
        words: What else the reader takes.

    Raises:
        InvalidInput: It is no such file or a damaged one, or asks for too much memory or time.
        OSError: It cannot be read.
    """
    require_file(path)
    with Path(path).open("rb") as stream:
        size = stream.seek(0, io.SEEK_END)
    # A program that runs by its path finds the packages that this process has found.
    places = json.dumps([place for place in sys.path if place])
    limits = [str(_MEMORY + _FILES * size), str(_SECONDS + size // _BYTES_A_SECOND)]
    command = [sys.executable, "-P", str(_PROGRAM), places, *limits, kind, str(Path(path).absolute()), *words]
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
        ) as process:
            try:
                yield from _parts(process.stdout)
            except BaseException:
                # Nobody reads the rest.
                process.kill()
                raise
        if process.returncode:
            raise InvalidInput(_reason(process.returncode, said))


def _parts(stream: IO[bytes] | None) -> Iterator[bytes]:
    while stream is not None and len(head := stream.read(8)) == 8:
        yield stream.read(struct.unpack("<Q", head)[0])


def _reason(code: int, said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines and code > 0 else "its reader crashes on it, or takes too long"


def named_arrays(
    kind: Literal["hdf5", "parquet vectors"], path: str | Path, *words: str
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yields names and as many arrays of one shape, stacked, until the file ends.

    A large array comes in several pieces under its name, to be put one below the other.

    Raises:
        InvalidInput: As `apart`; of HDF5, data that lie in another file.
        OSError: It cannot be read.
    """
    import numpy as np

    parts, known = apart(kind, path, *words), dict[str, str]()
    for names in parts:
        arrays = np.load(io.BytesIO(next(parts)), allow_pickle=False)
        yield _cells(json.loads(names), known), arrays


def parquet_rows(path: str | Path, columns: tuple[str, ...] = ()) -> Iterator[list[str]]:
    """Yields the names of the columns, then the cells of each row as the text that a CSV file would hold.

    Missing values and NaN are empty cells, flags ``true`` and ``false``.

    Args:
        path: The file.
        columns: Those that are read where there are such; all by default, but no lists and structs.

    Raises:
        InvalidInput: As `apart`; of more rows or columns than are read.
        OSError: It cannot be read.
    """
    parts, known = apart("parquet rows", path, *columns), dict[str, str]()
    yield json.loads(next(parts, b"[]"))
    for part in parts:
        cells = [_cells(column, known) for column in json.loads(part)]
        yield from map(list, zip(*cells, strict=True))


def _cells(column: tuple[list[str], list[int] | None], known: dict[str, str]) -> list[str]:
    """Returns texts at their places, -1 for none; a long one that stands in many stands in memory once."""
    texts, places = column
    texts = [text if len(text) < _LONG else known.setdefault(text, text) for text in texts]
    return texts if places is None else ["" if place < 0 else texts[place] for place in places]
