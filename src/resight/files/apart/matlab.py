"""The variables of MATLAB files, for the process that reads them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np

__all__ = ["matlab_variables"]


def matlab_variables(path: Path) -> Iterator[bytes]:
    """Yields a pickle of the variables by name: structures as dicts, cells as lists, single values bare.

    Raises:
        Exception: Whatever a damaged file lets SciPy raise.
    """
    from scipy.io import loadmat

    content = loadmat(path, simplify_cells=True)
    variables = {name: _plain(value) for name, value in content.items() if not name.startswith("__")}
    yield pickle.dumps(variables, protocol=4)


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray) and value.dtype.kind in "OUS":
        return [_plain(entry) for entry in value.tolist()]
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    raise TypeError(f"it has a {type(value).__name__}, which no ground truth holds")
