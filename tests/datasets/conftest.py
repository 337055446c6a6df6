"""Copies of the benchmarks as their authors lay them out, made small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write_photo():
    """Writes a small photo of its own; the seed decides its bytes."""

    def write(path: Path, seed: int = 0, size: tuple[int, int] = (40, 30)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size).save(path, quality=90)
        return path

    return write


@pytest.fixture
def write_text():
    """Writes lines to a file."""

    def write(path: Path, lines) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def cub(tmp_path, write_text):
    """Writes the lists of CUB-200-2011 with some photos a class; returns the folder."""

    def make(folder: Path, counts) -> Path:
        rows = [
            (f"{label:03d}.Bird_{label}", label, f"Bird_{label}_{number}.jpg")
            for label, count in enumerate(counts, 1)
            for number in range(count)
        ]
        numbered = list(enumerate(rows, 1))
        write_text(folder / "images.txt", (f"{i} {name}/{file}" for i, (name, _, file) in numbered))
        write_text(folder / "image_class_labels.txt", (f"{i} {label}" for i, (_, label, _) in numbered))
        write_text(
            folder / "bounding_boxes.txt", (f"{i} {i % 5}.0 2.0 20.0 {10 + i % 7}.5" for i, _ in numbered)
        )
        return folder

    return make


CUB_COUNTS = [59] * 64 + [58] * 36 + [60] * 24 + [59] * 76
"""Photos a class, by which the made lists have the published counts: 5864 and 5924."""


@pytest.fixture
def cub_counts():
    """Photos of each of the 200 classes of a complete made copy."""
    return list(CUB_COUNTS)
