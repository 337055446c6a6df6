"""A landmark benchmark of made photos: places of one pattern each, seen whole and through a box."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image


def write_landmarks(root: Path, *, places: int = 4, each: int = 4) -> dict[str, object]:
    """Writes ``jpg/``, ``queries/`` and ``gnd_made.json``; returns what the last one holds.

    The query of a place is its pattern inside a wide frame of noise; without its box it looks like nothing.
    """
    generator = np.random.default_rng(3)
    names, queries, gnd = [], [], []
    for folder in ("jpg", "queries"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for place in range(places):
        pattern = generator.integers(0, 255, (6, 6, 3))
        first = len(names)
        for view in range(each):
            noise = generator.normal(0, 12 * view, pattern.shape)
            _write(root / f"jpg/place{place}_{view}.jpg", pattern + noise)
            names.append(f"place{place}_{view}")
        framed = generator.integers(0, 255, (18, 18, 3))
        framed[6:12, 6:12] = pattern
        _write(root / f"queries/query{place}.jpg", framed)
        queries.append(f"query{place}")
        gnd.append(
            {
                "bbx": [60, 60, 120, 120],
                "easy": list(range(first, first + each - 2)),
                "hard": [first + each - 2],
                "junk": [first + each - 1],
            }
        )
    content = {"imlist": names, "qimlist": queries, "gnd": gnd}
    (root / "gnd_made.json").write_text(json.dumps(content))
    return content


def _write(path: Path, values: np.ndarray) -> None:
    pixels = np.clip(values, 0, 255).astype(np.uint8).repeat(10, 0).repeat(10, 1)
    Image.fromarray(pixels).save(path, quality=95)
