"""What stands on a card for the bytes of the ground truth and of descriptors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resight.files import sha256_of

__all__ = ["DESCRIPTORS", "GROUND_TRUTH", "bytes_of", "ground_truth", "short"]

GROUND_TRUTH, DESCRIPTORS = "ground truth", "bytes of descriptors"
"""Names of the facts on a card."""

_DIGITS = 16


def ground_truth(files: Sequence[Path]) -> str:
    """Returns the files that say what is right, with what stands for their bytes.

    Raises:
        InvalidInput: One cannot be read.
    """
    if not files:
        return "no file: the folders or the caller say what is right"
    names = ", ".join(path.name for path in files[:3]) + (", ..." if len(files) > 3 else "")
    return f"{names}, {short(sha256_of(files))}"


def bytes_of(*arrays: np.ndarray) -> str:
    """Returns what stands for the types, shapes and bytes of arrays, in their order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        # By blocks: a mapped matrix may be larger than memory.
        for start in range(0, len(array), 4096):
            digest.update(np.ascontiguousarray(array[start : start + 4096]).data)
    return short(digest.hexdigest())


def short(digest: str) -> str:
    """Returns the beginning of a SHA-256 as a card shows it."""
    return f"SHA-256 {digest[:_DIGITS]}"
