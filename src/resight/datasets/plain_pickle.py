"""Pickles of plain values and number arrays, read without executing anything of them."""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import final

import numpy as np

from resight.errors import InvalidInput
from resight.files.budget import MOST_BYTES, MOST_VALUES, check_tree, read_within
from resight.files.foreign import reading

__all__ = ["Plain", "plain_values", "read_plain_pickle"]

Plain = None | bool | int | float | str | bytes | np.ndarray | list["Plain"] | dict[str, "Plain"]
"""What such a file can hold."""

_KINDS = "biuf"


def read_plain_pickle(path: str | Path) -> Plain:
    """Returns the dicts, lists, texts, numbers and number arrays of a pickle; tuples and sets become lists.

    No class or function that the file names is looked up: arrays, and points of Qdrant as dicts, are rebuilt
    here from their bytes.

    Raises:
        InvalidInput: The file cannot be read, is no pickle or a truncated one, is nested too deeply or holds
            itself, or holds anything else.
    """
    unreadable = f"cannot read the ground truth {path}"
    with reading(path, f"{path} is no ground truth, a pickle of plain values", unreadable=unreadable):
        return plain_values(read_within(path, MOST_BYTES))


def plain_values(content: bytes) -> Plain:
    """Returns the values of a pickle, as `read_plain_pickle` reads them from a file.

    Raises:
        InvalidInput: It holds something else than plain values, or too many or too deep.
        Exception: Whatever a damaged pickle lets the unpickler raise.
    """
    _check_memo(content)
    values = _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
    check_tree(values)
    return _plain(values)


def _check_memo(content: bytes) -> None:
    """Returns if no value is remembered under a number that only a table far over the file's size has.

    Raises:
        InvalidInput: One is: the unpickler would make that table first.
        ValueError: It is no pickle.
    """
    for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if count > MOST_VALUES:
            raise InvalidInput(f"it makes more than {MOST_VALUES:,} values")
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise InvalidInput(f"it remembers a value under the number {argument}")


@final
class _Dtype:
    """Stands for a numpy dtype while the pickle is read."""

    def __init__(self, name: str, *flags: object) -> None:
        del flags
        self._name, self._order = str(name), "="

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self._order = str(state[1])

    def of_numbers(self) -> np.dtype[np.generic]:
        dtype = np.dtype(self._name)
        if dtype.kind not in _KINDS:
            raise InvalidInput(f"it has an array of {dtype}, and only numbers are read")
        return dtype if self._order in "|=" else dtype.newbyteorder(">" if self._order == ">" else "<")


@final
class _Array:
    """Stands for a numpy array while the pickle is read."""

    def __init__(self, *ignored: object) -> None:
        del ignored
        self.array: np.ndarray = np.empty(0)

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.array = _numbers(data, dtype, shape, "F" if fortran else "C")


@final
class _NoClass:
    """Stands for ``numpy.ndarray`` where it is only named."""


@final
class _Point:
    """Stands for a point of Qdrant while the pickle is read: its values by name."""

    def __init__(self) -> None:
        self.values: dict[object, object] = {}

    def __setstate__(self, state: dict[str, dict[object, object]]) -> None:
        self.values = state["__dict__"]


def _numbers(data: object, dtype: object, shape: object, order: str) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
        raise InvalidInput("it has an array that is not written as numpy writes it")
    numbers = dtype.of_numbers()
    if not isinstance(data, bytes | bytearray):
        # Python 2 wrote bytes as text.
        data = str(data).encode("latin1")
    return np.frombuffer(data, numbers).reshape(shape, order="F" if order == "F" else "C").copy()


def _from_buffer(data: object, dtype: object, shape: object, order: str) -> _Array:
    """Stands for numpy's ``_frombuffer``."""
    rebuilt = _Array()
    rebuilt.array = _numbers(data, dtype, shape, order)
    return rebuilt


def _scalar(dtype: object, data: object) -> int | float:
    """Stands for numpy's ``scalar``."""
    return _numbers(data, dtype, (), "C").item()


def _encoded(text: str, encoding: str) -> bytes:
    """Stands for ``_codecs.encode``, with which protocol 2 writes bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise InvalidInput(f"it has bytes in {encoding}")
    return text.encode("latin1")


_STANDS_FOR = {
    "dtype": _Dtype,
    "ndarray": _NoClass,
    "_reconstruct": _Array,
    "_frombuffer": _from_buffer,
    "scalar": _scalar,
}
_NUMPY = frozenset(f"numpy{part}" for part in ("", ".core.multiarray", "._core.multiarray", ".core.numeric"))


class _PlainUnpickler(pickle.Unpickler):
    """Refuses to look up any class or function; numpy's arrays are rebuilt by the ones above."""

    def find_class(self, module: str, name: str) -> object:
        if (module in _NUMPY or module == "numpy._core.numeric") and name in _STANDS_FOR:
            return _STANDS_FOR[name]
        if (module, name) == ("_codecs", "encode"):
            return _encoded
        if (module, name) == ("qdrant_client.http.models.models", "PointStruct"):
            return _Point
        raise InvalidInput(f"it names {module}.{name}, and only plain types are read")


def _plain(value: object) -> Plain:
    """Returns the value with arrays in their places, and nothing of the reader left in it."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, _Point):
        return _plain(value.values)
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    raise InvalidInput(f"it has a {type(value).__name__}")
