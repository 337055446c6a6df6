"""A program: ``matlab_reader.py FILE BYTES`` writes a MATLAB file as a pickle of plain values.

SciPy's reader is compiled code, and a damaged file can crash it. So it runs in a process of its
own, with a limit on its memory. It imports nothing of this package.
"""

from __future__ import annotations

import os
import pickle
import sys

# The threads of linear algebra take addresses that count as memory.
os.putenv("OPENBLAS_NUM_THREADS", "1")
os.putenv("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.io import loadmat


def plain(value: object) -> object:
    """Returns structures as dicts, cells as lists, texts and single values bare, arrays of numbers as such.

    Raises:
        TypeError: The value is none of these.
    """
    if isinstance(value, np.ndarray) and value.dtype.kind in "OUS":
        return [plain(entry) for entry in value.tolist()]
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value)
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    raise TypeError(f"it has a {type(value).__name__}, which no ground truth holds")


def main(path: str, most_bytes: int) -> None:
    """Writes the variables of a file to standard output."""
    try:
        import resource
    except ImportError:
        # Windows has no limits of this kind.
        pass
    else:
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    content = loadmat(path, simplify_cells=True)
    variables = {name: plain(value) for name, value in content.items() if not name.startswith("__")}
    sys.stdout.buffer.write(pickle.dumps(variables, protocol=4))


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]))
    # Told in one line; the process that reads it makes a sentence of it.
    except Exception as error:
        sys.exit(str(error).partition("\n")[0] or type(error).__name__)
