"""Photos that tests make."""

from __future__ import annotations

from pathlib import Path

import cv2
import lance
import numpy as np

from resight.collection import Collection


def picture(number: int, *, width: int = 96, height: int = 64) -> np.ndarray:
    """Returns a coloured picture that differs from every other number's."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    fine = rng.integers(-30, 30, (height, width, 3))
    return np.clip(
        cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int) + fine, 0, 255
    ).astype(np.uint8)


def write_photo(path: Path, number: int, **size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(path.suffix, picture(number, **size))[1]
    path.write_bytes(encoded.tobytes())
    return path


def stored(collection: Collection) -> lance.LanceDataset:
    """Returns the table of a collection as it is on the disk now."""
    return lance.dataset(collection.path / "photos.lance")


def bytes_of(collection: Collection) -> bytes:
    """Returns all that the directory of a collection holds."""
    return b"".join(file.read_bytes() for file in sorted(collection.path.rglob("*")) if file.is_file())
