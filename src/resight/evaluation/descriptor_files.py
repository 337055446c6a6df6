"""Descriptors of other programs, brought into a benchmark's order."""

from __future__ import annotations

import math
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from resight.datasets.lists import text_lines
from resight.datasets.matlab import read_arrays, read_matlab
from resight.datasets.plain_pickle import Plain, read_plain_pickle
from resight.errors import InvalidInput
from resight.files import name_key, reading, shown
from resight.files.apart import named_arrays
from resight.files.budget import check_array, check_unpacked, require_file

__all__ = ["NamedDescriptors", "open_matrix", "read_descriptors", "read_named"]

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG"})
_HLOC = "global_descriptor"
_MATRICES = ("descriptors", "features", "vectors", "descriptor", "embedding", "embeddings")
_NAMES = ("path", "name", "names")


@dataclass(frozen=True, slots=True, eq=False)
class NamedDescriptors:
    """Descriptors in a benchmark's order, as in their file: not normalised.

    Attributes:
        database: One a database image.
        queries: One a query.
        unused: Names in the file that the benchmark does not have.
    """

    database: Float[np.ndarray, "n dim"]
    queries: Float[np.ndarray, "q dim"]
    unused: tuple[str, ...] = ()


def read_descriptors(
    path: str | Path,
    database: Sequence[str],
    queries: Sequence[str],
    *,
    names: str | Path | None = None,
) -> NamedDescriptors:
    """Returns the descriptors of a file in the order of a benchmark's names.

    Read are a matrix ``.npy`` with a text of names (one a row); ``.npz`` with ``descriptors`` and ``names``,
    or with one vector under each name; Parquet with a column of names and one of lists; HDF5 in hloc's layout
    (a group a name with ``global_descriptor``); and the layout of the revisited benchmarks in ``.mat`` and
    ``.pkl``: ``X`` with a column for each database image and ``Q`` with one for each query, in the
    benchmark's order. Names may have folders and an image's suffix; the last part without suffix counts.
    Every name of the benchmark must be there exactly once.

    Args:
        path: The file.
        database: Names of the database images.
        queries: Names of the queries; those of the database may be among them.
        names: The text of names, for ``.npy`` alone.

    Raises:
        InvalidInput: The file is missing or something else, a name is missing or doubled, or counts differ.
        MissingExtra: h5py or SciPy is needed and not installed.
    """
    path = Path(path)
    if path.suffix in (".mat", ".pkl") and names is None:
        return _columns(path, len(database), len(queries))
    rows, listed = read_named(path, names=names)
    return _ordered(path, rows, listed, database, queries)


def read_named(
    path: str | Path, *, names: str | Path | None = None
) -> tuple[Float[np.ndarray, "n dim"], list[str]]:
    """Returns the descriptors of a file in its own order, and their names.

    Args:
        path: ``.npy`` with a text of names; ``.npz``, ``.h5`` or ``.parquet``, which have them.
        names: The text of names, one a line.

    Raises:
        InvalidInput: The file is missing or something else, or counts differ.
        MissingExtra: h5py is needed and not installed.
    """
    path = Path(path)
    if path.suffix == ".npy" and names is None:
        raise InvalidInput(f"{path} needs a text of names, one a row: give --names")
    if path.suffix != ".npy" and names is not None:
        raise InvalidInput(f"names go with a .npy matrix; {path.name} has its own")
    if names is not None:
        rows, listed = open_matrix(path), [line.strip() for line in text_lines(Path(names)) if line.strip()]
    elif path.suffix in _READERS:
        rows, listed = _READERS[path.suffix](path)
    else:
        raise InvalidInput(
            f"descriptors by name are read from .npy with names, {', '.join(_READERS)}, not from {path.name}"
        )
    if len(rows) != len(listed):
        raise InvalidInput(f"{path} has {len(rows):,} descriptors and {len(listed):,} names")
    return rows, listed


def open_matrix(path: str | Path) -> Float[np.ndarray, "n dim"]:
    """Returns a matrix of floating-point rows, memory-mapped: what is not used is not read.

    Raises:
        InvalidInput: There is no such file, or it holds something else.
    """
    with reading(path, f"{path} is no .npy file, or a truncated one"):
        require_file(path)
        # Mapped: a shape that the file does not fill is refused before memory is asked for.
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind != "f" or not matrix.size:
        content = f"{matrix.dtype} {matrix.shape}" if isinstance(matrix, np.ndarray) else "several arrays"
        raise InvalidInput(f"{path} must hold a matrix of floating-point numbers, not {content}")
    return matrix


def _ordered(
    path: Path,
    rows: Float[np.ndarray, "n dim"],
    listed: Sequence[str],
    database: Sequence[str],
    queries: Sequence[str],
) -> NamedDescriptors:
    stems = [name_key(_stem(name)) for name in listed]
    database, queries = ([name_key(name) for name in part] for part in (database, queries))
    known = {*database, *queries}
    doubled = [name for name, count in Counter(stems).items() if count > 1 and name in known]
    if doubled:
        raise InvalidInput(
            f"{path} has {doubled[0]} twice ({len(doubled):,} such names); each must be unique"
        )
    places = {name: row for row, name in enumerate(stems)}
    missing = [name for name in dict.fromkeys((*database, *queries)) if name not in places]
    if missing:
        raise InvalidInput(
            f"{path} has no descriptor of {missing[0]} ({len(missing):,} of {len(known):,} are missing)"
        )
    first, second = ([places[name] for name in part] for part in (database, queries))
    unused = tuple(name for name in listed if name_key(_stem(name)) not in known)
    return NamedDescriptors(rows[first], rows[second], unused)


def _stem(name: str) -> str:
    last = PurePosixPath(name)
    return last.stem if last.suffix in _SUFFIXES else last.name


def _columns(path: Path, database: int, queries: int) -> NamedDescriptors:
    content: Plain | Mapping[str, Plain] = (
        read_matlab(path) if path.suffix == ".mat" else read_plain_pickle(path)
    )
    parts = []
    for key, count, role in (("X", database, "database images"), ("Q", queries, "queries")):
        matrix = content.get(key) if isinstance(content, dict) else None
        if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or matrix.dtype.kind != "f":
            raise InvalidInput(f"{path} has no matrix {key} with a column for each of the {role}")
        if matrix.shape[1] != count:
            raise InvalidInput(f"{path} has {matrix.shape[1]:,} columns in {key}, for {count:,} {role}")
        parts.append(np.ascontiguousarray(matrix.T))
    if parts[0].shape[1] != parts[1].shape[1]:
        raise InvalidInput(f"{path} has {parts[0].shape[1]} dimensions in X and {parts[1].shape[1]} in Q")
    return NamedDescriptors(parts[0], parts[1])


def _npz(path: Path) -> tuple[Float[np.ndarray, "n dim"], list[str]]:
    with reading(path, f"{path} is no .npz file of numbers and texts, or a damaged one"):
        _check_members(path)
        with np.load(path, allow_pickle=False) as file:
            if "names" not in file.files:
                return _stacked(path, {name: file[name] for name in file.files})
            matrix = next((file[key] for key in _MATRICES if key in file.files), None)
            listed = [str(name) for name in file["names"].ravel().tolist()]
    if matrix is None or matrix.ndim != 2 or matrix.dtype.kind != "f":
        raise InvalidInput(f"{path} has names, but no matrix called {' or '.join(_MATRICES)}")
    return matrix, listed


def _check_members(path: Path) -> None:
    """Returns if the arrays of an ``.npz`` file fit in its members, and they in memory.

    Raises:
        InvalidInput: They do not.
    """
    require_file(path)
    total = 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            total += check_array((member.file_size,), 1, stored=member.compress_size)
            # Against the whole file: members may lie in each other.
            check_unpacked(total, path.stat().st_size)
            with archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = read(stream)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise InvalidInput(
                    f"{member.filename} declares an array of shape {shown(shape)} and is cut off"
                )


def _hloc(path: Path) -> tuple[Float[np.ndarray, "n dim"], list[str]]:
    with reading(path, f"{path} is no HDF5 file, or a damaged one"):
        parts = read_arrays(path, _HLOC)
    if not parts:
        raise InvalidInput(f"{path} has no group with a {_HLOC}, as hloc writes one for each photo")
    return _stacked(path, parts)


def _parquet(path: Path) -> tuple[Float[np.ndarray, "n dim"], list[str]]:
    listed: list[str] = []
    parts: list[np.ndarray] = []
    with reading(path, f"{path} is no Parquet file, or a damaged one"):
        for names, rows in named_arrays("parquet vectors", path, ",".join(_NAMES), ",".join(_MATRICES)):
            listed += names
            parts.append(rows)
        if len({rows.shape[1] for rows in parts}) != 1:
            raise InvalidInput("it must hold lists of floating-point numbers, all of one length")
        return np.concatenate(parts), listed


def _stacked(path: Path, parts: Mapping[str, np.ndarray]) -> tuple[Float[np.ndarray, "n dim"], list[str]]:
    vectors = {name: vector.ravel() for name, vector in parts.items()}
    shapes = {(vector.shape, vector.dtype.kind) for vector in vectors.values()}
    if len(shapes) != 1 or next(iter(shapes))[1] != "f":
        raise InvalidInput(f"{path} must hold one vector of floating-point numbers a name, all of one length")
    return np.stack(list(vectors.values())), list(vectors)


_READERS = {".npz": _npz, ".h5": _hloc, ".hdf5": _hloc, ".parquet": _parquet}
