"""Times reading made photos: our own steps beside Pillow's bare decoder, and what a reduced decode gains.

    python benchmarks/decode.py benchmarks/results/decode.json

Times are the best of several rounds in one thread of this run, milliseconds; ratios are medians over rounds.
Differences are levels of 255 between a reduced decode and the whole photo decoded, then reduced.
"""

from __future__ import annotations

import io
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from resight.images import read
from resight.images.resize import fit
from resight.scenes.render import render_view

ROUNDS = 9


def jpeg(place: int, width: int, height: int) -> bytes:
    """A rendered view at any size as JPEG, with grain, so that it compresses as a camera's photo does."""
    picture = Image.fromarray(render_view(place, 0, side=640)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    grain = np.random.default_rng(place).normal(0, 4, (height, width, 1))
    pixels = np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def bare(data: bytes) -> None:
    """What Pillow alone takes to decode."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()


def whole_then_reduced(data: bytes, max_side: int) -> np.ndarray:
    return fit(read(data).pixels, max_side)


def rounds(*calls: Callable[[], object]) -> list[list[float]]:
    """Milliseconds of each call in each round, the calls taking turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS + 1):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(1000 * (time.perf_counter() - start))
    return [taken[1:] for taken in times]


def ratio(slow: list[float], fast: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(slow, fast, strict=True)), 3)


def main() -> None:
    small = jpeg(0, 640, 480)
    pillow, ours = rounds(lambda: [bare(small) for _ in range(20)], lambda: [read(small) for _ in range(20)])
    result: dict[str, object] = {
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "pillow": PIL.__version__,
        "rounds": ROUNDS,
        "vga": {
            "pillow_ms": round(min(pillow) / 20, 3),
            "read_ms": round(min(ours) / 20, 3),
            "read_over_pillow": ratio(ours, pillow),
        },
    }
    photos = [jpeg(place, 4000, 3000) for place in (0, 1)]
    for max_side in (1024, 640, 480):
        differences = [
            np.abs(read(data, max_side=max_side).pixels.astype(int) - whole_then_reduced(data, max_side))
            for data in photos
        ]
        whole, reduced = rounds(
            lambda side=max_side: whole_then_reduced(photos[0], side),
            lambda side=max_side: read(photos[0], max_side=side),
        )
        result[f"12_megapixels_to_{max_side}"] = {
            "whole_ms": round(min(whole), 1),
            "reduced_ms": round(min(reduced), 1),
            "times_faster": ratio(whole, reduced),
            "largest_difference": int(max(difference.max() for difference in differences)),
            "mean_difference": round(float(np.mean([difference.mean() for difference in differences])), 3),
        }
    text = json.dumps(result, indent=2)
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
