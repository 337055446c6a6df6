"""A program: ``__main__.py PLACES BYTES SECONDS READER FILE WORDS...`` writes parts of a file to its output.

Eight bytes, little-endian, say how long a part is. What is wrong with the file is the last line of standard
error. PLACES is a JSON list: where packages are found.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# The threads of linear algebra take addresses that count as memory.
os.putenv("OPENBLAS_NUM_THREADS", "1")
os.putenv("OMP_NUM_THREADS", "1")


def limit(most_bytes: int, seconds: int) -> None:
    """Limits the memory and the processor's time of this process, where the system can."""
    try:
        import resource
    except ImportError:
        # Windows has no limits of this kind.
        return
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(most_bytes: str, seconds: str, kind: str, path: str, *words: str) -> None:
    """Writes what a reader yields to standard output."""
    from resight.files.apart.hdf5 import hdf5_arrays
    from resight.files.apart.matlab import matlab_variables
    from resight.files.apart.parquet import row_parts, vector_parts
    from resight.files.foreign import reason_of

    readers: dict[str, Callable[..., Iterator[bytes]]] = {
        "hdf5": hdf5_arrays,
        "matlab": matlab_variables,
        "parquet rows": row_parts,
        "parquet vectors": vector_parts,
    }
    limit(int(most_bytes), int(seconds))
    try:
        for part in readers[kind](Path(path), *words):
            sys.stdout.buffer.write(struct.pack("<Q", len(part)))
            sys.stdout.buffer.write(part)
    # The process that started this one makes a sentence of it.
    except Exception as error:
        sys.exit(reason_of(error))


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[1])
    main(*sys.argv[2:])
